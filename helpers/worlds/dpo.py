"""A small world in which ``dpo_step`` is run and recorded; whoever judges the record does so elsewhere.

The world is a random GPT-2 of a few thousand weights and pairs of made-up "sentences": completions with many tokens of
one group are chosen over completions with many tokens of another. This module runs the student's step and writes down
what happened (weights, returned numbers, modes, calls). It knows neither the loss nor what the numbers should be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from helpers.dpo.pairs import Pair, PairBatch, collate

from .small import DISLIKED, EOS_ID, LIKED, OTHERS, PAD_ID, _numbers, _weights, small_policy

BATCH, STEPS = 8, 25
BETA = 0.3


def small_pairs(seed: int, count: int) -> list[Pair]:
    """``count`` pairs with prompts and completions of different lengths; no text, only token ids."""
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


def small_batches(seed: int, count: int) -> list[PairBatch]:
    """``count`` batches of pairs, without kept reference log-probs."""
    pairs = small_pairs(seed, count * BATCH)
    return [collate(pairs[i : i + BATCH], PAD_ID) for i in range(0, len(pairs), BATCH)]


def run_single_steps(
    step: Callable[..., Any], seed: int, *, moved: bool, cached: tuple[Tensor, Tensor] | None = None
) -> dict:
    """Three steps of plain gradient descent, each recorded.

    Args:
        step: the student's ``dpo_step``.
        seed: decides the policy and the pairs.
        moved: start from a policy that differs from the reference.
        cached: ``([3, B], [3, B])`` reference log-probs to hand over inside the batches.

    Returns:
        ``weights`` (before, and after each step), ``answers`` (what each step returned), ``reference_before`` and
        ``reference_after``, ``training_before`` and ``training_after`` (the policy's and the reference's mode),
        ``reference_calls`` (forward passes of the reference), ``reference_gradients`` (how many of its weights have
        one), ``optimizer_steps`` (in all).
    """
    reference = small_policy(seed)
    policy = small_policy(seed, noise=0.05 if moved else 0.0)
    policy.train(moved)  # dropout is 0: the mode changes no number, it must only be left as it was
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.2)
    calls = {"reference": 0, "optimizer": 0}
    reference.register_forward_hook(lambda *_: calls.__setitem__("reference", calls["reference"] + 1))
    optimizer.register_step_post_hook(lambda *_: calls.__setitem__("optimizer", calls["optimizer"] + 1))
    batches = small_batches(seed + 1, 3)
    if cached is not None:
        batches = [
            PairBatch(**{**batch.__dict__, "reference_chosen": chosen.clone(), "reference_rejected": rejected.clone()})
            for batch, chosen, rejected in zip(batches, *cached, strict=True)
        ]
    record: dict[str, Any] = {
        "weights": [_weights(policy)],
        "answers": [],
        "reference_before": _weights(reference),
        "training_before": [policy.training, reference.training],
    }
    for batch in batches:
        record["answers"].append(_numbers(step(policy, reference, optimizer, batch, BETA)))
        record["weights"].append(_weights(policy))
    return record | {
        "reference_after": _weights(reference),
        "training_after": [policy.training, reference.training],
        "reference_calls": calls["reference"],
        "reference_gradients": sum(weight.grad is not None for weight in reference.parameters()),
        "optimizer_steps": calls["optimizer"],
    }


def run_training(step: Callable[..., Any], seed: int) -> dict[str, Tensor]:
    """``STEPS`` steps with AdamW on fresh pairs; returns the weights at the end."""
    reference, policy = small_policy(seed), small_policy(seed)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-3)
    for batch in small_batches(seed + 2, STEPS):
        step(policy, reference, optimizer, batch, BETA)
    return _weights(policy)
