"""Part 2 (REINFORCE): float64 references and the inputs they are compared on.

`reinforce_step` is judged by what it does to a model: see `autograder.reference.steps`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from autograder.reference.spec import Case, Spec, register

LARGE = torch.tensor([-3_000.0, 2_500.0, 4_000.0, -1_500.0], dtype=torch.float64)
FUNCTIONS = (
    "token_log_probs",
    "compute_reinforce_loss",
    "leave_one_out_advantages",
    "gaussian_log_prob",
    "gaussian_score",
    "discounted_returns",
    "reinforce_step",
)


def token_log_probs(logits: Tensor, ids: Tensor) -> Tensor:
    """`[B, T, V], [B, T] -> [B, T-1]`: log-probability of the token that came next."""
    return torch.log_softmax(logits[:, :-1], dim=-1).gather(-1, ids[:, 1:, None]).squeeze(-1)


def compute_reinforce_loss(log_probs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    """`[B, T], [B], [B, T] -> scalar`: minus the advantage-weighted log-probability, summed over tokens, mean over rows."""
    kept = torch.where(mask, log_probs, torch.zeros_like(log_probs))
    return -(advantages.detach() * kept.sum(dim=1)).mean()


def leave_one_out_advantages(rewards: Tensor, group_size: int | None = None) -> Tensor:
    """`[B] -> [B]`: each reward minus the mean of the others of its group; 0 in a group of 1."""
    groups = rewards.detach().unflatten(0, (-1, group_size or len(rewards)))
    if groups.shape[1] == 1:
        return torch.zeros_like(rewards)
    return (groups - (groups.sum(1, keepdim=True) - groups) / (groups.shape[1] - 1)).flatten()


def gaussian_log_prob(action: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """`[B, D], [B, D], [D, D] -> [B]`: log-density of a multivariate Gaussian."""
    offset = action - mean
    squared = (offset * torch.linalg.solve(covariance, offset.T).T).sum(dim=1)
    return -0.5 * (squared + torch.logdet(covariance) + mean.shape[1] * math.log(2 * math.pi))


def gaussian_score(action: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """`[B, D], [B, D], [D, D] -> [B, D]`: gradient of that log-density to the mean."""
    return torch.linalg.solve(covariance, (action - mean).T).T


def discounted_returns(rewards: Tensor, discount: float) -> Tensor:
    """`[T], float -> [T]`: the discounted sum of this reward and all later ones."""
    steps = torch.arange(len(rewards))
    gap = steps[None, :] - steps[:, None]
    weights = torch.where(gap >= 0, torch.tensor(float(discount), dtype=torch.float64) ** gap.clamp(min=0), 0.0)
    return weights.to(rewards.dtype) @ rewards


# --- inputs ---------------------------------------------------------------------------------------------------------


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _ids(generator: torch.Generator, rows: int, tokens: int, vocabulary: int) -> Tensor:
    return torch.randint(vocabulary, (rows, tokens), generator=generator)


def _token_cases(generator: torch.Generator) -> list[Case]:
    def case(label: str, rows: int, tokens: int, vocabulary: int, scale: float = 2.0, aspect: str = "values") -> Case:
        logits = scale * _normal(generator, rows, tokens, vocabulary)
        return Case(label, {"logits": logits, "ids": _ids(generator, rows, tokens, vocabulary)}, aspect)

    large = torch.cat([_normal(generator, 2, 4, 6).sign() * 1e4, -9_000 + _normal(generator, 2, 4, 6)])
    rare, rare_ids = _rare(generator)
    alike = torch.full((4, 3, 4), 7.0).double()
    alike[2:] = 0.0
    padding = _ids(generator, 4, 6, 11)
    padding[1] = 0
    return [
        Case("a batch of 4", {"logits": 2.0 * _normal(generator, 4, 6, 11), "ids": padding}),
        case("a batch of 1", 1, 5, 7),
        case("as many rows as tokens and vocabulary entries", 4, 4, 4),
        case("two tokens a row", 3, 2, 9),
        case("a larger vocabulary", 2, 7, 300),
        Case(
            "logits of ±10000, logits far below 0, and tokens whose log-probs are -300 and -9000",
            {"logits": torch.cat([large, rare]), "ids": torch.cat([_ids(generator, 4, 4, 6), rare_ids])},
            "edges",
        ),
        case("large logits", 2, 5, 6, scale=300.0, aspect="edges"),
        case("a batch of 1 with two tokens", 1, 2, 5, aspect="edges"),
        case("a vocabulary of one token", 2, 3, 1, aspect="edges"),
        case("a batch of 12", 12, 3, 5, aspect="edges"),
        case("a vocabulary of 5,000", 2, 4, 5_000, aspect="edges"),
        Case("logits all equal, and all 0", {"logits": alike, "ids": _ids(generator, 4, 3, 4)}, "edges"),
        *(
            Case(
                f"logits that are all 0, {v} tokens",
                {"logits": torch.zeros(b, t, v).double(), "ids": _ids(generator, b, t, v)},
                "edges",
            )
            for b, t, v in ((3, 4, 5), (5, 2, 1))
        ),
    ]


def _rare(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two rows of tokens that a policy hardly ever draws, and nothing else is as likely as the first token."""
    logits = _normal(generator, 2, 4, 6)
    logits[0, :, 0] += 300.0
    logits[1, :, 0] += 9_000.0
    return logits, torch.randint(1, 6, (2, 4), generator=generator)


def _mask(generator: torch.Generator, rows: int, tokens: int) -> Tensor:
    """Completion masks: a run of True that begins somewhere and ends somewhere, at least one token long."""
    start = torch.randint(0, max(1, tokens // 2), (rows, 1), generator=generator)
    length = torch.randint(1, tokens + 1, (rows, 1), generator=generator)
    position = torch.arange(tokens)[None]
    return (position >= start) & (position < start + length)


def _loss_cases(generator: torch.Generator) -> list[Case]:
    def inputs(rows: int, tokens: int) -> dict[str, Tensor]:
        return {
            "log_probs": -_normal(generator, rows, tokens).abs() - 0.1,
            "advantages": _normal(generator, rows),
            "mask": _mask(generator, rows, tokens),
        }

    rare = inputs(2, 5)
    rare["log_probs"][:, 1], rare["log_probs"][1, 2] = -300.0, -9_000.0
    rare["mask"][:] = True
    level = inputs(12, 3)
    level["advantages"][0] = 0.0
    empty_row = inputs(3, 5)
    empty_row["mask"][1] = False
    nothing = inputs(2, 4) | {"mask": torch.zeros(2, 4, dtype=torch.bool)}
    wild = inputs(3, 6)
    wild["log_probs"] = torch.where(wild["mask"], wild["log_probs"], -1e4)
    wild_up = inputs(3, 6)
    wild_up["log_probs"] = torch.where(wild_up["mask"], wild_up["log_probs"], 1e4)
    return [
        Case("a batch of 4", inputs(4, 6)),
        Case("a batch of 1", inputs(1, 5)),
        Case("as many rows as tokens", inputs(4, 4)),
        Case("one token a row", inputs(5, 1)),
        Case("a mask that is True everywhere", inputs(3, 4) | {"mask": torch.ones(3, 4, dtype=torch.bool)}),
        Case("a row whose mask is all False", empty_row, "edges"),
        Case("a mask that is all False", nothing, "edges"),
        Case("-10000 at masked positions", wild, "edges"),
        Case("+10000 at masked positions", wild_up, "edges"),
        Case("one token in a batch of 1", inputs(1, 1) | {"mask": torch.ones(1, 1, dtype=torch.bool)}, "edges"),
        Case("advantages below 0 alone", inputs(4, 5) | {"advantages": -_normal(generator, 4).abs() - 0.1}, "edges"),
        Case("log-probs of -300 and -9000", rare, "edges"),
        Case("a batch of 12, one with an advantage of 0", level, "edges"),
        Case(
            "advantages in the thousands",
            inputs(4, 5) | {"advantages": LARGE},
            "edges",
        ),
        Case(
            "advantages of -2000 and less", inputs(4, 5) | {"advantages": -2_000 - _normal(generator, 4).abs()}, "edges"
        ),
        Case("log-probs that are all 0", inputs(3, 4) | {"log_probs": torch.zeros(3, 4).double()}, "edges"),
        Case("advantages that are all 0", inputs(3, 4) | {"advantages": torch.zeros(3).double()}, "edges"),
    ]


def _loss_magnitude(inputs: Mapping[str, Any]) -> float:
    kept = inputs["log_probs"].double().abs() * inputs["mask"]
    return max(1.0, float((inputs["advantages"].double().abs() * kept.sum(dim=1)).mean()))


def _advantage_cases(generator: torch.Generator) -> list[Case]:
    def case(label: str, rewards: Tensor, aspect: str = "values", **named: int | None) -> Case:
        return Case(label, {"rewards": rewards.double()} | named, aspect)

    return [
        case("4 groups of 3", torch.rand(12, generator=generator), group_size=3),
        case("3 groups of 4", 5 * _normal(generator, 12), group_size=4),
        case("2 groups of 2", torch.rand(4, generator=generator), group_size=2),
        case("groups of 1", torch.rand(3, generator=generator), "edges", group_size=1),
        case("one group, as large as the batch", torch.rand(5, generator=generator), "edges", group_size=5),
        case("no group size, given as None", torch.rand(6, generator=generator), "edges", group_size=None),
        case("groups of equal rewards", torch.tensor([0.25, 0.25, 0.75, 0.75]), "edges", group_size=2),
        case("a batch of 8", torch.rand(8, generator=generator)),
        case("a batch of 2", torch.rand(2, generator=generator)),
        case("rewards of either sign", 5 * _normal(generator, 6)),
        case("rewards below 0 alone", -3 - torch.rand(7, generator=generator)),
        case("a batch of 33", torch.rand(33, generator=generator)),
        case("a batch of 1", torch.tensor([0.7]), "edges"),
        case("equal rewards", torch.full((5,), 0.25), "edges"),
        case("rewards that are all 0", torch.zeros(4), "edges"),
        case("one reward far from the others", torch.tensor([0.0, 0.0, 0.0, 100.0]), "edges"),
        case("rewards in the thousands", torch.tensor([4_000.0, -3_000.0, 2_500.0, 300.0, -5_000.0]), "edges"),
        case("rewards of -2000 and less", -2_000 - 500 * torch.rand(6, generator=generator), "edges"),
    ]


def _covariance(generator: torch.Generator, size: int) -> Tensor:
    """A symmetric positive definite matrix with eigenvalues of about 0.5 to 3, not diagonal."""
    root = _normal(generator, size, size)
    basis, _ = torch.linalg.qr(root)
    spread = torch.linspace(0.5, 3.0, size, dtype=torch.float64) if size > 1 else torch.tensor([1.7]).double()
    return (basis * spread) @ basis.T


def _gaussian_cases(generator: torch.Generator) -> list[Case]:
    def inputs(rows: int, size: int) -> dict[str, Tensor]:
        return {
            "action": _normal(generator, rows, size),
            "mean": _normal(generator, rows, size),
            "covariance": _covariance(generator, size),
        }

    at_mean = inputs(3, 2)
    at_mean["action"] = at_mean["mean"].clone()
    diagonal = inputs(3, 3) | {"covariance": torch.diag(torch.tensor([0.25, 1.0, 4.0]).double())}
    wide = inputs(3, 3)
    wide["covariance"] = 800 * wide["covariance"]
    wide["action"] = 20 * wide["action"]
    far = inputs(4, 2)
    far["action"] = far["mean"] + 150 * far["action"].sign()
    far["mean"][0] = -far["action"][0]
    against = inputs(3, 2) | {"covariance": torch.tensor([[600.0, -300.0], [-300.0, 500.0]]).double()}
    against["action"] = 20 * against["action"]
    outliers = inputs(4, 2) | {"covariance": 0.05 * torch.eye(2).double()}
    outliers["action"] = outliers["mean"] + torch.tensor([[120.0], [-120.0], [90.0], [-90.0]])
    opposite = inputs(3, 2)
    opposite["action"], opposite["mean"] = opposite["action"] + 150, opposite["mean"] - 150
    swapped = opposite | {"action": opposite["mean"].clone(), "mean": opposite["action"].clone()}
    nothing = inputs(2, 3) | {name: torch.zeros(2, 3).double() for name in ("action", "mean")}
    beside = inputs(3, 2)
    beside["mean"], beside["action"] = beside["mean"] - 150, beside["action"] + 150
    beside["covariance"] = 3 * torch.eye(2).double()
    small = inputs(2, 2)
    small["covariance"] = 0.05 * torch.eye(2).double()
    small["action"] = small["mean"] + 0.1 * small["action"]
    return [
        Case("5 actions of 3 numbers", inputs(5, 3)),
        Case("a batch of 1", inputs(1, 2)),
        Case("actions of 1 number", inputs(4, 1)),
        Case("one action of 1 number", inputs(1, 1), "edges"),
        Case("as many actions as numbers in each", inputs(3, 3)),
        Case("actions of 6 numbers", inputs(2, 6)),
        Case("an action equal to the mean", at_mean, "edges"),
        Case("a diagonal covariance", diagonal, "edges"),
        Case(
            "a covariance of 1 everywhere on the diagonal",
            inputs(4, 2) | {"covariance": torch.eye(2).double()},
            "edges",
        ),
        Case("a narrow Gaussian", small, "edges"),
        Case("a wide Gaussian", wide, "edges"),
        Case("a wide Gaussian with a negative correlation", against, "edges"),
        Case("12 actions", inputs(12, 2), "edges"),
        Case("actions far from the mean", far, "edges"),
        Case("actions far from the mean of a narrow Gaussian", outliers, "edges"),
        Case("actions far above means below 0", opposite, "edges"),
        Case("actions far below means above 0", swapped, "edges"),
        Case("actions and means that are all 0", nothing, "edges"),
        Case("actions far above means below 0, with a variance of 3", beside, "edges"),
    ]


def _gaussian_sizes(inputs: Mapping[str, Any]) -> tuple[float, float, float]:
    """The largest numbers in action and mean together, the length of the offset, and the least variance."""
    action, mean, covariance = (inputs[name].double() for name in ("action", "mean", "covariance"))
    size = float(action.abs().max() + mean.abs().max())
    return size, float((action - mean).norm(dim=1).max()), float(torch.linalg.eigvalsh(covariance)[0])


def _log_prob_magnitude(inputs: Mapping[str, Any]) -> float:
    """How far rounding of the offset reaches: it is squared, and divided by a variance."""
    size, offset, variance = _gaussian_sizes(inputs)
    return 1 + size * offset / variance


def _score_magnitude(inputs: Mapping[str, Any]) -> float:
    """How far rounding of the offset reaches: it is divided by a variance."""
    size, _, variance = _gaussian_sizes(inputs)
    return size / variance


def _return_cases(generator: torch.Generator) -> list[Case]:
    def case(label: str, rewards: Tensor, discount: float, aspect: str = "values") -> Case:
        return Case(label, {"rewards": rewards.double(), "discount": discount}, aspect)

    return [
        case("7 steps", _normal(generator, 7), 0.9),
        case("12 steps", _normal(generator, 12), 0.5),
        case("1 step", _normal(generator, 1), 0.9),
        case("60 steps of reward 1", torch.ones(60), 0.99),
        case("130 steps", _normal(generator, 130), 0.98),
        case("rewards below 0 alone", -1 - torch.rand(6, generator=generator), 0.7),
        case("a discount of 0", _normal(generator, 5), 0.0, "edges"),
        case("a discount of 1, given as an int", _normal(generator, 5), 1, "edges"),
        case("a discount of 0, given as an int", _normal(generator, 4), 0, "edges"),
        case("a single reward at the end", torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0]), 0.8, "edges"),
        case("330 steps and a small discount", _normal(generator, 330), 0.1, "edges"),
        case("1 step and a discount of 1", _normal(generator, 1), 1.0, "edges"),
        case("rewards in the thousands", 4_000 * _normal(generator, 6), 0.9, "edges"),
        case("rewards that are all 0", torch.zeros(4), 0.9, "edges"),
        case("one reward of -5000", torch.tensor([-5_000.0]), 0.9, "edges"),
        case("one reward of 5000", torch.tensor([5_000.0]), 1, "edges"),
    ]


def _return_magnitude(inputs: Mapping[str, Any]) -> float:
    """The largest sum of absolute values that a return is made of."""
    return float(discounted_returns(inputs["rewards"].double().abs(), float(inputs["discount"])).max())


register(Spec("token_log_probs", token_log_probs, _token_cases, differentiable=("logits",)))
register(
    Spec(
        "compute_reinforce_loss",
        compute_reinforce_loss,
        _loss_cases,
        differentiable=("log_probs",),
        detached=("advantages",),
        magnitude=_loss_magnitude,
    )
)
NINE = torch.arange(9.0, dtype=torch.float64)
register(
    Spec(
        "leave_one_out_advantages",
        leave_one_out_advantages,
        _advantage_cases,
        detached=("rewards",),
        raises=(
            ("9 rewards in groups of 4", {"rewards": NINE, "group_size": 4}, ValueError),
            ("9 rewards in groups of 10", {"rewards": NINE, "group_size": 10}, ValueError),
        ),
    )
)
register(
    Spec(
        "gaussian_log_prob",
        gaussian_log_prob,
        _gaussian_cases,
        differentiable=("action", "mean"),
        magnitude=_log_prob_magnitude,
    )
)
register(
    Spec(
        "gaussian_score",
        gaussian_score,
        _gaussian_cases,
        differentiable=("action", "mean"),
        magnitude=_score_magnitude,
    )
)
register(
    Spec(
        "discounted_returns",
        discounted_returns,
        _return_cases,
        differentiable=("rewards",),
        magnitude=_return_magnitude,
        looseness=16.0,
    )
)
