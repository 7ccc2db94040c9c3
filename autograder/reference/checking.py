"""What came of a call, beside what the definition asks for: values, gradients, errors, and what a call may not touch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from helpers.checks import is_float
from helpers.devices import MIXED_DEVICES

from .casting import cast_all
from .quoting import a_value, nearly, raised
from .spec import JudgeError, Spec, Trial

ELSEWHERE = "the result is on another device than the inputs"
REMEDY = "make new tensors where the inputs are: `torch.zeros_like(x)`, `device=x.device`"


def result_of(outcome: Callable[[], Any], spec: Spec, label: str) -> Any:
    """The result of a call; an exception of the student's becomes a failed test that names its kind."""
    try:
        result = outcome()
    except (JudgeError, AssertionError):
        raise
    except Exception as error:
        # autograd forbids it, of what collects gradients
        if "in-place operation" in f"{error} {getattr(error, 'private', '')}":
            raise AssertionError(f"{spec.name} changed an argument in place ({label}); work on a copy") from error
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
        elif not (is_float(value) if type(target) is float else type(value) is type(target)):
            raise AssertionError(f"{spec.name}: {path} is {a_value(value)}, not {a_value(target)} ({where})")
        elif value != target and not (value != value and target != target) and not abs(value - target) <= allowed:
            raise AssertionError(f"{spec.name}: {path} is wrong for {where}{nearly(abs(value - target), allowed)}")


def _compare_tensor(spec: Spec, where: str, got: Any, target: torch.Tensor, allowed: float, dtype: torch.dtype) -> None:
    if not isinstance(got, torch.Tensor):
        raise AssertionError(f"{spec.name}: {a_value(got)} where a tensor is asked for ({where})")
    if got.shape != target.shape:
        raise AssertionError(f"{spec.name}: another shape than {list(target.shape)} ({where})")
    if got.device != target.device:
        raise AssertionError(f"{spec.name}: {ELSEWHERE} ({where})")
    if target.is_floating_point():
        if spec.exact_dtype and got.dtype != dtype:
            raise AssertionError(f"{spec.name}: another dtype than the inputs' {dtype} ({where})")
    elif got.dtype != target.dtype:
        raise AssertionError(f"{spec.name}: another dtype than {target.dtype} ({where})")
    left, right = got.detach().double(), target.detach().double()
    equal = torch.isclose(left, right, rtol=min(allowed, 0.05), atol=allowed, equal_nan=True)
    if bool(equal.all()):
        return
    if bool(left.isnan().any()):
        raise AssertionError(f"{spec.name}: the result has NaN for {where}")
    share = "all" if not bool(equal.any()) else "some"
    largest = (left - right).abs().nan_to_num(torch.inf).max().item()
    raise AssertionError(f"{spec.name}: {share} of the numbers are wrong for {where}{nearly(largest, allowed)}")


def check_values(outcome: Callable[[], Any], spec: Spec, trial: Trial, inputs: Mapping[str, Any]) -> None:
    where = f"{trial.case.label} ({str(trial.dtype).removeprefix('torch.')})"
    _compare(spec, where, result_of(outcome, spec, where), trial.wanted, trial.allowed, trial.dtype)


def _tensors(result: Any) -> list[tuple[str, torch.Tensor]]:
    return [
        (path, value) for path, value in leaves(result) if isinstance(value, torch.Tensor) and value.is_floating_point()
    ]


def gradients_of(result: Any, inputs: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, torch.Tensor]:
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
    # the graph is kept, as several tests may judge one call
    found = torch.autograd.grad(total, variables, allow_unused=True, retain_graph=True)
    return {name: torch.zeros_like(x) if g is None else g for name, x, g in zip(names, variables, found, strict=True)}


def check_gradients(outcome: Callable[[], Any], spec: Spec, trial: Trial, inputs: Mapping[str, Any]) -> None:
    got = result_of(outcome, spec, trial.case.label)
    if isinstance(got, Mapping):
        got = {entry: got[entry] for entry in spec.entries if entry in got}
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
        found = gradients_of(got, inputs, spec.differentiable + spec.detached)
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


def check_purity(outcome: Callable[[], Any], spec: Spec, trial: Trial, inputs: Mapping[str, Any]) -> None:
    """Inputs stay as they are, and a copy shares no memory with them."""
    before = cast_all(trial.case.inputs, trial.dtype)
    result = result_of(outcome, spec, trial.case.label)
    for key, value in before.items():
        same = torch.equal(value, inputs[key]) if isinstance(value, torch.Tensor) else value == inputs[key]
        if not same:
            raise AssertionError(f"{spec.name} changed its argument `{key}` in place; work on a copy")
    taken = {value.untyped_storage().data_ptr() for value in inputs.values() if isinstance(value, torch.Tensor)}
    if spec.copies and any(value.untyped_storage().data_ptr() in taken for _, value in _tensors(result)):
        raise AssertionError(
            f"{spec.name}: the result shares memory with an argument; the definition asks for a copy ({trial.case.label})"
        )


def check_device(outcome: Callable[[], Any], spec: Spec, where: str, device: str, *, numbers: bool = False) -> bool:
    """The result is on `device`, and nothing on the way mixed devices. Where it is made of `numbers`, NumPy may make them.

    Returns:
        Whether this cannot be told, as the function copied values that a tensor on "meta" has not. That it only looked at
        a number (`.item()`, `if`) tells nothing either, and nothing more can be tried.
    """
    try:
        result = outcome()
    except (JudgeError, AssertionError):
        raise
    except Exception as error:
        text = f"{error} {getattr(error, 'private', '')}"
        if device == "meta" and MIXED_DEVICES.search(text) and not (numbers and "numpy" in text):
            raise AssertionError(f"{spec.name} mixes tensors of several devices ({where}); {REMEDY}") from error
        return "copy out of meta" in text
    if any(isinstance(value, torch.Tensor) and value.device.type != device for _, value in leaves(result)):
        raise AssertionError(f"{spec.name}: {ELSEWHERE} ({where}); {REMEDY}")
    return False


def check_errors(outcome: Callable[[], Any], spec: Spec, trial: Trial, inputs: Mapping[str, Any]) -> None:
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
