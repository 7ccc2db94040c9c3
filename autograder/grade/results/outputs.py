"""What a grading run leaves: a CSV, a result file a submission in Gradescope's form, feedback pages, files to import.

Everything is made from ``results.db`` alone, so it can be made again at any time and comes out the same.
"""

from __future__ import annotations

import contextlib
import csv
import json
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from autograder import masters
from autograder.grade.text import encodable
from helpers.parts import PARTS

from .pages import render
from .store import Store


def sheet(store: Store) -> list[dict[str, Any]]:
    """One row a submission: who, which part, the state, every question's points, sums.

    ``questions`` holds one entry a question of the part, tested and written alike; ``points`` is None where a mark is
    missing (not judged, or not marked yet).
    """
    marks = store.marks()
    rows = []
    for submission in store.submissions():
        result = store.current(submission)
        questions = question_rows(submission, result, marks)
        rows.append(
            {**submission, "result": result, "questions": questions, "state": _state(submission, result, questions)}
        )
    return rows


def question_rows(
    submission: dict[str, Any], result: dict[str, Any] | None, marks: dict[tuple[str, str], tuple[float, str]]
) -> list[dict[str, Any]]:
    """One entry a question of the submission's part; ``points`` is None where a mark is missing."""
    student, part = submission["student"], submission["part"]
    graded = {q["name"]: q for q in result["questions"]} if result else {}
    rows = []
    for question in masters.load_questions(part) if part in masters.existing_parts() else ():
        row: dict[str, Any] = {
            "name": question.name,
            "function": question.function,
            "possible": question.points,
            "manual": question.manual,
            "tests": [],
            "comment": "",
            "points": None,
        }
        if question.manual:
            answer = submission["written"].get(question.name, "")
            empty = (0.0, "Nothing was written.")
            row["points"], row["comment"] = marks.get((student, question.name), (None, "") if answer else empty)
        elif question.name in graded:
            row |= {"points": graded[question.name]["points"], "tests": graded[question.name]["tests"]}
        elif submission["problem"]:  # nothing could be read, so nothing was earned
            row["points"] = 0.0
        rows.append(row)
    return rows


def _state(submission: dict[str, Any], result: dict[str, Any] | None, questions: Sequence[dict[str, Any]]) -> str:
    if submission["problem"]:
        return "unreadable"
    if result is None:
        return "not graded"
    if result["status"] == "error":
        return "error"
    return "to mark" if any(q["points"] is None for q in questions) else "complete"


def total(row: dict[str, Any]) -> float | None:
    """A row's points: None if the judge failed or nothing was graded; marks that a person owes count as not given yet."""
    if row["state"] in ("error", "not graded"):
        return None
    return sum(q["points"] or 0.0 for q in row["questions"])


def possible(row: dict[str, Any]) -> float:
    """What a row's part is worth in all."""
    return sum(q["possible"] for q in row["questions"])


def safe_cell(text: Any) -> Any:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if isinstance(text, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def write_rows(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    """Write a CSV that no spreadsheet takes formulas from."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        csv.writer(file).writerows([[safe_cell(value) for value in row] for row in rows])


def file_name(row: dict[str, Any]) -> str:
    """A name for a submission's files: safe on every system, different for different students."""
    plain = re.sub(r"[^\w.@-]", "_", row["student"], flags=re.ASCII)[:80].strip(".") or "student"
    if plain != row["student"]:
        import hashlib

        plain += "-" + hashlib.sha256(row["student"].encode("utf-8", "replace")).hexdigest()[:8]
    return f"{plain}-part{row['part']}"


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


def write_csv(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """``grades.csv``: a line a submission, a column a question."""
    names = list(dict.fromkeys(q["name"] for row in sorted(rows, key=lambda r: r["part"]) for q in row["questions"]))
    header = ["student", "name", "part", "state", "points", "possible", "sandboxed", "message", *names]
    lines: list[list[Any]] = [header]
    for row in rows:
        by_name = {q["name"]: q["points"] for q in row["questions"]}
        sandboxed = (row["result"] or {}).get("protection", {}).get("sandboxed")
        points = [_number(by_name.get(name)) for name in names]
        message = row["problem"] or ((row["result"] or {}).get("error") or {}).get("message", "")
        stamp = {True: "yes", False: "NO", None: ""}[sandboxed]
        lines.append([
            row["student"], row["name"], row["part"] or "", row["state"], _number(total(row)), _number(possible(row)),
            stamp, message, *points,
        ])  # fmt: skip
    write_rows(path, lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def gradescope(row: dict[str, Any]) -> dict[str, Any]:
    """A submission's result in the form of Gradescope's ``results.json``."""
    tests = []
    for question in row["questions"]:
        for test in question["tests"]:
            tests.append(
                {
                    "name": f"{question['name']} · {test['name']}",
                    "score": test["points"] or 0.0,
                    "max_score": test["possible"],
                    "status": "passed" if test["passed"] else "failed",
                    "visibility": "after_published" if test["hidden"] else "visible",
                    "output": test["message"],
                }
            )
        if question["manual"]:
            text = question["comment"] or "A person marks this answer."
            score = question["points"] or 0.0
            tests.append(
                {
                    "name": question["name"],
                    "score": score,
                    "max_score": question["possible"],
                    "visibility": "visible" if question["points"] is not None else "after_published",
                    "output": text,
                }
            )
    usage = (row["result"] or {}).get("usage", {})
    output = row["problem"]
    if row["state"] == "error":
        output = "The grader itself failed on this submission. Your instructor has been told."
    elif not output:
        output = "All public tests are shown; hidden tests are shown when the grades are published."
    answer = {"score": total(row) or 0.0, "output": output, "visibility": "visible", "tests": tests}
    if usage.get("seconds") is not None:
        answer["execution_time"] = round(usage["seconds"])
    return answer


def feedback(row: dict[str, Any]) -> str:
    """A student's feedback page."""
    result = row["result"] or {}
    cells = result.get("cells", {})
    part = row["part"]
    return render(
        "feedback.html.j2",
        part_title=f"Part {part}: {PARTS[part]}" if part in PARTS else "Submission",
        student=row["student"],
        name=row["name"],
        file=row["file"],
        notes=row["notes"],
        problem=row["problem"],
        error=row["state"] == "error",
        sandboxed=result.get("protection", {}).get("sandboxed", True),
        total=total(row),
        possible=possible(row),
        waiting=sum(q["possible"] for q in row["questions"] if q["manual"] and q["points"] is None),
        cell_errors=cells.get("errors", []),
        fault=cells.get("fault"),
        questions=row["questions"],
    )


def imports(store: Store, rows: Sequence[dict[str, Any]], folder: Path) -> dict[str, Path]:
    """Files for nbgrader (`course grade --nbgrader` writes its gradebook itself), Canvas and Moodle."""
    folder.mkdir(exist_ok=True)
    parts = sorted({row["part"] for row in rows if row["part"] in PARTS})
    students: dict[str, dict[int, dict[str, Any]]] = {}
    for row in rows:
        students.setdefault(row["student"], {})[row["part"]] = row
    roster = {person["student"]: person for person in store.roster()}
    titles = {part: PARTS[part] for part in parts}
    worth = {part: sum(q.points for q in masters.load_questions(part)) for part in parts}

    def score(student: str, part: int) -> str:
        row = students.get(student, {}).get(part)
        return "" if row is None else _number(total(row))

    everyone = sorted(set(students) | set(roster))
    names = {
        s: roster.get(s, {}).get("name") or next((r["name"] for r in students.get(s, {}).values()), "")
        for s in everyone
    }
    canvas: list[list[Any]] = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *titles.values()]]
    canvas.append(["    Points Possible", "", "", "", "", *[_number(worth[part]) for part in parts]])
    moodle: list[list[Any]] = [["ID number", "Email address", *[f"{title} (points)" for title in titles.values()]]]
    nbgrader: list[list[Any]] = [["assignment", "student_id", "max_score", "score"]]
    for student in everyone:
        other = roster.get(student, {}).get("other", {})
        scores = [score(student, part) for part in parts]
        login = other.get("sis login id") or other.get("login") or student
        canvas.append([names[student], student, other.get("sis user id", ""), login, other.get("section", ""), *scores])
        email = roster.get(student, {}).get("email") or next(
            (r["email"] for r in students.get(student, {}).values()), ""
        )
        moodle.append([student, email, *scores])
        nbgrader += [[titles[p], student, _number(worth[p]), s] for p, s in zip(parts, scores, strict=True) if s != ""]
    made = {name: folder / f"{name}.csv" for name in ("canvas", "moodle", "nbgrader")}
    for name, lines in (("canvas", canvas), ("moodle", moodle), ("nbgrader", nbgrader)):
        write_rows(made[name], lines)
    return made
