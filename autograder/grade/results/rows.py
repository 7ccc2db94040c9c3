"""What is known of each submission, put together: what was handed in, what judging and people gave, what lateness costs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from autograder import masters
from autograder.grade.deadlines import Change, Deadlines, Lateness, parse_deadlines
from autograder.grade.result import QuestionResult, SubmissionResult
from autograder.masters import Question
from autograder.testing import TestResult

from .store import HandMark, Store, StoredSubmission

NOT_READ = "The file could not be read; a person looks at it."


@dataclass(frozen=True)
class QuestionRow:
    """One question of a submission, tested or written.

    Attributes:
        points: None where a mark is missing: a person owes it, or the judge failed.
        comment: for the student, from the person who marked it.
        waiting: why a question with tests waits for a person; empty if it does not.
        by_hand: whether a person's mark stands in place of the tests'.
    """

    name: str
    function: str | None
    possible: float
    manual: bool
    points: float | None = None
    tests: tuple[TestResult, ...] = ()
    comment: str = ""
    waiting: str = ""
    by_hand: bool = False


@dataclass(frozen=True)
class SheetRow:
    """One submission with all that is known of it; `lateness` is None where its part has no deadline."""

    submission: StoredSubmission
    result: SubmissionResult | None
    questions: tuple[QuestionRow, ...]
    lateness: Lateness | None = None

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
        """`unreadable`, `not graded`, `error` (of the judge's), `to look at`, `to mark` (both by a person) or `complete`."""
        missing = not self.questions or any(question.points is None for question in self.questions)
        if self.submission.problem:
            return "unreadable" if missing else "to look at" if self.look else "complete"
        if self.result is None:
            return "not graded"
        if self.result.broken:
            return "error"
        return "to look at" if self.look else "to mark" if missing else "complete"

    @property
    def look(self) -> list[str]:
        """What a person has to look at before there is a mark; written answers that are to be marked are not named."""
        found = [self.submission.disputed, *dict.fromkeys(question.waiting for question in self.questions)]
        if self.lateness is not None and self.lateness.penalty is None:
            found.append(self.lateness.why)
        return [text for text in found if text]

    @property
    def total(self) -> float | None:
        """The points so far: what a person still owes is left out. None if there are none, or the judge failed."""
        if self.state in ("error", "not graded") or all(question.points is None for question in self.questions):
            return None
        return sum(question.points or 0.0 for question in self.questions)

    @property
    def points(self) -> float | None:
        """The points; None as long as anything of them is missing."""
        return None if any(question.points is None for question in self.questions) else self.total

    @property
    def mark(self) -> float | None:
        """The points after the penalty for lateness; None as long as a person has to look at anything."""
        return None if self.submission.disputed else self.after_penalty(self.points)

    def after_penalty(self, points: float | None) -> float | None:
        """What is left of some points of this submission's after the penalty; None if one of the two is not known."""
        if points is None or self.lateness is None:
            return points
        return None if self.lateness.penalty is None else round(points * (1 - self.lateness.penalty), 6)

    @property
    def possible(self) -> float:
        """What the part is worth in all."""
        return sum(question.possible for question in self.questions)


def deadlines(store: Store) -> Deadlines:
    """What a store knows of deadlines, extensions and times."""
    parts, zone = parse_deadlines(json.loads(store.setting("deadlines", "{}")))
    changes = [Change(*line) for line in json.loads(store.setting("extensions", "[]"))]
    times = {(student, part): text for student, part, text in json.loads(store.setting("times", "[]"))}
    return Deadlines(parts, zone, changes, times, bool(store.setting("trust files")))


def sheet(store: Store) -> list[SheetRow]:
    """One row a submission, ordered by student and part."""
    marks, overrides, rules = store.marks(), store.overrides(), deadlines(store)
    rows = []
    for found in store.submissions():
        result = store.current(found)
        submission = found if found.part else replace(found, part=_part_marked(found, overrides))
        lateness = rules.lateness(submission.student, submission.part, submission.arrival)
        rows.append(sheet_row(submission, result, marks, overrides, lateness))
    return rows


def _part_marked(submission: StoredSubmission, overrides: Mapping[tuple[str, str, str], HandMark]) -> int:
    """The part that a person says an unreadable file is of, by marking a question of it; 0 if nobody did."""
    names = {
        name for student, name, version in overrides if (student, version) == (submission.student, submission.version)
    }
    return next(
        (q.part for part in masters.existing_parts() for q in masters.load_questions(part) if q.name in names), 0
    )


def sheet_row(
    submission: StoredSubmission,
    result: SubmissionResult | None,
    marks: Mapping[tuple[str, str], HandMark],
    overrides: Mapping[tuple[str, str, str], HandMark] | None = None,
    lateness: Lateness | None = None,
) -> SheetRow:
    """Put together what is known of a submission.

    Args:
        submission: what was handed in.
        result: what judging gave, if it was judged.
        marks: of written answers, by student and question.
        overrides: marks by people in place of the tests', by student, question and version of the file.
        lateness: how late it was.
    """
    judged = {question.name: question for question in result.questions} if result else {}
    rows = []
    for question in masters.load_questions(submission.part) if submission.part in masters.existing_parts() else ():
        override = (overrides or {}).get((submission.student, question.name, submission.version))
        if override is not None:
            row = _tested(question, submission, judged.get(question.name))
            row = replace(row, points=override.points, comment=override.comment, waiting="", by_hand=True)
        elif question.manual:
            row = _written(question, submission, marks.get((submission.student, question.name)))
        else:
            row = _tested(question, submission, judged.get(question.name))
        rows.append(row)
    return SheetRow(submission, result, tuple(rows), lateness)


def _written(question: Question, submission: StoredSubmission, mark: HandMark | None) -> QuestionRow:
    row = QuestionRow(question.name, question.function, question.points, question.manual)
    if mark is not None:
        return replace(row, points=mark.points, comment=mark.comment)
    if submission.problem:
        return replace(row, waiting=NOT_READ)
    return row if submission.written.get(question.name) else replace(row, points=0.0, comment="Nothing was written.")


def _tested(question: Question, submission: StoredSubmission, judged: QuestionResult | None) -> QuestionRow:
    row = QuestionRow(question.name, question.function, question.points, question.manual)
    if judged is None:
        return replace(row, waiting=NOT_READ if submission.problem else "")
    row = replace(row, points=judged.points, tests=judged.tests)
    if row.points is not None and row.points < row.possible and (why := _unread(question, submission)):
        return replace(row, points=None, waiting=why)
    return row


def _unread(question: Question, submission: StoredSubmission) -> str:
    """The cell that could not be read and that this question's function may need; empty if there is none."""
    for cell in submission.unread:
        if not cell["functions"] or question.function in cell["functions"]:
            return f"Cell {cell['cell']}, line {cell['line']}: {cell['why']}; a person looks at it."
    return ""


def file_name(row: SheetRow) -> str:
    """A name for a submission's files: safe on every system, different for different students."""
    plain = re.sub(r"[^\w.@-]", "_", row.student, flags=re.ASCII)[:80].strip(".") or "student"
    if plain != row.student:
        plain += "-" + hashlib.sha256(row.student.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{plain}-part{row.part}"


def number(value: float | None) -> str:
    """A number of points for a table; empty where there is none."""
    return "" if value is None else f"{value:g}"


def version_to_mark(rows: Mapping[tuple[str, int], SheetRow], student: str, question: Question) -> str:
    """The version of the file that a person's mark is for; empty for a written answer, whose mark stays.

    Args:
        rows: by student and part.
        student: whose.
        question: which.

    Raises:
        ValueError: the tests decided this question, or there is nothing to mark.
    """
    row = rows.get((student, question.part)) or rows.get((student, 0))
    if row is not None and row.submission.problem:
        return row.submission.version
    if question.manual:
        return ""
    if row is None:
        raise ValueError(f"{student} handed in nothing of part {question.part}")
    entry = next(entry for entry in row.questions if entry.name == question.name)
    if not (entry.waiting or entry.by_hand):
        raise ValueError(f"{question.name} of {student} does not wait for a person: its tests decided it")
    return row.submission.version
