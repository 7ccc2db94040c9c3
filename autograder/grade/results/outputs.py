"""What a grading run leaves: a CSV, a result file a submission in Gradescope's form, feedback pages, files to import.

Everything is made from `results.db` alone, so it can be made again at any time and comes out the same.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autograder import masters
from autograder.grade.result import SubmissionResult
from autograder.grade.text import encodable
from autograder.testing import TestResult
from helpers.parts import PARTS

from .asked import asked
from .pages import render
from .store import HandMark, Store, StoredSubmission


@dataclass(frozen=True)
class QuestionRow:
    """One question of a submission, tested or written; `points` is None where a mark is missing."""

    name: str
    function: str | None
    possible: float
    manual: bool
    points: float | None = None
    tests: tuple[TestResult, ...] = ()
    comment: str = ""


@dataclass(frozen=True)
class SheetRow:
    """One submission with all that is known of it: what was handed in, what judging gave, and every question's points."""

    submission: StoredSubmission
    result: SubmissionResult | None
    questions: tuple[QuestionRow, ...]

    @property
    def student(self) -> str:
        """Who handed it in."""
        return self.submission.student

    @property
    def part(self) -> int:
        """1 to 5, or 0 if it could not be told."""
        return self.submission.part

    @property
    def state(self) -> str:
        """`unreadable`, `not graded`, `error` (of the judge's), `to mark` (by a person) or `complete`."""
        if self.submission.problem:
            return "unreadable"
        if self.result is None:
            return "not graded"
        if self.result.broken:
            return "error"
        return "to mark" if any(question.points is None for question in self.questions) else "complete"

    @property
    def total(self) -> float | None:
        """The points: None if the judge failed or nothing was graded; marks that a person owes count as not given yet."""
        if self.state in ("error", "not graded"):
            return None
        return sum(question.points or 0.0 for question in self.questions)

    @property
    def possible(self) -> float:
        """What the part is worth in all."""
        return sum(question.possible for question in self.questions)


def sheet(store: Store) -> list[SheetRow]:
    """One row a submission, ordered by student and part."""
    marks = store.marks()
    return [sheet_row(submission, store.current(submission), marks) for submission in store.submissions()]


def sheet_row(
    submission: StoredSubmission, result: SubmissionResult | None, marks: Mapping[tuple[str, str], HandMark]
) -> SheetRow:
    """Put together what is known of a submission: its result, and the marks that people gave (student, question)."""
    judged = {question.name: question for question in result.questions} if result else {}
    rows = []
    for question in masters.load_questions(submission.part) if submission.part in masters.existing_parts() else ():
        row = QuestionRow(question.name, question.function, question.points, question.manual)
        if question.manual:
            mark = marks.get((submission.student, question.name))
            if mark is not None:
                row = replace(row, points=mark.points, comment=mark.comment)
            elif not submission.written.get(question.name):
                row = replace(row, points=0.0, comment="Nothing was written.")
        elif question.name in judged:
            row = replace(row, points=judged[question.name].points, tests=judged[question.name].tests)
        elif submission.problem:  # nothing could be read, so nothing was earned
            row = replace(row, points=0.0)
        rows.append(row)
    return SheetRow(submission, result, tuple(rows))


def safe_cell(text: Any) -> Any:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if isinstance(text, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def write_rows(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    """Write a CSV that no spreadsheet takes formulas from."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        csv.writer(file).writerows([[safe_cell(value) for value in row] for row in rows])


def file_name(row: SheetRow) -> str:
    """A name for a submission's files: safe on every system, different for different students."""
    plain = re.sub(r"[^\w.@-]", "_", row.student, flags=re.ASCII)[:80].strip(".") or "student"
    if plain != row.student:
        plain += "-" + hashlib.sha256(row.student.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{plain}-part{row.part}"


def write_text(path: Path, text: str) -> None:
    """Write a page; a character that UTF-8 cannot hold is spelled out, it stops nothing."""
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextlib.contextmanager
def one_by_one(what: str, problems: list[str] | None) -> Iterator[None]:
    """Let what fails inside cost this one output alone; its name and the reason are logged, and added to `problems`."""
    try:
        yield
    except Exception as error:  # whatever a student's text did to it: the others' pages must be written
        text = encodable(f"{what} could not be written: {type(error).__name__}: {error}")[:300]
        logging.getLogger(__name__).error(text)
        if problems is not None:
            problems.append(text)


def write_all(store: Store, folder: Path, problems: list[str] | None = None) -> dict[str, Path]:
    """Write every output; return what was written, by kind. What could not be is added to `problems`."""
    rows = sheet(store)
    folder.mkdir(parents=True, exist_ok=True)
    made = {"grades": folder / "grades.csv", "gradescope": folder / "gradescope", "feedback": folder / "feedback"}
    with one_by_one("grades.csv", problems):
        write_csv(rows, made["grades"])
    for kind in ("gradescope", "feedback"):
        made[kind].mkdir(exist_ok=True)
    for row in rows:
        name = file_name(row)
        with one_by_one(f"gradescope/{name}.json", problems):
            content = json.dumps(gradescope(row), indent=1, ensure_ascii=False)
            write_text(made["gradescope"] / f"{name}.json", content + "\n")
        with one_by_one(f"feedback/{name}.html", problems):
            write_text(made["feedback"] / f"{name}.html", feedback(row))
    with one_by_one("import/", problems):
        made |= imports(store, rows, folder / "import")
    return made


def write_csv(rows: Sequence[SheetRow], path: Path) -> None:
    """`grades.csv`: a line a submission, a column a question."""
    names = list(dict.fromkeys(q.name for row in sorted(rows, key=lambda r: r.part) for q in row.questions))
    header = ["student", "name", "part", "state", "points", "possible", "sandboxed", "message", *names]
    lines: list[list[Any]] = [header]
    for row in rows:
        by_name = {question.name: question.points for question in row.questions}
        result, found = row.result, row.submission
        protection = result.protection if result else None
        stamp = "" if protection is None else "yes" if protection.sandboxed else "NO"
        message = found.problem or (result.failure.message if result and result.failure else "")
        sums = _number(row.total), _number(row.possible)
        points = [_number(by_name.get(name)) for name in names]
        lines.append([row.student, found.name, row.part or "", row.state, *sums, stamp, message, *points])
    write_rows(path, lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def gradescope(row: SheetRow) -> dict[str, Any]:
    """A submission's result in the form of Gradescope's `results.json`."""
    tests: list[dict[str, Any]] = []
    for question in row.questions:
        tests += [_gradescope_test(question, test) for test in question.tests]
        if question.manual:
            tests.append(
                {
                    "name": question.name,
                    "score": question.points or 0.0,
                    "max_score": question.possible,
                    "visibility": "visible" if question.points is not None else "after_published",
                    "output": question.comment or "A person marks this answer.",
                }
            )
    output = (
        row.submission.problem or "All public tests are shown; hidden tests are shown when the grades are published."
    )
    if row.state == "error":
        output = "The grader itself failed on this submission. Your instructor has been told."
    answer = {"score": row.total or 0.0, "output": output, "visibility": "visible", "tests": tests}
    if row.result and row.result.usage:
        answer["execution_time"] = round(row.result.usage.seconds)
    return answer


def _gradescope_test(question: QuestionRow, test: TestResult) -> dict[str, Any]:
    return {
        "name": f"{question.name} · {test.name}",
        "score": test.points or 0.0,
        "max_score": test.possible,
        "status": "passed" if test.passed else "failed",
        "visibility": "after_published" if test.hidden else "visible",
        "output": test.message,
    }


def feedback(row: SheetRow) -> str:
    """A student's feedback page."""
    part = row.part
    return render(
        "feedback.html.j2",
        part_title=f"Part {part}: {PARTS[part]}" if part in PARTS else "Submission",
        row=row,
        asked=asked(row.submission),
        waiting=sum(q.possible for q in row.questions if q.manual and q.points is None),
    )


def imports(store: Store, rows: Sequence[SheetRow], folder: Path) -> dict[str, Path]:
    """Files for nbgrader (`course grade --nbgrader` writes its gradebook itself), Canvas and Moodle."""
    folder.mkdir(exist_ok=True)
    parts = sorted({row.part for row in rows if row.part in PARTS})
    titles = [PARTS[part] for part in parts]
    worth = [_number(sum(q.points for q in masters.load_questions(part))) for part in parts]
    totals = {(row.student, row.part): _number(row.total) for row in rows}
    canvas: list[list[Any]] = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *titles]]
    canvas.append(["    Points Possible", "", "", "", "", *worth])
    moodle: list[list[Any]] = [["ID number", "Email address", *[f"{title} (points)" for title in titles]]]
    nbgrader: list[list[Any]] = [["assignment", "student_id", "max_score", "score"]]
    for student, (name, email, other) in _everyone(store, rows).items():
        scores = [totals.get((student, part), "") for part in parts]
        login = other.get("sis login id") or other.get("login") or student
        canvas.append([name, student, other.get("sis user id", ""), login, other.get("section", ""), *scores])
        moodle.append([student, email, *scores])
        nbgrader += [[t, student, w, s] for t, w, s in zip(titles, worth, scores, strict=True) if s != ""]
    made = {name: folder / f"{name}.csv" for name in ("canvas", "moodle", "nbgrader")}
    for name, lines in (("canvas", canvas), ("moodle", moodle), ("nbgrader", nbgrader)):
        write_rows(made[name], lines)
    return made


def _everyone(store: Store, rows: Sequence[SheetRow]) -> dict[str, tuple[str, str, dict[str, str]]]:
    """Name, e-mail and the roster's other columns of all who are on the roster or handed something in, by id."""
    roster = store.roster()
    handed_in: dict[str, StoredSubmission] = {}
    for row in rows:
        handed_in.setdefault(row.student, row.submission)
    people = {}
    for student in sorted({*handed_in, *roster}):
        known = [source[student] for source in (roster, handed_in) if student in source]
        name = next((found.name for found in known if found.name), "")
        email = next((found.email for found in known if found.email), "")
        people[student] = (name, email, roster[student].other if student in roster else {})
    return people
