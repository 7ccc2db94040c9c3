"""Which libraries are installed, whether they fit, and the command that repairs what does not."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.parts import ROOT

from .host import on_hosted_notebook

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PYTHONS = ((3, 10), (3, 13))  # the oldest and the newest Python that the course is tested with
CHECKED = ("torch", "transformers", "datasets", "numpy", "pandas", "matplotlib", "jaxtyping", "otter-grader")


def install_missing(requirements: Path) -> None:
    """Install what the host lacks, quietly. The installed torch goes to pip as a constraint, so pip keeps it.

    Raises:
        RuntimeError: if pip fails; the message quotes it.
    """
    wanted = parse_requirements(requirements.read_text(encoding="utf-8")) if requirements.exists() else []
    if not any(map(shortfall, wanted)):
        return
    print("Installing what this machine lacks (about a minute, once a session) …")
    with tempfile.TemporaryDirectory() as folder:
        keep = Path(folder, "keep.txt")
        torch = installed_version("torch")
        keep.write_text(f"torch=={torch}\n" if torch else "", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "-r", str(requirements), "-c", str(keep)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode != 0:
        raise RuntimeError(
            f"pip could not install the course's libraries:\n{done.stderr.strip()[-2000:]}\n"
            "Is the network on? Then restart the session (Runtime > Restart session) and run this cell again."
        )
    importlib.invalidate_caches()


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
    was tested with (`constraints.txt`) is not: Colab's versions differ, and the ranges say what works.
    """
    problems = []
    low, high = PYTHONS
    if not low <= sys.version_info[:2] <= high:
        wanted = f"{low[0]}.{low[1]} to {high[0]}.{high[1]}"
        problems.append(f"this is Python {platform.python_version()}; the course is tested with Python {wanted}.")
    requirements = root / "requirements.txt"
    for requirement in parse_requirements(requirements.read_text(encoding="utf-8")) if requirements.exists() else []:
        if requirement.name.lower() in CHECKED and (found := shortfall(requirement)):
            problems.append(
                f"{requirement.name} is {found}; the course needs {requirement.specifier}. "
                f"Install it: {install_hint()}, then restart the kernel."
            )
    return problems


def install_hint() -> str:
    """The command that installs the course's libraries on this machine."""
    if on_hosted_notebook():
        return "%pip install -q -r requirements-colab.txt"
    return "pip install -r requirements.txt -c constraints.txt"
