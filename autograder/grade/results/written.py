"""Written questions: lay the answers out for a person to mark, merge the marks.

A question has a page and a CSV with the same answers in the same order. Students who wrote the very same share a card on the page
and stand one below the other in the CSV, with a name in the column `group`: a mark in one of these lines counts for all of them
that have none.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from autograder import masters
from autograder.grade.intake.apart import to_html as students_html
from autograder.grade.jobs import written_questions
from autograder.grade.tables import TableError, read_table
from autograder.masters import Question, label_of

from .outputs import one_by_one, write_rows, write_text
from .pages import render, to_html
from .rows import sheet, version_to_mark
from .store import HandMark, Store, StoredSubmission

COLUMNS = ("question", "answer", "group", "points", "possible", "comment", "text")
PICTURE = re.compile(r"!\[([^\]\n]{0,200})\]\(data:[^)]*\)")
FORMULA = re.compile(r"(^|[;\t|])( *[=+\-@\uff0b\uff0d\uff1d\uff20])", re.MULTILINE)
QUOTED = re.compile(r"'(?=[=+\-@\t\r])")


@dataclass(frozen=True)
class AnswerGroup:
    """One answer to a question, by the code names of those who wrote it; `mark` if they have one already."""

    codes: tuple[str, ...]
    text: str
    mark: HandMark | None

    @property
    def html(self) -> Markup:
        """The answer for a page."""
        return Markup(students_html(self.text))

    @property
    def who(self) -> str:
        """The heading of its card."""
        count = len(self.codes)
        did = "wrote this" if self.text else "wrote nothing"
        return self.codes[0] if count == 1 and self.text else f"{count} student{'s' * (count > 1)} {did}"

    def csv_rows(self, question: Question) -> list[list[Any]]:
        """The lines to enter marks in, one for each who wrote it."""
        group = self.codes[0] if self.text and len(self.codes) > 1 else ""
        points, comment = (f"{self.mark.points:g}", self.mark.comment) if self.mark else ("", "")
        text = FORMULA.sub(r"\1'\2", PICTURE.sub(r"[a picture: \1]", self.text))
        return [[question.name, code, group, points, f"{question.points:g}", comment, text] for code in self.codes]


def group_answers(answers: Iterable[tuple[str, str, HandMark | None]]) -> list[AnswerGroup]:
    """Answers (code name, text, mark) that are the same but for blanks, and have the same mark, together.

    The order is that of the code names, which is another one for each question; empty answers come last.
    """
    groups: dict[tuple[str, HandMark | None], list[tuple[str, str]]] = {}
    for code, text, mark in sorted(answers, key=lambda answer: (not answer[1].strip(), answer[0])):
        groups.setdefault((" ".join(text.split()), mark), []).append((code, text))
    return [AnswerGroup(tuple(c for c, _ in found), found[0][1], mark) for (_, mark), found in groups.items()]


def page(question: Question, groups: Sequence[AnswerGroup], command: str, drafts: str) -> str:
    """One question with everybody's answers, rubric and sample answer at the side, and a form to enter marks in.

    Args:
        question: the question.
        groups: the answers.
        command: what to type to take the marks over.
        drafts: the name under which the browser keeps what is not saved yet.
    """
    return render(
        "written.html.j2",
        question=question,
        label=label_of(question),
        prompt=to_html(question.prompt),
        sample=to_html(question.sample_answer),
        rubric=[to_html(line) for line in question.rubric],
        groups=groups,
        command=command,
        drafts=drafts,
    )


def code_name(seed: str, student: str, question: str) -> str:
    """The name that stands for a student on a question's page: another one for each question."""
    digest = hmac.new(bytes.fromhex(seed), f"written/{question}/{student}".encode(), hashlib.sha256).hexdigest()
    return f"A-{digest[:8]}"


def write_pages(store: Store, folder: Path, problems: list[str] | None = None) -> list[Path]:
    """Write a page and a CSV for marks a question; return the pages. What fails is added to `problems`."""
    secret = store.secret()
    by_part: dict[int, list[StoredSubmission]] = {}
    for submission in store.submissions():
        if not submission.problem:  # of a file that cannot be read nobody knows whether anything was written
            by_part.setdefault(submission.part, []).append(submission)
    marks = store.marks()
    made = []
    for part in sorted(set(by_part) & set(masters.existing_parts())):
        for question in written_questions(part):
            name = question.name
            groups = group_answers(
                (code_name(secret, found.student, name), found.written.get(name, ""), marks.get((found.student, name)))
                for found in by_part[part]
            )
            folder.mkdir(parents=True, exist_ok=True)
            path, table = folder / f"{name}.html", folder / f"{name}.csv"
            with one_by_one(f"written/{name}", problems):
                command = merge_command(store.path.parent, table)
                write_text(path, page(question, groups, command, code_name(secret, "drafts", name)))
                write_rows(table, [COLUMNS, *(row for group in groups for row in group.csv_rows(question))])
                made.append(path)
    return made


def merge_command(out: Path, table: Path) -> str:
    """What to type in a shell, in any folder, to take over the marks of a CSV."""
    return shlex.join(["course", "grade", "--out", str(out.resolve()), "--merge", str(table.resolve())])


class MarksFileError(ValueError):
    """A file of marks cannot be merged; nothing of it was."""


def merge(store: Store, path: Path) -> int:
    """Take over the marks of a CSV (`answer` or `student`, `question` if not the file's name, `points`, `comment`).

    Beside written answers these may be questions with tests that wait for a person (`to_look_at.csv`). A mark counts for
    all lines of its `group` that have none of their own.

    Returns:
        How many marks were taken; rows without points are left for later.

    Raises:
        MarksFileError: an unknown student or question, points out of range, or two marks for one answer. Then none of the
            file is taken.
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
    taken: dict[tuple[str, str], tuple[float, str, str]] = {}
    problems: list[str] = []
    names = {row.get("question") or path.stem for row in rows}
    codes = {(name, code_name(secret, student, name)): student for name in names for student in students}
    for line, row in enumerate(rows, start=2):
        name = row.get("question") or path.stem
        student = codes.get((name, row.get("answer", ""))) or row.get("student", "")
        try:
            if source := _marked(row, rows):
                points = _points(source, questions.get(name), name, student in students)
                comment = QUOTED.sub("", source.get("comment", ""), count=1)
                mark = points, comment, version_to_mark(waiting, student, questions[name])
                if taken.setdefault((student, name), mark) != mark:
                    raise ValueError(f"{row.get('answer') or student!r} has another mark further up")
        except ValueError as error:
            problems.append(f"line {line}: {error}")
    if problems:
        raise MarksFileError(f"{path}: " + "; ".join(problems[:20]))
    for (student, name), (points, comment, version) in taken.items():
        store.set_mark(student, name, points, comment, path.name, version)
    return len(taken)


def _marked(row: dict[str, str], rows: Sequence[dict[str, str]]) -> dict[str, str] | None:
    """The line whose mark counts for a line: itself, or one of its group; None if there is no mark yet.

    Raises:
        ValueError: it has none itself, and the group has several.
    """
    if row.get("points") or not row.get("group"):
        return row if row.get("points") else None
    group = [other for other in rows if other.get("points") and other.get("group") == row["group"]]
    if len({(other["points"], other.get("comment", "")) for other in group}) > 1:
        raise ValueError(f"the group {row['group']} has several marks; enter one here too")
    return row | {"points": group[0]["points"], "comment": group[0].get("comment", "")} if group else None


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
