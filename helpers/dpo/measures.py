"""Measurements of Part 4 around a student's functions: what policies write and what that cost, and the time of a step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from types import FunctionType
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.data import batches
from helpers.evaluation import NORMAL_975, batch_seed, repetition
from helpers.generation import generate
from helpers.kl.sweep import SweepRun
from helpers.models import policy_logits
from helpers.runs import History

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
        estimate `k1`), `length` in tokens, `repetition`; and `half_width`, of the 95 % interval of the first reward.
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
    means = {name: sum(values) / len(values) for name, values in found.items()}
    half_width = NORMAL_975 * float(pd.Series(found[next(iter(reward_models))]).sem())
    return {**means, "half_width": half_width, "repetition": repetition(completions)}


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


def epoch_rows(name: str, history: History, final: Mapping[str, float]) -> list[dict[str, Any]]:
    """A row for each epoch of a training run that was looked at after its epochs.

    Args:
        name: what the table calls the run.
        history: each look stands in columns `epoch_...`; there is none after the last epoch.
        final: the same measures of the trained policy.
    """
    looks = [
        {key.removeprefix("epoch_"): value for key, value in record.items() if key.startswith("epoch_")}
        for record in history.records
        if any(key.startswith("epoch_") for key in record)
    ]
    return [{"run": name, "epoch": number, **look} for number, look in enumerate([*looks, dict(final)], start=1)]


def texts_scored(run: SweepRun, batch_size: int) -> int:
    """How many texts were scored while a run of Part 3 was trained; recorded runs keep only every few steps."""
    steps = [int(record["step"]) for record in run.records]
    between = steps[-1] - steps[-2] if len(steps) > 1 else 1
    return (steps[-1] + between) * batch_size if steps else 0


def beside_reinforce(
    policies: Mapping[str, Mapping[str, float]],
    runs: Sequence[SweepRun],
    untrained: Mapping[str, float],
    *,
    scored: int,
    batch_size: int,
) -> pd.DataFrame:
    """A table of trained policies, the nearest to the reference first, and what REINFORCE has at the same KL.

    Args:
        policies: the scores of each DPO policy: `reward`, `kl` and `length`.
        runs: REINFORCE with a KL penalty, of Part 3.
        untrained: the scores of the reference, whose KL is 0.
        scored: texts that were scored to make the pairs.
        batch_size: texts that REINFORCE scores at each step.

    Returns:
        `reward at equal KL` and `length at equal KL` lie on straight lines between neighbouring points, the reference and
        the runs of REINFORCE; they stand in the rows of `policies` whose KL is not beyond that of the farthest run.
    """
    known = [(0.0, untrained["reward"], untrained["length"])]
    known += sorted((run.scores["kl"], run.scores["reward"], run.scores["length"]) for run in runs)
    kls, rewards, lengths = zip(*known, strict=True)
    rows = {}
    for name, scores in [*policies.items(), *((f"REINFORCE, {run.name}", run.scores) for run in runs)]:
        row = {key: scores[key] for key in ("kl", "reward", "half_width", "second_reward", "length") if key in scores}
        row["KL per token"] = scores["kl"] / scores["length"]
        if name in policies:
            beyond = {"right": float("nan")}  # an estimate of a small KL may lie below 0: that is the reference
            row["reward at equal KL"] = float(np.interp(scores["kl"], kls, rewards, **beyond))
            row["length at equal KL"] = float(np.interp(scores["kl"], kls, lengths, **beyond))
        rows[name] = row | {"texts scored": scored}
    for run in runs:
        rows[f"REINFORCE, {run.name}"]["texts scored"] = texts_scored(run, batch_size)
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("kl").rename(columns={"kl": "KL"})


def with_names(function: Callable[..., Any], **names: Any) -> Callable[..., Any]:
    """A copy of a function in whose body some global names stand for other things; the function itself stays as it is.

    Raises:
        TypeError: it is no plain Python function.
    """
    if not isinstance(function, FunctionType):
        raise TypeError(f"this needs a function written with `def`, not a {type(function).__name__}")
    copy = FunctionType(
        function.__code__, function.__globals__ | names, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy
