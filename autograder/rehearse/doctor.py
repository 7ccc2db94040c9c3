"""`course doctor`: what is wrong with an installation, and what to do about it."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autograder.publish.settings import load_course, pins
from helpers.notebook.versions import PYTHONS, installed_version, parse_requirements, shortfall
from helpers.parts import PARTS, ROOT

OK, NOTE, PROBLEM = "ok", "note", "problem"
LEAST_MEMORY = 3.0  # GiB free; the solutions take about 2
LEAST_DISK = 5.0  # GiB free
MARK = {OK: "✓", NOTE: "•", PROBLEM: "✗"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at: its state ("ok", "note" or "problem"), what was found, and what to do if something is to do."""

    name: str
    state: str
    found: str
    advice: str = ""


def examine(*, network: bool = True) -> list[Finding]:
    """Look at everything the course needs; a check that itself fails is reported as a problem."""
    looks: list[tuple[str, Callable[[], Finding]]] = [
        ("Python", look_at_python),
        ("Versions", look_at_versions),
        ("torch", look_at_torch),
        ("GPU", look_at_gpu),
        ("Memory", look_at_memory),
        ("Disk", look_at_disk),
        ("Embedded models", look_at_assets),
        ("Bubblewrap", look_at_bubblewrap),
        ("libseccomp", look_at_seccomp),
        ("git", look_at_git),
        ("nbgrader", look_at_nbgrader),
        ("Chromium", look_at_chromium),
        ("Course settings", look_at_settings),
        ("Notebooks", look_at_notebooks),
    ]
    if network:
        looks.insert(6, ("Hugging Face hub", look_at_hub))
    findings = []
    for name, look in looks:
        try:
            findings.append(look())
        except Exception as error:  # a diagnosis must not end at the first thing that is broken
            findings.append(
                Finding(name, PROBLEM, f"{type(error).__name__}: {error}", "See the message; then run again.")
            )
    return findings


def look_at_python() -> Finding:
    """The Python version, and whether this is a virtual environment."""
    low, high = PYTHONS
    found = f"{platform.python_version()} in {sys.prefix}"
    if not low <= sys.version_info[:2] <= high:
        advice = f"Make a new environment with Python {low[0]}.{low[1]} to {high[0]}.{high[1]}: make course PYTHON=python3.12"
        return Finding("Python", PROBLEM, found, advice)
    return Finding("Python", OK, found)


def look_at_versions() -> Finding:
    """The installed versions against the constraints file."""
    exact = pins(platform.python_version())
    missing, other = [], []
    for requirement in parse_requirements((ROOT / "requirements.txt").read_text(encoding="utf-8")):
        name = requirement.name.lower()
        have = installed_version(name)
        if found := shortfall(requirement):
            missing.append(f"{name}{requirement.specifier} ({found})")
        elif have and name in exact and f"=={have.split('+')[0]}" != exact[name]:
            other.append(f"{name} {have}, tested with {exact[name].removeprefix('==')}")
    install = "pip install -r requirements.txt -c constraints.txt"
    if missing:
        return Finding("Versions", PROBLEM, f"missing or out of range: {', '.join(missing)}", install)
    if other:
        return Finding("Versions", NOTE, "; ".join(other), f"This should work. For the tested versions: {install}")
    return Finding("Versions", OK, "all as in constraints.txt")


def look_at_torch() -> Finding:
    """Whether torch imports and multiplies."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return Finding("torch", PROBLEM, f"cannot be imported: {error}", "pip install torch -c constraints.txt")
    product = (torch.ones(2, 3) @ torch.ones(3, 1)).flatten().tolist()
    if product != [3.0, 3.0]:
        return Finding("torch", PROBLEM, f"1+1+1 gives {product}", "Reinstall torch.")
    return Finding("torch", OK, f"{torch.__version__}, {torch.get_num_threads()} threads")


def look_at_gpu() -> Finding:
    """CUDA or MPS; the course does not need one."""
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        found = f"{torch.cuda.get_device_name()}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        if free < 4 * 2**30:
            return Finding("GPU", NOTE, found, "The preset gpt2 needs about 6 GiB: close other programs, or use tiny.")
        return Finding("GPU", OK, found)
    if torch.backends.mps.is_available():
        return Finding("GPU", OK, "Apple MPS")
    if shutil.which("nvidia-smi"):
        return Finding("GPU", NOTE, "there is an NVIDIA driver, but torch sees no GPU", "Install torch with CUDA.")
    return Finding("GPU", NOTE, "none: the notebooks use the embedded models on the CPU", "Nothing to do.")


def look_at_memory() -> Finding:
    """The main memory that is free."""
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"
    if memory.available < LEAST_MEMORY * 2**30:
        return Finding(
            "Memory", PROBLEM, found, f"Close other programs: the notebooks need about {LEAST_MEMORY:g} GiB."
        )
    return Finding("Memory", OK, found)


def look_at_disk() -> Finding:
    """The disk space that is free."""
    free = shutil.disk_usage(ROOT).free / 2**30
    if free < LEAST_DISK:
        return Finding(
            "Disk", PROBLEM, f"{free:.1f} GiB free", f"Make room: a build and its runs need {LEAST_DISK:g} GiB."
        )
    return Finding("Disk", OK, f"{free:.0f} GiB free")


def look_at_hub() -> Finding:
    """Whether the Hugging Face hub answers; only the preset `gpt2` needs it."""
    from helpers import hub, presets

    reachable, why = hub.hub_status(presets.PRESETS["gpt2"].policy.name)
    if not reachable:
        advice = "Only the preset gpt2 needs the hub. The embedded models of the preset tiny work without it."
        return Finding("Hugging Face hub", NOTE, why, advice)
    unpinned = [source.name for source in presets.unpinned_revisions()]
    if unpinned:
        advice = "Look the commit up on the repository's page and write it into helpers/presets.py."
        return Finding("Hugging Face hub", NOTE, f"reachable; used at no fixed commit: {', '.join(unpinned)}", advice)
    return Finding("Hugging Face hub", OK, "reachable")


def look_at_assets() -> Finding:
    """Whether the embedded models and data are there, and not pointers to them."""
    wanted = ["policy", "reward", "gold", "ioi"]
    assets = ROOT / "helpers" / "assets"
    missing = [n for n in wanted if not list((assets / n).glob("*.safetensors"))]
    missing += [f"data/{n}" for n in ("snippets.parquet", "prompts.parquet") if not (assets / "data" / n).exists()]
    if missing:
        advice = "Fetch the repository again (git status shows deleted files), or make them: python -m helpers.assets.recipes"
        return Finding("Embedded models", PROBLEM, f"missing: {', '.join(missing)}", advice)
    pointers = [str(f.relative_to(assets)) for f in assets.rglob("*.safetensors") if f.stat().st_size < 1000]
    if pointers:
        return Finding("Embedded models", PROBLEM, f"only pointers: {', '.join(pointers)}", "Run: git lfs pull")
    size = sum(f.stat().st_size for f in assets.rglob("*") if f.is_file()) / 2**20
    return Finding("Embedded models", OK, f"{len(wanted)} models and the data, {size:.0f} MiB")


def look_at_bubblewrap() -> Finding:
    """Whether the sandbox of the grader can start."""
    path = shutil.which("bwrap")
    install = (
        "Only grading needs it. Linux: apt install bubblewrap (or dnf, pacman). macOS, Windows: grade in a Linux VM."
    )
    if path is None:
        return Finding("Bubblewrap", NOTE, "not installed", install)
    command = [path, "--ro-bind", "/", "/", "--unshare-all", "true"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=30)
    if done.returncode != 0:
        from autograder.grade.sandbox.parent import advice

        return Finding("Bubblewrap", PROBLEM, f"{path} cannot start a sandbox: {done.stderr.strip()[:200]}", advice())
    return Finding("Bubblewrap", OK, path)


def look_at_seccomp() -> Finding:
    """Whether the C library is there that the sandbox filters system calls with."""
    if not sys.platform.startswith("linux"):
        return Finding("libseccomp", NOTE, f"not on {sys.platform}", "Only grading needs it, on Linux.")
    found = ctypes.util.find_library("seccomp")
    if found is None:
        what = "Only grading needs it: apt-get install libseccomp2 (Debian, Ubuntu), dnf install libseccomp (Fedora)."
        return Finding("libseccomp", NOTE, "not installed", what)
    if not any(importlib.util.find_spec(name) for name in ("seccomp", "pyseccomp")):
        return Finding(
            "libseccomp", NOTE, f"{found}, but Python cannot use it", "pip install pyseccomp -c constraints.txt"
        )
    return Finding("libseccomp", OK, found)


def look_at_git() -> Finding:
    """Whether git is on the path: a first cell fetches the course with it, and a release is pushed with it."""
    path = shutil.which("git")
    if path is None:
        return Finding(
            "git", NOTE, "not on the path", "Publishing and developing need it: https://git-scm.com/downloads"
        )
    return Finding("git", OK, path)


def look_at_nbgrader() -> Finding:
    """Whether nbgrader and `alembic`, which it calls by name, are on the path."""
    tools = ("nbgrader", "alembic")
    missing = [name for name in tools if shutil.which(name) is None]
    if not missing:
        return Finding("nbgrader", OK, shutil.which("nbgrader") or "")
    beside = [name for name in missing if (Path(sys.executable).parent / name).exists()]
    activate = f"Activate the environment: . {Path(sys.executable).parent / 'activate'}"
    what = activate if beside == missing else "Only JupyterHub courses need it: pip install nbgrader -c constraints.txt"
    return Finding("nbgrader", NOTE, f"not on the path: {', '.join(missing)}", what)


def find_chromium() -> str | None:
    """The path of a Chromium or Chrome; `COURSE_CHROMIUM` names one that is not on the path."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    applications = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",)
    named = os.environ.get("COURSE_CHROMIUM", "")
    found = [named, *(shutil.which(name) or "" for name in names), *applications]
    return next((path for path in found if path and Path(path).exists()), None)


def look_at_chromium() -> Finding:
    """Whether there is a browser for the PDF pages and the browser tests."""
    path = find_chromium()
    if path is None:
        advice = (
            "Only the PDF files and the browser tests need it. Debian, Ubuntu: apt install chromium chromium-driver"
        )
        return Finding("Chromium", NOTE, "not installed", advice)
    return Finding("Chromium", OK, path)


def look_at_settings() -> Finding:
    """Whether `course.toml` names the student repository, and the masters are there."""
    course = load_course()
    missing = [name for part, name in PARTS.items() if not (ROOT / "solutions" / f"{name}.py").exists()]
    if missing:
        return Finding(
            "Course settings", PROBLEM, f"masters missing: {', '.join(missing)}", "Fetch the repository again."
        )
    if not course.has_repository:
        advice = "Before you hand the course out: set student_repository.url in course.toml, then run `course build`."
        return Finding("Course settings", NOTE, "the student repository is still the placeholder", advice)
    return Finding("Course settings", OK, f"{course.repository} at {course.tag}")


def look_at_notebooks() -> Finding:
    """Whether the committed notebooks are what `course.toml` and the masters give, as far as that is known without a build."""
    from autograder import masters
    from autograder.publish import cache
    from autograder.publish.ready import pinned_elsewhere

    course, parts = load_course(), masters.existing_parts()
    missing = [name for name in PARTS.values() if not (ROOT / "notebooks" / f"{name}.ipynb").exists()]
    if missing:
        return Finding("Notebooks", PROBLEM, f"not built: {', '.join(missing)}", "Run: course build")
    if elsewhere := pinned_elsewhere(course, parts):
        found = f"part {', '.join(map(str, elsewhere))}: the first cell is not what course.toml gives"
        return Finding("Notebooks", PROBLEM, found, "Run `course build`, and commit what it writes.")
    if unsure := cache.out_of_date(parts, cache.IN_STEP):
        found = f"part {', '.join(map(str, unsure))}: not compared with the masters since something changed"
        return Finding(
            "Notebooks", NOTE, found, "Run `course build --check` (minutes); `course release` does so by itself."
        )
    return Finding("Notebooks", OK, "as course.toml and the masters give them")
