"""What `grader.check` is in a notebook: the public tests, with results that say how many are hidden."""

from __future__ import annotations

import html
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.parts import ROOT

from .host import being_graded
from .public_check import load_cases, run_case, title_of
from .unwritten import function_of, is_unwritten, sentence
from .versions import install_hint


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
    """otter's notebook object while a grader runs the notebook; else the course's `Grader`; None without test files."""
    folder = tests_folder()
    if folder is None and not being_graded():
        return None  # the nbgrader form of a notebook has its tests in cells
    try:
        import otter
    except ImportError as error:
        raise RuntimeError(f"otter-grader is not installed. Install it: {install_hint()}") from error
    if folder is None or being_graded():
        return otter.Notebook() if folder or otter.Notebook._grading_mode else None
    return Grader(folder)


@dataclass(frozen=True)
class Checked:
    """What `grader.check` shows: each public test, passed or with the message of what is wrong."""

    question: str
    outcomes: tuple[tuple[str, bool, str], ...]  # the test's description, passed, message
    hidden: int
    unwritten: str = ""  # the sentence that stands in place of the tests' outcomes while the function is not written

    @property
    def passed(self) -> bool:
        """True if every public test passed."""
        return not self.unwritten and all(ok for _, ok, _ in self.outcomes)

    @property
    def summary(self) -> str:
        """One sentence: what passed, and how many hidden tests there are."""
        if self.unwritten:
            return f"{self.question}: {self.unwritten}"
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
        # legible on white and on black
        colour = "#16805c" if self.passed else "#767676" if self.unwritten else "#c24a00"
        items = "".join(
            f"<li><b>{html.escape(name)}</b><br><span style='white-space:pre-wrap'>{html.escape(message)}</span></li>"
            for name, ok, message in self.outcomes
            if not ok
        )
        mark = "✓" if self.passed else "…" if self.unwritten else "✗"
        body = f"<ul style='margin:.3em 0'>{items}</ul>" if items else ""
        return (
            f"<div style='border-left:4px solid {colour};padding:.2em .8em'>"
            f"<span style='color:{colour};font-weight:bold'>{mark}</span> {html.escape(self.summary)}{body}</div>"
        )


class Grader:
    """The public tests of a folder, with results that say what is public and how much is hidden."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hidden = hidden_counts(folder)

    def check(self, question: str, global_env: dict[str, Any] | None = None) -> Checked:
        """Run a question's public tests on the functions as they are now; none while the function is not written yet.

        Args:
            question: the question's name, such as `"q2_1"`.
            global_env: names to test instead of the notebook's own.

        Raises:
            FileNotFoundError: there is no such question.
        """
        env = sys._getframe(1).f_globals if global_env is None else global_env
        file = self._folder / f"{question}.py"
        if not file.exists():
            raise FileNotFoundError(f"there is no public test of {question} in {self._folder}")
        function = function_of(question)
        if is_unwritten(env.get(function)):
            return Checked(question, (), self._hidden.get(question, 0), sentence([function]))
        outcomes = [(title_of(case), run_case(case, env)) for case in load_cases(file)]
        shown = tuple((title, not message, message) for title, message in outcomes)
        return Checked(question, shown, self._hidden.get(question, 0))
