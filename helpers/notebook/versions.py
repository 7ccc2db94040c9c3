"""Which libraries are installed, whether they fit, and the command that repairs what does not."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.parts import ROOT

from .host import host, on_hosted_notebook

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PYTHONS = ((3, 10), (3, 13))  # the oldest and the newest Python that the course is tested with
CHECKED = (
    *(
        "torch",
        "transformers",
        "datasets",
        "numpy",
        "pandas",
        "matplotlib",
        "jaxtyping",
        "otter-grader",
        "scipy",
        "pyarrow",
    ),
    *("accelerate", "safetensors", "scikit-learn", "ipywidgets", "shap", "trl", "gymnasium"),
)
STATED = {  # what states its version as `__version__`, by the module's name
    **{
        name: name
        for name in ("torch", "transformers", "datasets", "numpy", "pandas", "matplotlib", "scipy", "pyarrow")
    },
    **{
        name: name
        for name in ("accelerate", "safetensors", "ipywidgets", "shap", "trl", "gymnasium", "tokenizers", "tqdm")
    },
    **{"sklearn": "scikit-learn", "huggingface_hub": "huggingface-hub", "PIL": "pillow", "fsspec": "fsspec"},
}
HOSTS_OWN = {"ipywidgets"}  # Colab's page shows those of version 7 and no others (colabtools #4525): it decides, not we
RESTART = {
    "colab": "Choose Runtime > Restart session",
    "kaggle": "Choose Run > Restart & clear cell outputs",
    "": "Restart the kernel (Kernel > Restart)",
}


def install_missing(requirements: Path) -> None:
    """Install what the host lacks, quietly, and so that nothing is replaced that this session has loaded, where that works.

    The installed torch and all loaded packages go to pip as constraints. Where pip finds no solution with these, only torch is
    kept, and `restart_needed` will say what was replaced.

    Raises:
        RuntimeError: if pip fails; the message quotes it.
    """
    wanted = parse_requirements(requirements.read_text(encoding="utf-8")) if requirements.exists() else []
    if not any(map(shortfall, wanted)):
        return
    print("Installing what this machine lacks (about a minute, once a session) …")
    torch = installed_version("torch")
    always = [f"torch=={torch}"] if torch else []
    below = {r.name.lower() for r in wanted if shortfall(r)}  # what has to change
    loaded = [f"{name}=={version}" for name, version in loaded_versions().items() if name not in below | {"torch"}]
    for constraints in ([*always, *loaded], always):
        done = _pip(requirements, constraints)
        if done.returncode == 0:
            importlib.invalidate_caches()
            return
    raise RuntimeError(
        f"pip could not install the course's libraries:\n{done.stderr.strip()[-2000:]}\n"
        f"Is the network on? {RESTART[host()]}, then run this cell again."
    )


def _pip(requirements: Path, constraints: Iterable[str]) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        keep = Path(folder, "keep.txt")
        keep.write_text("".join(f"{line}\n" for line in constraints), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "-r", str(requirements), "-c", str(keep)]
        return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")


def loaded_versions() -> dict[str, str]:
    """The installed version of every package of which this session has loaded a module, by lower-case name."""
    tops = {name.partition(".")[0] for name in sys.modules}
    names = {
        name for top, several in importlib.metadata.packages_distributions().items() if top in tops for name in several
    }
    versions = {name.lower(): installed_version(name) for name in sorted(names)}
    return {name: version for name, version in versions.items() if version and re.fullmatch(r"[\w.!+-]+", version)}


def restart_needed() -> str:
    """What was replaced on the disk while this session has the former version loaded, and what to do; empty if nothing was."""
    replaced = []
    for module, package in STATED.items():
        loaded, there = getattr(sys.modules.get(module), "__version__", None), installed_version(package)
        if isinstance(loaded, str) and there and loaded.partition("+")[0] != there.partition("+")[0]:
            replaced.append(f"{package} {loaded} by {there}")
    if not replaced:
        return ""
    return (
        f"While this session had them loaded, these were replaced: {', '.join(replaced)}. "
        f"{RESTART[host()]}, then run this cell again: nothing has to be installed then."
    )


def parse_requirements(text: str) -> list[Requirement]:
    """The requirements in the text of a pip file, comments and options left out."""
    from packaging.requirements import Requirement

    lines = (line.split(" #")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def shortfall(requirement: Requirement) -> str:
    """What is installed instead of a requirement: "not installed", or the version; empty if it is satisfied here."""
    if requirement.marker is not None and not requirement.marker.evaluate():
        return ""
    have = installed_version(requirement.name)
    if have is None:
        return "not installed"
    return "" if requirement.specifier.contains(have, prereleases=True) else f"version {have}"


def installed_version(name: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def version_problems(root: Path = ROOT) -> list[str]:
    """What is wrong with the installed versions, each with what to do; empty if nothing is.

    A version outside the range of `requirements.txt` is a problem. One that only differs from the version the course
    was tested with (`constraints.txt`) is not: Colab's versions differ, and the ranges say what works. In Colab and on Kaggle
    `HOSTS_OWN` may have any version.
    """
    problems = []
    low, high = PYTHONS
    if not low <= sys.version_info[:2] <= high:
        wanted = f"{low[0]}.{low[1]} to {high[0]}.{high[1]}"
        problems.append(f"this is Python {platform.python_version()}; the course is tested with Python {wanted}.")
    requirements = root / "requirements.txt"
    looked_at = set(CHECKED) - (HOSTS_OWN if on_hosted_notebook() else set())
    for requirement in parse_requirements(requirements.read_text(encoding="utf-8")) if requirements.exists() else []:
        if requirement.name.lower() in looked_at and (found := shortfall(requirement)):
            problems.append(
                f"{requirement.name} is {found}; the course needs {requirement.specifier}. "
                f"Install it: {install_hint(requirement)}. {RESTART[host()]} after that."
            )
    return problems


def install_hint(requirement: Requirement | None = None) -> str:
    """The line that installs the course's libraries on this machine, or one of them where only the notebook is ours."""
    if on_hosted_notebook():
        return f'%pip install -q "{requirement or "otter-grader"}"'
    pinned = " -c constraints.txt" if (ROOT / "constraints.txt").exists() else ""
    return f"pip install -r requirements.txt{pinned} (in a terminal, in the folder {ROOT})"
