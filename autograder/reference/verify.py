"""Hidden tests: a student's function against a float64 reference, on inputs drawn anew from a seed.

Each exercise registers a `Spec` in `autograder/reference/partN.py`. `verify(function, name, *aspects)` runs aspects
of it and raises `AssertionError` with the kind of input that failed, never an expected value, and never anything that the
function under test chose: see `quoting`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from .casting import Inputs, cast_all, new_on_meta, on_meta
from .checking import (
    check_device,
    check_errors,
    check_gradients,
    check_purity,
    check_values,
    gradients_of,
    leaves,
    tolerance,
)
from .spec import OWN_ASPECTS, REGISTRY, Case, JudgeError, Spec, Trial, find_spec, grading_seed, load_registry

ASPECTS = ("values", "dtypes", "edges", "gradients", "purity", "errors")


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
    failed = _first_failure(function, spec, trials)
    if failed is not None:
        raise failed


def _first_failure(function: Callable[..., Any], spec: Spec, trials: Sequence[tuple[str, Trial]]) -> Exception | None:
    """What the first of these trials that fails raises. All that is asked of one call is looked at once it is made.

    So there is something to do here while a student's process works on the next calls. No call is made that does not come
    before the failure.
    """
    by_call: dict[Any, list[tuple[int, str, Trial]]] = {}
    for number, (aspect, trial) in enumerate(trials):
        by_call.setdefault((id(trial.case), trial.dtype, trial.on_meta), []).append((number, aspect, trial))
    made = _made(function, spec, {call: asked[0][2] for call, asked in by_call.items()})
    first, failure = len(trials), None
    for asked in by_call.values():
        if asked[0][0] > first:
            break
        number = asked[0][0]
        try:
            inputs, outcome = next(made)
            for number, aspect, trial in asked:
                if number < first:
                    if trial.on_meta:
                        _judge_device(function, outcome, spec, trial)
                    else:
                        _CHECKS[aspect](outcome, spec, trial, inputs)
        except Exception as error:
            first, failure = number, error
    made.close()  # an exception keeps this frame, and with it what was called ahead
    return failure


_kept: dict[str, Any] = {"function": None, "calls": {}}  # of the latest function: by what it was given, what came of it


def _made(
    function: Callable[..., Any], spec: Spec, trials: Mapping[Any, Trial]
) -> Generator[tuple[Inputs, Callable[[], Any]]]:
    """Make these calls as they are asked for: their inputs and outcomes. Those of several tests are made once."""
    if _kept["function"] is not function:
        _kept.update(function=function, calls={})
    calls = _kept["calls"]
    waiting: deque[Inputs] = deque()  # those of calls whose outcomes are not there yet

    def fresh() -> Iterator[Inputs]:
        for call, trial in trials.items():
            if call not in calls:
                waiting.append(_inputs(trial, spec))
                yield waiting[-1]

    made = iter(outcomes(function, fresh()))
    for call, trial in trials.items():
        if call not in calls:
            outcome = next(made)
            # the case is kept too: its `id` stays its own as long as it lives
            calls[call] = trial.case, waiting.popleft(), _once(outcome)
        yield calls[call][1:]


def _once(outcome: Callable[[], Any]) -> Callable[[], Any]:
    """An outcome that may be asked for several times, and is had once."""
    kept: list[tuple[Any, Exception | None]] = []

    def ask() -> Any:
        if not kept:
            try:
                kept.append((outcome(), None))
            except Exception as error:
                kept.append((None, error))
        result, raised = kept[0]
        if raised is not None:
            raise raised
        return result

    return ask


def _judge_device(function: Callable[..., Any], outcome: Callable[[], Any], spec: Spec, trial: Trial) -> None:
    """Whether a function keeps to its inputs' device: what cannot do without their values is called with them once more."""
    where = f"{trial.case.label}, on another device than the CPU"
    if check_device(outcome, spec, where, "meta", numbers=not tensors_of(trial.wanted)):
        (again,) = outcomes(function, [new_on_meta(cast_all(trial.case.inputs, trial.dtype))])
        check_device(again, spec, where, "cpu")


@functools.lru_cache(maxsize=256)
def trials_of(spec: Spec, aspect: str, seed: int) -> tuple[Trial, ...]:
    """The calls of an aspect, kept: a class of submissions is judged on the same inputs.

    Raises:
        JudgeError: the reference failed, or the exercise has no such cases.
    """
    if aspect == "errors":
        trials = [Trial(Case(label, inputs), torch.float32, kind) for label, inputs, kind in spec.raises]
    else:
        cases = _cases(spec, seed)
        chosen = [case for case in cases if aspect not in ("values", "edges") or case.aspect == aspect]
        counts = {kind: itertools.count() for kind in ("values", "edges")}
        trials = [trial for case in chosen for trial in _trials(spec, aspect, case, next(counts[case.aspect]))]
        if aspect == "purity":
            trials += _on_meta(spec, chosen)
    if not trials:
        raise JudgeError(f"{spec.name} has no cases for {aspect}")
    return tuple(trials)


@functools.lru_cache(maxsize=64)
def _cases(spec: Spec, seed: int) -> tuple[Case, ...]:
    return tuple(spec.cases(torch.Generator().manual_seed(seed)))


def _trials(spec: Spec, aspect: str, case: Case, number: int) -> Iterator[Trial]:
    """The `number`th case of its kind in each dtype that the aspect tries, as far as it can tell right from wrong.

    The first is tried in both short dtypes, the others in one of them by turns (in the other one where it tells nothing in
    that): three calls a case in place of four.
    """
    tried = [dtype for dtype in _TRIED.get(aspect, case.dtypes) if case.short or dtype not in SHORT]
    yield from (trial for dtype in tried if _tells(trial := _trial(spec, aspect, case, dtype)))
    if aspect in ("dtypes", "purity") and case.short:
        rest = [dtype for dtype in (SHORT if number % 2 == 0 else SHORT[::-1]) if dtype not in tried]
        found = (trial for dtype in rest if _tells(trial := _trial(spec, aspect, case, dtype)))
        yield from itertools.islice(found, 2 if number == 0 else 1)


def _trial(spec: Spec, aspect: str, case: Case, dtype: torch.dtype) -> Trial:
    if aspect == "purity" or (aspect == "gradients" and not spec.differentiable):
        return Trial(case, dtype)
    inputs = cast_all(case.inputs, dtype)
    wanted = (gradients_for if aspect == "gradients" else expected_for)(spec, inputs)
    return Trial(case, dtype, wanted, tolerance(spec, inputs, dtype))


LONGEST = 16  # on "meta" every operation costs most of a millisecond, and some loop over an axis


def _on_meta(spec: Spec, cases: Iterable[Case]) -> list[Trial]:
    """Calls that show whether a function keeps to its inputs' device."""
    small = [
        case
        for case in cases
        if 0 < max((max(x.shape, default=1) for x in tensors_of(case.inputs)), default=0) <= LONGEST
        and not any(map(callable, case.inputs.values()))  # a model that a case brings along has its tensors on the CPU
    ]
    # without values, a call goes the same way as one with other sizes
    alike = {repr([_axes(value) for value in case.inputs.values()]): case for case in reversed(small)}
    made = [
        Trial(case, torch.float32, expected_for(spec, cast_all(case.inputs, torch.float32))) for case in alike.values()
    ]
    return [dataclasses.replace(trial, on_meta=True) for trial in made]


def _axes(value: Any) -> Any:
    """What may decide the way of a call without values: how long each axis is (0, 1 or more), a number's side of 0 and 1."""
    if isinstance(value, torch.Tensor):
        return [min(size, 2) for size in value.shape]
    if isinstance(value, int | float):
        return type(value), (value > 0) - (value < 0), (value > 1) - (value < 1)
    return value


def tensors_of(value: Any) -> list[torch.Tensor]:
    """The tensors in a result or among inputs."""
    return [item for _, item in leaves(value) if isinstance(item, torch.Tensor)]


SHORT = (torch.bfloat16, torch.float16)
# the dtypes that an aspect tries every case in; the others use those of the case
_TRIED = {
    "dtypes": (torch.float64,),
    "gradients": (torch.float64,),
    "purity": (torch.float32, torch.float64),
}


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


def _inputs(trial: Trial, spec: Spec) -> Inputs:
    """What the function under test is given. Those in float64 collect gradients, so that one call serves several aspects."""
    followed = spec.differentiable + spec.detached if trial.dtype == torch.float64 and not trial.on_meta else ()
    inputs = cast_all(trial.case.inputs, trial.dtype, followed)
    return on_meta(inputs) if trial.on_meta else inputs


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
        found = gradients_of(spec.reference(**fresh), fresh, spec.differentiable)
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
    return (functools.partial(_call, function, named) for named in calls)


def _call(function: Callable[..., Any], inputs: Mapping[str, Any]) -> Any:
    place = getattr(inputs, "new_tensors_on", "cpu")
    with contextlib.nullcontext() if place == "cpu" else torch.device(place):
        return function(**inputs)


_CHECKS = dict.fromkeys(ASPECTS, check_values) | {
    "gradients": check_gradients,
    "purity": check_purity,
    "errors": check_errors,
}
