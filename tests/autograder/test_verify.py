"""The engine of the hidden tests: what it tries can tell right from wrong, in every dtype and on edges as on values."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from autograder.reference import spec as engine
from autograder.reference.spec import Case, Spec
from autograder.reference.verify import SHORT, trials_of, verify

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


def on_the_cpu(numbers: Tensor) -> Tensor:
    return 2 * numbers.detach() * torch.ones(3, dtype=numbers.dtype)


def filled_on_the_cpu(numbers: Tensor) -> Tensor:
    result = torch.zeros(3, dtype=numbers.dtype)
    for place, number in enumerate(numbers):
        result[place] = 2 * number
    return result


def from_python(numbers: Tensor) -> Tensor:
    return torch.tensor([2 * number for number in numbers.tolist()], dtype=numbers.dtype)


def in_the_inputs_memory_at_zero(numbers: Tensor) -> Tensor:
    return 2 * numbers if bool(numbers.any()) else numbers[:]


@pytest.mark.parametrize(
    ("wrong", "aspect", "told"),
    [
        (on_the_cpu, "purity", "mixes tensors of several devices"),
        (filled_on_the_cpu, "purity", "another device than the inputs"),
        (from_python, "purity", "another device than the inputs"),
        (in_the_inputs_memory_at_zero, "purity", r"shares memory with an argument.*zeros"),
        (detached_at_zero, "gradients", "no gradient flows"),
        (nan_gradient_at_zero, "gradients", "gradient to `numbers` is wrong for zeros"),
        (in_place_at_zero, "purity", "in place"),
        (in_place_in_float64, "purity", "in place"),
        (zeros_in_float16, "dtypes", "float16"),
    ],
)
def test_edges_are_judged_as_values_are(monkeypatch: pytest.MonkeyPatch, wrong, aspect: str, told: str) -> None:
    monkeypatch.setitem(
        engine.REGISTRY, "double", Spec("double", double, cases, differentiable=("numbers",), copies=True)
    )
    verify(double, "double", "values", "edges", "dtypes", "gradients", "purity")
    with pytest.raises(AssertionError, match=told):
        verify(wrong, "double", aspect)


class OneByOne:
    """A function that makes many calls for the judge, as the grader's stand-ins do, and counts them."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function, self.made = function, 0

    def each(self, calls: Iterable[Mapping[str, Tensor]]) -> Iterator[Callable[[], Tensor]]:
        for named in calls:
            self.made += 1
            yield functools.partial(self.function, **named)


def test_the_first_failure_in_order_is_told_and_no_call_is_made_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is asked of a call is looked at at once, and still what comes first in order has the word."""
    monkeypatch.setitem(engine.REGISTRY, "double", Spec("double", double, cases))

    def wrong_at_zero(numbers: Tensor) -> Tensor:
        result = 2 * numbers + float(not numbers.any())
        if numbers.dtype == torch.float64 and not numbers.any():
            numbers.add_(1)
        return result

    with pytest.raises(AssertionError, match="in place"):  # zeros in float32, a wrong edge, are called before
        verify(wrong_at_zero, "double", "purity", "edges")
    function: Any = OneByOne(wrong_at_zero)
    with pytest.raises(AssertionError, match=r"wrong for .*zeros \(float32\)"):
        verify(function, "double", "edges", "purity")
    assert function.made == 1


def test_a_function_may_be_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its calls are kept and shared, gradients too: otter judges what the notebook has just judged."""
    monkeypatch.setitem(engine.REGISTRY, "double", Spec("double", double, cases, differentiable=("numbers",)))
    for _ in range(2):
        verify(double, "double", "gradients")
        verify(double, "double", "gradients", "values", "dtypes", "edges", "purity")


def filled_where_the_inputs_are(numbers: Tensor) -> Tensor:
    result, total = torch.zeros_like(numbers), torch.tensor(0.0)  # a number without axes may stand on any device
    for place, number in enumerate(numbers):
        result[place] = 2 * number + 0 * total
        total = total + number
    return result


def through_python(numbers: Tensor) -> Tensor:
    return torch.tensor([2 * number for number in numbers.tolist()], dtype=numbers.dtype, device=numbers.device)


@pytest.mark.parametrize("right", [filled_where_the_inputs_are, through_python])
def test_any_style_keeps_to_its_inputs_device(monkeypatch: pytest.MonkeyPatch, right) -> None:
    monkeypatch.setitem(
        engine.REGISTRY, "double", Spec("double", double, cases, differentiable=("numbers",), copies=True)
    )
    verify(right, "double", "purity")
