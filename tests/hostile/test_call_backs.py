"""Functions of the judge's that a student's code may call back: what it gives them cannot fill the judge's memory."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest

from autograder import masters
from autograder.grade.result import SubmissionResult
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
SOURCE = """
import torch
TRIED = []
def exact_shapley_values(value, players):
    TRIED.append(1)  # in the first calls only: a test makes many
    for n in range(25 if len(TRIED) < 4 else 0):
        try: value({given})
        except Exception: pass
    return torch.zeros(players, dtype=torch.float64)
"""


@pytest.mark.parametrize("given", CALLED_WITH)
def test_a_call_back_costs_the_judge_no_memory(given: str, grade: Callable[..., SubmissionResult]) -> None:
    before = psutil.Process().memory_info().rss
    result = grade(code(SOURCE.replace("{given}", CALLED_WITH[given])), part=5, only=["q5_1"])
    assert result.status == "graded", result
    assert result.points == 0
    assert psutil.Process().memory_info().rss - before < 300 << 20


def test_every_function_that_a_test_hands_over_is_tried() -> None:
    """A new exercise that takes a function belongs here: its tests' functions must bound what they are given."""
    takers = {
        question.function
        for part in masters.existing_parts()
        for question in masters.load_questions(part)
        if any(f"{question.function}(value," in test.source for test in question.tests)
    }
    assert takers == {"exact_shapley_values"}
