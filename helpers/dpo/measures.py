"""Measurements of Part 4 around a student's functions: what a policy writes, and how long a training step takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.data import batches
from helpers.evaluation import batch_seed, repetition
from helpers.generation import generate
from helpers.models import policy_logits

from .pairs import PairBatch

TIMED = 6  # training steps, of which the first is not timed


@torch.no_grad()
def reward_and_kl(
    policy: PreTrainedModel,
    reference: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    reward_models: Mapping[str, Callable[[list[str]], Tensor]],
    sequence_log_prob: Callable[[Tensor, Tensor, Tensor], Tensor],
    *,
    new_tokens: int,
    seed: int = 0,
) -> dict[str, float]:
    """Sample one completion for each prompt, and measure them.

    Args:
        policy, reference: the policy that writes, and the one to which it is compared, with one tokenizer.
        prompts: at least one.
        reward_models: by the name of the result.
        sequence_log_prob: the student's: logits `[B, T, V]`, ids `[B, T]` and completion mask `[B, T]` to `[B]`.
        new_tokens: most tokens a completion may have.
        seed: the same seed gives the same random draws.

    Returns:
        Means over the completions: a reward for each reward model, `kl` to the reference (nats per completion, the
        estimate `k1`), `length` in tokens, `repetition`.
    """
    found: dict[str, list[float]] = {name: [] for name in (*reward_models, "kl", "length")}
    completions: list[str] = []
    for number, group in enumerate(batches(prompts, 64)):
        rollout = generate(policy, tokenizer, group, new_tokens, generator=batch_seed(seed, number))
        logits = policy_logits(reference, rollout.ids, rollout.attention_mask)  # [B, T, V]
        under_reference = sequence_log_prob(logits, rollout.ids, rollout.completion_mask)  # [B]
        found["kl"] += (rollout.log_probs.sum(dim=1) - under_reference).tolist()
        found["length"] += rollout.lengths.tolist()
        for name, model in reward_models.items():
            found[name] += model(rollout.texts).tolist()
        completions += rollout.completions
    return {name: sum(values) / len(values) for name, values in found.items()} | {"repetition": repetition(completions)}


def timed_steps(
    step: Callable[[PairBatch], dict[str, Any]], pair_batches: Iterable[PairBatch]
) -> tuple[float, list[dict[str, Any]]]:
    """Take six training steps; the seconds a step takes, the first not counted, and what the steps reported.

    Args:
        step: one update from one batch.
        pair_batches: at least two; those after the sixth are left.
    """
    first, *others = islice(pair_batches, TIMED)
    reports = [step(first)]
    started = time.perf_counter()
    reports += [step(batch) for batch in others]
    return (time.perf_counter() - started) / len(others), reports
