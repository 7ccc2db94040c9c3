"""What a public test needs: compare a student's result with small literal values and name the mistake it shows."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .devices import MIXED_DEVICES
from .differences import ORDINALS, difference, in_place_of_infinity, likeness, numbers
from .raised import UNUSABLE, described

RTOL, ATOL = 1e-4, 1e-5
UNKNOWN = "none of the usual mistakes gives this"
ORDINARY = "it is wrong for ordinary arguments as well, so look at those first"
OTHER_PATH = {"in bfloat16 the numbers are others than yours in float64": lambda got: True}
IF_THE_OTHERS_PASS = (
    "If the other tests pass, something is detached on the way, or made anew from numbers (item, tolist)."
)
STAYS = "What is nan or infinite on the way stays so in the gradient, even if it is masked afterwards."
WHERE = "Make new tensors where the arguments are: `torch.zeros_like(x)`, `torch.arange(n, device=x.device)`."
COARSE = 0.05  # of the largest number: the tolerance for results in bfloat16


def close(got: Any, expected: Any, rtol: float = RTOL, atol: float = ATOL) -> bool:
    """Whether two results agree: same structure and shape, numbers within `atol + rtol·|expected|`, NaN equal to NaN."""
    if isinstance(expected, Mapping):
        return (
            isinstance(got, Mapping)
            and set(expected) <= set(got)
            and all(close(got[k], expected[k], rtol, atol) for k in expected)
        )
    if isinstance(expected, tuple):
        if not isinstance(got, tuple | list) or len(got) != len(expected):
            return False
        return all(close(a, b, rtol, atol) for a, b in zip(got, expected, strict=True))
    left, right = numbers(got), numbers(expected)
    if left is None or right is None or left.shape != right.shape:
        return False
    return bool(torch.isclose(left, right, rtol, atol, equal_nan=True).all())


def check(
    got: Any,
    expected: Any,
    mistakes: Mapping[str, Any] | None = None,
    *,
    name: str = "your function",
    dtype: torch.dtype | None = None,
    ordinary: tuple[Any, Any] | None = None,
    rtol: float = RTOL,
    atol: float = ATOL,
) -> None:
    """Compare `got` with `expected` and say what is wrong.

    Args:
        got: the student's result.
        expected: a number, nested list, tensor, tuple or dict of these.
        mistakes: message → the value that this mistake produces, or a function that is given the result's numbers (in
            float64, of the expected shape) and says whether they show this mistake; the first that fits is told.
        name: the function's name, for the message.
        dtype: the dtype a tensor result must have, if that is tested.
        ordinary: what the function gives for ordinary arguments, and what it should: where these differ, the fault is
            another than the `mistakes` of this special case, and none of them is named.

    Raises:
        AssertionError: the results differ; the message leads with the first difference and names the mistake.
    """
    if got is None or got is ...:
        raise AssertionError(f"{name} returned {got!r}: it is not written yet, or a `return` is missing.")
    if found := difference(got, expected, rtol, atol):
        known = in_place_of_infinity(got, expected)
        if not known and ordinary is not None and not close(*ordinary, rtol, atol):
            known = ORDINARY
        known = known or _named(got, expected, mistakes or {}, rtol, atol) or likeness(got, expected, rtol, atol)
        known = known or UNKNOWN
        raise AssertionError(f"{name}: {found[0]}: {known}{'' if known[-1] in '.?' else '.'}{found[1]}")
    if dtype is not None and isinstance(got, torch.Tensor) and got.dtype != dtype:
        raise AssertionError(f"{name}: the dtype is {got.dtype}; it should be {dtype}. The values are right.")


def _named(got: Any, expected: Any, mistakes: Mapping[str, Any], rtol: float, atol: float) -> str:
    """The first mistake of the table that the result shows; empty if there is none."""
    left, right = numbers(got), None if isinstance(expected, Mapping | tuple) else numbers(expected)
    fits = left is not None and right is not None and left.shape == right.shape
    for message, value in mistakes.items():
        if (fits and value(left)) if callable(value) else close(got, value, rtol, atol):
            return message
    return ""


def check_choices(answers: Any, choices: Mapping[str, Sequence[str] | None], *, name: str) -> None:
    """Whether a question's answers have the form that was asked for; whether they are right a hidden test says.

    Args:
        answers: the student's, by entry.
        choices: each entry's possible answers; None where a number is asked for.
        name: the function's name, for the message.

    Raises:
        AssertionError: an answer is missing, or is none of the choices; the message names the first.
    """
    if answers is None or answers is ...:
        raise AssertionError(f"{name} returned {answers!r}: it is not written yet, or a `return` is missing.")
    listed = ", ".join(repr(entry) for entry in choices)
    if not isinstance(answers, Mapping):
        raise AssertionError(f"{name}: return a dict with the entries {listed}, not a {type(answers).__name__}.")
    for entry, allowed in choices.items():
        if entry not in answers:
            raise AssertionError(f"{name}: the answer to {entry!r} is missing; the entries are {listed}.")
        given = answers[entry]
        if allowed is None and (isinstance(given, bool) or not isinstance(given, int | float)):
            raise AssertionError(f"{name}: the answer to {entry!r} is a plain number, not a {type(given).__name__}.")
        if allowed is not None and _written(given) not in map(_written, allowed):
            told = ", ".join(map(repr, allowed))
            raise AssertionError(f"{name}: the answer to {entry!r} is one of {told}; yours is none of them.")


def check_answers(answers: Any, right: Mapping[str, str | float]) -> None:
    """Whether these entries of a question's answers are right; numbers may be off by one in a hundred.

    Raises:
        AssertionError: one is not. The text is left to the test, which says why.
    """
    for entry, wanted in right.items():
        given = answers.get(entry) if isinstance(answers, Mapping) else None
        if isinstance(wanted, str):
            good = _written(given) == _written(wanted)
        else:
            good = isinstance(given, int | float) and abs(given - wanted) <= 0.01 * abs(wanted)
        if not good:
            raise AssertionError


def _written(choice: Any) -> str:
    """A choice as it is compared: without regard to capitals and blanks around it."""
    return str(choice).strip().lower()


def is_float(value: Any) -> bool:
    """Whether `value` is a Python float, as the course's definitions promise where they say float; NumPy's float64 is one."""
    return type(value) in (float, np.float64)


@contextlib.contextmanager
def trying(what: str, mistakes: Mapping[str, str] | None = None) -> Iterator[None]:
    """What is called inside must not raise; `what` begins the message if it does.

    Args:
        what: what must work.
        mistakes: a piece of an exception's text → the mistake that raises it here; the first that fits is told.

    Raises:
        AssertionError: something was raised; the message has the line of the student's code.
    """
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:  # the student's own code may raise anything
        told = described(error)
        known = next((mistake for piece, mistake in (mistakes or {}).items() if piece in told), "")
        lead, raised = (f"{what}: {known}", "Yours raised ") if known else (f"{what};", "yours raised ")
        raise AssertionError(f"{lead} {'' if told.startswith(UNUSABLE) else raised}{told}") from None


@contextlib.contextmanager
def must_raise(kind: type[Exception], what: str) -> Iterator[None]:
    """What is called inside must raise an exception of this kind; `what` begins the message if it does not.

    Raises:
        AssertionError: nothing was raised, or something else.
    """
    wanted = f"{what} must raise a {kind.__name__}"
    try:
        yield
    except kind:
        return
    except AssertionError:
        raise
    except Exception as error:  # the student's own code may raise anything
        raise AssertionError(f"{wanted}; yours raised {type(error).__name__}.") from None
    raise AssertionError(f"{wanted}; yours raised nothing.")


def check_rules(
    function: Callable[..., Any], *arguments: Any, gradients: tuple[int, ...] | None = (0,), **named: Any
) -> None:
    """Check what holds for every exercise: arguments stay, dtype and device are theirs, gradients flow where they should.

    Args:
        function: the student's.
        arguments: what it is called with; tensors with a fraction are cast to each dtype, so give numbers that bfloat16 has.
        gradients: the places of the arguments that a gradient must reach, finite and not 0. Empty: the result is detached.
            None: the result is made of Python's numbers, or of integers, and only the arguments are looked at.
        named: keyword arguments.

    Raises:
        AssertionError: a rule is broken; the message says which.
    """
    name = getattr(function, "__name__", "your function")
    results = {}
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        results[dtype] = _called(
            function, [_cast(value, dtype) for value in arguments], named, f"{name} ({dtype} arguments)"
        )
        if gradients is not None and (wrong := [t.dtype for t in results[dtype] if t.dtype != dtype]):
            raise AssertionError(
                f"{name}: the dtype is {wrong[0]} for {dtype} arguments; the result has the arguments' dtype."
            )
    _on_a_gpu(function, arguments, named, name)
    if gradients is None:
        return
    for short, long in zip(results[torch.bfloat16], results[torch.float64], strict=True):
        size = float(long.nan_to_num(0, 0, 0).abs().max()) if long.numel() else 0.0
        rounded = long.detach().bfloat16()
        check(short, rounded, OTHER_PATH, name=f"{name} in bfloat16", rtol=COARSE, atol=COARSE * size)
    leaves = [_cast(value, torch.float32).requires_grad_() if _real(value) else value for value in arguments]
    carrying = [tensor for tensor in _called(function, leaves, named, name) if tensor.requires_grad]
    if not gradients and carrying:
        raise AssertionError(f"{name}: the result carries a gradient; it must be detached.")
    if gradients and not carrying:
        raise AssertionError(f"{name}: no gradient flows. {IF_THE_OTHERS_PASS}")
    for tensor in carrying:
        tensor.sum().backward(retain_graph=True)
    for place in gradients:
        gradient, which = leaves[place].grad, f"{name}: the gradient to the {ORDINALS[place]} argument"
        if gradient is None or not gradient.any():
            raise AssertionError(f"{which} is 0 everywhere. {IF_THE_OTHERS_PASS}")
        if not gradient.isfinite().all():
            at = (~gradient.isfinite()).nonzero()[0].tolist()
            raise AssertionError(f"{which} at {at} is {float(gradient[tuple(at)])}; it must be finite. {STAYS}")


def _on_a_gpu(function: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any], name: str) -> None:
    """New tensors must be made where the arguments are: on "meta", whose tensors are shapes alone, it shows on any machine."""
    if not any(isinstance(part, torch.Tensor) for part in _parts(function(*copy.deepcopy(arguments), **named))):
        return  # Python's numbers are on no device
    moved = [value.detach().to("meta") if isinstance(value, torch.Tensor) else copy.copy(value) for value in arguments]
    try:
        result = function(*moved, **named)
    except Exception as error:
        if MIXED_DEVICES.search(str(error)):
            raise AssertionError(f"{name} mixes tensors of two devices, which fails on a GPU. {WHERE}") from None
        return  # a function that looks at a number cannot be tried without numbers
    if any(not part.is_meta for part in _parts(result) if isinstance(part, torch.Tensor)):
        raise AssertionError(f"{name}: on a GPU the result would be on another device than the arguments. {WHERE}")


def _parts(result: Any) -> list[Any]:
    return list(
        result.values() if isinstance(result, Mapping) else result if isinstance(result, tuple | list) else [result]
    )


def _called(
    function: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any], name: str
) -> list[torch.Tensor]:
    """The tensors with a fraction in a function's result; its arguments must be left as they are."""
    before = [value.detach().clone() if isinstance(value, torch.Tensor) else copy.copy(value) for value in arguments]
    with trying(f"{name}: this must work"):
        result = function(*arguments, **named)
    for n, (now, then) in enumerate(zip(arguments, before, strict=True)):
        if numbers(then) is not None and (found := difference(now, then, 0, 0)):
            raise AssertionError(
                f"{name} changed its {ORDINALS[n]} argument in place; work on a copy (clone). There, {found[0]}."
            )
    if result is None or result is ...:
        raise AssertionError(f"{name} returned {result!r}: it is not written yet, or a `return` is missing.")
    return [part for part in _parts(result) if _real(part)]


def _real(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """A copy of an argument, in this dtype if its numbers have a fraction."""
    return value.detach().to(dtype, copy=True) if _real(value) else copy.copy(value)
