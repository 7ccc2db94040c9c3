"""What a trained policy is measured by decides no mark, and stops no grading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from autograder.grade.judging import measured
from autograder.grade.judging.measured import WORLD, measure
from autograder.grade.results import class_report
from helpers.models import load_policy

NAME = "transformer.wte.weight"


@pytest.mark.parametrize(
    "weights",
    [{5: 1.0}, {("a", 1): torch.ones(1)}, {NAME: 1.0}, {NAME: torch.ones(2, 2)}, {NAME: None}, {}],
    ids=["numbers", "a tuple as name", "no tensor", "another shape", "nothing", "empty"],
)
def test_weights_of_any_kind(weights: dict[Any, Any]) -> None:
    """They come out of the sandbox, where the student's code may have made them."""
    assert measure({WORLD: {"weights": weights}}) is None


def test_equal_policies_are_counted_in_the_report() -> None:
    """Equal answers end in the same policy: six right students were one dot, on an axis from 15.0 to 16.6."""
    drawn = str(class_report._plane([(f"s{n}", 15.8, 0.9) for n in range(6)] + [("s7", 0.3, 0.5)]))
    assert "7 policies at 2 places" in drawn
    assert ">6</text>" in drawn


@pytest.mark.parametrize("change", [lambda weight: weight * torch.nan, torch.Tensor.half], ids=["NaN", "half"])
def test_weights_of_any_size(change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    policy, _ = load_policy("tiny", "cpu")
    found = measure({WORLD: {"weights": {name: change(weight) for name, weight in policy.state_dict().items()}}})
    assert found is None or set(found) == {"kl", "reward"}


def test_a_measuring_that_trips_stops_no_grading(monkeypatch: pytest.MonkeyPatch) -> None:
    def trip(weights: object) -> None:
        raise RuntimeError("tripped")

    monkeypatch.setattr(measured, "_measure", trip)
    assert measure({WORLD: {"weights": {}}}) is None
