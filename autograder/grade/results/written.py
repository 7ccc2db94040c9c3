"""Written questions: lay the answers out for a person to mark, merge the marks."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from autograder import masters
from autograder.grade.intake.apart import to_html as students_html
from autograder.grade.jobs import written_questions
from autograder.grade.tables import TableError, read_table
from autograder.masters import Question

from .outputs import one_by_one, write_rows, write_text
from .pages import render, to_html
from .rows import sheet, version_to_mark
from .store import HandMark, Store, StoredSubmission


@dataclass(frozen=True)
class AnonymousAnswer:
    """A student's answer to one question under the name that stands for the student; `mark` if it has one already."""

    code: str
    text: str
    mark: HandMark | None

    @property
    def html(self) -> Markup:
        """The answer for a page."""
        return Markup(students_html(self.text))

    def csv_row(self, question: Question) -> list[Any]:
        """The line to enter a mark in; who wrote nothing has none of the points already."""
        points = self.mark.points if self.mark else "" if self.text else 0
        return [self.code, points, f"{question.points:g}", self.mark.comment if self.mark else ""]


def page(question: Question, answers: Sequence[AnonymousAnswer], seed: str) -> str:
    """One question with everybody's answers, anonymous and shuffled, rubric and sample answer at the side."""
    shuffled = sorted(answers, key=lambda answer: answer.code)
    random.Random(f"{seed}/{question.name}").shuffle(shuffled)
    return render(
        "written.html.j2",
        question=question,
        prompt=to_html(question.prompt),
        sample=to_html(question.sample_answer),
        rubric=question.rubric,
        answers=shuffled,
    )


def code_name(seed: str, student: str, question: str) -> str:
    """The name that stands for a student on a question's page: another one for each question."""
    digest = hmac.new(bytes.fromhex(seed), f"written/{question}/{student}".encode(), hashlib.sha256).hexdigest()
    return f"A-{digest[:8]}"


def write_pages(store: Store, folder: Path, problems: list[str] | None = None) -> list[Path]:
    """Write a page and an empty CSV for marks a question; return the pages. What fails is added to `problems`."""
    secret = store.secret()
    by_part: dict[int, list[StoredSubmission]] = {}
    for submission in store.submissions():
        if not submission.problem:  # of a file that cannot be read nobody knows whether anything was written
            by_part.setdefault(submission.part, []).append(submission)
    marks = store.marks()
    made = []
    for part in sorted(set(by_part) & set(masters.existing_parts())):
        for question in written_questions(part):
            answers = [
                AnonymousAnswer(
                    code_name(secret, found.student, question.name),
                    found.written.get(question.name, ""),
                    marks.get((found.student, question.name)),
                )
                for found in by_part[part]
            ]
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{question.name}.html"
            with one_by_one(f"written/{question.name}", problems):
                write_text(path, page(question, answers, secret))
                lines = [answer.csv_row(question) for answer in sorted(answers, key=lambda a: a.code)]
                write_rows(folder / f"{question.name}.csv", [["answer", "points", "possible", "comment"], *lines])
                made.append(path)
    return made


class MarksFileError(ValueError):
    """A file of marks cannot be merged; nothing of it was."""


def merge(store: Store, path: Path) -> int:
    """Take over the marks of a CSV (`answer` or `student`, `question` if not the file's name, `points`, `comment`).

    Beside written answers these may be questions with tests that wait for a person (`to_look_at.csv`).

    Returns:
        How many marks were taken; rows without points are left for later.

    Raises:
        MarksFileError: an unknown student or question, or points out of range. Then no mark of the file is taken.
    """
    questions = {q.name: q for part in masters.existing_parts() for q in masters.load_questions(part)}
    waiting = {(row.student, row.part): row for row in sheet(store)}
    students = sorted({submission.student for submission in store.submissions()})
    secret = store.secret()
    try:
        rows = read_table(path)
    except TableError as error:
        raise MarksFileError(str(error)) from error
    if rows and not ("points" in rows[0] and {"answer", "student"} & set(rows[0])):
        raise MarksFileError(
            f"{path}: it needs the columns `answer` (or `student`) and `points`; it has {', '.join(rows[0])}"
        )
    taken, problems = [], []
    for line, row in enumerate(rows, start=2):
        name = row.get("question") or path.stem
        if not row.get("points"):
            continue
        codes = {code_name(secret, student, name): student for student in students}
        student = codes.get(row.get("answer", "")) or row.get("student", "")
        try:
            points = _points(row, questions.get(name), name, student in students)
            taken.append((student, name, points, row, version_to_mark(waiting, student, questions[name])))
        except ValueError as error:
            problems.append(f"line {line}: {error}")
    if problems:
        raise MarksFileError(f"{path}: " + "; ".join(problems[:20]))
    for student, name, points, row, version in taken:
        store.set_mark(student, name, points, row.get("comment", ""), path.name, version)
    return len(taken)


def _points(row: dict[str, str], question: Question | None, name: str, known: bool) -> float:
    """The points in a line of marks.

    Raises:
        ValueError: what is wrong with the line.
    """
    if question is None:
        raise ValueError(f"there is no question {name!r}")
    if not known:
        raise ValueError(f"unknown answer {row.get('answer') or row.get('student')!r}")
    try:
        points = float(row["points"].replace(",", "."))
    except ValueError:
        points = -1.0
    if not 0 <= points <= question.points:
        raise ValueError(f"{row['points']!r} is no number from 0 to {question.points:g}")
    return points
