"""References of Part 3: exact and estimated KL, shaped rewards, PPO's loss, GRPO's advantages; see also `schedules`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autograder.reference.spec import Case, Spec, register

LARGE = torch.tensor([-3_000.0, 2_500.0, 4_000.0, -1_500.0], dtype=torch.float64)
FUNCTIONS = (
    "kl_divergence",
    "kl_estimates",
    "kl_shaped_rewards",
    "best_of_n",
    "best_of_n_kl",
    "anneal_alpha",
    "adapt_alpha",
    "ppo_clip_loss",
    "group_advantages",
    "aggregate_token_losses",
)


def _uniform(generator: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)


def _normal(generator: torch.Generator, *shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def _mask(generator: torch.Generator, *shape: int) -> Tensor:
    """A random bool mask with at least one True in each row."""
    mask = torch.rand(*shape, generator=generator) < 0.6
    mask[:, 0] = True
    return mask


# Exact KL ------------------------------------------------------------------------------------------------------------


def kl_divergence(policy_logits: Tensor, reference_logits: Tensor) -> Tensor:
    log_p = policy_logits.log_softmax(-1)
    log_q = reference_logits.detach().log_softmax(-1)
    impossible = torch.isneginf(policy_logits)
    return (log_p.exp() * (log_p - log_q).masked_fill(impossible, 0.0)).sum(-1)


def _kl_cases(generator: torch.Generator) -> list[Case]:
    def pair(*shape: int, scale: float = 1.5) -> dict[str, Any]:
        names = ("policy_logits", "reference_logits")
        return {name: _normal(generator, *shape, scale=scale) for name in names}

    cases = [
        Case("a batch of 3", pair(3, 5, 7)),
        Case("a batch of 1", pair(1, 4, 11)),
        Case("one position", pair(2, 1, 6)),
        Case("a batch of 12", pair(12, 2, 3), aspect="edges"),
        Case("batch, tokens and vocabulary of one size", pair(4, 4, 4)),
        Case("a vocabulary of 500", pair(2, 3, 500)),
    ]
    shifted = pair(2, 3, 6)
    shifted["reference_logits"] = shifted["reference_logits"] + 40.0
    cases.append(Case("logits with a constant added", shifted))
    large = pair(2, 3, 5, scale=4000.0)
    for logits in large.values():  # one entry stands clear: near ties of this size are decided by rounding
        top = torch.randint(5, (2, 3, 1), generator=generator)
        logits.clamp_(-6_000, 6_000).scatter_(-1, top, 1e4)
    cases.append(Case("logits as large as 1e4", large, aspect="edges"))
    extreme = pair(1, 2, 4)
    extreme["policy_logits"][0, 0, 0], extreme["reference_logits"][0, 0, 1] = 1e4, -1e4
    cases.append(Case("one logit of 1e4", extreme, aspect="edges"))
    cut = pair(2, 3, 6)
    cut["policy_logits"][0, :, 2] = -torch.inf
    cut["policy_logits"][1, 1, :4] = -torch.inf
    cases.append(Case("policy logits of -inf", cut, aspect="edges"))
    both = pair(2, 3, 6)
    for logits in both.values():
        logits[0, :, 1] = -torch.inf
        logits[1, 0, 2:] = -torch.inf
    both["policy_logits"][1, 2, 0] = -torch.inf
    cases.append(Case("logits of -inf in both", both, aspect="edges"))
    cases.append(Case("a batch of 1 with one position", pair(1, 1, 5), aspect="edges"))
    cases.append(Case("a vocabulary of one token", pair(2, 3, 1), aspect="edges"))
    same = pair(2, 3, 6)
    same["reference_logits"] = same["policy_logits"].clone()
    cases.append(Case("two equal distributions", same, aspect="edges"))
    cases.append(Case("logits that are all 0", pair(2, 3, 5, scale=0.0), aspect="edges"))
    deep = {name: logits - 9_000 for name, logits in pair(2, 3, 5).items()}
    cases.append(Case("logits far below 0", deep, aspect="edges"))
    return cases


register(
    Spec(
        "kl_divergence",
        kl_divergence,
        _kl_cases,
        differentiable=("policy_logits",),
        detached=("reference_logits",),
    )
)


# Estimates -----------------------------------------------------------------------------------------------------------


def kl_estimates(log_probs: Tensor, reference_log_probs: Tensor) -> dict[str, Tensor]:
    difference = log_probs - reference_log_probs
    return {"k1": difference, "k2": difference.square() / 2, "k3": torch.expm1(-difference) + difference}


def _estimate_cases(generator: torch.Generator) -> list[Case]:
    def pair(*shape: int) -> dict[str, Any]:
        log_probs = -_uniform(generator, *shape, low=3.0, high=8.0)
        return {"log_probs": log_probs, "reference_log_probs": log_probs + _normal(generator, *shape, scale=0.7)}

    same = pair(2, 4)
    same["reference_log_probs"] = same["log_probs"].clone()
    rare = pair(3, 4)
    for log_probs in rare.values():
        log_probs[0] -= 300.0
        log_probs[1] -= 9_000.0
    far = {
        "log_probs": torch.full((1, 3), -1.0).double(),
        "reference_log_probs": torch.tensor([[-40.0, -12.0, -1.5]]).double(),
    }
    return [
        Case("a batch of 3", pair(3, 6)),
        Case("a batch of 1", pair(1, 4)),
        Case("a square batch", pair(5, 5)),
        Case("equal log-probs", same, aspect="edges"),
        Case("log-probs of -300 and -9000", rare, aspect="edges"),
        Case("one token in a batch of 1", pair(1, 1), aspect="edges"),
        Case("one token a row", pair(3, 1), aspect="edges"),
        Case("a batch of 12", pair(12, 3), aspect="edges"),
        Case("a reference that found the tokens very unlikely", far, aspect="edges"),
        Case("a reference with log-probs of -3000", {k: 75 * v for k, v in far.items()}, aspect="edges"),
        Case("log-probs that are all 0", {name: torch.zeros(2, 3).double() for name in far}, aspect="edges"),
    ]


def _largest_estimate(inputs: Any) -> float:
    estimates = kl_estimates(inputs["log_probs"].double(), inputs["reference_log_probs"].double())
    sizes = [*estimates.values(), inputs["log_probs"].double(), inputs["reference_log_probs"].double()]
    return max(size.abs().max().item() for size in sizes)


register(
    Spec(
        "kl_estimates",
        kl_estimates,
        _estimate_cases,
        differentiable=("log_probs",),
        entries=("k1", "k2", "k3"),
        magnitude=_largest_estimate,
    )
)


# Shaped rewards ------------------------------------------------------------------------------------------------------


def kl_shaped_rewards(
    rewards: Tensor, log_probs: Tensor, reference_log_probs: Tensor, mask: Tensor, alpha: float
) -> Tensor:
    difference = torch.where(mask, log_probs - reference_log_probs, 0.0)
    return (rewards - alpha * difference.sum(-1)).detach()


def _shaped_cases(generator: torch.Generator) -> list[Case]:
    def inputs(batch: int, tokens: int, alpha: float) -> dict[str, Any]:
        log_probs = -_uniform(generator, batch, tokens, low=3.0, high=7.0)
        drift = _normal(generator, batch, tokens, scale=0.8)
        drift[0] = drift[0].abs()  # a row whose estimate of the KL is negative
        return {
            "rewards": _uniform(generator, batch),
            "log_probs": log_probs,
            "reference_log_probs": log_probs + drift,
            "mask": _mask(generator, batch, tokens),
            "alpha": alpha,
        }

    junk = inputs(3, 6, 0.7)
    for name, value in (("log_probs", -1e4), ("reference_log_probs", 37.0)):
        junk[name] = torch.where(junk["mask"], junk[name], value)
    empty = inputs(3, 4, 0.5)
    empty["mask"][1] = False
    below = inputs(4, 5, 0.2)
    below["rewards"] = -2 - below["rewards"]
    rare = inputs(2, 4, 0.5)
    rare["log_probs"] -= torch.tensor([[300.0], [9_000.0]])
    rare["reference_log_probs"] = rare["log_probs"] + _uniform(generator, 2, 4, low=0.5, high=1.5)
    apart = rare | {"reference_log_probs": rare["log_probs"] - 100 * rare["log_probs"].abs().clamp(max=90)}
    return [
        Case("a batch of 4", inputs(4, 6, 0.3)),
        Case("rewards below 0 alone", below),
        Case("log-probs of -300 and -9000", rare, aspect="edges"),
        Case("log-probs of the reference down to -9000", apart, aspect="edges"),
        Case("one token in a batch of 1", inputs(1, 1, 0.4), aspect="edges"),
        Case("one token a row", inputs(4, 1, 0.4), aspect="edges"),
        Case("a mask that is all zero", inputs(3, 4, 0.5) | {"mask": torch.zeros(3, 4).bool()}, aspect="edges"),
        Case(
            "a reference that is sure",
            inputs(3, 4, 0.5) | {"reference_log_probs": torch.zeros(3, 4).double()},
            aspect="edges",
        ),
        Case("a policy that is sure", inputs(3, 4, 0.5) | {"log_probs": torch.zeros(3, 4).double()}, aspect="edges"),
        Case("a batch of 12", inputs(12, 3, 0.4), aspect="edges"),
        Case("a batch of 1", inputs(1, 5, 1.5)),
        Case("as many tokens as rows", inputs(5, 5, 0.8)),
        Case("numbers of 1e4 at masked positions", junk),
        Case("an alpha of 0", inputs(3, 4, 0.0), aspect="edges"),
        Case(
            "rewards in the thousands",
            inputs(3, 4, 0.5) | {"rewards": LARGE[:3]},
            aspect="edges",
        ),
        Case("rewards that are all 0", inputs(3, 4, 0.5) | {"rewards": torch.zeros(3).double()}, aspect="edges"),
        Case("an alpha given as an int", inputs(3, 4, 2), aspect="edges"),
        Case("a row whose mask is all zero", empty, aspect="edges"),
    ]


def _shaped_size(inputs: Any) -> float:
    size = (inputs["log_probs"].double().abs() + inputs["reference_log_probs"].double().abs()) * inputs["mask"]
    return float((inputs["rewards"].double().abs() + float(inputs["alpha"]) * size.sum(-1)).max())


register(
    Spec(
        "kl_shaped_rewards",
        kl_shaped_rewards,
        _shaped_cases,
        detached=("rewards", "log_probs", "reference_log_probs"),
        magnitude=_shaped_size,
        looseness=4.0,
    )
)


# PPO and GRPO (optional) ---------------------------------------------------------------------------------------------


def ppo_clip_loss(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, mask: Tensor, clip: float) -> Tensor:
    difference = torch.where(mask, log_probs - old_log_probs.detach(), 0.0)
    ratio = difference.exp()
    weight = advantages.detach().unsqueeze(-1)
    gain = torch.minimum(ratio * weight, ratio.clamp(1.0 - clip, 1.0 + clip) * weight)
    return -torch.where(mask, gain, 0.0).sum() / log_probs.shape[0]


def _ratios_off_the_border(generator: torch.Generator, clip: float, *shape: int) -> Tensor:
    """Log-ratios inside, above and below the clip range, each well away from its borders; a row begins with one each."""
    low, high = torch.log1p(torch.tensor(-clip)).item(), torch.log1p(torch.tensor(clip)).item()
    inside = _uniform(generator, *shape, low=0.6 * low, high=0.6 * high)
    above = _uniform(generator, *shape, low=high + 0.2, high=high + 0.8)
    below = _uniform(generator, *shape, low=low - 0.8, high=low - 0.2)
    inside[0::2, 0], inside[1::2, 0] = 0.6 * high, 0.6 * low  # outside narrower ranges
    which = torch.randint(0, 3, shape, generator=generator)
    which[:, :3] = torch.arange(3)
    return torch.where(which == 0, inside, torch.where(which == 1, above, below))


TABLES = ("log_probs", "old_log_probs", "mask")  # [B, T]


def _ppo_cases(generator: torch.Generator) -> list[Case]:
    def inputs(batch: int, tokens: int, clip: float) -> dict[str, Any]:
        # multiples of 1/8 so that a cast to bfloat16 moves no ratio across a border
        old = -(_uniform(generator, batch, tokens, low=2.0, high=24.0).round() / 8)
        ratios = (_ratios_off_the_border(generator, clip, batch, tokens) * 16).round() / 16
        signs = torch.where(torch.arange(batch) % 2 == 0, 1.0, -1.0).double()
        mask = _mask(generator, batch, tokens)
        mask[:, :3], mask[:, 3:][:, -1:] = True, False  # every row has ratios of each kind, and something masked
        return {
            "log_probs": old + ratios,
            "old_log_probs": old,
            "advantages": signs * _uniform(generator, batch, low=0.2, high=2.0),
            "mask": mask,
            "clip": clip,
        }

    junk = inputs(4, 6, 0.3)
    junk["log_probs"] = torch.where(junk["mask"], junk["log_probs"], 1e4)
    junk["old_log_probs"] = torch.where(junk["mask"], junk["old_log_probs"], -1e4)
    on_policy = inputs(3, 5, 0.2)
    on_policy["log_probs"] = on_policy["old_log_probs"].clone()
    empty = inputs(3, 5, 0.3)
    empty["mask"][0] = False
    nothing = inputs(2, 3, 0.3)
    nothing["mask"][:] = False
    rare = inputs(2, 5, 0.3)
    for name in ("log_probs", "old_log_probs"):
        rare[name][0] -= 304.0
        rare[name][1] -= 9_216.0
    level = inputs(3, 5, 0.3)
    level["advantages"][0] = 0.0
    large = inputs(3, 5, 0.3)
    large["advantages"] *= 3_000
    sure = inputs(3, 5, 0.3) | {name: torch.zeros(3, 5).double() for name in ("log_probs", "old_log_probs")}
    return [
        Case("a batch of 4", inputs(4, 7, 0.3)),
        Case("a batch of 1", inputs(1, 6, 0.3)),
        Case("as many tokens as rows", inputs(6, 6, 0.5)),
        Case("old log-probs equal to the new (on-policy)", on_policy),
        Case("numbers of ±1e4 at masked positions", junk),
        Case("log-probs of about -300 and -9000", rare, aspect="edges"),
        Case("an advantage of 0", level, aspect="edges"),
        Case("advantages that are all 0", inputs(3, 5, 0.3) | {"advantages": torch.zeros(3).double()}, aspect="edges"),
        Case("advantages in the thousands", large, aspect="edges"),
        Case("advantages of 600 and more", large | {"advantages": large["advantages"].abs()}, aspect="edges"),
        Case("advantages of -600 and less", large | {"advantages": -large["advantages"].abs()}, aspect="edges"),
        Case("a batch of 12", inputs(12, 4, 0.3), aspect="edges"),
        Case("log-probs that are all 0", sure, aspect="edges"),
        Case(
            "one token a row", {k: v[:, :1] if k in TABLES else v for k, v in inputs(4, 5, 0.3).items()}, aspect="edges"
        ),
        Case("a row whose mask is all zero", empty, aspect="edges"),
        Case("a mask that is all zero", nothing, aspect="edges"),
    ]


def _ppo_size(inputs: Any) -> float:
    old = torch.where(inputs["mask"], inputs["old_log_probs"].double(), 0.0)
    ratio = torch.where(inputs["mask"], inputs["log_probs"].double() - old, 0.0).exp() * inputs["mask"]
    return float((ratio.sum(-1) * inputs["advantages"].double().abs()).mean() + old.abs().max())


register(
    Spec(
        "ppo_clip_loss",
        ppo_clip_loss,
        _ppo_cases,
        differentiable=("log_probs",),
        detached=("old_log_probs", "advantages"),
        magnitude=_ppo_size,
        looseness=4.0,
    )
)


def group_advantages(rewards: Tensor, group_size: int) -> Tensor:
    groups = rewards.detach().view(-1, group_size)
    spread = groups.std(dim=1, correction=0, keepdim=True)
    return ((groups - groups.mean(dim=1, keepdim=True)) / (spread + 1e-6)).view(-1)


def _group_cases(generator: torch.Generator) -> list[Case]:
    def inputs(groups: int, size: int) -> dict[str, Any]:
        # an even ladder with a little noise: the spread of every group is well away from 0, in bfloat16 too
        ladder = torch.linspace(0.0, 1.0, size, dtype=torch.float64)
        rows = [ladder[torch.randperm(size, generator=generator)] for _ in range(groups)]
        noise = _uniform(generator, groups, size, low=-0.05, high=0.05)
        shift = _uniform(generator, groups, 1, low=-1.0, high=1.0)
        return {"rewards": (torch.stack(rows) + noise + shift).view(-1), "group_size": size}

    below = inputs(3, 4)
    below["rewards"] = below["rewards"] - 4.0
    deep = inputs(3, 4)
    deep["rewards"] = 200 * deep["rewards"] - 3_000
    equal = {"rewards": torch.tensor([0.5, 0.5, 0.5, 0.0, 1.0, 0.5]).double(), "group_size": 3}
    tiny = {"rewards": torch.tensor([0.0, 4e-6, 1.0, 3.0]).double(), "group_size": 2}
    return [
        Case("3 groups of 4", inputs(3, 4)),
        Case("one group", inputs(1, 5)),
        Case("4 groups of 4", inputs(4, 4)),
        Case("groups of 2", inputs(6, 2)),
        Case("a group whose rewards are all equal", equal, aspect="edges"),
        Case("rewards below 0 alone", below),
        Case("rewards in the thousands", inputs(3, 4) | {"rewards": 4_000 * _normal(generator, 12)}, aspect="edges"),
        Case("rewards that are all 0", {"rewards": torch.zeros(4).double(), "group_size": 2}, aspect="edges"),
        Case("rewards of -2000 and less", deep, aspect="edges", short=False),
        Case("a group whose rewards differ by a few millionths", tiny, aspect="edges", short=False),
        Case("one group of 1", {"rewards": _uniform(generator, 1), "group_size": 1}, aspect="edges"),
        Case("groups of 1", {"rewards": _uniform(generator, 4), "group_size": 1}, aspect="edges"),
    ]


register(Spec("group_advantages", group_advantages, _group_cases, detached=("rewards",)))
