"""Part 3 · KL, position by position over the tokens that are possible; schedules in fractions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical

from tests.mutation.oracle import Inputs, Oracle, largest

from .drawn import DOUBLE, full, masks, normal, nought, number, outside, uniform, whole

Named = Iterator[tuple[str, Inputs]]


# --- kl_divergence


def kl_divergence(policy_logits: Tensor, reference_logits: Tensor) -> Tensor:
    """The expectation over the tokens that the policy can draw."""
    rows, tokens, _ = policy_logits.shape
    table = []
    for b in range(rows):
        for t in range(tokens):
            possible = policy_logits[b, t] > -math.inf
            policy = Categorical(logits=policy_logits[b, t][possible], validate_args=False)
            reference = reference_logits[b, t].detach()
            log_q = reference - torch.logsumexp(reference, 0)
            table.append((policy.logits.exp() * (policy.logits - log_q[possible])).sum())
    return torch.stack(table).reshape(rows, tokens)


def of_products(inputs: Inputs, results: list[Any]) -> float:
    """A probability, whose error is that of the largest logit, is multiplied by a log-ratio."""
    return largest(inputs.values()) * largest(results)


def _distributions(g: torch.Generator) -> Named:
    for rows, tokens, entries in ((1, 1, 1), (2, 3, 1), (1, 3, 5), (2, 1, 4), (3, 3, 3), (11, 2, 4), (2, 3, 400)):
        for scale in (0.1, 2.0, 60.0, 4e3):
            shape, size = (rows, tokens, entries), f"[{rows}, {tokens}, {entries}], scale {scale}"
            p, q = (normal(g, *shape, scale=scale).clamp(-1e4, 1e4) for _ in range(2))
            yield size, {"policy_logits": p, "reference_logits": q}
            zeros = nought(*shape)
            yield f"{size}, zeros", {"policy_logits": zeros, "reference_logits": zeros.clone()}
            yield f"{size}, one shifted", {"policy_logits": p - 3, "reference_logits": q + 40}
            yield f"{size}, equal", {"policy_logits": p, "reference_logits": p.clone()}
            out = torch.rand(shape, generator=g) < 0.4
            out[..., -1] = False
            cut = p.masked_fill(out, -math.inf)
            yield f"{size}, -inf", {"policy_logits": cut, "reference_logits": q}
            yield f"{size}, -inf in both", {"policy_logits": cut, "reference_logits": q.masked_fill(out, -math.inf)}
            yield f"{size}, equal with -inf", {"policy_logits": cut, "reference_logits": cut.clone()}
            alone = torch.full_like(p, -math.inf)
            alone[..., -1] = p[..., -1]
            yield f"{size}, one token possible", {"policy_logits": alone, "reference_logits": q}


# --- kl_estimates


def kl_estimates(log_probs: Tensor, reference_log_probs: Tensor) -> dict[str, Tensor]:
    """From the log of the ratio, as it is written on the page."""
    log_r = reference_log_probs - log_probs
    return {"k1": -log_r, "k2": 0.5 * log_r**2, "k3": log_r.exp() - 1 - log_r}


def _estimated(g: torch.Generator) -> Named:
    for rows, tokens in ((1, 1), (1, 4), (3, 1), (4, 4), (11, 3)):
        for base in (0.0, -300.0, -9_000.0):
            for drift in (0.0, 1e-3, 0.7, 6.0):
                own = base - uniform(g, rows, tokens, low=0.1, high=8)
                other = (own + normal(g, rows, tokens, scale=drift).clamp(-15, 15)).clamp(max=0)
                yield f"[{rows}, {tokens}] near {base}, drift {drift}", {"log_probs": own, "reference_log_probs": other}
        own = -uniform(g, rows, tokens, high=3)
        yield f"[{rows}, {tokens}], unlikely to the reference", {"log_probs": own, "reference_log_probs": own - 60}
        yield (
            f"[{rows}, {tokens}], very unlikely to the reference",
            {"log_probs": own, "reference_log_probs": own - 3_000},
        )
        yield f"[{rows}, {tokens}], sure", {"log_probs": 0 * own, "reference_log_probs": 0 * own}


# --- kl_shaped_rewards


def kl_shaped_rewards(
    rewards: Tensor, log_probs: Tensor, reference_log_probs: Tensor, mask: Tensor, alpha: float
) -> Tensor:
    """Token by token."""
    result = []
    for b, reward in enumerate(rewards.tolist()):
        pairs = zip(log_probs[b].tolist(), reference_log_probs[b].tolist(), mask[b].tolist(), strict=True)
        result.append(reward - alpha * math.fsum(p - q for p, q, counts in pairs if counts))
    return torch.tensor(result, dtype=DOUBLE)


def _shaped(g: torch.Generator) -> Named:
    for rows, tokens in ((1, 1), (1, 5), (3, 1), (4, 4), (11, 3)):
        for kind, mask in masks(g, rows, tokens).items():
            for alpha in (0, 0.0, 2, 0.3, number(g)):
                own = -uniform(g, rows, tokens, low=0.1, high=6)
                other = (own + normal(g, rows, tokens)).clamp(max=0)
                size = f"[{rows}, {tokens}], mask {kind}, alpha {alpha}"
                given = {
                    "rewards": normal(g, rows),
                    "log_probs": own,
                    "reference_log_probs": other,
                    "mask": mask,
                    "alpha": alpha,
                }
                yield size, given
                junk = {"log_probs": outside(mask, own, -1e4), "reference_log_probs": outside(mask, other, 1e4)}
                yield f"{size}, 1e4 outside", {**given, **junk}
            large = {"rewards": 3e3 * normal(g, rows)}
            yield f"{size}, thousands", {**given, **large}
            far = {"reference_log_probs": torch.where(torch.rand(rows, tokens, generator=g) < 0.5, -9e3, other)}
            yield f"{size}, unlikely to the reference", {**given, **far}
            same = {"log_probs": other.clone(), "rewards": nought(rows)}
            yield f"{size}, same policy, no reward", {**given, **same}
            rare = {"log_probs": own - 9_000, "reference_log_probs": other - 9_000, "rewards": -4 - uniform(g, rows)}
            yield f"{size}, rare, below 0", {**given, **rare}


# --- schedules


def anneal_alpha(step: float, total_steps: float, start: float, end: float) -> float:
    """A line in exact fractions."""
    if step >= total_steps:
        return float(end)
    return float(Fraction(start) + (Fraction(end) - Fraction(start)) * Fraction(step) / Fraction(total_steps))


def _annealed(g: torch.Generator) -> Named:
    low, high = number(g, 0.1, 2), number(g, 3, 9)
    for start, end in (
        (low, high),
        (high, low),
        (0, 1),
        (1, 0),
        (0.0, 0.0),
        (5, 5),
        (-1.0, 2.5),
        (1e-3, 1e-5),
        (200, 1000),
    ):
        for total in (0, 1, 2, 7, 250, 10.0, 0.5):
            for step in (0, 0.0, 1, 0.25, total / 2, total, total + 1, total - 1, 3 * total + 0.5):
                if step >= 0:
                    yield f"{step} of {total}, {start} to {end}", {
                        "step": step, "total_steps": total, "start": start, "end": end,
                    }  # fmt: skip


def adapt_alpha(alpha: float, observed_kl: float, target_kl: float, horizon: float, steps: float) -> float:
    """The three cases of the clip, in exact fractions."""
    error = Fraction(observed_kl) / Fraction(target_kl) - 1
    fifth = Fraction(1, 5)
    bounded = fifth if error > fifth else -fifth if error < -fifth else error
    return float(Fraction(alpha) * (1 + bounded * Fraction(steps) / Fraction(horizon)))


def _adapted(g: torch.Generator) -> Named:
    for alpha in (0, 0.0, 1, 3, 0.01, number(g, 0.1, 4), 700.0):
        for target in (1, 6, 0.02, number(g, 0.5, 8)):
            for share in (0, -4, -0.5, 0.3, 0.75, 0.81, 0.95, 1, 1.0, 1.07, 1.19, 1.25, 1.7, 2.2, 50):
                for horizon, steps in ((1, 1), (10, 3), (64.0, 256.0), (3, 7.5), (100, 0), (1.5, 0.25)):
                    yield f"{alpha}, {share} of {target}, {steps}/{horizon}", {
                        "alpha": alpha, "observed_kl": share * target, "target_kl": target,
                        "horizon": horizon, "steps": steps,
                    }  # fmt: skip


# --- ppo_clip_loss and group_advantages


def ppo_clip_loss(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, mask: Tensor, clip: float) -> Tensor:
    """Token by token; the clipped branch is a constant."""
    rows, tokens = log_probs.shape
    total = 0 * log_probs.new_zeros(())
    for b in range(rows):
        a = float(advantages[b])
        for t in range(tokens):
            if bool(mask[b, t]):
                ratio = torch.exp(log_probs[b, t] - float(old_log_probs[b, t]))
                bounded = min(max(float(ratio), 1 - clip), 1 + clip)
                total = total - (bounded * a if bounded * a < float(ratio) * a else ratio * a) / rows
    return total


def _clipped(g: torch.Generator) -> Named:
    for rows, tokens in ((1, 1), (1, 6), (3, 1), (4, 4), (11, 3)):
        for kind, mask in masks(g, rows, tokens).items():
            for clip in (0.2, 0.5, 0.125, 1):
                # multiples of 1/8: the ratios stay the same in every dtype, and away from the borders
                old = -whole(g, rows, tokens, low=12, high=80).double() / 8
                log_ratio = whole(g, rows, tokens, low=-8, high=10).double() / 8
                near = torch.minimum((log_ratio.exp() - 1 - clip).abs(), (log_ratio.exp() - 1 + clip).abs()) < 0.06
                log_ratio[near] = 0.0
                given: Inputs = {
                    "log_probs": old + log_ratio,
                    "old_log_probs": old,
                    "advantages": normal(g, rows),
                    "mask": mask,
                    "clip": clip,
                }
                size = f"[{rows}, {tokens}], mask {kind}, clip {clip}"
                yield size, given
                yield f"{size}, first step", {**given, "log_probs": old.clone()}
                for junk in (1e4, -1e4):
                    far = {
                        "log_probs": outside(mask, given["log_probs"], junk),
                        "old_log_probs": outside(mask, old, -junk),
                    }
                    yield f"{size}, {junk} outside", {**given, **far}
            yield f"{size}, advantages below 0", {**given, "advantages": -0.2 - uniform(g, rows)}
            yield f"{size}, advantages above 0", {**given, "advantages": 0.2 + uniform(g, rows)}
            yield f"{size}, advantages of thousands", {**given, "advantages": 3e3 * normal(g, rows)}
            sure = {"log_probs": nought(rows, tokens), "old_log_probs": nought(rows, tokens)}
            yield f"{size}, sure", {**given, **sure}
            yield f"{size}, advantages 0", {**given, "advantages": nought(rows)}
            rare = {"log_probs": given["log_probs"] - 9_000, "old_log_probs": old - 9_000}
            yield f"{size}, rare", {**given, **rare}


def group_advantages(rewards: Tensor, group_size: int) -> Tensor:
    """Group by group."""
    numbers, result = rewards.tolist(), []
    for start in range(0, len(numbers), group_size):
        group = numbers[start : start + group_size]
        mean = math.fsum(group) / group_size
        deviation = math.sqrt(math.fsum((r - mean) ** 2 for r in group) / group_size)
        result += [(r - mean) / (deviation + 1e-6) for r in group]
    return torch.tensor(result, dtype=DOUBLE)


def of_spreads(inputs: Inputs, results: list[Any]) -> Tensor:
    """The rounding of a reward is divided by its group's spread."""
    groups = inputs["rewards"].reshape(-1, inputs["group_size"])
    far = groups.abs().amax(1) / (groups.std(1, correction=0) + 1e-6)
    return far.repeat_interleave(inputs["group_size"])


def _grouped(g: torch.Generator) -> Named:
    for groups, size in ((1, 1), (4, 1), (1, 2), (1, 5), (5, 2), (4, 4), (3, 6)):
        count = groups * size
        for kind, rewards in (
            ("probabilities", uniform(g, count)), ("of either sign", normal(g, count, scale=4)),
            ("below 0", -3 - uniform(g, count)),
            ("equal", full(0.5, count)), ("zeros", nought(count)),
            ("zeros and ones", whole(g, count).double()), ("close", uniform(g, count) * 4e-6),
            ("thousands", 2e3 * normal(g, count)),
            ("one equal group", torch.cat([full(0.25, size), normal(g, count - size)])),
        ):  # fmt: skip
            yield f"{groups} groups of {size}, {kind}", {"rewards": rewards, "group_size": size}


ORACLES = {
    "kl_divergence": Oracle(
        kl_divergence, _distributions, gradients=("policy_logits",), detached=("reference_logits",), rounding=of_products
    ),
    "kl_estimates": Oracle(kl_estimates, _estimated, gradients=("log_probs",)),
    "kl_shaped_rewards": Oracle(
        kl_shaped_rewards, _shaped, detached=("rewards", "log_probs", "reference_log_probs")
    ),
    "anneal_alpha": Oracle(anneal_alpha, _annealed, floor=1e-3),
    "adapt_alpha": Oracle(adapt_alpha, _adapted, floor=1e-3),
    "ppo_clip_loss": Oracle(
        ppo_clip_loss, _clipped, gradients=("log_probs",), detached=("old_log_probs", "advantages")
    ),
    "group_advantages": Oracle(group_advantages, _grouped, detached=("rewards",), rounding=of_spreads),
}  # fmt: skip
