"""Evaluating a policy: mean reward over many prompts, with a progress bar that shows the running average."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .data import batches
from .generation import generate
from .presets import Preset

NORMAL_975 = 1.959964  # 97.5 % quantile of the standard normal distribution


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found. Rewards are probabilities that a text is positive, 0 to 1.

    Attributes:
        rewards: float32 `[N]`, one per prompt, in the order of `prompts`.
        lengths: int64 `[N]`, generated tokens.
        repetition: share of repeated bigrams, the mean over completions (see `repetition`).
        mean: mean reward.
        half_width: half width of its 95 % confidence interval.
    """

    rewards: Float[Tensor, " N"]
    prompts: list[str]
    completions: list[str]
    texts: list[str]
    lengths: Int[Tensor, " N"]
    repetition: float
    mean: float
    half_width: float

    def __len__(self) -> int:
        return len(self.prompts)

    def __str__(self) -> str:
        return (
            f"reward {self.mean:.3f} ± {self.half_width:.3f} (95 % interval, N = {len(self)}), "
            f"length {self.lengths.float().mean().item():.1f} tokens, repetition {self.repetition:.3f}"
        )


def evaluate(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    reward_model: Callable[[Sequence[str]], Tensor],
    prompts: Sequence[str],
    preset: Preset,
    *,
    seed: int = 0,
    progress: bool = True,
) -> Evaluation:
    """Sample one completion for each prompt, score prompt and completion together, and average.

    Each batch is sampled with a seed that depends on `seed` and the batch's number, so that two policies are compared
    on the same prompts with the same random numbers. The progress bar shows batches done, the speed, and the mean
    reward so far.

    Args:
        prompts: all of them are used; cut the list to evaluate on fewer.
        preset: gives the number of new tokens and the batch size.
        progress: show the progress bar.
    """
    prompts = list(prompts)
    if not prompts:
        raise ValueError("evaluate needs at least one prompt")
    rewards: list[Tensor] = []
    lengths: list[Tensor] = []
    completions: list[str] = []
    texts: list[str] = []
    total = seen = 0.0
    groups = list(batches(prompts, preset.evaluation_batch_size))
    bar = tqdm(groups, desc="evaluating", unit="batch", disable=not progress, file=sys.stdout, ncols=90)
    for number, group in enumerate(bar):
        rollout = generate(policy, tokenizer, group, preset.new_tokens, generator=batch_seed(seed, number))
        scores = torch.as_tensor(reward_model(rollout.texts)).float().cpu()
        rewards.append(scores)
        lengths.append(rollout.lengths.cpu())
        completions += rollout.completions
        texts += rollout.texts
        total, seen = total + scores.sum().item(), seen + len(group)
        bar.set_postfix(reward=f"{total / seen:.3f}")
    every = torch.cat(rewards)  # [N]
    table = pd.Series(every.double().numpy())
    return Evaluation(
        rewards=every,
        prompts=prompts,
        completions=completions,
        texts=texts,
        lengths=torch.cat(lengths),
        repetition=repetition(completions),
        mean=float(table.mean()),
        half_width=float(NORMAL_975 * table.sem()),
    )


def batch_seed(seed: int, number: int) -> int:
    """Return a seed for batch `number` of a run with the given seed; different pairs give different seeds."""
    return (seed * 1_000_003 + number) % 2**62


def repetition(completions: Sequence[str]) -> float:
    """Return the mean share of repeated bigrams (pairs of neighbouring words) in each completion.

    0: no pair of words comes twice; "so good so good so good" has five bigrams, three of them repeats, so 0.6.
    Case is ignored. A completion of fewer than two words has no bigram and counts as 0.
    """
    shares = []
    for completion in completions:
        words = completion.lower().split()
        bigrams = list(pairwise(words))
        shares.append(1 - len(set(bigrams)) / len(bigrams) if bigrams else 0.0)
    return sum(shares) / len(shares) if shares else 0.0
