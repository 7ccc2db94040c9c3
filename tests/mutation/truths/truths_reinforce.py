"""Part 2 · REINFORCE, by `torch.distributions` and by sums over plain Python indices."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.distributions import Categorical, MultivariateNormal

from tests.mutation.oracle import Inputs, Oracle, of_logits

from .drawn import DOUBLE, full, masks, normal, nought, number, outside, uniform, whole

Named = Iterator[tuple[str, Inputs]]


# --- token_log_probs


def token_log_probs(logits: Tensor, ids: Tensor) -> Tensor:
    """The categorical distribution of each position, asked for the token behind it."""
    rows, tokens = ids.shape
    policy = Categorical(logits=logits, validate_args=False)
    table = [[policy.logits[b, t, int(ids[b, t + 1])] for t in range(tokens - 1)] for b in range(rows)]
    return torch.stack([torch.stack(row) for row in table])


def _scored(g: torch.Generator) -> Named:
    for rows, tokens, entries in (
        (1, 2, 2),
        (1, 2, 5),
        (1, 6, 4),
        (2, 2, 3),
        (4, 4, 4),
        (11, 3, 4),
        (3, 6, 11),
        (2, 3, 3_000),
        (5, 2, 1),
    ):
        size = f"[{rows}, {tokens}, {entries}]"
        ids = whole(g, rows, tokens, high=entries)
        for scale in (1.0, 8.0, 300.0, 5e3):
            yield (
                f"{size}, scale {scale}",
                {"logits": normal(g, rows, tokens, entries, scale=scale).clamp(-1e4, 1e4), "ids": ids},
            )
        yield f"{size}, ±1e4", {"logits": 1e4 * normal(g, rows, tokens, entries).sign(), "ids": ids}
        yield f"{size}, zeros", {"logits": nought(rows, tokens, entries), "ids": ids}
        yield f"{size}, all -1e4", {"logits": full(-1e4, rows, tokens, entries), "ids": ids}
        yield (
            f"{size}, one token everywhere",
            {"logits": normal(g, rows, tokens, entries), "ids": torch.zeros_like(ids)},
        )
        rare = normal(g, rows, tokens, entries)
        rare[:, :, 0] += 9_000
        yield f"{size}, rare tokens", {"logits": rare, "ids": torch.full_like(ids, entries - 1)}


# --- compute_reinforce_loss


def compute_reinforce_loss(log_probs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    """Token by token."""
    rows, tokens = log_probs.shape
    total = 0 * log_probs.new_zeros(())
    for b in range(rows):
        for t in range(tokens):
            if bool(mask[b, t]):
                total = total - float(advantages[b]) * log_probs[b, t] / rows
    return total


def _weighted(g: torch.Generator) -> Named:
    for rows, tokens in ((1, 1), (1, 5), (2, 1), (4, 4), (11, 3)):
        for kind, mask in masks(g, rows, tokens).items():
            size = f"[{rows}, {tokens}], mask {kind}"
            log_probs = -uniform(g, rows, tokens, low=0.01, high=9)
            yield size, {"log_probs": log_probs, "advantages": normal(g, rows), "mask": mask}
            for junk in (1e4, -1e4):
                given = outside(mask, log_probs, junk)
                yield f"{size}, {junk} outside", {"log_probs": given, "advantages": normal(g, rows), "mask": mask}
            down = -uniform(g, rows, low=0.5, high=2)
            yield f"{size}, all advantages below 0", {"log_probs": log_probs, "advantages": down, "mask": mask}
            yield f"{size}, rare", {"log_probs": log_probs * 1_000, "advantages": normal(g, rows), "mask": mask}
            large = {"log_probs": log_probs, "advantages": 3e3 * normal(g, rows), "mask": mask}
            yield f"{size}, advantages of thousands", large
            yield f"{size}, sure", {"log_probs": 0 * log_probs, "advantages": normal(g, rows), "mask": mask}
            some = normal(g, rows) * (torch.arange(rows) % 2)  # every other row's advantage is 0
            yield f"{size}, some advantages 0", {"log_probs": log_probs, "advantages": some, "mask": mask}
            nothing = nought(rows)
            yield f"{size}, advantages 0", {"log_probs": log_probs, "advantages": nothing, "mask": mask}


# --- leave_one_out_advantages


def leave_one_out_advantages(rewards: Tensor, group_size: int | None = None) -> Tensor:
    """Reward by reward, the others of its group in a list."""
    numbers = rewards.tolist()
    size = group_size or len(numbers)
    result = []
    for place, reward in enumerate(numbers):
        start = place // size * size
        others = [numbers[i] for i in range(start, start + size) if i != place]
        result.append(reward - sum(others) / len(others) if others else 0.0)
    return torch.tensor(result, dtype=DOUBLE)


def _rewarded(g: torch.Generator) -> Named:
    for count in (1, 2, 3, 8, 41):
        for kind, rewards in (
            ("probabilities", uniform(g, count)), ("of either sign", normal(g, count, scale=5)),
            ("below 0", -3 - uniform(g, count)),
            ("equal", full(0.5, count)), ("zeros", nought(count)),
            ("thousands", 9e3 * normal(g, count).clamp(-1, 1)), ("zeros and ones", whole(g, count).double()),
        ):  # fmt: skip
            yield f"{count} {kind}", {"rewards": rewards}
            for size in {1, count, 2 if count % 2 == 0 else 1}:
                yield f"{count} {kind}, groups of {size}", {"rewards": rewards, "group_size": size}
    yield "4 groups of 3", {"rewards": normal(g, 12), "group_size": 3}
    yield "3 groups of 4, no groups", {"rewards": normal(g, 12), "group_size": None}


# --- the Gaussian policy


def gaussian_log_prob(action: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """By `torch.distributions`."""
    return MultivariateNormal(mean, covariance_matrix=covariance, validate_args=False).log_prob(action)


def gaussian_score(action: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """By the inverse."""
    return torch.stack([torch.linalg.inv(covariance) @ (a - m) for a, m in zip(action, mean, strict=True)])


def _actions(g: torch.Generator) -> Named:
    for rows, size in ((1, 1), (1, 3), (3, 1), (2, 2), (5, 5), (7, 3), (11, 2), (2, 8)):
        for kind in ("correlated", "diagonal", "unit", "narrow", "wide"):
            basis, _ = torch.linalg.qr(normal(g, size, size))
            spread = torch.diag(uniform(g, size, low=0.4, high=3))
            covariance = {
                "correlated": basis @ spread @ basis.T, "diagonal": spread, "unit": torch.eye(size, dtype=DOUBLE),
                "narrow": 0.02 * basis @ spread @ basis.T, "wide": 600 * basis @ spread @ basis.T,
            }[kind]  # fmt: skip
            covariance = (covariance + covariance.T) / 2
            length = {"narrow": 0.1, "wide": 15.0}.get(kind, 1.0)
            mean = normal(g, rows, size)
            action = mean + length * normal(g, rows, size)
            named = f"[{rows}, {size}], {kind}"
            yield named, {"action": action, "mean": mean, "covariance": covariance}
            yield f"{named}, at the mean", {"action": mean.clone(), "mean": mean, "covariance": covariance}
            apart = {"action": action - 150, "mean": mean + 150, "covariance": covariance}
            yield f"{named}, far on the other side", apart
            zeros = nought(rows, size)
            yield f"{named}, zeros", {"action": zeros, "mean": zeros.clone(), "covariance": covariance}
            yield f"{named}, below 0", {"action": -action.abs() - 1, "mean": -mean.abs(), "covariance": covariance}
            if kind == "correlated":
                yield f"{named}, far away", {"action": action + 150, "mean": mean - 150, "covariance": covariance}


# --- discounted_returns


def discounted_returns(rewards: Tensor, discount: float) -> Tensor:
    """By the double sum."""
    powers = [float(discount) ** k if k else 1.0 for k in range(len(rewards))]
    weights = [[powers[k - t] if k >= t else 0.0 for k in range(len(rewards))] for t in range(len(rewards))]
    return torch.tensor(weights, dtype=DOUBLE) @ rewards


def _paths(g: torch.Generator) -> Named:
    yield "130 steps", {"rewards": normal(g, 130), "discount": 0.98}
    yield "130 steps, a small discount", {"rewards": normal(g, 130), "discount": 0.1}
    for steps in (1, 2, 6, 25):
        for discount in (0, 0.0, 1, 1.0, 0.5, 0.05, 0.97, number(g)):
            yield f"{steps} steps, discount {discount}", {"rewards": normal(g, steps), "discount": discount}
            yield (
                f"{steps} steps below 0, discount {discount}",
                {"rewards": -1 - uniform(g, steps), "discount": discount},
            )
            late = nought(steps)
            late[-1] = 100.0
            yield f"{steps} steps, a late reward, discount {discount}", {"rewards": late, "discount": discount}
            large = 3e3 * normal(g, steps)
            yield f"{steps} steps, thousands, discount {discount}", {"rewards": large, "discount": discount}
            yield f"{steps} steps, nothing, discount {discount}", {"rewards": 0 * late, "discount": discount}


_NINE = torch.arange(9.0)
ORACLES = {
    "token_log_probs": Oracle(token_log_probs, _scored, gradients=("logits",), rounding=of_logits),
    "compute_reinforce_loss": Oracle(
        compute_reinforce_loss, _weighted, gradients=("log_probs",), detached=("advantages",)
    ),
    "leave_one_out_advantages": Oracle(
        leave_one_out_advantages, _rewarded, detached=("rewards",),
        errors=(("9 rewards in groups of 4", {"rewards": _NINE, "group_size": 4}, ValueError),
                ("9 rewards in groups of 10", {"rewards": _NINE, "group_size": 10}, ValueError)),
    ),
    "gaussian_log_prob": Oracle(gaussian_log_prob, _actions, gradients=("action", "mean")),
    "gaussian_score": Oracle(gaussian_score, _actions, gradients=("action", "mean")),
    "discounted_returns": Oracle(discounted_returns, _paths, gradients=("rewards",)),
}  # fmt: skip
