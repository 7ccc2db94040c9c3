"""`--trust`: graded all the same, and stamped as unsandboxed."""

from __future__ import annotations

from autograder.grade.jobs import Job
from autograder.grade.judging import judge
from autograder.grade.limits import Limits
from autograder.grade.sandbox.unsandboxed import Unsandboxed
from tests.grade.samples import SECRET, code

SOURCE = """
import os, sys
def token_log_probs(logits, ids): return logits.log_softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None]).squeeze(-1)
def compute_reinforce_loss(log_probs, advantages, mask): os._exit(3)
"""


def test_trusted_code_is_graded_and_stamped() -> None:
    with Unsandboxed(Limits(strikes=1)) as trusted:
        result = judge.grade(trusted, Job("ada", 2, code(SOURCE), SECRET, only=("q2_1", "q2_2")))
    assert result.protection.sandboxed is False
    points = {question.name: question.points for question in result.questions}
    assert points == {"q2_1": 4.0, "q2_2": 0.0}
    assert "ended the whole process" in result.questions[1].tests[0].message
