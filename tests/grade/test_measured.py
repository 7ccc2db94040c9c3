"""What a trained policy is measured by decides no mark, and stops no grading."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from autograder.grade.judging.measured import WORLD, measure

NAME = "transformer.wte.weight"


@pytest.mark.parametrize(
    "weights",
    [{5: 1.0}, {("a", 1): torch.ones(1)}, {NAME: 1.0}, {NAME: torch.ones(2, 2)}, {NAME: None}, {}],
    ids=["numbers", "a tuple as name", "no tensor", "another shape", "nothing", "empty"],
)
def test_weights_of_any_kind(weights: dict[Any, Any]) -> None:
    """They come out of the sandbox, where the student's code may have made them."""
    assert measure({WORLD: {"weights": weights}}) is None
