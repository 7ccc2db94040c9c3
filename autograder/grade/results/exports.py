"""Files for Canvas, Moodle and nbgrader: the marks, and the feedback pages in the form that each takes back.

A mark that waits for a person is never exported as a number that will be another tomorrow: see `Pending`.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from autograder import masters
from helpers.parts import PARTS

from .rows import SheetRow, file_name, number
from .store import Store, StoredSubmission
from .writing import one_by_one, write_rows

MOODLE_PLACE = re.compile(r"(.+?_\d+_assignsubmission_)(?:file|onlinetext)(_?)")
BODY = re.compile(r"<body[^>]*>(.*)</body>", re.DOTALL)
FEEDBACK = re.compile(r"(canvas|moodle)-feedback-part\d\.zip|nbgrader-feedback")
TABLES = ("canvas", "moodle", "nbgrader")


class Pending(str, Enum):
    """What becomes of a mark of which something still waits for a person."""

    EMPTY = "empty"  # its cell is left empty
    HOLD = "hold"  # no file for a learning platform is written at all, and older ones are removed
    PARTIAL = "partial"  # its cell has the points so far, and the column says so


def pending(store: Store) -> Pending:
    """What the last call chose."""
    return Pending(store.setting("pending", Pending.EMPTY.value))


def waiting(rows: Sequence[SheetRow]) -> list[SheetRow]:
    """The submissions that have no mark yet."""
    return [row for row in rows if row.mark is None]


def told(store: Store, rows: Sequence[SheetRow]) -> str:
    """One sentence on what became of the marks that wait; empty if none does."""
    count = len(waiting(rows))
    ways = {
        Pending.EMPTY: "their cells in import/ are left empty",
        Pending.HOLD: "nothing was written to import/ (older files were removed)",
        Pending.PARTIAL: "import/ has the points so far, in columns that say so",
    }
    which = pending(store)
    return (
        f"{count} of {len(rows)} submissions have no mark yet: {ways[which]} (--pending {which.value})" if count else ""
    )


def write_exports(
    store: Store, rows: Sequence[SheetRow], out: Path, problems: list[str] | None = None
) -> dict[str, Path]:
    """Write all files for learning platforms into `import`; return them by kind. What fails is added to `problems`."""
    folder = out / "import"
    folder.mkdir(exist_ok=True)
    if pending(store) is Pending.HOLD and waiting(rows):
        for path in folder.iterdir():
            if path.stem in TABLES or FEEDBACK.fullmatch(path.name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return {}
    made = write_tables(store, rows, folder)
    return made | write_feedback(rows, out / "feedback", folder, problems)


def write_tables(store: Store, rows: Sequence[SheetRow], folder: Path) -> dict[str, Path]:
    """Write the marks for nbgrader (`course grade --nbgrader` writes its gradebook itself), Canvas and Moodle."""
    parts = sorted({row.part for row in rows if row.part in PARTS})
    partial = pending(store) is Pending.PARTIAL
    unfinished = {row.part for row in waiting(rows)} if partial else set()
    titles = [f"{PARTS[part]} (points so far)" if part in unfinished else PARTS[part] for part in parts]
    worth = [number(sum(q.points for q in masters.load_questions(part))) for part in parts]
    marks = {
        (row.student, row.part): number(row.after_penalty(row.total) if partial else row.mark)
        for row in rows
        if not row.submission.disputed
    }
    canvas: list[list[str]] = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *titles]]
    canvas.append(["    Points Possible", "", "", "", "", *worth])
    moodle: list[list[str]] = [["ID number", "Email address", *[f"{title} (points)" for title in titles]]]
    nbgrader: list[list[str]] = [["assignment", "student_id", "max_score", "score"]]
    for student, (name, email, other) in _everyone(store, rows).items():
        scores = [marks.get((student, part), "") for part in parts]
        login = other.get("sis login id") or other.get("login") or student
        canvas.append([name, student, other.get("sis user id", ""), login, other.get("section", ""), *scores])
        moodle.append([student, email, *scores])
        whole = zip(parts, titles, worth, scores, strict=True)
        nbgrader += [[title, student, most, score] for part, title, most, score in whole if (student, part) in marks]
    made = {name: folder / f"{name}.csv" for name in TABLES}
    for name, lines in zip(TABLES, (canvas, moodle, nbgrader), strict=True):
        write_rows(made[name], lines)
    return made


def _everyone(store: Store, rows: Sequence[SheetRow]) -> dict[str, tuple[str, str, dict[str, str]]]:
    """Name, e-mail and the roster's other columns of all who are on the roster or handed something in, by id.

    A submission of which nobody knows whose it is is nobody's.
    """
    roster = store.roster()
    handed_in: dict[str, StoredSubmission] = {}
    for row in rows:
        if not row.submission.disputed:
            handed_in.setdefault(row.student, row.submission)
    people = {}
    for student in sorted({*handed_in, *roster}):
        known = [source[student] for source in (roster, handed_in) if student in source]
        name = next((found.name for found in known if found.name), "")
        email = next((found.email for found in known if found.email), "")
        people[student] = (name, email, roster[student].other if student in roster else {})
    return people


def write_feedback(
    rows: Sequence[SheetRow], pages: Path, folder: Path, problems: list[str] | None = None
) -> dict[str, Path]:
    """Pack the feedback pages as the platform takes them back that the submissions came from: a zip a part.

    Args:
        rows: the submissions.
        pages: where the feedback pages lie.
        folder: where to write.
        problems: what could not be packed is added to it.

    Returns:
        The zips of Canvas and Moodle, and the folder of nbgrader's, by kind.
    """
    packed: dict[str, list[tuple[str, bytes]]] = {}
    for row in rows:
        page, entry = pages / f"{file_name(row)}.html", None
        with one_by_one(f"the feedback to {row.student} for import/", problems):
            entry = _returned(row.submission, page.read_text(encoding="utf-8")) if page.exists() else None
        if entry is not None and not row.submission.disputed:
            where = row.submission.arrival.platform
            packed.setdefault(f"{where}-feedback" + (f"-part{row.part}" if where != "nbgrader" else ""), []).append(
                entry
            )
    made = {}
    for kind, entries in sorted(packed.items()):
        if kind == "nbgrader-feedback":
            made[kind] = folder / kind
            for name, data in entries:
                path = made[kind] / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        else:
            made[kind] = folder / f"{kind}.zip"
            made[kind].write_bytes(_zip(entries))
    return made


def _returned(submission: StoredSubmission, page: str) -> tuple[str, bytes] | None:
    """A feedback page under the name, and in the form, in which its platform takes it back; None where there is none."""
    outer, *below = submission.file.split("/")
    platform = submission.arrival.platform
    if platform == "canvas":  # finds the student by the name, and shows the file under the name it was handed in with
        return outer, _in_form_of(outer, page)
    if platform == "moodle" and (place := MOODLE_PLACE.match(outer)) is not None:
        is_folder = below and place.end() == len(outer)
        return f"{place[1]}file{place[2] + '/' if is_folder else '_'}feedback.html", page.encode()
    if platform == "nbgrader" and len(below) > 1 and below[-1].endswith(".ipynb"):
        return "/".join([outer, below[0], below[-1].removesuffix(".ipynb") + ".html"]), page.encode()
    return None


def _in_form_of(name: str, page: str) -> bytes:
    """A page in a file that opens under a name: a notebook with the page in a cell, a zip with the page in it."""
    if name.lower().endswith(".ipynb"):
        body = BODY.search(page)
        cell: dict[str, Any] = {
            "cell_type": "markdown",
            "id": "feedback",
            "metadata": {},
            "source": (body[1] if body else page).strip(),
        }
        content = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        return json.dumps(content, ensure_ascii=False, indent=1).encode()
    return _zip([("feedback.html", page.encode())]) if name.lower().endswith(".zip") else page.encode()


def _zip(entries: Sequence[tuple[str, bytes]]) -> bytes:
    """A zip whose bytes depend on its entries alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in sorted(entries):
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
