"""Where a result first differs from the expected one, in words, and what the numbers have in common all the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

SHOWN = 12  # numbers of a tensor that is too large to be shown whole
WHOLE = 24  # numbers of the largest tensor that is
LARGE = -99.0  # below it, a number stands for -inf where -inf is expected
DIGITS = range(5, 18)  # significant digits: as few as tell two numbers apart
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


def numbers(value: Any) -> torch.Tensor | None:
    """The numbers of a result in float64, without its gradients; None if it has none, or complex ones."""
    try:
        tensor = value.detach() if isinstance(value, torch.Tensor) else torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        return None
    return None if tensor.is_complex() else tensor.to(torch.float64)


def difference(got: Any, expected: Any, rtol: float, atol: float) -> tuple[str, str] | None:
    """Where and how a result differs; None if it agrees.

    Returns:
        What leads the message (the first differing entry, or the shape, or the type), and lines with all that follows.
    """
    places: list[tuple[str, Any, Any]]
    if isinstance(expected, Mapping):
        if not isinstance(got, Mapping):
            return f"expected a dict with the keys {', '.join(map(str, expected))}, got {in_words(got)}", ""
        if missing := [repr(key) for key in expected if key not in got]:
            return f"the dict lacks {', '.join(missing)}; its keys are {', '.join(map(repr, got))}", ""
        places = [(f"under {key!r}, ", got[key], expected[key]) for key in expected]
    elif isinstance(expected, tuple):
        if not isinstance(got, tuple | list) or len(got) != len(expected):
            count = f" of {len(got)}" if isinstance(got, tuple | list) else ""
            return f"expected {len(expected)} results, got {in_words(got)}{count and f' ({len(got)} results)'}", ""
        places = [
            (f"in the {ORDINALS[n]} of {len(expected)} results, ", *pair)
            for n, pair in enumerate(zip(got, expected, strict=True))
        ]
    else:
        return _leaf(got, expected, rtol, atol)
    for where, one, other in places:
        if found := difference(one, other, rtol, atol):
            return where + found[0], found[1]
    return None


def _leaf(got: Any, expected: Any, rtol: float, atol: float) -> tuple[str, str] | None:
    left, right = numbers(got), numbers(expected)
    assert right is not None
    if isinstance(expected, torch.Tensor) and not isinstance(got, torch.Tensor):
        return f"expected a tensor, got {in_words(got)}", f"\n  expected: {in_words(expected)}"
    if left is None:
        return f"expected {'numbers' if right.dim() else 'one number'}, got {in_words(got)}", ""
    both = f"\n  expected: {in_words(expected)}\n  got:      {in_words(got)}"
    if left.shape != right.shape:
        if not right.dim():
            return (
                f"expected one number, {in_words(right.item(), plain=True)}, got a tensor of shape {list(left.shape)}",
                both,
            )
        return f"the shape is {list(left.shape)}; it should be {list(right.shape)}", both
    differ = ~torch.isclose(left, right, rtol, atol, equal_nan=True)
    if not differ.any():
        return None
    index = differ.nonzero()[0].tolist()
    pairs = list(zip(right[differ].tolist(), left[differ].tolist(), strict=True))
    digits = next((n for n in DIGITS if all(_number(a, n) != _number(b, n) for a, b in pairs)), DIGITS[-1])
    wanted, found = (in_words(_entry(value, index), digits, plain=True) for value in (expected, got))
    lead = f"{f'at {index} ' if index else ''}expected {wanted}, got {found}"
    gap = (left - right).abs()[differ].max().item()
    largest = f"; largest error {gap:.4g}" if math.isfinite(gap) else ""
    count = f"\n  {len(pairs)} of {differ.numel()} entries differ{largest}." if differ.numel() > 1 else ""
    first = int(differ.flatten().nonzero()[0])
    shown = [in_words(value, digits, near=first) for value in (expected, got)]
    return lead, f"{count}\n  expected: {shown[0]}\n  got:      {shown[1]}"


def _entry(value: Any, index: list[int]) -> Any:
    for place in index:
        value = value[place]
    return value.item() if hasattr(value, "item") else value


def in_words(value: Any, digits: int = DIGITS[0], *, plain: bool = False, near: int = 0) -> str:
    """A value for a message: a tensor with its shape and dtype, cut to a readable length; `plain`: a number alone.

    Args:
        near: the entry, counted row after row, that must be among those shown where a tensor is cut.
    """
    if isinstance(value, torch.Tensor):
        flat = value.detach().cpu().flatten()
        start = max(0, min(near - SHOWN // 2, flat.numel() - SHOWN))
        whole, part = value.numel() <= WHOLE, flat[start : start + SHOWN].tolist()
        content = _nested(value.detach().cpu().tolist() if whole else part, digits)
        before = "… " if start and not whole else ""
        after = " …" if start + SHOWN < flat.numel() and not whole else ""
        return f"tensor of shape {list(value.shape)}, {value.dtype}: {before}{content}{after}"
    if isinstance(value, float | int) and not isinstance(value, bool):
        return _number(value, digits) if plain else f"{type(value).__name__} {_number(value, digits)}"
    return repr(value) if plain else f"{type(value).__name__} {value!r}"[:300]


def _nested(content: Any, digits: int) -> str:
    if isinstance(content, list):
        return f"[{', '.join(_nested(item, digits) for item in content)}]"
    return in_words(content, digits, plain=True)


def _number(value: float, digits: int) -> str:
    if isinstance(value, int):
        return str(value)
    text = f"{value:.{digits}g}"
    return text if not math.isfinite(value) or set(text) & set(".e") else f"{text}.0"


def in_place_of_infinity(got: Any, expected: Any) -> str:
    """Whether a large negative number stands where -inf is expected: it hides all else, so it is told before all else."""
    left, right = (None, None) if isinstance(expected, Mapping | tuple) else (numbers(got), numbers(expected))
    if left is None or right is None or left.shape != right.shape:
        return ""
    stands = (right == -math.inf) & left.isfinite() & (left < LARGE)
    if not stands.any():
        return ""
    return f"-inf is exactly -inf (float('-inf')), not a large negative number such as {float(left[stands][0]):.4g}"


def likeness(got: Any, expected: Any, rtol: float, atol: float) -> str:
    """What a wrong result has in common with the expected one (a sign, a factor, an order); empty if nothing is seen."""
    several = isinstance(expected, Mapping | tuple)
    left, right = (None, None) if several and not isinstance(got, tuple | list) else (numbers(got), numbers(expected))
    if left is None or right is None or not right.numel():
        return ""

    def alike(one: torch.Tensor, other: torch.Tensor) -> bool:
        return one.shape == other.shape and bool(torch.isclose(one, other, rtol, atol, equal_nan=True).all())

    if left.shape != right.shape:
        return _other_shape(left, right, alike)
    off = left[~torch.isclose(left, right, rtol, atol, equal_nan=True)]
    if not off.numel():
        return "the numbers are right"
    if off.isnan().all():
        return "nan comes from 0/0, inf - inf, 0 * inf, or the log or root of a negative number"
    if off.isinf().all() and right.isfinite().all():
        return "the result is infinite there, as after an exp that overflows, the log of 0, or a division by 0"
    if alike(left, -right):
        return "the sign is reversed"
    if right.unique().numel() < 2 or (isinstance(expected, torch.Tensor) and expected.dtype == torch.bool):
        return ""  # a single number, or a mask, may agree with anything by chance
    same = {
        "every number is 0": torch.zeros_like(right),
        "a sign is lost: these are absolute values of what is expected": right.abs(),
        "it looks as if numbers below 0 were cut off at 0": torch.where(right.isfinite(), right.clamp(min=0), right),
        "this is the exponential (exp) of what is expected": right.exp(),
        "this is the logarithm of what is expected": right.log(),
        "every number is 1 divided by what is expected": 1 / right,
        "the numbers stand in reverse order": right.flip(0),
        "every row is as the first should be": right[:1].expand_as(right),
    }
    return (
        next((text for text, value in same.items() if alike(left, value)), "")
        or _in_proportion(left, right, alike)
        or _in_another_order(left, right, alike)
    )


def _in_proportion(left: torch.Tensor, right: torch.Tensor, alike: Callable[..., bool]) -> str:
    """Whether all numbers are wrong by one factor, or by one number that is added."""
    used = (right != 0) & right.isfinite()
    factor = float((left[used] / right[used]).median()) if used.any() else math.nan
    if used.sum() > 1 and math.isfinite(factor) and alike(left, factor * right):
        return f"every number is {factor:.4g} times as large as expected: a factor is missing or too much"
    offset = float((left - right).median())
    if math.isfinite(offset) and alike(left, right + offset):
        return f"every number is {abs(offset):.4g} too {'large' if offset > 0 else 'small'}"
    return ""


def _in_another_order(left: torch.Tensor, right: torch.Tensor, alike: Callable[..., bool]) -> str:
    several = right.unique().numel() > 3  # fewer may agree by chance
    same = several and alike(left.flatten().sort().values, right.flatten().sort().values)
    return "the numbers are right, but they stand in another order" if same else ""


def _other_shape(left: torch.Tensor, right: torch.Tensor, alike: Callable[..., bool]) -> str:
    if left.numel() == right.numel() and alike(left.flatten(), right.flatten()):
        axis = next((n for n in reversed(range(left.dim())) if left.squeeze(n).shape == right.shape), None)
        done = "" if axis is None else f": axis {axis} is too many, x.squeeze({axis}) takes it away"
        return f"the numbers are right, only the shape is not{done}"
    if left.dim() == right.dim() and left.dim() > 1 and alike(left.transpose(-1, -2), right):
        return "the result is transposed"
    if left.numel() == 1 and alike(left.flatten()[0], right.mean()):
        return "this is the mean of what is expected"
    if left.numel() == 1 and alike(left.flatten()[0], right.sum()):
        return "this is the sum of what is expected"
    if left.dim() != right.dim():
        many = left.dim() > right.dim()
        done = "is not yet picked from, summed or squeezed" if many else "was picked from, summed or squeezed away"
        return f"it has too {'many' if many else 'few'} axes: one {done}"
    axis = next(n for n, pair in enumerate(zip(left.shape, right.shape, strict=True)) if pair[0] != pair[1])
    return f"axis {axis} has {left.shape[axis]} entries in place of {right.shape[axis]}"
