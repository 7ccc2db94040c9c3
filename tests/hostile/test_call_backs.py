"""Functions of the judge's that a student's code may call back: what it gives them cannot fill the judge's memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil
import pytest
import torch

from autograder.grade.result import SubmissionResult
from autograder.reference.spec import REGISTRY, load_registry
from autograder.reference.verify import verify
from tests.grade.samples import code

pytestmark = pytest.mark.sandbox
CALLED_WITH = {
    "a player of a huge number": "frozenset([20_000_000_000])",
    "a number beyond 64 bits": "frozenset([1 << 199])",
    "a huge coalition": "frozenset(range(60_000))",
    "many coalitions": "frozenset([1000 + n])",
    "a long text": "'x' * 900_000",
    "a large tensor": "torch.zeros(3_900_000)",
    "a deep list": "[[[[[[[[[[0]]]]]]]]]]",
}
TAKERS = {  # by exercise: its question, its arguments, and what it may return
    "exact_shapley_values": ("q5_1", "value, players", "torch.zeros(players, dtype=torch.float64)"),
    "sampled_shapley_values": (
        "q5_2",
        "value, players, permutations",
        "(torch.zeros(players, dtype=torch.float64),) * 2",
    ),
    "continue_texts": ("q1_4", "next_logits, ids, new_tokens, eos_id, choose", "ids"),
}
SOURCE = """
import torch
TRIED = []
def {function}({arguments}):
    TRIED.append(1)  # in the first calls only: a test makes many
    called = {called}
    for n in range(25 if len(TRIED) < 4 else 0):
        try: called({given})
        except Exception: pass
    return {returned}
"""


@pytest.mark.parametrize("function", TAKERS)
@pytest.mark.parametrize("given", CALLED_WITH)
def test_a_call_back_costs_the_judge_no_memory(
    given: str, function: str, grade: Callable[..., SubmissionResult]
) -> None:
    question, arguments, returned = TAKERS[function]
    filled = {
        "called": arguments.split(",")[0],
        "function": function,
        "arguments": arguments,
        "returned": returned,
        "given": CALLED_WITH[given],
    }
    before = psutil.Process().memory_info().rss
    result = grade(code(SOURCE.format(**filled)), part=int(question[1]), only=[question])
    assert result.status == "graded", result
    assert result.points == 0
    assert psutil.Process().memory_info().rss - before < 300 << 20


def test_what_a_test_keeps_of_its_call_backs_is_bounded() -> None:
    """Each may bring 64 KB, and a call may ask a hundred thousand times."""
    grown: list[int] = []

    def asks_on(
        next_logits: Callable[..., Any], ids: torch.Tensor, new_tokens: int, eos_id: int, choose: object
    ) -> torch.Tensor:
        before, given = psutil.Process().memory_info().rss, torch.zeros(1, 8_000, dtype=torch.long)
        for _ in range(3_000):
            next_logits(given)
        grown.append(psutil.Process().memory_info().rss - before)
        return ids

    with pytest.raises(AssertionError, match="exactly once for each new token"):
        verify(asks_on, "continue_texts", "calls")
    assert max(grown) < 50 << 20


def test_every_function_that_a_test_hands_over_is_tried() -> None:
    """A new exercise that takes a function belongs here: its tests' functions must bound what they are given."""
    load_registry()
    takers = {
        name
        for name, spec in REGISTRY.items()
        if any(
            callable(value) for case in spec.cases(torch.Generator().manual_seed(0)) for value in case.inputs.values()
        )
    }
    assert takers == set(TAKERS)
