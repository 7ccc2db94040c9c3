"""A class whose marks are tested: judging that takes no time, calls of `course grade`, what they leave."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from autograder import masters
from autograder.cli import app
from autograder.grade import runner
from autograder.grade.jobs import Job
from autograder.grade.limits import Limits
from autograder.grade.result import LoadReport, Protection, QuestionResult, SubmissionResult, Usage
from autograder.grade.results import outputs
from autograder.grade.results.rows import SheetRow
from autograder.testing import TestResult
from tests.grade.samples import notebook

STUB = "def token_log_probs(logits, ids): ..."
EASY = masters.load_questions(2)
WORTH = sum(q.points for q in EASY)
TESTED = sum(q.points for q in EASY if not q.manual)
WRITTEN = [q.name for q in EASY if q.manual]


def judge_all(job: Job, limits: Limits, trust: bool) -> SubmissionResult:
    """Every question judged: full points, but for the functions that a cell says are wrong (`# wrong: q2_1`)."""
    text = "\n".join(cell["source"] for cell in job.cells)
    questions = tuple(
        QuestionResult(
            q.name,
            q.function,
            q.points,
            (TestResult("test_it", False, q.points, f"# wrong: {q.name}" not in text, "said"),),
        )
        for q in masters.load_questions(job.part)
        if not q.manual and (not job.only or q.name in job.only)
    )
    possible = sum(question.possible for question in questions)
    usage, protection = Usage(0.1, 0.1, 1, 1), Protection(sandboxed=True)
    return SubmissionResult(job.student, job.part, possible, questions, LoadReport(), usage, protection)


def answered(*sources: str, **extra: Any) -> bytes:
    """A notebook with code cells and an answer to the first written question."""
    content = json.loads(notebook(*sources, **extra))
    content["cells"].append(
        {"cell_type": "markdown", "metadata": {}, "id": f"{WRITTEN[0]}-answer", "source": "A long answer of mine."}
    )
    return json.dumps(content).encode()


def put(path: Path, data: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def grade(*arguments: object) -> Result:
    """Call `course grade`."""
    return CliRunner().invoke(app, ["grade", *map(str, arguments), "--workers", "0"])


def table(path: Path, key: str = "student") -> dict[str, dict[str, str]]:
    """A CSV by one of its columns."""
    with path.open(encoding="utf-8") as file:
        return {row[key]: row for row in csv.DictReader(file)}


def rows_of(out: Path) -> dict[str, SheetRow]:
    """What is known of each student."""
    with runner.open_store(out) as store:
        return {row.student: row for row in outputs.sheet(store)}


def enter(path: Path, *lines: Sequence[str]) -> Path:
    """A file of marks."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
    return path


def class_of_three_in(source: Path) -> Path:
    """Ann's written answer waits for a mark, Bob wrote none, of Cleo's file nothing can be read."""
    put(source / "ann" / "02_reinforce.ipynb", answered(STUB))
    put(source / "bob" / "02_reinforce.ipynb", notebook(STUB))
    put(source / "cleo" / "02_reinforce.ipynb", b"{ cut off")
    return source
