"""No test case gives a point to an answer that does nothing: a stub, zeros, what it was given, a fixed error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from autograder import masters, testing
from helpers.parts import PARTS


def first_tensor(arguments: tuple[Any, ...], named: dict[str, Any]) -> torch.Tensor | None:
    """The first tensor that a function was given."""
    return next((a for a in (*arguments, *named.values()) if isinstance(a, torch.Tensor)), None)


def nothing(*arguments: Any, **named: Any) -> None:
    """The stub as it is handed out."""


def zeros(*arguments: Any, **named: Any) -> Any:
    """Zeros of the first tensor's shape."""
    given = first_tensor(arguments, named)
    return 0.0 if given is None else torch.zeros_like(given)


def zero(*arguments: Any, **named: Any) -> float:
    return 0.0


def scalar(*arguments: Any, **named: Any) -> torch.Tensor:
    return torch.zeros((), requires_grad=True)


def itself(*arguments: Any, **named: Any) -> Any:
    """The first argument."""
    return next(iter((*arguments, *named.values())), None)


def copied(*arguments: Any, **named: Any) -> Any:
    given = first_tensor(arguments, named)
    return None if given is None else given.clone()


def empty(*arguments: Any, **named: Any) -> dict[str, float]:
    return {}


def refuses(*arguments: Any, **named: Any) -> None:
    """Always the error that some definitions name."""
    raise ValueError("no")


ANSWERS = (nothing, zeros, zero, scalar, itself, copied, empty, refuses)
QUESTIONS = [q for part in PARTS for q in masters.load_questions(part) if q.function]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.__name__)
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_no_points(question: masters.Question, answer: Callable[..., Any]) -> None:
    results = testing.run_tests(question, {question.function or "": answer})
    assert not [result.name for result in results if result.passed]
    assert not [result.message for result in results if result.error]
