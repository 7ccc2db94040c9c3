"""Part 3 · reference and cases of the ways to add up the losses of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from autograder.reference.spec import Case, Spec, register

WAYS = ("sum", "sequence", "token", "constant")


def aggregate_token_losses(token_losses: Tensor, mask: Tensor, how: str, constant: float | None = None) -> Tensor:
    """`[B, T], [B, T] -> scalar`: a weight for each token that counts, and one sum."""
    counted = mask.to(token_losses.dtype)
    rows = len(token_losses)
    weights = {
        "sum": counted / rows,
        "sequence": counted / counted.sum(1, keepdim=True).clamp(min=1) / rows,
        "token": counted / counted.sum().clamp(min=1),
        "constant": counted / (rows * (constant or 1)),
    }[how]
    return (torch.where(mask, token_losses, 0.0) * weights).sum()


def _cases(generator: torch.Generator) -> list[Case]:
    def inputs(rows: int, tokens: int, how: str) -> dict[str, Any]:
        mask = torch.rand(rows, tokens, generator=generator) < 0.6
        mask[:, 0] = True
        losses = torch.randn(rows, tokens, generator=generator, dtype=torch.float64)
        return {"token_losses": losses, "mask": mask, "how": how} | ({"constant": 7.0} if how == "constant" else {})

    cases = []
    for how in WAYS:
        cases += [
            Case(f"{how}: a batch of 4", inputs(4, 6, how)),
            Case(f"{how}: a batch of 1", inputs(1, 5, how)),
            Case(f"{how}: as many rows as tokens", inputs(3, 3, how)),
        ]
        empty = inputs(3, 4, how)
        empty["mask"][1] = False
        nothing = inputs(2, 3, how)
        nothing["mask"][:] = False
        deep = inputs(3, 4, how)
        # all of them together stay below float16's largest number, so that they may be summed before they are divided
        deep["token_losses"] = -2_000 - 500 * deep["token_losses"].abs()
        wild = inputs(3, 5, how)
        outside = torch.tensor([1e4, -1e4, 1e4, -1e4, 1e4], dtype=torch.float64)
        wild["token_losses"] = torch.where(wild["mask"], wild["token_losses"], outside)
        cases += [
            Case(f"{how}: a row without tokens", empty, "edges"),
            Case(f"{how}: no token at all", nothing, "edges"),
            Case(f"{how}: losses of -2000 and less", deep, "edges"),
            Case(f"{how}: losses of 2000 and more", deep | {"token_losses": -deep["token_losses"]}, "edges"),
            Case(f"{how}: one token a row", inputs(4, 1, how), "edges"),
            Case(f"{how}: one token in a batch of 1", inputs(1, 1, how), "edges"),
            Case(f"{how}: ±10000 at masked positions", wild, "edges"),
        ]
    whole = inputs(2, 3, "sequence") | {"mask": torch.ones(2, 3, dtype=torch.bool)}
    return [
        *cases,
        Case("sequence: every token counts", whole, "edges"),
        Case("a constant given as an int", inputs(3, 4, "constant") | {"constant": 2}, "edges"),
        Case("a constant below 1", inputs(3, 4, "constant") | {"constant": 0.25}, "edges"),
        Case("token: a constant that is not asked for", inputs(3, 4, "token") | {"constant": 5.0}, "edges"),
    ]


def _magnitude(inputs: Mapping[str, Any]) -> float:
    """The sum of the absolute values that are added up, as they are weighed."""
    sizes = dict(inputs) | {"token_losses": inputs["token_losses"].double().abs()}
    return max(1.0, float(aggregate_token_losses(**sizes)))


ONES = {"token_losses": torch.ones(2, 3, dtype=torch.float64), "mask": torch.ones(2, 3, dtype=torch.bool)}
register(
    Spec(
        "aggregate_token_losses",
        aggregate_token_losses,
        _cases,
        differentiable=("token_losses",),
        magnitude=_magnitude,
        raises=(
            ("a way that does not exist", ONES | {"how": "mean"}, ValueError),
            ("'constant' without a number", ONES | {"how": "constant"}, ValueError),
            ("'constant' with None", ONES | {"how": "constant", "constant": None}, ValueError),
        ),
    )
)
