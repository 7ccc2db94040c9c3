"""What a grading run leaves: a CSV, a result file a submission in Gradescope's form, feedback pages, files to import.

Everything is made from `results.db` alone, so it can be made again at any time and comes out the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autograder.testing import TestResult
from helpers.parts import PARTS

from . import exports
from .asked import asked
from .pages import render
from .rows import QuestionRow, SheetRow, file_name, number, sheet
from .store import Store
from .writing import one_by_one, write_rows, write_text


def write_all(store: Store, folder: Path, problems: list[str] | None = None) -> dict[str, Path]:
    """Write every output; return what was written, by kind. What could not be is added to `problems`."""
    rows = sheet(store)
    folder.mkdir(parents=True, exist_ok=True)
    made = {"grades": folder / "grades.csv", "gradescope": folder / "gradescope", "feedback": folder / "feedback"}
    with one_by_one("grades.csv", problems):
        write_csv(rows, made["grades"])
    with one_by_one("to_look_at.csv", problems):
        path = folder / "to_look_at.csv"
        if write_to_look_at(rows, path):
            made["to look at"] = path
        else:
            path.unlink()
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
        made |= exports.write_exports(store, rows, folder, problems)
    return made


def write_csv(rows: Sequence[SheetRow], path: Path) -> None:
    """`grades.csv`: a line a submission, a column a question; with deadlines, what lateness costs as well."""
    names = list(dict.fromkeys(q.name for row in sorted(rows, key=lambda r: r.part) for q in row.questions))
    with_times = any(row.lateness for row in rows)
    late = ["submitted", "late_hours", "penalty", "mark"] if with_times else []
    header = ["student", "name", "part", "state", "points", "possible", "points_so_far", *late]
    lines: list[list[Any]] = [[*header, "sandboxed", "message", *names]]
    for row in rows:
        by_name = {question.name: question.points for question in row.questions}
        result, found = row.result, row.submission
        protection = result.protection if result else None
        stamp = "" if protection is None else protection.stamp
        message = found.problem or (result.failure.message if result and result.failure else "") or " ".join(row.look)
        sums = number(row.points), number(row.possible), number(row.total)
        points = [number(by_name.get(name)) for name in names]
        times = _times(row) if with_times else []
        lines.append([row.student, found.name, row.part or "", row.state, *sums, *times, stamp, message, *points])
    write_rows(path, lines)


def _times(row: SheetRow) -> list[str]:
    """When a submission came, how late that was, what it costs, and the mark."""
    late = row.lateness
    if late is None:
        return ["", "", "", number(row.mark)]
    submitted = late.submitted.isoformat(timespec="seconds") if late.submitted else ""
    hours = "" if late.hours is None else f"{late.hours:.2f}".rstrip("0").rstrip(".")
    return [submitted, hours, number(late.penalty), number(row.mark)]


def write_to_look_at(rows: Sequence[SheetRow], path: Path) -> int:
    """`to_look_at.csv`: a line for each question that waits for a person, apart from written answers; return how many.

    Points are entered in it, and `course grade --merge` takes them over.
    """
    lines: list[list[Any]] = [["student", "question", "points", "possible", "comment", "part", "file", "why"]]
    for row in rows:
        found = row.submission
        waiting = [q for q in row.questions if q.waiting]
        for q in waiting:
            why = found.problem or q.waiting
            lines.append([row.student, q.name, "", f"{q.possible:g}", "", row.part, found.file, why])
        if not waiting and (found.problem or row.look) and row.state != "complete":
            lines.append([row.student, "", "", "", "", row.part or "", found.file, found.problem or " ".join(row.look)])
    write_rows(path, lines)
    return len(lines) - 1


def gradescope(row: SheetRow) -> dict[str, Any]:
    """A submission's result in the form of Gradescope's `results.json`.

    What waits for a person has no score. The score of all is that of what is there, which is what Gradescope asks for: people's
    marks are added to it. There is none at all where nothing is known, or where what lateness costs is not.
    """
    tests: list[dict[str, Any]] = []
    for question in row.questions:
        tests += [_gradescope_test(question, test) for test in question.tests]
        if question.manual or question.by_hand or not question.tests:
            tests.append(_gradescope_mark(question))
    answer: dict[str, Any] = {"output": _said(row), "visibility": "visible", "tests": tests}
    score = None if row.submission.disputed else row.after_penalty(row.total)
    if score is not None:
        answer = {"score": score} | answer
    if row.result and row.result.usage:
        answer["execution_time"] = round(row.result.usage.seconds)
    return answer


def _said(row: SheetRow) -> str:
    """What is said of a whole submission."""
    if row.submission.problem:
        return row.submission.problem
    if row.state == "error":
        return "The grader itself failed on this submission. Your instructor has been told."
    said = ["All public tests are shown; hidden tests are shown when the grades are published."]
    if waiting := [question for question in row.questions if question.points is None]:
        names = ", ".join(question.name for question in waiting)
        said.append(f"{sum(q.possible for q in waiting):g} points wait for a person and are not in the score: {names}.")
    if row.lateness is not None and row.lateness.text:
        said.append(f"{row.lateness.text[0].upper()}{row.lateness.text[1:]}; the score is after that.")
    return " ".join(said)


def _gradescope_mark(question: QuestionRow) -> dict[str, Any]:
    """A question that a person marks."""
    given = question.points is not None
    text = question.comment or ("" if given else question.waiting or "A person marks this answer.")
    return {
        "name": question.name,
        **({"score": question.points} if given else {}),
        "max_score": question.possible,
        "visibility": "visible" if given else "after_published",
        "output": f"Marked by a person. {text}".strip() if question.by_hand else text,
    }


def _gradescope_test(question: QuestionRow, test: TestResult) -> dict[str, Any]:
    """A test; its score is left out where a person's mark stands, or will stand, in its place."""
    counts = test.points is not None and not question.by_hand and not question.waiting
    return {
        "name": f"{question.name} · {test.title or test.name}",
        **({"score": test.points, "max_score": test.possible} if counts else {}),
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
        waiting=sum(q.possible for q in row.questions if q.points is None),
    )
