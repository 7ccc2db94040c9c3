"""Part 3 · references and cases of best-of-n sampling: what it earns, and how far it goes at most."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch

from autograder.reference.spec import Case, Spec, register


def best_of_n(rewards: torch.Tensor, n: int) -> float:
    """`[P, K] -> float`: the mean over all choices of n, one by one."""
    choices = torch.tensor(list(itertools.combinations(range(rewards.shape[1]), n)))  # [choices, n]
    return rewards.double()[:, choices].amax(dim=2).mean().item()


def _best_cases(generator: torch.Generator) -> list[Case]:
    def inputs(prompts: int, each: int, n: int, scale: float = 1.0, shift: float = 0.0) -> dict[str, Any]:
        rewards = scale * torch.rand(prompts, each, generator=generator, dtype=torch.float64) + shift
        return {"rewards": rewards, "n": n}

    ties = {"rewards": torch.tensor([[0.5, 0.5, 1.0], [0.0, 1.0, 1.0]]).double(), "n": 2}
    near = torch.tensor([[1.0, 1.0 + 2**-22, 1.0 - 2**-22]]).double()
    return [
        Case("5 prompts, 4 completions, n = 2", inputs(5, 4, 2)),
        Case("as many prompts as completions", inputs(4, 4, 3)),
        Case("more prompts than completions", inputs(9, 3, 2)),
        Case("fewer prompts than completions", inputs(2, 7, 4)),
        Case("12 completions", inputs(3, 12, 5)),
        Case("rewards below 0 alone", inputs(3, 5, 2, shift=-3.0)),
        Case("n = 1", inputs(4, 5, 1), "edges"),
        Case("n = K", inputs(4, 5, 5), "edges"),
        Case("n = K − 1", inputs(4, 6, 5), "edges"),
        Case("one prompt", inputs(1, 6, 3), "edges"),
        Case("one completion", inputs(3, 1, 1), "edges"),
        Case("one prompt with one completion", inputs(1, 1, 1), "edges"),
        Case("equal rewards", ties, "edges"),
        Case("rewards that differ by less than a millionth", {"rewards": near, "n": 2}, "edges", short=False),
        Case("rewards that are all 0", {"rewards": torch.zeros(2, 3).double(), "n": 2}, "edges"),
        Case("rewards in the thousands", inputs(3, 5, 2, scale=8_000.0, shift=-4_000.0), "edges"),
    ]


def best_of_n_kl(n: int) -> float:
    """ln n − (n − 1)/n."""
    return math.log(n) - 1 + 1 / n


def _bound_cases(generator: torch.Generator) -> list[Case]:
    drawn = torch.randint(3, 200, (4,), generator=generator).tolist()
    some = [Case(f"n drawn at random, {number}", {"n": n}) for number, n in enumerate(drawn)]
    few = [Case(f"n = {n}", {"n": n}, "edges") for n in (1, 2, 3, 1_000, 1_000_000)]
    return some + few


THREE = torch.tensor([[0.25, 0.5, 0.75]], dtype=torch.float64)
register(
    Spec(
        "best_of_n",
        best_of_n,
        _best_cases,
        looseness=4.0,
        raises=(
            ("n = 0", {"rewards": THREE, "n": 0}, ValueError),
            ("n below 0", {"rewards": THREE, "n": -1}, ValueError),
            ("n far below 0", {"rewards": THREE, "n": -9}, ValueError),
            ("n above K", {"rewards": THREE, "n": 4}, ValueError),
        ),
    )
)
register(Spec("best_of_n_kl", best_of_n_kl, _bound_cases))
