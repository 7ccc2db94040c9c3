"""Part 4 · reference and cases of IPO's loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from autograder.reference.part4 import POLICIES, REFERENCES, log_prob_inputs, margin_inputs, margin_of
from autograder.reference.spec import Case, Spec, register


def compute_ipo_loss(
    policy_chosen: Tensor, policy_rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor, tau: float
) -> Tensor:
    """The mean squared distance of the margins from 1/(2τ)."""
    margin = margin_of(policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    return ((margin - 0.5 / tau) ** 2).mean()


def _ipo_cases(generator: torch.Generator) -> list[Case]:
    """Margins on both sides of the target."""

    def inputs(batch: int, tau: float, drift: float = 3.0) -> dict[str, Any]:
        given = log_prob_inputs(generator, batch, 1.0, drift)
        del given["beta"]
        return given | {"tau": tau}

    def margins(values: list[float], tau: float) -> dict[str, Any]:
        given = margin_inputs(values, 1.0)
        del given["beta"]
        return given | {"tau": tau}

    return [
        Case("B=5, τ=0.1", inputs(5, 0.1)),
        Case("a batch of 1, τ=0.5", inputs(1, 0.5)),
        Case("B=24, τ=0.25", inputs(24, 0.25)),
        Case("τ=1 given as an int", inputs(4, 1)),
        Case("τ=2 given as an int, in a batch of 1", inputs(1, 2)),
        Case("the policy equal to the reference", inputs(4, 0.1, drift=0.0), "edges"),
        Case("the policy equal to the reference in a batch of 1", inputs(1, 0.3, drift=0.0), "edges"),
        Case("log-probs that are all 0", margins([0.0, 0.0, 0.0], 0.5), "edges"),
        Case("margins on the target, below and above it", margins([2.0, -1.0, 7.0, 0.0], 0.25), "edges"),
        Case("a margin on the target in a batch of 1", margins([2.0], 0.25), "edges"),
        Case("margins of ±100", margins([100.0, -100.0, 3.0], 0.5), "edges"),
        Case("margins of ±1e4", margins([1e4, -1e4], 1.0), "edges"),
        Case(
            "log-probs of -300",
            inputs(4, 0.3) | {name: 15 * value for name, value in inputs(4, 0.3).items() if name != "tau"},
            "edges",
        ),
        *(
            Case(
                f"{name} of -1e4",
                margins([0.0, 0.0], 0.5) | {name: torch.full((2,), -1e4, dtype=torch.float64)},
                "edges",
            )
            for name in POLICIES + REFERENCES
        ),
        Case("a target far above the margins, τ=0.01", inputs(3, 0.01), "edges"),
        Case("τ=25", inputs(6, 25.0), "edges"),
    ]


def _ipo_magnitude(inputs: Mapping[str, Any]) -> float:
    """An error of a margin counts by twice its distance from the target; squares of large margins round themselves."""
    four = torch.stack([inputs[name].double() for name in POLICIES + REFERENCES])  # [4, B]
    distance = (margin_of(*four).abs() + 0.5 / float(inputs["tau"])).max()
    return float(2 * distance * four.abs().max() + distance**2)


register(
    Spec(
        name="compute_ipo_loss",
        reference=compute_ipo_loss,
        cases=_ipo_cases,
        differentiable=POLICIES,
        detached=REFERENCES,
        magnitude=_ipo_magnitude,
    )
)
