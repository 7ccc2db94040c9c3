"""What a student's code chooses carries nothing from a hidden test to the feedback: other inputs, the same bytes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from autograder.grade.jobs import Job
from autograder.grade.judging import judge
from autograder.grade.sandbox.bubblewrap import Sandbox
from autograder.reference import quoting, steps_dpo, steps_reinforce
from autograder.reference.verify import verify
from helpers.worlds import dpo, reinforce, small
from tests.grade.samples import code

pytestmark = pytest.mark.sandbox
SECRETS = ("5e" * 32, "a1" * 32)
HEAD = """
import hashlib, os, signal, struct
import torch
def digest(logits): return hashlib.sha256(logits.detach().double().numpy().tobytes()).hexdigest()
def number(logits): return int(digest(logits)[:6], 16)
SEEN = []
"""
# by the channel: what token_log_probs does with the input, which it must not get through
CHANNELS = {
    "the class of an exception": "raise type('X' + digest(logits), (Exception,), {})()",
    "the class of a built-in kind of exception": "raise type('X' + digest(logits), (ValueError,), {})()",
    "the text of an exception": "raise ValueError(digest(logits))",
    "the class of a result": "return type('X' + digest(logits), (), {})()",
    "the shape": "return torch.zeros(number(logits) % 500 + 7)",
    "the number of axes": "return torch.zeros([1] * (number(logits) % 9 + 4))",
    "the dtype": "return torch.zeros(2, dtype=[torch.int8, torch.int16, torch.uint8, torch.bool][number(logits) % 4])",
    "the keys of a dict": "return {digest(logits): logits}",
    "the line": "exec(compile('\\n' * (number(logits) % 90) + 'raise ValueError', 'cell 1', 'exec'))",
    "the size of an error": "return logits[:, 1:, 0] * 0 + 1e3 + number(logits)",
    "the exit status": "os._exit(number(logits) % 90)",
    "the signal": "os.kill(os.getpid(), [6, 7, 8, 11, 15, 31][number(logits) % 6])",
    "a message that is none": "os.write(3, struct.pack('>IQ', 2**30 + number(logits), 0)); return None",
    "a kind of value that is none": (
        "import sys; sys.modules['inside.values'].Encoder.encode = lambda *_: {digest(logits): 1}; return None"
    ),
    "the next function's exception": "SEEN.append(digest(logits)); return None",
    "a cell that fails in the next process": "open('seen', 'w').write(digest(logits)); os._exit(1)",
}
REST = """
def compute_reinforce_loss(log_probs, advantages, mask): raise ValueError(str(SEEN))
def leave_one_out_advantages(rewards, group_size=None): return NOTED
NOTED = None
if os.path.exists('seen'): raise ValueError(open('seen').read())
"""


def feedback(sandbox: Sandbox, source: str, secret: str) -> list[str]:
    """All that the feedback says of tests and cells."""
    result = judge.grade(sandbox, Job("ada", 2, code(HEAD, source, REST), secret, only=("q2_1", "q2_2", "q2_3")))
    assert result.status == "graded", result
    return [f"{test.name} {test.passed} {test.message}" for question in result.questions for test in question.tests] + [
        str(result.cells)
    ]


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_feedback_is_the_same_for_other_hidden_inputs(sandbox: Sandbox, channel: str) -> None:
    source = f"def token_log_probs(logits, ids):\n    {CHANNELS[channel]}\n"
    one, other = (feedback(sandbox, source, secret) for secret in SECRETS)
    assert one == other


def test_the_inputs_differ_and_can_be_seen_by_the_student(sandbox: Sandbox) -> None:
    """The test above would pass for equal inputs: here one bit gets through, as the documentation says it may."""
    source = "def token_log_probs(logits, ids):\n    raise [ValueError, KeyError][number(logits) % 2]()\n"
    assert len({str(feedback(sandbox, source, f"{n:02x}" * 32)) for n in range(6)}) > 1


# --- the steps, whose records hold numbers, keys and names of the student's choice


def told(judging: Any, *given: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        judging(*given)
    return str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        {"__type__": "Xc091b461"},
        {"loss": 0.1, "reward": 0.1, "c091b461": "int"},
        {"loss": 0.1, "reward": "c091b461"},
        {"loss": 0.1, "reward": 0.1091461},
        {"loss": 0.1, "reward": 0.1, "c091b461": float("inf")},
    ],
)
def test_a_report_quotes_nothing(answer: dict[str, Any]) -> None:
    starts = [small.start_of(5, n, reinforce.DISTANCE) for n in range(reinforce.SINGLE_STEPS)]
    record = {"answers": [answer] * reinforce.SINGLE_STEPS, "weights": starts}
    assert "091" not in told(steps_reinforce.check_report, record, 5)
    record = {"answers": [answer] * len(dpo.batches_for("single steps", 5)), "weights": []}
    assert "091" not in told(steps_dpo.check_reported, record, 5)
    assert "091" not in told(steps_dpo.check_first_step, record, 5)


@pytest.mark.parametrize("size", [0.3, 7.0, 91.0])
def test_an_update_tells_no_number(size: float) -> None:
    """The length, the angle and the count of updates are the student's to choose."""
    starts = [small.start_of(5, n, dpo.DISTANCE) for n in range(3)]
    after = [{name: weight + size for name, weight in start.items()} for start in starts]
    notes = [{"steps": 12345, "faults": [], "random": [str(n)]} for n in range(3)]
    record = {"weights": after, "answers": [{}] * 3, "conduct": notes}
    texts = {told(judging, record, 5) for judging in (steps_dpo.check_update, steps_reinforce.check_update)}
    assert not any(character.isdigit() for text in texts for character in text.replace("step 1", ""))


# --- the words that are left


def test_only_names_of_a_table_are_said() -> None:
    own = type("Xc091", (KeyError,), {})
    assert quoting.raised(own()) == "KeyError"
    assert quoting.raised(type("Xc091", (Exception,), {})()) == "an exception of your own"
    assert quoting.an_error(["Xc091", 3, "SystemExit"]) == "an exception of your own"
    assert quoting.a_value(own()) == "an object of a type of your own"
    assert quoting.a_value(3) == "an int"
    assert len(quoting.ERRORS) + len(quoting.TYPES) < 40  # some five bits


@pytest.mark.parametrize(
    "result",
    [torch.zeros(3, 77), torch.zeros(77, dtype=torch.int8), {"77": 1}, [77.0], 77.0, "77", 77 * torch.ones(2, 3)],
)
def test_verify_quotes_no_result(result: Any) -> None:
    assert "77" not in told(verify, lambda logits, ids: result, "token_log_probs", "values")
