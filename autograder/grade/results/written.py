"""Written questions: find the answers, lay them out for a person to mark, merge the marks."""

from __future__ import annotations

import random
from collections.abc import Sequence
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
from .store import Store


def page(question: Question, rows: Sequence[dict[str, Any]], seed: str) -> str:
    """One question with everybody's answers, anonymous and shuffled, rubric and sample answer at the side."""
    shuffled = sorted(rows, key=lambda row: row["code"])
    random.Random(f"{seed}/{question.name}").shuffle(shuffled)
    answered = [row | {"html": Markup(students_html(row["answer"]))} for row in shuffled]
    rubric = [_rubric_line(entry) for entry in question.rubric]
    return render(
        "written.html.j2",
        question=question,
        prompt=to_html(question.prompt),
        sample=to_html(question.sample_answer),
        rubric=rubric,
        answers=answered,
    )


def _rubric_line(entry: Any) -> str:
    if isinstance(entry, dict):
        return "; ".join(f"{key}: {value}" for key, value in entry.items())
    return str(entry)


def code_name(seed: str, student: str, question: str) -> str:
    """The name that stands for a student on a question's page: another one for each question."""
    import hashlib
    import hmac

    digest = hmac.new(bytes.fromhex(seed), f"written/{question}/{student}".encode(), hashlib.sha256).hexdigest()
    return f"A-{digest[:8]}"


def write_pages(store: Store, folder: Path, problems: list[str] | None = None) -> list[Path]:
    """Write a page and an empty CSV for marks a question; return the pages. What fails is added to `problems`."""
    secret = store.secret()
    by_part: dict[int, list[dict[str, Any]]] = {}
    for row in store.submissions():
        by_part.setdefault(row["part"], []).append(row)
    marks = store.marks()
    made = []
    for part in sorted(set(by_part) & set(masters.existing_parts())):
        for question in written_questions(part):
            rows = []
            for submission in by_part[part]:
                answer = submission["written"].get(question.name, "")
                code = code_name(secret, submission["student"], question.name)
                points, comment = marks.get((submission["student"], question.name), ("", ""))
                rows.append({"code": code, "answer": answer, "points": points, "comment": comment})
            with one_by_one(f"written/{question.name}", problems):
                made.append(_write_page(question, rows, secret, folder))
    return made


def _write_page(question: Question, rows: Sequence[dict[str, Any]], secret: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{question.name}.html"
    write_text(path, page(question, rows, secret))
    lines: list[list[Any]] = [["answer", "points", "possible", "comment"]]
    for row in sorted(rows, key=lambda r: r["code"]):
        points = row["points"] if row["answer"] or row["points"] != "" else 0
        lines.append([row["code"], points, f"{question.points:g}", row["comment"]])
    write_rows(folder / f"{question.name}.csv", lines)
    return path


class MarksFileError(ValueError):
    """A file of marks cannot be merged; nothing of it was."""


def merge(store: Store, path: Path) -> int:
    """Take over the marks of a CSV (``answer`` or ``student``, ``question`` if not the file's name, ``points``, ``comment``).

    Returns:
        How many marks were taken; rows without points are left for later.

    Raises:
        MarksFileError: an unknown student or question, or points out of range. Then no mark of the file is taken.
    """
    questions = {q.name: q for part in masters.existing_parts() for q in written_questions(part)}
    students = sorted({row["student"] for row in store.submissions()})
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
        text = (row.get("points") or "").strip()
        name = (row.get("question") or path.stem).strip()
        if not text:
            continue
        question = questions.get(name)
        if question is None:
            problems.append(f"line {line}: there is no written question {name!r}")
            continue
        codes = {code_name(secret, student, name): student for student in students}
        student = codes.get((row.get("answer") or "").strip()) or (row.get("student") or "").strip()
        if student not in students:
            problems.append(f"line {line}: unknown answer {row.get('answer') or row.get('student')!r}")
            continue
        try:
            points = float(text.replace(",", "."))
        except ValueError:
            points = -1.0
        if not 0 <= points <= question.points:
            problems.append(f"line {line}: {text!r} is no number from 0 to {question.points:g}")
            continue
        taken.append((student, name, points, (row.get("comment") or "").strip()))
    if problems:
        raise MarksFileError(f"{path}: " + "; ".join(problems[:20]))
    for student, name, points, comment in taken:
        store.set_mark(student, name, points, comment, path.name)
    return len(taken)
