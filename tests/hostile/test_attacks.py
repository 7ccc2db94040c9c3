"""No attack gains a point, outlives its run or harms the next submission."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from autograder.grade.result import SubmissionResult
from autograder.grade.sandbox.bubblewrap import Sandbox
from tests.grade.samples import WRONG, code, master_cells
from tests.hostile.attack import Attack
from tests.hostile.attacks import ATTACKS

pytestmark = pytest.mark.sandbox
RIGHT = code(*master_cells(2))
QUESTION = "q2_1"
FORGED_WORLDS = """
import helpers.worlds.dpo as dpo, helpers.worlds.small as small
def _patch():
    def run_dpo_steps(step, seed, **_):
        weights = small.weights_of(small.small_policy(seed))
        return {"weights": [weights], "answers": [], "optimizer_steps": 0, "training_before": [], "training_after": []}
    dpo.run_dpo_steps = run_dpo_steps
    dpo.run_dpo_training = lambda step, seed: small.weights_of(small.small_policy(seed))
    return 1
K = _patch()
def dpo_step(policy, reference, optimizer, batch, beta): return K
"""


def processes(sandbox: Sandbox) -> list[psutil.Process]:
    """Everything that runs in the sandbox."""
    return psutil.Process(sandbox.process.pid).children(recursive=True)


@pytest.fixture(scope="module")
def at_rest(sandbox: Sandbox) -> int:
    """How many processes the sandbox has when no submission is graded."""
    return len(processes(sandbox))


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name for attack in ATTACKS])
def test_attack_gains_nothing(
    attack: Attack, grade: Callable[..., SubmissionResult], sandbox: Sandbox, at_rest: int, tmp_path: Path
) -> None:
    result = grade(code(attack.source), only=[QUESTION])
    assert result.status == "graded", f"the judge failed on an attack that {attack.tries}: {result}"
    passed = [test.name for question in result.questions for test in question.tests if test.passed]
    assert result.points == 0, f"an attack that {attack.tries} passed {passed}"
    hidden = [test for question in result.questions for test in question.tests if test.hidden]
    assert not [test for test in hidden if "SECRET" in test.message]  # `detail` is for the instructor alone
    deadline = time.monotonic() + 5
    while len(processes(sandbox)) > at_rest and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(processes(sandbox)) == at_rest, f"an attack that {attack.tries} left processes behind"
    assert sandbox.alive
    assert not Path("/tmp/pwned-by-pickle").exists()


def test_an_empty_record_of_a_world_gains_nothing(grade: Callable[..., SubmissionResult]) -> None:
    """The worlds run beside the student's code, which may replace them: a record without a step shows no right step."""
    result = grade(code(FORGED_WORLDS), part=4, only=["q4_6"])
    assert result.status == "graded", result
    assert result.points == 0, [test for test in result.questions[0].tests if test.passed]
    assert "not complete" in " ".join(test.message for test in result.questions[0].tests)


def test_the_next_submissions_are_judged_as_ever(grade: Callable[..., SubmissionResult]) -> None:
    """After all attacks, in the same warm sandbox: right is right and wrong is wrong."""
    result = grade(RIGHT, only=[QUESTION])
    assert result.points == result.possible == 4.0, result
    assert grade(code(WRONG), only=[QUESTION]).points == 0


def test_there_are_enough_attacks() -> None:
    assert sum(attack.known for attack in ATTACKS) >= 18
    assert sum(not attack.known for attack in ATTACKS) >= 15
    assert all(attack.tries for attack in ATTACKS)
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
