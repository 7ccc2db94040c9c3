"""A small world in which `dpo_step` is run and recorded; whoever judges the record does so elsewhere.

The world is a random GPT-2 of a few thousand weights and pairs of made-up "sentences": completions with many tokens of
one group are chosen over completions with many tokens of another. This module runs the student's step and writes down
what happened (weights, returned numbers, modes, calls). It knows neither the loss nor what the numbers should be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from helpers.dpo.pairs import Pair, PairBatch, collate

from .conduct import mode_of, observed
from .small import (
    DISLIKED,
    DISTANCE,
    EOS_ID,
    LIKED,
    OTHERS,
    PAD_ID,
    bearings,
    length,
    plain_answer,
    set_weights,
    small_policy,
    start_of,
    weights_of,
)

BATCH_SIZE = 8  # pairs
SINGLE_SIZES = (8, 5, 1)  # of the single steps' batches
# Of the single steps in turn, the first in the training. With two small ones, some batch of several pairs has a gradient
# shorter than 1, which clipping leaves alone: a sum in place of a mean shows there, and so does a scaling to length 1.
BETAS = (0.3, 0.05, 0.06)
LEARNING_RATE = 0.2  # of the plain gradient descent in the single steps
TRAINING_RATE = 3e-3  # of AdamW in the short training
BATCHES = {
    "single steps": (1, len(SINGLE_SIZES)),
    "training": (2, 25),
    "held out": (3, 25),
}  # added to the world's seed; how many


def small_pairs(seed: int, count: int) -> list[Pair]:
    """`count` pairs with prompts and completions of different lengths; no text, only token ids."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    def sentence(favoured: range) -> tuple[int, ...]:
        groups = [favoured if draw(0, 2) else OTHERS for _ in range(draw(3, 9))]
        return (*(group[draw(0, len(group))] for group in groups), EOS_ID)

    pairs = []
    for _ in range(count):
        prompt = tuple(OTHERS[draw(0, len(OTHERS))] for _ in range(draw(2, 6)))
        pairs.append(Pair("", "", "", prompt, sentence(LIKED), sentence(DISLIKED), 1.0, 0.0))
    return pairs


def batches_for(purpose: str, seed: int) -> list[PairBatch]:
    """The batches of a world for one of the purposes in `BATCHES`, without kept reference log-probs."""
    offset, count = BATCHES[purpose]
    pairs = small_pairs(seed + offset, count * BATCH_SIZE)
    sizes = SINGLE_SIZES if purpose == "single steps" else (BATCH_SIZE,) * count
    return [collate(pairs[n * BATCH_SIZE :][:size], PAD_ID) for n, size in enumerate(sizes)]


def beta_of(seed: int, number: int) -> float:
    """The β of the single step of this number: another one for each."""
    return BETAS[(seed + number) % len(BETAS)]


def run_dpo_steps(
    step: Callable[..., Any],
    seed: int,
    *,
    moved: bool,
    cached: Sequence[tuple[Tensor, Tensor]] | None = None,
    training: bool = False,
) -> dict[str, Any]:
    """A few steps of plain gradient descent, each from weights of its own (`start_of`), each recorded.

    Args:
        step: the student's `dpo_step`.
        seed: decides the policy, the pairs and which β comes first.
        moved: start from policies that differ from the reference.
        cached: reference log-probs `([B], [B])` for each batch, to hand over inside it.
        training: the mode the policy is handed over in; the reference is in evaluation mode.

    Returns:
        `weights` (after each step), `bearings` (of the first update), `lengths` (of each, divided by the learning
        rate), `answers` (what each step returned), `reference_before`, `reference_after` (each step), `training_before`
        and `training_after` (the policy's and the reference's mode), `reference_calls` (forward passes of the
        reference), `reference_gradients` (how many of its weights have one), `conduct` (a note of `observed` for each
        step), `optimizer_steps` (in all).
    """
    reference = small_policy(seed)
    policy = small_policy(seed)
    policy.train(training)
    optimizer = torch.optim.SGD(policy.parameters(), lr=LEARNING_RATE)
    reference_calls = [0]
    reference.register_forward_hook(lambda *_: reference_calls.__setitem__(0, reference_calls[0] + 1))
    batches = batches_for("single steps", seed)
    if cached is not None:
        batches = [
            replace(batch, reference_chosen=chosen.clone(), reference_rejected=rejected.clone())
            for batch, (chosen, rejected) in zip(batches, cached, strict=True)
        ]
    start = weights_of(reference)
    record: dict[str, Any] = {
        "weights": [],
        "answers": [],
        "conduct": [],
        "reference_before": start,
        "reference_after": [],
        "training_before": [mode_of(policy), mode_of(reference)],
    }
    for number, batch in enumerate(batches):
        set_weights(policy, start_of(seed, number, DISTANCE * moved))
        set_weights(reference, start)  # a step that moved it is told so, and not that its later numbers are wrong
        given = (policy, reference, optimizer, batch, beta_of(seed, number))
        answer, note = observed(number, partial(step, *given), optimizer, batch, policy, reference)
        record["answers"].append(plain_answer(answer))
        record["conduct"].append(note)
        record["weights"].append(weights_of(policy))
        record["reference_after"].append(weights_of(reference))
    starts = [start_of(seed, number, DISTANCE * moved) for number in range(len(batches))]
    return record | {
        "bearings": bearings(starts[0], record["weights"][0]),
        "lengths": [length(*pair) / LEARNING_RATE for pair in zip(starts, record["weights"], strict=True)],
        "training_after": [mode_of(policy), mode_of(reference)],
        "reference_calls": reference_calls[0],
        "reference_gradients": sum(weight.grad is not None for weight in reference.parameters()),
        "optimizer_steps": sum(note["steps"] for note in record["conduct"]),
    }


def run_dpo_training(step: Callable[..., Any], seed: int, *, probes: Sequence[int] = ()) -> dict[str, Any]:
    """A short training with AdamW on fresh pairs.

    Args:
        step: the student's `dpo_step`.
        seed: decides the policy and the pairs.
        probes: numbers of steps at which plain gradient descent takes AdamW's place, which has no memory: such a step
            can be judged by itself.

    Returns:
        `weights` (at the end) and `probes` (those before and after each of these steps).
    """
    reference, policy = small_policy(seed), small_policy(seed)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=TRAINING_RATE)
    plain = torch.optim.SGD(policy.parameters(), lr=LEARNING_RATE)
    record: dict[str, Any] = {"probes": []}
    for number, batch in enumerate(batches_for("training", seed)):
        before = weights_of(policy) if number in probes else {}
        step(policy, reference, plain if number in probes else optimizer, batch, BETAS[0])
        if number in probes:
            record["probes"].append([before, weights_of(policy)])
    return record | {"weights": weights_of(policy)}
