"""The engine of the hidden tests: what it tries can tell right from wrong, in every dtype and on edges as on values."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from autograder.reference import verify as engine
from autograder.reference.verify import SHORT, Case, Spec, trials_of, verify

NAMES = sorted(engine.load_registry())
FLOATS = [name for name in NAMES if any(isinstance(value, Tensor) and value.is_floating_point()
          for case in engine.REGISTRY[name].cases(torch.Generator()) for value in case.inputs.values())]  # fmt: skip


@pytest.mark.parametrize("dtype", SHORT, ids=str)
@pytest.mark.parametrize("name", FLOATS)
def test_short_dtypes_are_judged_by_less_than_their_numbers(name: str, dtype: torch.dtype) -> None:
    """An answer of zeros must not pass because a tolerance is as large as what is asked for."""
    told = [trial for trial in trials_of(engine.REGISTRY[name], "dtypes", 0) if trial.dtype == dtype]
    assert len(told) >= 2, f"{name}: {len(told)} cases tell right from wrong in {dtype}"


@pytest.mark.parametrize("seed", range(6))
def test_references_work_on_every_draw(seed: int) -> None:
    for name in NAMES:
        for aspect in ("values", "dtypes", "gradients", "purity"):
            trials_of.__wrapped__(engine.REGISTRY[name], aspect, seed)


def double(numbers: Tensor) -> Tensor:
    return 2 * numbers


def cases(generator: torch.Generator) -> list[Case]:
    numbers = torch.rand(3, generator=generator, dtype=torch.float64)
    return [Case("numbers", {"numbers": numbers}), Case("zeros", {"numbers": 0 * numbers}, "edges")]


def detached_at_zero(numbers: Tensor) -> Tensor:
    return 2 * numbers if bool(numbers.any()) else 2 * numbers.detach()


def nan_gradient_at_zero(numbers: Tensor) -> Tensor:
    return (
        2 * numbers + 0 * torch.where(numbers > 0, numbers, 1.0).sqrt() + torch.nan_to_num(numbers * numbers.log()) * 0
    )


def in_place_at_zero(numbers: Tensor) -> Tensor:
    result = 2 * numbers.detach()
    if not bool(numbers.any()):
        numbers.add_(1)
    return result


def in_place_in_float64(numbers: Tensor) -> Tensor:
    numbers = numbers.double()
    return numbers.mul_(2)


def zeros_in_float16(numbers: Tensor) -> Tensor:
    return 2 * numbers * (numbers.dtype != torch.float16)


@pytest.mark.parametrize(
    ("wrong", "aspect", "told"),
    [
        (detached_at_zero, "gradients", "no gradient flows"),
        (nan_gradient_at_zero, "gradients", "gradient to `numbers` is wrong for zeros"),
        (in_place_at_zero, "purity", "in place"),
        (in_place_in_float64, "purity", "in place"),
        (zeros_in_float16, "dtypes", "float16"),
    ],
)
def test_edges_are_judged_as_values_are(monkeypatch: pytest.MonkeyPatch, wrong, aspect: str, told: str) -> None:
    monkeypatch.setitem(engine.REGISTRY, "double", Spec("double", double, cases, differentiable=("numbers",)))
    verify(double, "double", "values", "edges", "dtypes", "gradients", "purity")
    with pytest.raises(AssertionError, match=told):
        verify(wrong, "double", aspect)
