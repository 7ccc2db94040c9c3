"""What a public test needs: compare a student's result with small literal values and name the mistake it shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

RTOL, ATOL = 1e-4, 1e-5


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
    try:
        left, right = torch.as_tensor(got).detach(), torch.as_tensor(expected).detach()
        if left.is_complex():  # a cast would drop the imaginary part
            return False
        left, right = left.to(torch.float64), right.to(torch.float64)
    except (TypeError, ValueError, RuntimeError):
        return False
    return left.shape == right.shape and bool(torch.isclose(left, right, rtol, atol, equal_nan=True).all())


def in_words(value: Any) -> str:
    """A value for an error message: tensors with shape and dtype, cut to a readable length."""
    if isinstance(value, torch.Tensor):
        numbers = str([round(x, 4) for x in value.detach().double().flatten().tolist()[:12]])
        more = " …" if value.numel() > 12 else ""
        return f"tensor of shape {list(value.shape)}, {value.dtype}: {numbers}{more}"
    return f"{type(value).__name__} {value!r}"[:300]


def check(
    got: Any,
    expected: Any,
    mistakes: Mapping[str, Any] | None = None,
    *,
    name: str = "your function",
    dtype: torch.dtype | None = None,
    rtol: float = RTOL,
    atol: float = ATOL,
) -> None:
    """Compare `got` with `expected` and say what is wrong.

    Args:
        got: the student's result.
        expected: a number, nested list, tensor, tuple or dict of these.
        mistakes: message → the value that this mistake produces; the first that `got` equals is told.
        name: the function's name, for the message.
        dtype: the dtype a tensor result must have, if that is tested.

    Raises:
        AssertionError: the results differ; the message names the mistake or shows expected and got.
    """
    if got is None or got is ...:
        raise AssertionError(f"{name} returned {got!r}: it is not written yet, or a `return` is missing.")
    for message, value in (mistakes or {}).items():
        if close(got, value, rtol, atol) and not close(got, expected, rtol, atol):
            raise AssertionError(f"{name}: {message}")
    if isinstance(expected, bool | int | float) and not isinstance(expected, bool):
        _check_number(got, name)
    if isinstance(expected, torch.Tensor):
        _check_tensor(got, expected, name)
    if not close(got, expected, rtol, atol):
        raise AssertionError(
            f"{name}: the result is not the expected one.\n  expected: {in_words(expected)}\n  got:      {in_words(got)}"
            f"{_largest_error(got, expected)}"
        )
    if dtype is not None and isinstance(got, torch.Tensor) and got.dtype != dtype:
        raise AssertionError(f"{name}: the values are right, but the dtype is {got.dtype}; it should be {dtype}.")


def _check_number(got: Any, name: str) -> None:
    if isinstance(got, torch.Tensor) and got.dim() > 0:
        raise AssertionError(f"{name}: expected one number, got a {in_words(got)}")


def _check_tensor(got: Any, expected: torch.Tensor, name: str) -> None:
    if not isinstance(got, torch.Tensor):
        raise AssertionError(f"{name}: expected a tensor, got {in_words(got)}")
    if got.shape != expected.shape:
        raise AssertionError(f"{name}: the shape is {list(got.shape)}; it should be {list(expected.shape)}.")


def _largest_error(got: Any, expected: Any) -> str:
    try:
        difference = (torch.as_tensor(got).double() - torch.as_tensor(expected).double()).abs()
    except (TypeError, ValueError, RuntimeError):
        return ""
    finite = difference[torch.isfinite(difference)]
    return f"\n  largest error: {finite.max().item():.4g}" if finite.numel() else ""


def is_float(value: Any) -> bool:
    """Whether `value` is a plain Python float, as the course's definitions promise where they say float."""
    return type(value) is float
