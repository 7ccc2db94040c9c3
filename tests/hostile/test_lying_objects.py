"""Exceptions and results that raise or lie about themselves cost their author the one thing they belong to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autograder.grade.result import SubmissionResult
from tests.grade.samples import code, master_cells

pytestmark = pytest.mark.sandbox
HEAD = """
class Lying(type):
    __name__ = __mro__ = property(lambda cls: 1 / 0)
class Text(str):
    def __getitem__(self, key): raise SystemExit
class Odd(ValueError, metaclass=Lying):
    __class__ = __traceback__ = __cause__ = __context__ = args = property(lambda self: 1 / 0)
    def __str__(self): return Text("odd")
    def with_traceback(self, *_): raise MemoryError
class Result:
    __class__ = shape = dtype = __len__ = property(lambda self: 1 / 0)
    def __iter__(self): raise SystemExit
    def __getattr__(self, name): raise KeyboardInterrupt
"""


def test_a_cell_with_an_exception_that_lies_costs_that_cell(grade: Callable[..., SubmissionResult]) -> None:
    cells = code(HEAD, "def fail():\n    raise Odd()\nMINE = fail()", *master_cells(2))
    used = code("def gaussian_score(action, mean, covariance): return MINE")
    result = grade((*cells, *({**cell, "number": len(cells) + 1} for cell in used)), only=["q2_1", "q2_5"])
    assert result.status == "graded", result
    right, wrong = result.questions
    assert right.points == right.possible
    assert not any(test.passed for test in wrong.tests)
    assert [(error.type, error.message) for error in result.cells.errors] == [("Odd", "odd")]


@pytest.mark.parametrize("what", ["raise Odd()", "return Result()", "return [Result()]", "return {Result: Result()}"])
def test_a_function_that_gives_it_costs_that_function(what: str, grade: Callable[..., SubmissionResult]) -> None:
    lying = code(HEAD, *master_cells(2), f"def token_log_probs(logits, ids):\n    {what}")
    result = grade(lying, only=["q2_1", "q2_5"])
    assert result.status == "graded", result
    wrong, right = result.questions
    assert right.points == right.possible
    assert not any(test.passed for test in wrong.tests)
    assert all("token_log_probs" in test.message for test in wrong.tests), [test.message for test in wrong.tests]
