"""Part 4 · DPO, pair by pair."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical

from tests.mutation.oracle import LONG, Inputs, Oracle, largest

from .drawn import DOUBLE, full, masks, normal, nought, number, uniform, whole

Named = Iterator[tuple[str, Inputs]]
POLICY = ("policy_chosen", "policy_rejected")
REFERENCE = ("reference_chosen", "reference_rejected")


# --- sequence_log_prob


def sequence_log_prob(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """The categorical distribution of each position, asked for the token behind it if that counts."""
    rows, tokens = ids.shape
    sums = []
    for b in range(rows):
        counted = [t for t in range(1, tokens) if bool(mask[b, t])]
        terms = [Categorical(logits=logits[b, t - 1], validate_args=False).logits[int(ids[b, t])] for t in counted]
        sums.append(torch.stack(terms).sum() if terms else torch.zeros((), dtype=DOUBLE))
    return torch.stack(sums)


def of_read_logits(inputs: Inputs, results: list[Any]) -> float:
    """Only the logits before a token that counts are normalised."""
    return largest([inputs["logits"][:, :-1][inputs["mask"][:, 1:]]])


def _sequences(g: torch.Generator) -> Named:
    for rows, tokens, entries in ((1, 2, 2), (1, 5, 4), (3, 2, 3), (4, 4, 4), (10, 4, 9), (2, 3, 3_000)):
        for kind, mask in masks(g, rows, tokens).items():
            ids = whole(g, rows, tokens, high=entries)
            size = f"[{rows}, {tokens}, {entries}], mask {kind}"
            for scale in (1.0, 30.0, 4e3):
                logits = normal(g, rows, tokens, entries, scale=scale).clamp(-1e4, 1e4)
                yield f"{size}, scale {scale}", {"logits": logits, "ids": ids, "mask": mask}
            unread = ~torch.cat([mask[:, 1:], torch.zeros(rows, 1, dtype=torch.bool)], 1)
            for junk in (1e4, -1e4):
                far = normal(g, rows, tokens, entries)
                far[..., 0] = torch.where(unread, junk, far[..., 0])
                yield f"{size}, {junk} outside", {"logits": far, "ids": ids, "mask": mask}
            yield f"{size}, zeros", {"logits": nought(rows, tokens, entries), "ids": ids, "mask": mask}
            rare = normal(g, rows, tokens, entries)
            rare[..., 0] += 9_000
            yield f"{size}, rare", {"logits": rare, "ids": torch.full_like(ids, entries - 1), "mask": mask}


# --- the losses of pairs


def _margins(
    policy_chosen: Tensor, policy_rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor
) -> Tensor:
    return policy_chosen - policy_rejected - reference_chosen.detach() + reference_rejected.detach()


def _log_sigmoid(x: Tensor) -> Tensor:
    return -torch.logaddexp(torch.zeros_like(x), -x)


def compute_dpo_loss(
    policy_chosen: Tensor, policy_rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor,
    beta: float, label_smoothing: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """The mixture of both labels, by `logaddexp`."""
    scaled = beta * _margins(policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    loss = -((1 - label_smoothing) * _log_sigmoid(scaled) + label_smoothing * _log_sigmoid(-scaled)).mean()
    chosen, rejected = policy_chosen - reference_chosen, policy_rejected - reference_rejected
    return loss, (beta * chosen).detach(), (beta * rejected).detach()


def dpo_gradient_weight(
    policy_chosen: Tensor, policy_rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor, beta: float
) -> Tensor:
    """The logistic function on Python numbers."""
    margins = _margins(policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    small = [math.exp(-abs(beta * m)) for m in margins.tolist()]
    weights = [s / (1 + s) if beta * m >= 0 else 1 / (1 + s) for s, m in zip(small, margins.tolist(), strict=True)]
    return torch.tensor(weights, dtype=DOUBLE)


def _pairs(g: torch.Generator) -> Named:
    names = (*POLICY, *REFERENCE)
    for count in (1, 2, 5, 32):
        for beta in (0, 0.0, 1, 0.1, number(g, 0.05, 2)):
            for base, drift in ((-30.0, 0.0), (-30.0, 4.0), (-2.0, 1.0), (-900.0, 60.0), (-5e3, 4e3)):
                reference = base - uniform(g, 2, count, high=abs(base) / 2)
                policy = (reference + normal(g, 2, count, scale=drift)).clamp(-1e4, 0)
                given = dict(zip(names, (*policy, *reference), strict=True))
                label = f"{count} near {base}, drift {drift}, beta {beta}"
                yield label, {**given, "beta": beta}
                for smoothing in (0, 0.0, 0.1, 0.5):
                    yield f"{label}, smoothing {smoothing}", {**given, "beta": beta, "label_smoothing": smoothing}
            zeros = {name: nought(count) for name in names}
            yield f"{count}, zeros, beta {beta}", {**zeros, "beta": beta}
            for name in names:
                far = full(-1e4, count)
                yield f"{count}, {name} -1e4, beta {beta}", {**zeros, name: far, "beta": beta}


def compute_ipo_loss(
    policy_chosen: Tensor, policy_rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor, tau: float
) -> Tensor:
    """Pair by pair."""
    margins = _margins(policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    return sum((m - 1 / (2 * tau)) * (m - 1 / (2 * tau)) for m in margins) / len(margins)


def of_squares(inputs: Inputs, results: list[Any]) -> float:
    """A margin's error is the largest log-prob's, and counts by the slope of its square."""
    names = (*POLICY, *REFERENCE)
    margins = _margins(*(inputs[name].detach().double() for name in names)).abs()
    far = float(margins.max()) + 1 / (2 * float(inputs["tau"]))
    return 2 * far * largest([inputs[name] for name in names]) + far * far


def _ipo_pairs(g: torch.Generator) -> Named:
    names = (*POLICY, *REFERENCE)
    for count in (1, 2, 5, 24):
        for tau in (1, 2, 0.1, 0.01, 30.0, number(g, 0.05, 2)):
            for base, drift in ((-30.0, 0.0), (-30.0, 4.0), (-2.0, 1.0), (-300.0, 60.0)):
                reference = base - uniform(g, 2, count, high=abs(base) / 2)
                policy = (reference + normal(g, 2, count, scale=drift)).clamp(-1e4, 0)
                given = dict(zip(names, (*policy, *reference), strict=True))
                yield f"{count} near {base}, drift {drift}, tau {tau}", {**given, "tau": tau}
            zeros = {name: nought(count) for name in names}
            yield f"{count}, zeros, tau {tau}", {**zeros, "tau": tau}
            for name in names:
                yield f"{count}, {name} -1e4, tau {tau}", {**zeros, name: full(-1e4, count), "tau": tau}


# --- preference_accuracy and make_preference_pairs


def preference_accuracy(chosen_rewards: Tensor, rejected_rewards: Tensor) -> float:
    """A win counts 1, a tie ½."""
    pairs = zip(chosen_rewards.tolist(), rejected_rewards.tolist(), strict=True)
    return statistics.fmean([float(c > r) + (c == r) / 2 for c, r in pairs])


def _rewards(g: torch.Generator) -> Named:
    for count in (1, 2, 3, 7, 200):
        few = whole(g, 2, count, low=-3, high=3).double()
        close = normal(g, count)
        for kind, chosen, rejected in (
            ("few values", few[0], few[1]), ("ties", few[0], few[0].clone()), ("equal", close, close.clone()),
            ("normal", normal(g, count), normal(g, count)),
            ("close", close, close + 1e-3 * normal(g, count).sign()), ("very close", close, close * (1 + 3e-7)),
            ("thousands", 9e3 + few[0], 9e3 + few[1]), ("far below 0", few[0] - 9e3, few[1] - 9e3),
            ("below 0", -4 - uniform(g, count), -4 - uniform(g, count)),
            ("all won", close + 1, close), ("all lost", close - 1, close),
            ("zeros", 0 * few[0], 0 * few[1]),
            ("tiny", 1e-7 * few[0], 1e-7 * few[1]), ("tiny, far down", 1e-30 * few[0], 1e-30 * few[1]),
        ):  # fmt: skip
            yield f"{count} {kind}", {"chosen_rewards": chosen, "rejected_rewards": rejected}


def make_preference_pairs(rewards: Tensor, min_gap: float = 0.0) -> Tensor:
    """Prompt by prompt; `max` and `min` give the first of equal ones."""
    found = []
    for prompt, row in enumerate(rewards.tolist()):
        best, worst = max(range(len(row)), key=row.__getitem__), min(range(len(row)), key=row.__getitem__)
        if row[best] - row[worst] > min_gap:
            found.append([prompt, best, worst])
    return torch.tensor(found, dtype=torch.int64).reshape(len(found), 3)


def _completions(g: torch.Generator) -> Named:
    near = normal(g, 3, LONG + 1)
    for shift in (-1e-4, 1e-4):  # so long a row is asked for in float32 and float64 alone
        gap = float(near[1].max() - near[1].min()) + shift
        yield f"a gap of min_gap and {-shift}", {"rewards": near, "min_gap": gap}
    for prompts, count in ((1, 1), (1, 2), (1, 6), (5, 1), (6, 2), (4, 4), (9, 4), (20, 7)):
        # sixteenths: gaps are exact in every dtype
        for kind, rewards in (
            ("sixteenths", whole(g, prompts, count, high=17).double() / 16), ("ties", whole(g, prompts, count).double()),
            ("below 0", -1 - whole(g, prompts, count, high=17).double() / 16), ("equal", full(-0.5, prompts, count)),
            ("either sign", whole(g, prompts, count, low=-16, high=17).double() / 8),
            ("zeros", nought(prompts, count)), ("normal", normal(g, prompts, count)),
            ("thousands", 256 * whole(g, prompts, count, low=-16, high=17).double()),
        ):  # fmt: skip
            for gap in (0, 0.0) if kind == "normal" else (0, 0.0, 0.25, 0.5, 1, 3.0):
                yield f"[{prompts}, {count}], {kind}, gap {gap}", {"rewards": rewards, "min_gap": gap}
            yield f"[{prompts}, {count}], {kind}", {"rewards": rewards}


ORACLES = {
    "sequence_log_prob": Oracle(sequence_log_prob, _sequences, gradients=("logits",), rounding=of_read_logits),
    "compute_dpo_loss": Oracle(
        compute_dpo_loss, _pairs, gradients=POLICY, detached=REFERENCE, constant_results=(1, 2)
    ),
    "compute_ipo_loss": Oracle(
        compute_ipo_loss, _ipo_pairs, gradients=POLICY, detached=REFERENCE, rounding=of_squares
    ),
    "dpo_gradient_weight": Oracle(dpo_gradient_weight, _pairs, detached=(*POLICY, *REFERENCE)),
    "preference_accuracy": Oracle(preference_accuracy, _rewards, exact=True, floor=0.2),
    "make_preference_pairs": Oracle(make_preference_pairs, _completions, exact=True, floor=0.0),
}  # fmt: skip
