"""Random pieces of inputs."""

from __future__ import annotations

import torch
from torch import Tensor

DOUBLE = torch.float64


def nought(*shape: int) -> Tensor:
    """Nothing but 0."""
    return torch.zeros(*shape, dtype=DOUBLE)


def full(value: float, *shape: int) -> Tensor:
    """One number everywhere."""
    return torch.full(shape, value, dtype=DOUBLE)


def normal(g: torch.Generator, *shape: int, scale: float = 1.0) -> Tensor:
    """Normal numbers."""
    return scale * torch.randn(*shape, generator=g, dtype=DOUBLE)


def uniform(g: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Even numbers between two."""
    return low + (high - low) * torch.rand(*shape, generator=g, dtype=DOUBLE)


def whole(g: torch.Generator, *shape: int, low: int = 0, high: int = 2) -> Tensor:
    """Whole numbers from `low` to below `high`."""
    return torch.randint(low, high, shape, generator=g)


def number(g: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    """One number."""
    return float(uniform(g, 1, low=low, high=high))


def masks(g: torch.Generator, rows: int, tokens: int) -> dict[str, Tensor]:
    """Masks of a batch: with holes, of runs, full, with an empty row, empty, with one token."""
    holes = torch.rand(rows, tokens, generator=g) < 0.6
    start, stop = whole(g, rows, 1, high=tokens), whole(g, rows, 1, low=1, high=tokens + 1)
    places = torch.arange(tokens)
    empty_row = holes.clone()
    empty_row[rows // 2] = False
    single = torch.zeros(rows, tokens, dtype=torch.bool)
    single[-1, -1] = True
    return {
        "with holes": holes,
        "a run": (places >= start) & (places < torch.maximum(stop, start + 1)),
        "full": torch.ones(rows, tokens, dtype=torch.bool),
        "with an empty row": empty_row,
        "all zero": torch.zeros(rows, tokens, dtype=torch.bool),
        "one token": single,
    }


def outside(mask: Tensor, values: Tensor, junk: float) -> Tensor:
    """The values with a number put in wherever the mask is not."""
    return torch.where(mask, values, torch.tensor(junk, dtype=DOUBLE))
