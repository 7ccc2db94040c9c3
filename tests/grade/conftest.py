"""One warm sandbox for all tests of the grader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from autograder.grade.jobs import Job
from autograder.grade.judging import judge
from autograder.grade.judging.conversation import Conversation
from autograder.grade.judging.standins import StandIn, make_env
from autograder.grade.limits import Limits
from autograder.grade.result import SubmissionResult
from autograder.grade.sandbox.bubblewrap import Sandbox

from .samples import EASY, SECRET, code


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A warm sandbox with limits that end an endless loop soon."""
    limits = Limits(statement_seconds=10, call_seconds=8, run_seconds=120, strikes=1)
    with Sandbox(limits, models=False) as made:
        yield made


@pytest.fixture(scope="module")
def call(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Callable[[str], StandIn]]:
    """The stand-ins, by name, for the functions `NAMES` of a test module's code `FUNCTIONS`."""
    names = request.module.NAMES
    with Conversation(sandbox, code(request.module.FUNCTIONS), names) as talk:
        env = make_env(talk, names)
        yield lambda name: env[name]


@pytest.fixture
def grade(sandbox: Sandbox) -> Callable[..., SubmissionResult]:
    """Grade code cells."""

    def run(
        cells: Sequence[dict[str, Any]], part: int = EASY, only: Sequence[str] = (), **job: Any
    ) -> SubmissionResult:
        return judge.grade(sandbox, Job("ada", part, tuple(cells), SECRET, only=tuple(only), **job))

    return run
