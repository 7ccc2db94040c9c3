"""Results on disk: one SQLite file, written so that no crash loses or halves a result.

A result is committed before it counts as done, so a run that was killed goes on with what is not there. Each run's secret
seed is kept here too: a submission that is graded again sees the same random inputs.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from autograder.grade.deadlines import Arrival
from autograder.grade.intake.collect import HandIn
from autograder.grade.intake.roster import Person
from autograder.grade.result import SubmissionResult
from autograder.grade.text import encodable

SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS submission (
    student TEXT NOT NULL, part INTEGER NOT NULL,
    file TEXT NOT NULL, digest TEXT NOT NULL, name TEXT NOT NULL, email TEXT NOT NULL, notes TEXT NOT NULL,
    problem TEXT NOT NULL, code TEXT NOT NULL, written TEXT NOT NULL, files TEXT NOT NULL DEFAULT '{}',
    unread TEXT NOT NULL DEFAULT '[]', disputed TEXT NOT NULL DEFAULT '', arrival TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (student, part)
);
CREATE TABLE IF NOT EXISTS result (
    student TEXT NOT NULL, part INTEGER NOT NULL, digest TEXT NOT NULL, tests TEXT NOT NULL, finished REAL NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (student, part)
);
CREATE TABLE IF NOT EXISTS earlier (
    student TEXT NOT NULL, part INTEGER NOT NULL, replaced REAL NOT NULL, why TEXT NOT NULL, content TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS mark (
    student TEXT NOT NULL, question TEXT NOT NULL, points REAL NOT NULL, comment TEXT NOT NULL, source TEXT NOT NULL,
    digest TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (student, question)
);
CREATE TABLE IF NOT EXISTS roster (student TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, other TEXT NOT NULL);
"""
ADDED = (  # columns that older files lack
    ("submission", "files", "'{}'"),
    ("submission", "unread", "'[]'"),
    ("submission", "disputed", "''"),
    ("submission", "arrival", "'{}'"),
    ("mark", "digest", "''"),
)


@dataclass(frozen=True)
class StoredSubmission:
    """A submission as it is kept, so that every output can be made from the database alone.

    Attributes:
        part: 1 to 5, or 0 if it could not be told.
        digest: of the file.
        problem: why it could not be read; empty if it could.
        code: the code cells (`number`, `source`, `tags`).
        written: the answers to written questions, by question.
        files: the student's notebooks of other parts, by file name, so that a regrade sees what the first run saw.
        unread: the cells that JupyterLab may run and the grader could not read (`cell`, `line`, `why`, `functions`).
        disputed: why it is not known whose it is; empty if it is known.
        arrival: what is known of when it came.
    """

    student: str
    part: int
    file: str
    digest: str
    name: str
    email: str
    notes: list[str]
    problem: str
    code: list[dict[str, Any]]
    written: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)
    unread: list[dict[str, Any]] = field(default_factory=list)
    disputed: str = ""
    arrival: Arrival = field(default_factory=Arrival)

    @property
    def version(self) -> str:
        """What tells this file from one that is handed in later."""
        return self.digest or self.file

    @classmethod
    def of(cls, found: HandIn, files: dict[str, str] | None = None) -> StoredSubmission:
        """What is kept of a hand-in."""
        code = list(found.notebook.code) if found.notebook else []
        written = found.notebook.written if found.notebook else {}
        which = found.student, found.part, found.file, found.digest, found.name, found.email
        unread = list(found.notebook.unread) if found.notebook else []
        return cls(
            *which, found.notes, found.problem, code, written, files or {}, unread, found.disputed, found.arrival
        )


def _kept(value: Any) -> str | int:
    """A value as a column holds it. This is where all text comes in, so what no file could hold is replaced here."""
    if isinstance(value, int):
        return value
    return encodable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _submission(row: dict[str, Any]) -> StoredSubmission:
    """A submission from its row."""
    texts = {key: json.loads(row[key]) for key in ("notes", "code", "written", "files", "unread", "arrival")}
    return StoredSubmission(**{**row, **texts, "arrival": Arrival(**texts["arrival"])})


class HandMark(NamedTuple):
    """A mark that a person gave."""

    points: float
    comment: str


class Store:
    """The results of a class. Only the process that runs `course grade` writes to it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        path.touch(mode=0o600)  # it holds the seeds and everybody's marks; SQLite gives its other files the same mode
        for kept in path.parent.glob(f"{path.name}*"):
            kept.chmod(0o600)
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=60)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=FULL")
        self.connection.executescript(SCHEMA)
        for table, column, default in ADDED:
            if column not in {row["name"] for row in self.connection.execute(f"PRAGMA table_info({table})")}:
                self.connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} TEXT NOT NULL DEFAULT {default}")

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------ settings

    def secret(self) -> str:
        """The class's secret, drawn once: every part's seed follows from it."""
        self.connection.execute("INSERT OR IGNORE INTO setting VALUES ('secret', ?)", (secrets.token_hex(32),))
        return self.setting("secret")

    def setting(self, name: str, default: str = "") -> str:
        """A setting's value."""
        row = self.connection.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return row["value"] if row else default

    def set(self, name: str, value: str) -> None:
        """Keep a setting."""
        self.connection.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))

    def seed(self, part: int) -> str:
        """The secret seed of a part, hex: the same for the whole class, so that equal answers get equal marks."""
        return hmac.new(bytes.fromhex(self.secret()), str(part).encode(), hashlib.sha256).hexdigest()

    # ------------------------------------------------------------------------------------------------ submissions

    def register(self, submission: StoredSubmission) -> None:
        """Note a submission."""
        row = {name: _kept(value) for name, value in asdict(submission).items()}
        places = ", ".join("?" * len(row))
        self.connection.execute(
            f"INSERT OR REPLACE INTO submission ({', '.join(row)}) VALUES ({places})", list(row.values())
        )

    def forget_unreadable(self, student: str) -> None:
        """Drop a file of a student's whose part could not be told, now that a readable one has come."""
        self.connection.execute("DELETE FROM submission WHERE student = ? AND part = 0", (student,))

    def submissions(self) -> list[StoredSubmission]:
        """All submissions, ordered by student and part."""
        rows = self.connection.execute("SELECT * FROM submission ORDER BY student, part").fetchall()
        return [_submission(dict(row)) for row in rows]

    def forget_disputed(self, parts: Iterable[int]) -> None:
        """Drop the submissions of some parts of which nobody knows whose they are: whoever takes them in again says so anew."""
        for part in parts:
            self.connection.execute("DELETE FROM submission WHERE part = ? AND disputed != ''", (part,))

    def set_roster(self, people: list[Person]) -> None:
        """Keep the roster."""
        self.connection.execute("BEGIN")
        self.connection.execute("DELETE FROM roster")
        for person in people:
            row = (person.student, person.name, person.email, _kept(person.other))
            self.connection.execute("INSERT INTO roster VALUES (?, ?, ?, ?)", row)
        self.connection.execute("COMMIT")

    def roster(self) -> dict[str, Person]:
        """The people of the roster, by their id and in its order."""
        rows = self.connection.execute("SELECT * FROM roster ORDER BY student").fetchall()
        return {row["student"]: Person(**{**dict(row), "other": json.loads(row["other"])}) for row in rows}

    # ------------------------------------------------------------------------------------------------ results

    def is_done(self, student: str, part: int, digest: str, tests: str) -> bool:
        """Whether this very file was graded by these very tests."""
        row = self.connection.execute(
            "SELECT digest, tests FROM result WHERE student = ? AND part = ?", (student, part)
        ).fetchone()
        return row is not None and (row["digest"], row["tests"]) == (digest, tests)

    def save(self, digest: str, tests: str, result: SubmissionResult, why: str = "") -> None:
        """Commit a result; with `why`, keep the one it replaces.

        Args:
            digest: of the file that was judged.
            tests: the digest of what judged it; empty if that failed, so that it is not done.
            result: what judging gave.
            why: what the replaced result is kept for.
        """
        key = (result.student, result.part)
        self.connection.execute("BEGIN IMMEDIATE")
        if why and (old := self.result(*key)) is not None:
            before = (*key, time.time(), why, _kept(old.to_json()))
            self.connection.execute("INSERT INTO earlier VALUES (?, ?, ?, ?, ?)", before)
        row = (*key, digest, tests, time.time(), _kept(result.to_json()))
        self.connection.execute("INSERT OR REPLACE INTO result VALUES (?, ?, ?, ?, ?, ?)", row)
        self.connection.execute("COMMIT")

    def current(self, submission: StoredSubmission) -> SubmissionResult | None:
        """The result of this very file, not of one that was handed in before it."""
        where = "WHERE student = ? AND part = ? AND digest = ?"
        return next(self._results(where, submission.student, submission.part, submission.digest), None)

    def result(self, student: str, part: int) -> SubmissionResult | None:
        """One result."""
        return next(self._results("WHERE student = ? AND part = ?", student, part), None)

    def results(self) -> Iterator[SubmissionResult]:
        """All results, ordered by student and part."""
        return self._results("ORDER BY student, part")

    def _results(self, where: str, *values: str | int) -> Iterator[SubmissionResult]:
        for row in self.connection.execute(f"SELECT content FROM result {where}", values):
            yield SubmissionResult.from_json(json.loads(row["content"]))

    # ------------------------------------------------------------------------------------------------ marks by hand

    def set_mark(
        self, student: str, question: str, points: float, comment: str, source: str, version: str = ""
    ) -> None:
        """Keep a mark that a person gave: for a question with tests with the version of the file that it is for."""
        row = (student, question, points, comment, source, version)
        self.connection.execute(
            "INSERT OR REPLACE INTO mark (student, question, points, comment, source, digest) VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )

    def marks(self) -> dict[tuple[str, str], HandMark]:
        """All marks of written answers, by student and question."""
        return {key[:2]: mark for key, mark in self._marks().items() if not key[2]}

    def overrides(self) -> dict[tuple[str, str, str], HandMark]:
        """All marks that people gave in place of the tests, by student, question and version of the file."""
        return {key: mark for key, mark in self._marks().items() if key[2]}

    def _marks(self) -> dict[tuple[str, str, str], HandMark]:
        rows = self.connection.execute("SELECT * FROM mark").fetchall()
        return {
            (row["student"], row["question"], row["digest"]): HandMark(row["points"], row["comment"]) for row in rows
        }
