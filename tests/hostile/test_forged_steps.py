"""A training step gets its points for what it does: a forged record of it gets none, of public tests neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autograder.grade.result import SubmissionResult
from autograder.grade.sandbox.bubblewrap import Sandbox
from tests.grade.samples import code, master_cells
from tests.hostile.attack import Attack
from tests.hostile.forged_steps import FORGED, REPLAYS

pytestmark = pytest.mark.sandbox
PARTS_OF = {"q2_7": 2, "q4_6": 4}
ALL = [(question, attack) for question, attacks in FORGED.items() for attack in attacks]


def passed(result: SubmissionResult) -> list[str]:
    assert result.status == "graded", result
    return [test.name for question in result.questions for test in question.tests if test.passed]


@pytest.mark.parametrize(("question", "attack"), ALL, ids=[f"{question} {attack.name}" for question, attack in ALL])
def test_a_forged_record_gets_nothing(
    question: str, attack: Attack, grade: Callable[..., SubmissionResult], sandbox: Sandbox
) -> None:
    result = grade(code(attack.source), part=PARTS_OF[question], only=[question])
    assert not passed(result), f"an attack that {attack.tries} gained points"
    assert sandbox.alive


@pytest.mark.parametrize("question", REPLAYS)
def test_a_replayed_record_of_the_public_test_gets_nothing(
    question: str, grade: Callable[..., SubmissionResult]
) -> None:
    """The record is that of a right step, as it would be if the answer came with the notebook: the worlds of the public
    tests are run with the solution, all others with a step that does nothing."""
    part = PARTS_OF[question]
    function = {"q2_7": "reinforce_step", "q4_6": "dpo_step"}[question]
    cells: list[Any] = [*master_cells(part), f"real = {function}", REPLAYS[question]]
    result = grade(code(*cells), part=part, only=[question])
    assert not passed(result)
    public = [test for test in result.questions[0].tests if not test.hidden]
    assert all("not with others" in test.message for test in public), "the replay is none: the public tests failed"
