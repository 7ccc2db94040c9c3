"""A student's view of all parts: `progress()` lists which exercises are written, which pass their public tests, and what is open.

The public tests run in one fresh process on what `helpers.notebook.selection` takes of the notebooks' files, as when they are
handed in: training cells are not run.
"""

from __future__ import annotations

import contextlib
import html
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.parts import ANSWER_PLACEHOLDER, PARTS, ROOT

from .host import in_colab
from .notebook_file import age
from .places import Copy, copies, defines, has_work, part_of, text_of
from .public_check import check_notebook, tests_folders
from .questions import part_of_question, questions

SECONDS = 300  # for the public tests of all parts together
MARKS = {"passes": "✓", "fails": "✗", "written": "•", "answered": "•", "open": "…"}


@dataclass(frozen=True)
class QuestionState:
    """One question, and how far it is: a key of `MARKS`; `minutes` are what it may take in all, `note` says why it fails."""

    part: int
    label: str
    points: float
    minutes: float
    state: str
    note: str = ""

    def __str__(self) -> str:
        """One line."""
        said = {"passes": "passes its public tests", "open": "open", "answered": "answered"}.get(self.state, self.note)
        return f"{MARKS[self.state]} {self.label} ({self.points:g} {'point' if self.points == 1 else 'points'}): {said}"


@dataclass(frozen=True)
class Progress:
    """Every question of the parts, and the files that were read."""

    items: tuple[QuestionState, ...]
    files: dict[int, str]

    def points(self, *states: str) -> float:
        """The points of the questions in some states."""
        return sum(item.points for item in self.items if not states or item.state in states)

    def lines(self) -> list[str]:
        """What there is to say, part by part."""
        lines = []
        for part in sorted({item.part for item in self.items}):
            mine = Progress(tuple(item for item in self.items if item.part == part), {})
            lines.append(f"Part {part}, {self.files.get(part, 'no notebook with work of yours was found')}")
            if part in self.files:
                lines += [f"  {item}" for item in mine.items]
            lines.append(f"  {mine.summary}")
        several = f"All parts: {self.summary}"
        return [
            *lines,
            several,
            "Hidden tests and people decide about points at grading. Files are read as they were saved.",
        ]

    @property
    def summary(self) -> str:
        """One sentence: points that pass, that wait for a person, and that are open."""
        return (
            f"exercises with {self.points('passes'):g} points pass their public tests, "
            f"{self.points('written', 'answered'):g} points are written, {self.points('fails'):g} fail, "
            f"{self.points('open'):g} are open, of {self.points():g}{self._left()}."
        )

    def _left(self) -> str:
        minutes = sum(item.minutes for item in self.items if item.state in ("open", "fails"))
        return f"; what is open or fails is about {hours(minutes)} of work" if minutes else ""

    def __repr__(self) -> str:
        """The plain-text form."""
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        """The form that notebooks show."""
        return f"<pre style='white-space:pre-wrap'>{html.escape(repr(self))}</pre>"


def hours(minutes: float) -> str:
    """A rule of thumb's minutes in words: in steps of five, from two hours on in half hours."""
    if minutes < 120:
        return f"{max(5, 5 * round(minutes / 5))} minutes"
    whole, half = divmod(round(minutes / 30), 2)
    return f"{whole}{'½' * half} hours"


def progress(parts: Sequence[int] = tuple(PARTS)) -> Progress:
    """How far the student is, in all parts or some: each exercise, its public tests, its points, and what is open.

    Args:
        parts: their numbers.
    """
    chosen = {part: copy for part in parts if (copy := _notebook(part)) is not None}
    results = _run_tests(chosen)
    items = [
        _item(name, question, part_of_question(name), chosen, results)
        for name, question in sorted(questions().items(), key=lambda pair: _in_order(pair[1]["label"]))
        if part_of_question(name) in parts
    ]
    return Progress(tuple(items), {part: _file(copy) for part, copy in chosen.items()})


def _notebook(part: int) -> Copy | None:
    """The student's notebook of a part: the one open in Colab, else the first file with work in it."""
    if in_colab():
        from .submission import colab_notebook

        content = colab_notebook()
        if content is not None and part_of(content) == part:
            return Copy(Path("the notebook that is open"), content)
    return next((copy for copy in copies(part) if has_work(copy, part) and not copy.catch_up), None)


def _file(copy: Copy) -> str:
    saved = age(copy.path)
    return f"{copy.path}{time.strftime(' (saved %Y-%m-%d %H:%M)', time.localtime(saved)) if saved else ''}"


def _in_order(label: str) -> list[tuple[int, str]]:
    number = label.rpartition(" ")[2].split(".")
    return [(int(piece), "") if piece.isdigit() else (99, piece) for piece in number]


def _item(
    name: str, question: dict[str, Any], part: int, chosen: dict[int, Copy], results: dict[int, dict[str, Any]]
) -> QuestionState:
    """A question and how far it is."""

    def item(state: str, note: str = "") -> QuestionState:
        return QuestionState(part, question["label"], question["points"], question["minutes"], state, note)

    if part not in chosen:
        return item("open")
    cells = chosen[part].content["cells"]
    if not question["function"]:
        return item("answered" if answered(cells, question["label"]) else "open")
    if not any(question["function"] in defines(text_of(cell)) for cell in cells if cell.get("cell_type") == "code"):
        return item("open")
    tests = results.get(part, {}).get(name)
    if tests is None:
        return item("written", "written; its public tests did not run here")
    wrong = next((message for _, message in tests if message), "")
    return item("fails", (wrong.splitlines() or [""])[0]) if wrong else item("passes")


def answered(cells: Sequence[dict[str, Any]], label: str) -> bool:
    """Whether the cells after a written question's text, down to the next question's, hold no placeholder any more."""
    texts = [text_of(cell).strip() for cell in cells]
    head = re.compile(rf"\*\*{re.escape(label)}(?!\w)")
    start = next((n for n, text in enumerate(texts) if head.search(text)), None)
    if start is None:
        return False
    for text in texts[start + 1 :]:
        if text == ANSWER_PLACEHOLDER:
            return False
        if text.startswith(("**Exercise ", "**Question ", "**Written question ")):
            break
    return True


def _run_tests(chosen: dict[int, Copy]) -> dict[int, dict[str, Any]]:
    """The outcomes of the public tests by part and question; of a part that did not come to its end nothing."""
    folders = {part: folder for part in chosen for folder in tests_folders(part)[:1]}
    if not folders:
        return {}
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "helpers.notebook.progress"]
        for part, folder in folders.items():
            path = Path(temporary, f"{PARTS[part]}.ipynb")
            path.write_text(json.dumps(chosen[part].content), encoding="utf-8")
            command += [str(part), str(path), str(folder.resolve())]
        environment = {"COURSE_FAST": "1", **os.environ}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        try:
            said = subprocess.run(command, capture_output=True, timeout=SECONDS, env=environment).stdout
        except subprocess.TimeoutExpired as late:
            said = late.stdout or b""
    lines = [line for line in said.decode(errors="replace").splitlines(keepends=True) if line.endswith("\n")]
    return dict(map(json.loads, lines))


def main(arguments: Sequence[str] | None = None) -> None:
    """In the fresh process: a line of JSON for each part, as soon as its tests have run."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for part, path, folder in zip(given[::3], given[1::3], given[2::3], strict=True):
        with contextlib.redirect_stdout(io.StringIO()):
            outcome = check_notebook(Path(path), Path(folder), int(part))["questions"]
        print(json.dumps([int(part), outcome]), flush=True)


if __name__ == "__main__":
    main()
