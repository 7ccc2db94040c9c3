"""Part 3 · references and cases of the two optional exercises in which α changes during training."""

from __future__ import annotations

from typing import Any

import torch

from autograder.reference.spec import Case, Spec, register


def anneal_alpha(step: float, total_steps: float, start: float, end: float) -> float:
    share = 1.0 if total_steps == 0 else min(step / total_steps, 1.0)
    return float(start) * (1.0 - share) + float(end) * share


def _between(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def _anneal_cases(generator: torch.Generator) -> list[Case]:
    def inputs(step: float, total_steps: float, start: float, end: float) -> dict[str, Any]:
        return {"step": step, "total_steps": total_steps, "start": start, "end": end}

    start, end = _between(generator, 1.0, 9.0), _between(generator, 1.0, 9.0)
    middle = int(torch.randint(1, 40, (1,), generator=generator))
    return [
        Case("a falling schedule", inputs(3, 10, 4.0, 1.0)),
        Case("a rising schedule", inputs(middle, 41, min(start, end), max(start, end))),
        Case("a step in the middle", inputs(middle, 60, start, end)),
        Case("steps that are floats", inputs(2.5, 10.0, start, end)),
        Case("a schedule from 0", inputs(middle, 50, 0.0, end)),
        Case("a schedule to 0", inputs(middle, 50, start, 0.0)),
        Case("an alpha close to 0", inputs(9_999, 10_000, 0.5, 0.0), aspect="edges"),
        Case("a schedule of one step, at its start", inputs(0, 1, start, end), aspect="edges"),
        Case("a schedule of one step, at its end", inputs(1, 1, start, end), aspect="edges"),
        Case("half a step of a schedule of one", inputs(0.5, 1, start, end), aspect="edges"),
        Case("the first step", inputs(0, 7, start, end), aspect="edges"),
        Case("the last step", inputs(7, 7, start, end), aspect="edges"),
        Case("a step after the end", inputs(25, 7, start, end), aspect="edges"),
        Case("total_steps = 0", inputs(0, 0, start, end), aspect="edges"),
        Case("ints for start and end", inputs(1, 4, 8, 2), aspect="edges"),
        Case("total_steps = 0, ints for start and end", inputs(1, 0, 2, 5), aspect="edges"),
        Case("total_steps below 1", inputs(0.125, 0.5, start, end), aspect="edges"),
        Case("a schedule in the hundreds", inputs(1, 4, 200, 900), aspect="edges"),
        Case("a start equal to the end", inputs(2, 4, 3, 3), aspect="edges"),
    ]


register(Spec("anneal_alpha", anneal_alpha, _anneal_cases))


def adapt_alpha(alpha: float, observed_kl: float, target_kl: float, horizon: float, steps: float) -> float:
    error = min(max(observed_kl / target_kl - 1.0, -0.2), 0.2)
    return float(alpha * (1.0 + error * steps / horizon))


def _adapt_cases(generator: torch.Generator) -> list[Case]:
    def inputs(alpha: float, observed: float, target: float, horizon: float, steps: float) -> dict[str, Any]:
        values = (alpha, observed, target, horizon, steps)
        return dict(zip(("alpha", "observed_kl", "target_kl", "horizon", "steps"), values, strict=True))

    alpha, target = _between(generator, 2.0, 8.0), _between(generator, 2.0, 8.0)
    small = 1.0 + _between(generator, -0.15, 0.15)
    return [
        Case("a KL far above the target", inputs(alpha, 5 * target, target, 64.0, 32.0)),
        Case("a KL far below the target", inputs(alpha, 0.1 * target, target, 64.0, 32.0)),
        Case("a KL near the target", inputs(alpha, small * target, target, 50.0, 40.0)),
        Case("a KL somewhat above the target", inputs(alpha, 1.6 * target, target, 64.0, 48.0)),
        Case("a KL a little above the clip border", inputs(alpha, 1.3 * target, target, 20.0, 16.0)),
        Case("a KL twice the target", inputs(alpha, 2.0 * target, target, 30.0, 20.0)),
        Case("a KL somewhat below the target", inputs(alpha, 0.6 * target, target, 64.0, 48.0)),
        Case("a KL a little below the clip border", inputs(alpha, 0.75 * target, target, 20.0, 16.0)),
        Case("more steps than the horizon", inputs(alpha, 1.1 * target, target, 10.0, 30.0)),
        Case("a KL on the target", inputs(alpha, target, target, 10.0, 5.0), aspect="edges"),
        Case("a KL of 0", inputs(alpha, 0.0, target, 10.0, 5.0), aspect="edges"),
        Case("a negative KL estimate", inputs(alpha, -3 * target, target, 10.0, 5.0), aspect="edges"),
        Case("ints", inputs(3, 9, 4, 10, 5), aspect="edges"),
        Case(
            "a horizon and steps that are no whole numbers",
            inputs(alpha, 1.1 * target, target, 1.5, 0.25),
            aspect="edges",
        ),
        Case("a target far below 1", inputs(alpha, 0.055, 0.05, 10.0, 5.0), aspect="edges"),
        Case("an alpha in the hundreds", inputs(100 * alpha, 1.1 * target, target, 10.0, 5.0), aspect="edges"),
        Case("an alpha of 0", inputs(0.0, 2.0, 1.0, 10.0, 5.0), aspect="edges"),
    ]


register(Spec("adapt_alpha", adapt_alpha, _adapt_cases))
