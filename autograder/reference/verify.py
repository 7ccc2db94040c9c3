"""Hidden tests: a student's function against a float64 reference, on inputs drawn anew from a seed.

Each exercise registers a `Spec` in `autograder/reference/partN.py`. `verify(function, name, *aspects)` runs aspects
of it and raises `AssertionError` with the kind of input that failed, never an expected value, and never anything that the
function under test chose: see `quoting`.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from helpers.parts import PARTS

from .casting import cast_all
from .quoting import a_value, nearly, raised

ASPECTS = ("values", "dtypes", "edges", "gradients", "purity", "errors")
SEED_VARIABLE = "COURSE_GRADING_SEED"


class JudgeError(Exception):
    """Something failed on the judge's side: no verdict on the student's function."""


@dataclass(frozen=True)
class Case:
    """One call. Float tensors are written in float64; the engine casts them to the dtype under test."""

    label: str  # for the message: "a batch of 1", "rows whose mask is all zero"
    inputs: dict[str, Any]
    aspect: str = "values"  # values or edges
    dtypes: tuple[torch.dtype, ...] = (torch.float32,)
    short: bool = True  # whether it means something in bfloat16 and float16, too


@dataclass(frozen=True)
class Trial:
    """One call that an aspect makes, and what must come of it."""

    case: Case
    dtype: torch.dtype
    wanted: Any = None  # the reference's result, its gradients by input's name, or the exception; None for purity
    allowed: float = 0.0  # the error that counts as none


@dataclass(frozen=True, eq=False)
class Spec:
    """How one exercise is judged.

    Attributes:
        reference: float64 implementation, called with the case's inputs by keyword.
        cases: `generator -> list[Case]`; random draws come from the generator only.
        differentiable: inputs that receive gradients.
        detached: float inputs that must receive none.
        detached_outputs: positions in a returned tuple that carry no gradient.
        magnitude: `inputs -> float`, the size of the numbers that are added up (for the tolerance); default the largest
            finite input, at least 1.
        looseness: multiples of eps·magnitude that count as equal.
        tested_gradient: `(input's name, inputs) -> mask`, the entries of a gradient that are compared; default all.
        exact_dtype: whether float tensor results have the inputs' dtype.
        raises: `(label, inputs, exception)`: errors the definition names.
    """

    name: str
    reference: Callable[..., Any]
    cases: Callable[[torch.Generator], list[Case]]
    differentiable: tuple[str, ...] = ()
    detached: tuple[str, ...] = ()
    detached_outputs: tuple[int, ...] = ()
    magnitude: Callable[[Mapping[str, Any]], float] | None = None
    looseness: float = 8.0
    tested_gradient: Callable[[str, Mapping[str, Any]], torch.Tensor] | None = None
    exact_dtype: bool = True
    raises: tuple[tuple[str, dict[str, Any], type[Exception]], ...] = ()


REGISTRY: dict[str, Spec] = {}
# by exercise: aspects that no other has, such as the frequencies of draws; each takes the function under test
OWN_ASPECTS: dict[str, dict[str, Callable[[Any], None]]] = {}


def register(spec: Spec) -> Spec:
    """Add a spec to the registry (once)."""
    REGISTRY[spec.name] = spec
    return spec


def load_registry() -> dict[str, Spec]:
    """All specs of the five parts; the aspects that exercises have for themselves are registered with them."""
    for module in ("steps", *(f"part{part}" for part in PARTS)):
        importlib.import_module(f"autograder.reference.{module}")
    return REGISTRY


def find_spec(name: str) -> Spec:
    """The spec of one exercise; `JudgeError` if there is none."""
    if name not in REGISTRY:
        load_registry()
    if name not in REGISTRY:
        raise JudgeError(f"no reference is registered for {name}")
    return REGISTRY[name]


def grading_seed() -> int:
    """The seed of the random inputs: a grading run sets it by the environment, else 0."""
    return int(os.environ.get(SEED_VARIABLE, "0"))


def verify(function: Callable[..., Any], name: str, *aspects: str) -> None:
    """Judge `function` on one or more aspects: those that the exercise `name` has for itself, then those of `ASPECTS`.

    Raises:
        AssertionError: the function is wrong; the message says for which kind of input.
        JudgeError: the reference itself failed, or an aspect or the name is unknown.
    """
    if name not in REGISTRY and name not in OWN_ASPECTS:
        load_registry()
    own = OWN_ASPECTS.get(name, {})
    if not aspects or set(aspects) - set(ASPECTS) - set(own):
        raise JudgeError(f"{name}: no aspects, or unknown ones: {aspects}")
    for aspect in aspects:
        if aspect in own:
            own[aspect](function)
    general = [aspect for aspect in aspects if aspect not in own]
    if not general:
        return
    spec, seed = find_spec(name), grading_seed()
    trials = [(aspect, trial) for aspect in general for trial in trials_of(spec, aspect, seed)]
    given = [_inputs(trial, aspect, spec) for aspect, trial in trials]
    for (aspect, trial), inputs, outcome in zip(trials, given, outcomes(function, given), strict=True):
        _CHECKS[aspect](outcome, spec, trial, inputs)


@functools.lru_cache(maxsize=256)
def trials_of(spec: Spec, aspect: str, seed: int) -> tuple[Trial, ...]:
    """The calls of an aspect, kept: a class of submissions is judged on the same inputs.

    Raises:
        JudgeError: the reference failed, or the exercise has no such cases.
    """
    if aspect == "errors":
        trials = [Trial(Case(label, inputs), torch.float32, kind) for label, inputs, kind in spec.raises]
    else:
        cases = spec.cases(torch.Generator().manual_seed(seed))
        chosen = [case for case in cases if aspect not in ("values", "edges") or case.aspect == aspect]
        made = [_trial(spec, aspect, case, dtype) for case in chosen for dtype in _dtypes(case, aspect)]
        trials = [trial for trial in made if _tells(trial)]
    if not trials:
        raise JudgeError(f"{spec.name} has no cases for {aspect}")
    return tuple(trials)


def _trial(spec: Spec, aspect: str, case: Case, dtype: torch.dtype) -> Trial:
    if aspect == "purity" or (aspect == "gradients" and not spec.differentiable):
        return Trial(case, dtype)
    inputs = cast_all(case.inputs, dtype)
    wanted = (gradients_for if aspect == "gradients" else expected_for)(spec, inputs)
    return Trial(case, dtype, wanted, tolerance(spec, inputs, dtype))


SHORT = (torch.bfloat16, torch.float16)
# the dtypes that an aspect tries every case in; the others use those of the case
_TRIED = {
    "dtypes": (torch.float64, torch.bfloat16, torch.float16),
    "gradients": (torch.float64,),
    "purity": (torch.float32, torch.float64),
}


def _dtypes(case: Case, aspect: str) -> tuple[torch.dtype, ...]:
    return tuple(dtype for dtype in _TRIED.get(aspect, case.dtypes) if case.short or dtype not in SHORT)


def _tells(trial: Trial) -> bool:
    """Whether a trial can tell right from wrong: in a short dtype, large numbers may round to more than what is asked for."""
    sizes = [
        torch.as_tensor(value).double().abs().nan_to_num(0.0, posinf=0.0).max().item()
        for _, value in leaves(trial.wanted)
        if isinstance(value, torch.Tensor | float) and torch.as_tensor(value).numel()
    ]
    largest = max(sizes, default=0.0)
    return trial.dtype not in SHORT or (
        (largest == 0.0 or 2 * trial.allowed < largest) and largest < torch.finfo(trial.dtype).max / 8
    )


def _inputs(trial: Trial, aspect: str, spec: Spec) -> dict[str, Any]:
    """What the function under test is given."""
    return cast_all(
        trial.case.inputs, trial.dtype, spec.differentiable + spec.detached if aspect == "gradients" else ()
    )


def expected_for(spec: Spec, inputs: Mapping[str, Any]) -> Any:
    """The reference's result for inputs already rounded to the dtype under test, computed in float64."""
    try:
        return spec.reference(**cast_all(inputs, torch.float64))
    except Exception as error:
        raise JudgeError(f"the reference of {spec.name} failed: {error}") from error


def gradients_for(spec: Spec, inputs: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The gradients of the reference's result (see `_gradients`), by input, in float64."""
    fresh = cast_all(inputs, torch.float64, spec.differentiable)
    try:
        found = _gradients(spec.reference(**fresh), fresh, spec.differentiable)
    except Exception as error:
        raise JudgeError(f"the reference of {spec.name} failed: {error}") from error
    if not all(bool(torch.isfinite(gradient).all()) for gradient in found.values()):
        raise JudgeError(f"the reference of {spec.name} has a gradient that is not finite")
    return found


def outcomes(function: Callable[..., Any], calls: Iterable[Mapping[str, Any]]) -> Iterable[Callable[[], Any]]:
    """For each call, given by its keyword arguments, a function that returns its result or raises what it raised.

    The grader's stand-ins have a method `each`, which makes many calls in one message to the student's process.
    """
    if hasattr(function, "each"):
        return function.each(calls)
    return (functools.partial(function, **named) for named in calls)


def result_of(outcome: Callable[[], Any], spec: Spec, label: str) -> Any:
    """The result of a call; an exception of the student's becomes a failed test that names its kind."""
    try:
        result = outcome()
    except (JudgeError, AssertionError):
        raise
    except Exception as error:
        raise AssertionError(f"{spec.name} raised {raised(error)} for {label}") from error
    if result is None or result is ...:
        raise AssertionError(f"{spec.name} returned {result!r}: it is not written yet, or a `return` is missing.")
    return result


def leaves(value: Any, path: str = "result") -> Iterator[tuple[str, Any]]:
    """The numbers and tensors in a result, each with its place: `result[0]`, `result['k1']`."""
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from leaves(value[key], f"{path}[{key!r}]")
    elif isinstance(value, tuple | list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def tolerance(spec: Spec, inputs: Mapping[str, Any], dtype: torch.dtype) -> float:
    """`looseness · eps(dtype) · magnitude`; float64 is held to float32's precision, as a detour through it is allowed."""
    if spec.magnitude is not None:
        size = float(spec.magnitude(inputs))
    else:
        floats = [v for v in inputs.values() if isinstance(v, torch.Tensor) and v.is_floating_point() and v.numel()]
        size = max((v.abs().nan_to_num(0.0, posinf=0.0).max().item() for v in floats), default=1.0)
    return spec.looseness * max(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps) * max(1.0, size)


def _compare(spec: Spec, where: str, got: Any, expected: Any, allowed: float, dtype: torch.dtype) -> None:
    wanted = dict(leaves(expected))
    have = dict(leaves(got))
    missing = sorted(set(wanted) - set(have))
    if missing or (not isinstance(expected, Mapping) and len(have) != len(wanted)):
        raise AssertionError(
            f"{spec.name}: the result has not the form the definition asks for ({where}); missing: {missing}"
        )
    for path, target in wanted.items():
        value = have[path]
        if isinstance(target, torch.Tensor):
            _compare_tensor(spec, f"{path}, {where}", value, target, allowed, dtype)
        elif type(value) is not type(target):
            raise AssertionError(f"{spec.name}: {path} is {a_value(value)}, not {a_value(target)} ({where})")
        elif value != target and not (value != value and target != target) and not abs(value - target) <= allowed:
            raise AssertionError(f"{spec.name}: {path} is wrong for {where}{nearly(abs(value - target), allowed)}")


def _compare_tensor(spec: Spec, where: str, got: Any, target: torch.Tensor, allowed: float, dtype: torch.dtype) -> None:
    if not isinstance(got, torch.Tensor):
        raise AssertionError(f"{spec.name}: {a_value(got)} where a tensor is asked for ({where})")
    if got.shape != target.shape:
        raise AssertionError(f"{spec.name}: another shape than {list(target.shape)} ({where})")
    if target.is_floating_point():
        if spec.exact_dtype and got.dtype != dtype:
            raise AssertionError(f"{spec.name}: another dtype than the inputs' {dtype} ({where})")
    elif got.dtype != target.dtype:
        raise AssertionError(f"{spec.name}: another dtype than {target.dtype} ({where})")
    left, right = got.detach().double().cpu(), target.detach().double()
    equal = torch.isclose(left, right, rtol=min(allowed, 0.05), atol=allowed, equal_nan=True)
    if bool(equal.all()):
        return
    if bool(left.isnan().any()):
        raise AssertionError(f"{spec.name}: the result has NaN for {where}")
    share = "all" if not bool(equal.any()) else "some"
    largest = (left - right).abs().nan_to_num(torch.inf).max().item()
    raise AssertionError(f"{spec.name}: {share} of the numbers are wrong for {where}{nearly(largest, allowed)}")


def _check_values(outcome: Callable[[], Any], spec: Spec, trial: Trial, inputs: Mapping[str, Any]) -> None:
    where = f"{trial.case.label} ({str(trial.dtype).removeprefix('torch.')})"
    _compare(spec, where, result_of(outcome, spec, where), trial.wanted, trial.allowed, trial.dtype)


def _tensors(result: Any) -> list[tuple[str, torch.Tensor]]:
    return [
        (path, value) for path, value in leaves(result) if isinstance(value, torch.Tensor) and value.is_floating_point()
    ]


def _gradients(result: Any, inputs: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Gradients of a fixed random projection of the result's tensors; zeros where none flows."""
    total = None
    draw = torch.Generator().manual_seed(7)
    for _, value in _tensors(result):
        weights = torch.randn(value.shape, generator=draw, dtype=torch.float64).to(value)
        if value.requires_grad:
            finite = torch.isfinite(value)
            term = (torch.where(finite, value, 0) * weights).sum()
            total = term if total is None else total + term
    variables = [inputs[name] for name in names]
    if total is None:
        return {name: torch.zeros_like(inputs[name]) for name in names}
    found = torch.autograd.grad(total, variables, allow_unused=True)
    return {name: torch.zeros_like(x) if g is None else g for name, x, g in zip(names, variables, found, strict=True)}


def _check_gradients(outcome: Callable[[], Any], spec: Spec, trial: Trial, inputs: Mapping[str, Any]) -> None:
    got = result_of(outcome, spec, trial.case.label)
    tensors = _tensors(got)
    for index in spec.detached_outputs:
        value = got[index] if isinstance(got, tuple | list) and len(got) > index else None
        if isinstance(value, torch.Tensor) and value.requires_grad:
            raise AssertionError(f"{spec.name}: result[{index}] carries a gradient; the definition says detached")
    if not spec.differentiable:
        if any(value.requires_grad for _, value in tensors):
            raise AssertionError(f"{spec.name}: the result carries a gradient; the definition says detached")
        return
    if not any(value.requires_grad for _, value in tensors):
        if not any(bool(wanted.any()) for wanted in trial.wanted.values()):
            return  # nothing is to flow here, such as where no token counts
        raise AssertionError(f"{spec.name}: no gradient flows through the result (was it detached, or made a float?)")
    try:
        found = _gradients(got, inputs, spec.differentiable + spec.detached)
    except RuntimeError as error:
        raise AssertionError(f"{spec.name}: the backward pass failed for {trial.case.label}") from error
    for name in spec.detached:
        if bool((found[name] != 0).any()):
            raise AssertionError(f"{spec.name}: `{name}` carries a gradient; the definition says detached")
    for name, wanted in trial.wanted.items():
        tested = (
            spec.tested_gradient(name, inputs) if spec.tested_gradient else torch.ones_like(wanted, dtype=torch.bool)
        )
        errors = (found[name].double() - wanted)[tested].abs()
        largest = errors.max().item() if errors.numel() else 0.0
        if not largest <= trial.allowed * max(1.0, wanted.abs().max().item() if wanted.numel() else 1.0):
            raise AssertionError(
                f"{spec.name}: the gradient to `{name}` is wrong for {trial.case.label}{nearly(largest, trial.allowed)}"
            )


def _check_purity(outcome: Callable[[], Any], spec: Spec, trial: Trial, inputs: Mapping[str, Any]) -> None:
    before = cast_all(inputs, trial.dtype)
    result_of(outcome, spec, trial.case.label)
    for key, value in before.items():
        if isinstance(value, torch.Tensor) and not torch.equal(value, inputs[key]):
            raise AssertionError(f"{spec.name} changed its argument `{key}` in place; work on a copy")


def _check_error(outcome: Callable[[], Any], spec: Spec, trial: Trial, inputs: Mapping[str, Any]) -> None:
    label, wanted = trial.case.label, trial.wanted
    try:
        outcome()
    except wanted:
        return
    except (JudgeError, AssertionError):
        raise
    except Exception as error:
        raise AssertionError(f"{spec.name} raised {raised(error)} for {label}; asked for {wanted.__name__}") from error
    raise AssertionError(f"{spec.name} raised nothing for {label}; asked for {wanted.__name__}")


_CHECKS = dict.fromkeys(ASPECTS, _check_values) | {
    "gradients": _check_gradients,
    "purity": _check_purity,
    "errors": _check_error,
}
