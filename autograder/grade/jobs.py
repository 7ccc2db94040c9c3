"""What a worker needs to grade a submission. Importing this costs nothing: torch comes in with `judge`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from autograder import masters
from autograder.masters import Question


@dataclass(frozen=True)
class Job:
    """What a worker needs to grade a submission: plain data, so that it can be sent anywhere.

    Attributes:
        student: who handed it in.
        part: 1 to 5.
        cells: the code cells (`number`, `source`, `tags`).
        seed: the class's secret for this part, hex; every test's random inputs follow from it.
        files: the student's notebooks of other parts, by file name.
        only: the questions to grade; all when empty.
        group: all who handed it in together; empty for one alone.
    """

    student: str
    part: int
    cells: tuple[dict[str, Any], ...]
    seed: str
    files: dict[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    group: tuple[str, ...] = ()


def questions_of(part: int, only: Sequence[str] = ()) -> list[Question]:
    """The questions that tests decide; with `only`, those named.

    Raises:
        KeyError: a named question does not exist in this part.
    """
    questions = [q for q in masters.load_questions(part) if not q.manual]
    missing = set(only) - {q.name for q in questions}
    if missing:
        raise KeyError(f"part {part} has no question {', '.join(sorted(missing))} with tests")
    return [q for q in questions if not only or q.name in only]


def written_questions(part: int) -> list[Question]:
    """The questions of a part that a person marks."""
    return [question for question in masters.load_questions(part) if question.manual]
