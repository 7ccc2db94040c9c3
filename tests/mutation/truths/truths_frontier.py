"""Part 3 · best-of-n by counting, and the ways to add up token losses, number by number."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from tests.mutation.oracle import Inputs, Oracle

from .drawn import DOUBLE, masks, normal, nought, outside, uniform

Named = Iterator[tuple[str, Inputs]]


# --- best_of_n and best_of_n_kl


def best_of_n(rewards: Tensor, n: int) -> float:
    """Every choice of n, for each prompt."""
    rows = rewards.double().tolist()
    return statistics.fmean(statistics.fmean(map(max, itertools.combinations(row, n))) for row in rows)


def _judged(g: torch.Generator) -> Named:
    for prompts, each in ((1, 1), (3, 1), (1, 4), (4, 4), (11, 3), (2, 9)):
        for n in sorted({1, 2, each // 2, each - 1, each} & set(range(1, each + 1))):
            size = f"[{prompts}, {each}], n={n}"
            for kind, rewards in (
                ("probabilities", uniform(g, prompts, each)), ("of either sign", normal(g, prompts, each, scale=5)),
                ("below 0", -3 - uniform(g, prompts, each)), ("zeros", nought(prompts, each)),
                ("ties", uniform(g, prompts, each).round()), ("thousands", 9e3 * uniform(g, prompts, each) - 4e3),
            ):  # fmt: skip
                yield f"{size}, {kind}", {"rewards": rewards, "n": n}


def best_of_n_kl(n: int) -> float:
    """With fifty digits."""
    with localcontext() as context:
        context.prec = 50
        return float(Decimal(n).ln() - Decimal(n - 1) / n)


def _counts(g: torch.Generator) -> Named:
    for n in (1, 2, 3, 4, 5, 8, 10, 16, 17, 64, 100, 1_000, 12_345, 10**6):
        yield f"n={n}", {"n": n}


# --- aggregate_token_losses


def aggregate_token_losses(token_losses: Tensor, mask: Tensor, how: str, constant: float | None = None) -> Tensor:
    """Token by token; the weights are fractions."""
    rows, tokens = token_losses.shape
    of_row = [int(row.sum()) for row in mask]
    total = 0 * torch.where(mask, token_losses, 0.0).sum()
    for b, t in itertools.product(range(rows), range(tokens)):
        if mask[b, t]:
            weight: Any = {
                "sum": Fraction(1, rows), "sequence": Fraction(1, rows * max(of_row[b], 1)),
                "token": Fraction(1, max(sum(of_row), 1)), "constant": 1 / (rows * (constant or 1)),
            }[how]  # fmt: skip
            total = total + float(weight) * token_losses[b, t]
    return total


def _token_losses(g: torch.Generator) -> Named:
    for rows, tokens in ((1, 1), (1, 5), (4, 1), (3, 3), (2, 7)):
        for kind, mask in masks(g, rows, tokens).items():
            losses = normal(g, rows, tokens, scale=2 if tokens < 7 else 4e3)
            for how in ("sum", "sequence", "token"):
                given: Inputs = {"token_losses": losses, "mask": mask, "how": how}
                yield f"[{rows}, {tokens}], {kind}, {how}", given
                yield f"[{rows}, {tokens}], {kind}, {how}, a constant that is not used", {**given, "constant": 3.0}
                for junk in (1e4, -1e4):
                    far = {**given, "token_losses": outside(mask, losses, junk)}
                    yield f"[{rows}, {tokens}], {kind}, {how}, {junk} outside", far
            for constant in (1, 24, 0.5):
                given = {"token_losses": losses, "mask": mask, "how": "constant", "constant": constant}
                yield f"[{rows}, {tokens}], {kind}, constant {constant}", given


_TWO = torch.ones(2, 2, dtype=DOUBLE)
_ALL = torch.ones(2, 2, dtype=torch.bool)

ORACLES = {
    "best_of_n": Oracle(
        best_of_n, _judged,
        errors=(("n = 0", {"rewards": _TWO, "n": 0}, ValueError), ("n = -2", {"rewards": _TWO, "n": -2}, ValueError),
                ("n above K", {"rewards": _TWO, "n": 3}, ValueError)),
    ),
    "best_of_n_kl": Oracle(best_of_n_kl, _counts, floor=1e-3),
    "aggregate_token_losses": Oracle(
        aggregate_token_losses, _token_losses, gradients=("token_losses",),
        errors=(("another way", {"token_losses": _TWO, "mask": _ALL, "how": "average"}, ValueError),
                ("no constant", {"token_losses": _TWO, "mask": _ALL, "how": "constant"}, ValueError)),
    ),
}  # fmt: skip
