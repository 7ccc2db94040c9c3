"""An independent judge of one exercise: does an answer do what `docs/exercises.md` says, on inputs nastier than a test's?

Each module of `truths` holds definitions written from that page alone, in float64, and the inputs they are asked for. An
answer is called in four dtypes; how far it may be off is measured: by how much the truth itself moves when its inputs are
rounded, so nothing of the hidden tests' tolerances is used.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Inputs = dict[str, Any]
OTHERS = (torch.float64, torch.bfloat16, torch.float16)  # every input is given in float32, and in one of these
DIFFERENTIATED = (torch.float64, torch.float32)  # the dtypes in which gradients are compared
PLAIN = 3  # one call in so many is made with inputs that need no gradient
ON_META = 24  # one question in so many is asked on the `meta` device, too
QUESTIONS = 160  # at most, drawn from all inputs
LONG = 64  # more numbers in a row are not asked for in 16 bits: a running sum of them stands still
SMALL = 60.0  # numbers up to here are tried in float16: sums of squares stay far below its largest
SEEDS = (0, 1)  # of the random inputs


class ContractError(Exception):
    """An answer breaks a rule; the text says which, and for what input."""


@dataclass(frozen=True, eq=False)
class Oracle:
    """What is asked of one exercise.

    Attributes:
        truth: the definition, in float64.
        inputs: random inputs by a generator: `(what they are, the arguments)`, float tensors in float64.
        gradients: the inputs that gradients pass to.
        detached: float inputs that none may reach.
        constant_results: places in a returned tuple that carry no gradient.
        exact: whether the truth may jump where its inputs are moved: then only `floor` counts.
        floor: what counts as nothing, in units of eps.
        rounding: `(inputs, results) -> how far`, in units of eps, where rounding inside reaches farther than of the inputs.
        own_dtype: whether float tensors have the inputs' dtype.
        copies: whether the result shares no memory with an input.
        counted: `(name, inputs) -> mask`: the entries of a gradient that the page says something about; default all.
        errors: what the arguments are, the arguments, and the error they raise.
        rules: rules that no other exercise has; each takes the answer and raises `ContractError`.
    """

    truth: Callable[..., Any]
    inputs: Callable[[torch.Generator], Iterator[tuple[str, Inputs]]]
    gradients: tuple[str, ...] = ()
    detached: tuple[str, ...] = ()
    constant_results: tuple[int, ...] = ()
    exact: bool = False
    floor: float = 1.0
    rounding: Callable[[Inputs, list[Any]], Tensor | float] = lambda inputs, results: 0.0
    own_dtype: bool = True
    copies: bool = False
    counted: Callable[[str, Inputs], Tensor] | None = None
    errors: tuple[tuple[str, Inputs, type[Exception]], ...] = ()
    rules: tuple[Callable[[Callable[..., Any]], None], ...] = ()


@dataclass(frozen=True)
class Question:
    """One call in one dtype, and its right answer: numbers and gradients, each with the error that is allowed."""

    label: str
    inputs: Inputs
    dtype: torch.dtype
    right: list[Any]
    numbers: list[Tensor]  # `right` in float64
    keys: tuple[str, ...] | None  # where the result is a dict: the keys of `right`
    allowed: list[Tensor]
    slopes: dict[str, Tensor]
    slope_errors: dict[str, Tensor]
    counted: dict[str, Tensor]  # the entries of a gradient that the page says something about


# --- inputs in a dtype


def written(inputs: Mapping[str, Any], dtype: torch.dtype, needing: tuple[str, ...] = ()) -> Inputs:
    """Fresh copies in a dtype; those named collect gradients."""
    fresh = {
        name: value.to(dtype, copy=True)
        if isinstance(value, Tensor) and value.is_floating_point()
        else value.clone() if isinstance(value, Tensor) else list(value) if isinstance(value, list) else value
        for name, value in inputs.items()
    }  # fmt: skip
    for name in needing:
        fresh[name].requires_grad_()
    return fresh


def shaken(inputs: Mapping[str, Any], eps: float, generator: torch.Generator) -> Inputs:
    """The inputs with every float moved by up to `eps` of its size."""

    def moved(value: Any) -> Any:
        if isinstance(value, Tensor) and value.is_floating_point():
            return value * (1 + eps * (2 * torch.rand(value.shape, generator=generator, dtype=torch.float64) - 1))
        if isinstance(value, float):
            return value * (1 + eps * float(2 * torch.rand(1, generator=generator) - 1))
        return value

    return {name: moved(value) for name, value in inputs.items()}


def items(result: Any) -> list[Any]:
    """The numbers and tensors of a result, in order."""
    if isinstance(result, Mapping):
        return [result[key] for key in sorted(result)]
    return list(result) if isinstance(result, tuple | list) else [result]


def largest(values: Iterable[Any]) -> float:
    """The largest finite number among some floats and float tensors, at least 1."""
    sizes = [tensor_of(v).abs().nan_to_num(0.0, posinf=0.0).max().item() for v in values if _is_float(v) and v.numel()]
    return max([1.0, *sizes])


def of_logits(inputs: Inputs, results: list[Any]) -> float:
    """Logits are normalised: what counts is the largest of them."""
    return largest(inputs.values())


def tensor_of(value: Any) -> Tensor:
    """A result's number or tensor, as float64."""
    return (value.detach() if isinstance(value, Tensor) else torch.tensor(value)).double()


# --- the right answers


def slopes_of(results: list[Any], inputs: Inputs, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Gradients of a fixed weighted sum of all finite numbers in a result, zeros where none flows."""
    total = None
    for place, value in enumerate(results):
        if _is_float(value) and value.requires_grad:
            weights, kept = _weights(value.shape, place, value.dtype), torch.isfinite(value)
            part = (value * weights).sum() if bool(kept.all()) else (value[kept] * weights[kept]).sum()
            total = part if total is None else total + part
    if total is None:
        return {name: torch.zeros_like(inputs[name]) for name in names}
    found = torch.autograd.grad(total, [inputs[name] for name in names], allow_unused=True)
    return {
        name: torch.zeros_like(inputs[name]) if slope is None else slope
        for name, slope in zip(names, found, strict=True)
    }


@functools.lru_cache(maxsize=4096)
def _weights(shape: torch.Size, place: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(11 + place)
    return (0.5 + torch.rand(shape, generator=generator, dtype=torch.float64)).to(dtype)


def answered(oracle: Oracle, inputs: Inputs) -> tuple[Any, list[Any], dict[str, Tensor]]:
    """The truth's result, the numbers in it, and their gradients."""
    fresh = written(inputs, torch.float64, oracle.gradients)
    result = oracle.truth(**fresh)
    return result, items(result), slopes_of(items(result), fresh, oracle.gradients)


def question(oracle: Oracle, label: str, inputs: Inputs, dtype: torch.dtype) -> Question:
    """A call's right answer, and how far a careful answer in this dtype may be off.

    That is measured by four calls with inputs that are moved as rounding moves them; float64 is held to float32's
    precision, since nothing forbids a detour through it.
    """
    rounded = written(written(inputs, dtype), torch.float64)
    result, right, slopes = answered(oracle, rounded)
    keys = tuple(sorted(result)) if isinstance(result, Mapping) else None
    allowed = [torch.zeros_like(tensor_of(value)) for value in right]
    errors = {name: torch.zeros_like(slope) for name, slope in slopes.items()}
    eps = max(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)
    inside = torch.as_tensor(oracle.rounding(rounded, right)).double()
    nothing = eps * (8 * oracle.floor + 4 * inside)
    for error in allowed if oracle.exact else ():
        error.add_(nothing)
    if not oracle.exact:
        generator = torch.Generator().manual_seed(5)
        for _ in range(4):
            _, others, other_slopes = answered(oracle, shaken(rounded, eps, generator))
            for error, value, other in zip(allowed, right, others, strict=True):
                torch.maximum(error, (tensor_of(value) - tensor_of(other)).abs().nan_to_num(0.0), out=error)
            for name, slope in other_slopes.items():
                torch.maximum(errors[name], (slope - slopes[name]).abs(), out=errors[name])
        for error, value in zip(allowed, right, strict=True):
            if not (isinstance(value, Tensor) and not value.is_floating_point()):
                size = tensor_of(value).abs().nan_to_num(0.0, posinf=0.0)
                error.mul_(8).add_(8 * eps * size + nothing)
    for name, slope in slopes.items():
        errors[name].mul_(8).add_(8 * eps * slope.abs() + nothing.max())
    counted = {
        name: oracle.counted(name, rounded) if oracle.counted else torch.ones_like(slope, dtype=torch.bool)
        for name, slope in slopes.items()
    }
    numbers = [tensor_of(value) for value in right]
    return Question(label, written(inputs, dtype), dtype, right, numbers, keys, allowed, slopes, errors, counted)


def calls(oracle: Oracle, parameters: frozenset[str]) -> Iterator[tuple[str, Inputs, torch.dtype]]:
    """All calls; arguments that the course's function does not take yet are not asked for."""
    for seed in SEEDS:
        for number, (label, inputs) in enumerate(oracle.inputs(torch.Generator().manual_seed(seed))):
            if not set(inputs) <= parameters:
                continue
            sizes = [float(v.abs().nan_to_num(0, posinf=0).max()) for v in inputs.values() if _is_float(v)]
            longest = max((v.shape[-1] for v in inputs.values() if _is_float(v)), default=0)
            other = OTHERS[(number + seed) % len(OTHERS)]
            if other == torch.float16 and max(sizes, default=0.0) > SMALL:
                other = torch.bfloat16
            if longest > LONG:
                other = torch.float64
            for dtype in (torch.float32, other) if sizes else (torch.float32,):
                yield f"{label}, {str(dtype).removeprefix('torch.')}", inputs, dtype


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


@functools.cache
def asked(oracle: Oracle, parameters: frozenset[str]) -> tuple[Question, ...]:
    """The calls in a mixed order, kept: they are the same for every answer."""
    found = list(calls(oracle, parameters))
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(3)).tolist()
    return tuple(question(oracle, *found[place]) for place in order[:QUESTIONS])


# --- the verdict


def verdict(oracle: Oracle, function: Callable[..., Any], parameters: frozenset[str]) -> str | None:
    """None if the answer agrees everywhere, else the first rule that it breaks."""
    try:
        for number, call in enumerate(asked(oracle, parameters)):
            _judge(oracle, function, call, plain=number % PLAIN == 0)
            if number % ON_META == 0 and not any(map(callable, call.inputs.values())):
                _stays_on_device(function, call)
        for label, inputs, error in oracle.errors:
            if set(inputs) <= parameters:
                _expect(function, label, inputs, error)
        for rule in oracle.rules:
            rule(function)
    except ContractError as broken:
        return str(broken)
    return None


def called(function: Callable[..., Any], label: str, inputs: Inputs) -> Any:
    """A call's result; an exception breaks the contract."""
    try:
        return function(**inputs)
    except (Exception, SystemExit) as error:
        raise ContractError(f"{type(error).__name__} for {label}") from error


def _judge(oracle: Oracle, function: Callable[..., Any], call: Question, plain: bool) -> None:
    floats = tuple(name for name in oracle.gradients + oracle.detached if name in call.inputs)
    needing = () if plain else floats
    inputs = written(call.inputs, call.dtype, needing)
    result = called(function, call.label, inputs)
    _compare(oracle, call, result)
    _unchanged(call, inputs)
    if oracle.copies:
        _shares_nothing(call, inputs, result)
    if needing:
        _compare_slopes(oracle, call, result, inputs)


def _shares_nothing(call: Question, inputs: Inputs, result: Any) -> None:
    starts = {v.untyped_storage().data_ptr() for v in inputs.values() if isinstance(v, Tensor)}
    if any(isinstance(v, Tensor) and v.untyped_storage().data_ptr() in starts for v in items(result)):
        raise ContractError(f"the result shares memory with an input: {call.label}")


def _compare(oracle: Oracle, call: Question, result: Any) -> None:
    if call.keys is not None:
        if not isinstance(result, Mapping) or not set(call.keys) <= set(result):
            raise ContractError(f"not a dict of {call.keys}: {call.label}")
        result = {key: result[key] for key in call.keys}
    elif isinstance(result, Mapping) or isinstance(result, tuple | list) != (len(call.right) > 1):
        raise ContractError(f"form of the result: {call.label}")
    found = items(result)
    if len(found) != len(call.right):
        raise ContractError(f"number of results: {call.label}")
    for place, got in enumerate(found):
        _compare_one(oracle, call, got, place)


def _compare_one(oracle: Oracle, call: Question, got: Any, place: int) -> None:
    right, target = call.right[place], call.numbers[place]
    if not isinstance(right, Tensor):
        if not isinstance(got, type(right)) or (isinstance(got, bool) and not isinstance(right, bool)):
            raise ContractError(f"{type(got).__name__} instead of {type(right).__name__}: {call.label}")
    else:
        if not isinstance(got, Tensor) or got.shape != right.shape:
            raise ContractError(f"form or shape: {call.label}")
        wanted = call.dtype if right.is_floating_point() and oracle.own_dtype else right.dtype
        if got.dtype != wanted:
            raise ContractError(f"dtype {got.dtype}: {call.label}")
        if got.device.type != "cpu":
            raise ContractError(f"device: {call.label}")
    left = tensor_of(got)
    if not torch.equal(left, target):
        fits = (left == target) | ((left - target).abs() <= call.allowed[place]) | (left.isnan() & target.isnan())
        if not bool(fits.all()):
            raise ContractError(f"a wrong number: {call.label}")


def _unchanged(call: Question, inputs: Inputs) -> None:
    for name, before in call.inputs.items():
        after = inputs[name]
        same = torch.equal(before, after) if isinstance(before, Tensor) else before == after
        if not same:
            raise ContractError(f"`{name}` is changed in place: {call.label}")


def _compare_slopes(oracle: Oracle, call: Question, result: Any, inputs: Inputs) -> None:
    found = items({key: result[key] for key in call.keys} if call.keys is not None else result)
    for place in oracle.constant_results:
        if found[place].requires_grad:
            raise ContractError(f"result {place} carries a gradient: {call.label}")
    tensors = [value for value in found if isinstance(value, Tensor)]
    if not oracle.gradients:
        if any(value.requires_grad for value in tensors):
            raise ContractError(f"the result carries a gradient: {call.label}")
        return
    names = oracle.gradients + tuple(name for name in oracle.detached if name in inputs)
    try:
        slopes = slopes_of(found, inputs, names)
    except RuntimeError as error:
        raise ContractError(f"backward fails: {call.label}") from error
    if any(bool((slopes[name] != 0).any()) for name in names if name not in oracle.gradients):
        raise ContractError(f"a detached input gets a gradient: {call.label}")
    for name in oracle.gradients:
        got, right = slopes[name].double(), call.slopes[name]
        finite, near = torch.isfinite(got), (got - right).abs() <= call.slope_errors[name]
        if not bool((finite | ~call.counted[name]).all()):
            raise ContractError(f"a gradient that is not finite: {call.label}")
        if call.dtype in DIFFERENTIATED and not bool((near | ~call.counted[name]).all()):
            raise ContractError(f"a wrong gradient to {name}: {call.label}")


MIXED = ("same device", "is not on the expected device", "on different devices", "found at least two devices")


def _stays_on_device(function: Callable[..., Any], call: Question) -> None:
    """On the `meta` device, whose tensors hold no numbers: who asks for a number there is not judged, others stay there."""
    away = {n: v.to("meta") if isinstance(v, Tensor) else v for n, v in written(call.inputs, call.dtype).items()}
    if not any(isinstance(value, Tensor) for value in away.values()):
        return
    try:
        result = function(**away)
    except Exception as error:
        if any(words in str(error) for words in MIXED):
            raise ContractError(f"tensors of two devices meet: {call.label}") from error
        return
    if any(isinstance(value, Tensor) and value.device.type != "meta" for value in items(result)):
        raise ContractError(f"the result is on another device: {call.label}")


def _expect(function: Callable[..., Any], label: str, inputs: Inputs, error: type[Exception]) -> None:
    for dtype in (torch.float32, torch.float64):
        try:
            function(**written(inputs, dtype))
        except error:
            continue
        except (Exception, SystemExit) as other:
            raise ContractError(f"{type(other).__name__} instead of {error.__name__}: {label}") from other
        raise ContractError(f"no {error.__name__}: {label}")


def parameters_of(function: Callable[..., Any]) -> frozenset[str]:
    """The names of a function's arguments."""
    return frozenset(inspect.signature(function).parameters)


def tensor_names(oracle: Oracle) -> frozenset[str]:
    """The arguments that are given tensors."""
    return frozenset(
        name
        for _, inputs in oracle.inputs(torch.Generator().manual_seed(0))
        for name, value in inputs.items()
        if isinstance(value, Tensor)
    )
