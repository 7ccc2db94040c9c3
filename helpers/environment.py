"""What the first cell of every notebook calls: check the machine, install what Colab lacks, and make the grader."""

from __future__ import annotations

import html
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PARTS = {1: "01_baseline", 2: "02_reinforce", 3: "03_kl", 4: "04_dpo", 5: "05_interpretability"}
PYTHONS = ((3, 10), (3, 13))  # the oldest and the newest Python that the course is tested with
CHECKED = ("torch", "transformers", "datasets", "numpy", "pandas", "matplotlib", "jaxtyping", "otter-grader")
GRADING_DEFAULTS = {"COURSE_FAST": "1", "COURSE_PRESET": "tiny", "COURSE_OFFLINE": "1"}


def start(part: int, *, seed: int = 0) -> Any:
    """Prepare a notebook: libraries, versions, seed, device; returns the grader, whose `check` runs public tests.

    In Colab and on Kaggle it installs what is missing there, and never touches their torch. While a grader runs the
    notebook (otter, Gradescope, nbgrader) it sets small sizes and the embedded models, so that grading takes seconds.

    Args:
        part: the number of the part, 1 to 5.
        seed: the seed of Python's, NumPy's and torch's random numbers.
    """
    if part not in PARTS:
        raise ValueError(f"There is no part {part}; the parts are 1 to {len(PARTS)}.")
    if being_graded():
        for name, value in GRADING_DEFAULTS.items():
            os.environ.setdefault(name, value)
    elif on_hosted_notebook():
        install_missing(ROOT / "requirements-colab.txt")
    from helpers.devices import memory_report, seed_everything

    seed_everything(seed)
    if not being_graded():
        print(f"Part {part} ({PARTS[part]}), Python {platform.python_version()}. {memory_report()}.")
        for line in version_problems():
            print(f"Note: {line}")
    return make_grader()


def being_graded() -> bool:
    """True while otter, nbgrader or the course's own grader runs the notebook."""
    if os.environ.get("COURSE_GRADING") == "1" or "NBGRADER_EXECUTION" in os.environ:
        return True
    otter = sys.modules.get("otter")
    return bool(otter is not None and getattr(getattr(otter, "Notebook", None), "_grading_mode", False))


def in_colab() -> bool:
    """True in Google Colab."""
    try:
        return importlib.util.find_spec("google.colab") is not None
    except (ModuleNotFoundError, ValueError):  # no `google` package at all
        return False


def on_hosted_notebook() -> bool:
    """True where only the notebook is ours and the Python is the host's: Colab and Kaggle."""
    return in_colab() or "KAGGLE_KERNEL_RUN_TYPE" in os.environ


# ------------------------------------------------------------------------------------------------ versions


def install_missing(requirements: Path) -> None:
    """Install what the host lacks, quietly. The installed torch goes to pip as a constraint, so pip keeps it.

    Raises:
        RuntimeError: if pip fails; the message quotes it.
    """
    if not missing_requirements(requirements):
        return
    print("Installing what this machine lacks (about a minute, once a session) …")
    with tempfile.TemporaryDirectory() as folder:
        keep = Path(folder, "keep.txt")
        torch = installed_version("torch")
        keep.write_text(f"torch=={torch}\n" if torch else "", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "-r", str(requirements), "-c", str(keep)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(
            f"pip could not install the course's libraries:\n{done.stderr.strip()[-2000:]}\n"
            "Is the network on? Then restart the session (Runtime > Restart session) and run this cell again."
        )
    importlib.invalidate_caches()


def missing_requirements(requirements: Path) -> list[str]:
    """The lines of a requirements file that the installed packages do not satisfy."""
    if not requirements.exists():
        return []
    return [line for line in _requirement_lines(requirements) if _unsatisfied(line)]


def _requirement_lines(path: Path) -> list[str]:
    lines = (line.split(" #")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def _unsatisfied(line: str) -> bool:
    from packaging.requirements import Requirement

    requirement = Requirement(line)
    if requirement.marker is not None and not requirement.marker.evaluate():
        return False
    version = installed_version(requirement.name)
    return version is None or not requirement.specifier.contains(version, prereleases=True)


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
    from packaging.requirements import Requirement

    problems = []
    low, high = PYTHONS
    if not low <= sys.version_info[:2] <= high:
        wanted = f"{low[0]}.{low[1]} to {high[0]}.{high[1]}"
        problems.append(f"this is Python {platform.python_version()}; the course is tested with Python {wanted}.")
    if not (root / "requirements.txt").exists():
        return problems
    for line in _requirement_lines(root / "requirements.txt"):
        requirement = Requirement(line)
        if requirement.name.lower() in CHECKED and _unsatisfied(line):
            have = installed_version(requirement.name)
            problems.append(
                f"{requirement.name} is {'version ' + have if have else 'not installed'}; the course needs "
                f"{requirement.specifier}. Install it: {install_hint()}, then restart the kernel."
            )
    return problems


def install_hint() -> str:
    """The command that installs the course's libraries on this machine."""
    if on_hosted_notebook():
        return "%pip install -q -r requirements-colab.txt"
    return "pip install -r requirements.txt -c constraints.txt"


# ------------------------------------------------------------------------------------------------- grader


def tests_folder() -> Path | None:
    """The folder of the public tests: beside the notebook, else the course's own; None where there is none."""
    for folder in (Path.cwd() / "tests", ROOT / "notebooks" / "tests"):
        if any(folder.glob("q*_*.py")):
            return folder
    return None


def hidden_counts(folder: Path | None = None) -> dict[str, int]:
    """How many hidden tests each question has."""
    folder = folder or tests_folder()
    path = (folder or Path()) / "hidden.json"
    return json.loads(path.read_text(encoding="utf-8")) if folder and path.exists() else {}


def make_grader() -> Any:
    """otter's notebook object while a grader runs; else the course's `Grader` around it; None without test files."""
    folder = tests_folder()
    if folder is None and not being_graded():
        return None  # the nbgrader form of a notebook has its tests in cells
    try:
        import otter
    except ImportError as error:
        raise RuntimeError(f"otter-grader is not installed. Install it: {install_hint()}") from error
    if being_graded():
        return otter.Notebook() if folder or otter.Notebook._grading_mode else None
    return Grader(otter.Notebook(tests_dir=str(folder)), hidden_counts(folder))


@dataclass(frozen=True)
class Checked:
    """What `grader.check` shows: each public test, passed or with the message of what is wrong."""

    question: str
    outcomes: tuple[tuple[str, bool, str], ...]  # the test's description, passed, message
    hidden: int

    @property
    def passed(self) -> bool:
        """True if every public test passed."""
        return all(ok for _, ok, _ in self.outcomes)

    @property
    def summary(self) -> str:
        """One sentence: what passed, and how many hidden tests there are."""
        good = sum(ok for _, ok, _ in self.outcomes)
        later = (
            f"; {self.hidden} hidden {'test runs' if self.hidden == 1 else 'tests run'} at grading"
            if self.hidden
            else ""
        )
        if self.passed:
            return f"{self.question}: all {good} public {'test' if good == 1 else 'tests'} passed{later}."
        return f"{self.question}: {good} of {len(self.outcomes)} public tests passed{later}."

    def __repr__(self) -> str:
        """The plain-text form."""
        lines = [self.summary]
        lines += [f"  ✗ {name}: {message}" for name, ok, message in self.outcomes if not ok]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The form that notebooks show."""
        colour = "#0b6e4f" if self.passed else "#a63d00"
        items = "".join(
            f"<li><b>{html.escape(name)}</b><br><span style='white-space:pre-wrap'>{html.escape(message)}</span></li>"
            for name, ok, message in self.outcomes
            if not ok
        )
        mark = "✓" if self.passed else "✗"
        body = f"<ul style='margin:.3em 0'>{items}</ul>" if items else ""
        return (
            f"<div style='border-left:4px solid {colour};padding:.2em .8em'>"
            f"<span style='color:{colour};font-weight:bold'>{mark}</span> {html.escape(self.summary)}{body}</div>"
        )


class Grader:
    """otter's `Notebook`, with results that say what is public and what is hidden. All else is otter's own."""

    def __init__(self, notebook: Any, hidden: Mapping[str, int]) -> None:
        self._notebook = notebook
        self._hidden = dict(hidden)

    def check(self, question: str, global_env: dict[str, Any] | None = None) -> Checked:
        """Run a question's public tests on the functions as they are now.

        Args:
            question: the question's name, such as `"q2_1"`.
            global_env: names to test instead of the notebook's own.
        """
        env = sys._getframe(1).f_globals if global_env is None else global_env
        result = self._notebook.check(question, global_env=env)
        outcomes = tuple((_title(r.test_case), r.passed, _message(r.message)) for r in result.test_case_results)
        return Checked(question, outcomes, self._hidden.get(question, 0))

    def __getattr__(self, name: str) -> Any:
        """Everything else that otter's notebook has."""
        return getattr(self._notebook, name)


def _title(case: Any) -> str:
    """A test's description: its docstring's first line, else its name in words."""
    function = getattr(case.body, "test_func", None)
    text = (getattr(function, "__doc__", None) or "").strip()
    return text.splitlines()[0].rstrip(".") if text else getattr(function, "__name__", case.name).replace("_", " ")


def _message(text: str) -> str:
    """What went wrong, from otter's report: without its heading and the line of the test that it quotes."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        if line.startswith("Error at line "):
            lines = lines[index + 2 :]
            break
    return "\n".join(lines).removeprefix("AssertionError: ").strip()


# ----------------------------------------------------------------------------------------------- headlines


def headline(name: str, value: float | str) -> None:
    """Publish a figure of this notebook for the table that `course run` prints; it does nothing elsewhere.

    Args:
        name: what the figure is, with its unit if it has one.
        value: the figure. A later value of the same name replaces an earlier one.
    """
    target = os.environ.get("COURSE_HEADLINES")
    if not target:
        return
    path = Path(target)
    figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    figures[name] = value if isinstance(value, str) else round(float(value), 4)
    path.write_text(json.dumps(figures, indent=1, ensure_ascii=False), encoding="utf-8")
