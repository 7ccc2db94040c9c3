"""What judging gives: plain frozen data that goes from a worker into the database, and from there into every output.

Points and states are worked out from the tests and kept nowhere else in memory. As JSON (in `results.db`) they are written
out beside the tests, for whoever reads the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from autograder.testing import TestResult

Made = TypeVar("Made")


def from_table(kind: type[Made], table: Mapping[str, Any]) -> Made:
    """A dataclass of this kind from a table of JSON; what the kind does not know is left out."""
    return kind(**{entry.name: table[entry.name] for entry in fields(kind) if entry.name in table})  # type: ignore[arg-type]


@dataclass(frozen=True)
class QuestionResult:
    """What the tests of one question gave."""

    name: str
    function: str | None
    possible: float
    tests: tuple[TestResult, ...] = ()

    @property
    def points(self) -> float | None:
        """The points, or None if the judge failed on a test."""
        return total_points(self.tests)

    def to_json(self) -> dict[str, Any]:
        """The question as `results.db` holds it."""
        tests = [asdict(test) | {"points": test.points} for test in self.tests]
        return asdict(self) | {"points": self.points, "tests": tests}

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> QuestionResult:
        """Read what `to_json` wrote."""
        return from_table(cls, {**table, "tests": tuple(from_table(TestResult, test) for test in table["tests"])})


@dataclass(frozen=True)
class CellError:
    """A cell that raised while the notebook's definitions were run: its number, the line in it, what it raised."""

    cell: int | None
    line: int | None
    type: str
    message: str


@dataclass(frozen=True)
class LoadReport:
    """What running the notebook's definitions gave.

    Attributes:
        defined: the graded functions that exist afterwards, and whether they can be called.
        errors: the cells that raised.
        ran: how many statements were run.
        left_out: how many were not needed.
        fault: why nothing could be run at all, for the student; None if it could.
    """

    defined: dict[str, bool] = field(default_factory=dict)
    errors: tuple[CellError, ...] = ()
    ran: int | None = 0
    left_out: int | None = 0
    fault: str | None = None

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> LoadReport:
        """Read a table of JSON."""
        return from_table(cls, {**table, "errors": tuple(from_table(CellError, error) for error in table["errors"])})


@dataclass(frozen=True)
class Usage:
    """What judging a submission took: seconds on the clock and of a processor, bytes at most, processes started."""

    seconds: float
    cpu_seconds: float
    memory: int
    processes: int


SAID = {
    "yes": "Graded in the sandbox.",
    "by users": "Graded without namespaces, which are not allowed here: the code ran apart from the tests, as a user of its own.",
    "NO": "Graded by otter alone, as no sandbox is allowed here: the code ran in the process that judged it.",
}


@dataclass(frozen=True)
class Protection:
    """How the student's code was confined, and the versions it ran with.

    Attributes:
        sandboxed: in namespaces of its own.
        users: without them, by a user of its own and the modes of files.
    """

    sandboxed: bool
    bubblewrap: bool = False
    seccomp: bool = False
    cgroup: str = "none"
    versions: dict[str, str] = field(default_factory=dict)
    users: bool = False

    @property
    def stamp(self) -> str:
        """The strength in a word, as a column of a table has it."""
        return "yes" if self.sandboxed else "by users" if self.users else "NO"

    @property
    def said(self) -> str:
        """The strength in a sentence, for whoever reads the result."""
        return SAID[self.stamp]


@dataclass(frozen=True)
class Failure:
    """Why a submission could not be judged: the kind (`infrastructure`, `sandbox`, `worker`, `judge`) and what was said."""

    kind: str
    message: str


@dataclass(frozen=True)
class SubmissionResult:
    """What judging one submission gave.

    Attributes:
        possible: the points of the questions that were to be judged.
        usage, protection: None if it could not be judged.
        measured: reward and KL of the policies that were trained on the way, by function.
        failure: why it could not be judged; None if it was.
    """

    student: str
    part: int
    possible: float
    questions: tuple[QuestionResult, ...] = ()
    cells: LoadReport = field(default_factory=LoadReport)
    usage: Usage | None = None
    protection: Protection | None = None
    measured: dict[str, dict[str, float]] = field(default_factory=dict)
    failure: Failure | None = None

    @property
    def broken(self) -> bool:
        """Whether the judge failed, on the whole submission or on a test of it: then there is no mark."""
        return self.failure is not None or any(question.points is None for question in self.questions)

    @property
    def status(self) -> str:
        """`graded` or `error`."""
        return "error" if self.broken else "graded"

    @property
    def points(self) -> float | None:
        """The points, or None if the judge failed."""
        return None if self.broken else total_points(self.questions)

    def to_json(self) -> dict[str, Any]:
        """The result as `results.db` holds it."""
        table = {
            "student": self.student,
            "part": self.part,
            "status": self.status,
            "points": self.points,
            "possible": self.possible,
            "questions": [question.to_json() for question in self.questions],
            "cells": asdict(self.cells),
            "usage": asdict(self.usage) if self.usage else {},
            "protection": asdict(self.protection) if self.protection else {},
        }
        return table | ({"error": asdict(self.failure)} if self.failure else {"measured": self.measured})

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> SubmissionResult:
        """Read what `to_json` wrote."""
        usage, protection, failure = table["usage"], table["protection"], table.get("error")
        return cls(
            student=table["student"],
            part=table["part"],
            possible=table["possible"],
            questions=tuple(QuestionResult.from_json(question) for question in table["questions"]),
            cells=LoadReport.from_json(table["cells"]),
            usage=from_table(Usage, usage) if usage else None,
            protection=from_table(Protection, protection) if protection else None,
            measured=table.get("measured", {}),
            failure=from_table(Failure, failure) if failure else None,
        )


def total_points(results: tuple[TestResult, ...] | tuple[QuestionResult, ...]) -> float | None:
    """The sum of the points of tests or questions, or None if one of them has none."""
    points = [result.points for result in results]
    return None if None in points else sum(points)  # type: ignore[arg-type]
