"""Part 4 (DPO): float64 references and the inputs they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from autograder.reference.spec import Case, Spec, register

DOUBLE = torch.float64
POLICIES = ("policy_chosen", "policy_rejected")
REFERENCES = ("reference_chosen", "reference_rejected")
FUNCTIONS = (
    "make_preference_pairs",
    "sequence_log_prob",
    "compute_dpo_loss",
    "dpo_gradient_weight",
    "preference_accuracy",
    "dpo_step",
    "compute_ipo_loss",
)


def sequence_log_prob(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Sum of the log-probabilities of the masked-in tokens, each given the tokens before it: `[B]`."""
    log_probs = logits[:, :-1] - logits[:, :-1].logsumexp(-1, keepdim=True)
    next_ones = log_probs.gather(-1, ids[:, 1:, None])[..., 0]
    return torch.where(mask[:, 1:].bool(), next_ones, torch.zeros_like(next_ones)).sum(-1)


def margin_of(chosen: Tensor, rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor) -> Tensor:
    return (chosen - reference_chosen.detach()) - (rejected - reference_rejected.detach())


def compute_dpo_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    beta: float,
    label_smoothing: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """`(loss, chosen rewards [B], rejected rewards [B])`."""
    scaled = beta * margin_of(policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    softplus = torch.nn.functional.softplus
    loss = ((1 - label_smoothing) * softplus(-scaled) + label_smoothing * softplus(scaled)).mean()
    chosen = beta * (policy_chosen - reference_chosen)
    rejected = beta * (policy_rejected - reference_rejected)
    return loss, chosen.detach(), rejected.detach()


def dpo_gradient_weight(
    policy_chosen: Tensor, policy_rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor, beta: float
) -> Tensor:
    """σ(−β·margin) of each pair: `[B]`, detached."""
    margin = margin_of(policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    return torch.special.expit(-beta * margin).detach()


def preference_accuracy(chosen_rewards: Tensor, rejected_rewards: Tensor) -> float:
    """Share of pairs with chosen > rejected, a tie counting one half."""
    wins = sum(
        1.0 if c > r else 0.5 if c == r else 0.0
        for c, r in zip(chosen_rewards.tolist(), rejected_rewards.tolist(), strict=True)
    )
    return wins / len(chosen_rewards)


def make_preference_pairs(rewards: Tensor, min_gap: float = 0.0) -> Tensor:
    """Rows (prompt, best, worst) of the prompts whose gap is larger than `min_gap`: int64 `[M, 3]`."""
    rows = []
    for prompt, row in enumerate(rewards.tolist()):
        best, worst = row.index(max(row)), row.index(min(row))
        if row[best] - row[worst] > min_gap:
            rows.append((prompt, best, worst))
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)


def _normal(generator: torch.Generator, *shape: int, scale: float = 1.0) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=DOUBLE) * scale


def _completion_mask(generator: torch.Generator, batch: int, length: int) -> Tensor:
    """Prompt and padding 0, at least one completion token: what collated pairs look like."""
    positions = torch.arange(length)
    starts = torch.randint(1, max(2, length - 1), (batch, 1), generator=generator)
    ends = torch.minimum(starts + torch.randint(1, length + 1, (batch, 1), generator=generator), torch.tensor(length))
    return (positions >= starts) & (positions < ends)


def _sequence_inputs(
    generator: torch.Generator, batch: int, length: int, vocabulary: int, scale: float = 2.0
) -> dict[str, Any]:
    return {
        "logits": _normal(generator, batch, length, vocabulary, scale=scale),
        "ids": torch.randint(0, vocabulary, (batch, length), generator=generator),
        "mask": _completion_mask(generator, batch, length),
    }


def _sequence_cases(generator: torch.Generator) -> list[Case]:
    shapes = [(3, 6, 11), (1, 5, 7), (4, 2, 3), (16, 20, 50), (1, 2, 4)]
    cases = [Case(f"B={b}, T={t}, V={v}", _sequence_inputs(generator, b, t, v)) for b, t, v in shapes]
    first = cases[0].inputs
    first["mask"][-1] = False
    first["mask"][0, 2:4] = True
    first["logits"][0, 2, first["ids"][0, 3]] = -15.0  # a token that is hardly ever drawn
    holes = _sequence_inputs(generator, 3, 8, 9)
    holes["mask"] = torch.rand(3, 8, generator=generator) < 0.5
    holes["mask"][:, 0] = True
    cases.append(Case("a mask with holes that marks the first token too (nothing predicts it)", holes))
    empty = _sequence_inputs(generator, 3, 6, 5)
    empty["mask"][:] = False
    cases.append(Case("masks that are all zero", empty, "edges"))
    rare = _sequence_inputs(generator, 2, 5, 6)
    rare["ids"][rare["ids"] == 0] = 1
    rare["mask"][:, 1:] = True
    rare["logits"][0, 1, 0], rare["logits"][1, :, 0] = 300.0, 9_000.0
    cases.append(Case("tokens whose log-probs are -300 and -9000", rare, "edges"))
    cases.append(Case("a vocabulary of 5,000", _sequence_inputs(generator, 3, 8, 5_000), "edges"))
    deep = _sequence_inputs(generator, 2, 5, 6)
    cases.append(Case("logits far below 0", deep | {"logits": deep["logits"] - 9_000}, "edges"))
    cases.append(Case("logits that are all 0", _sequence_inputs(generator, 2, 4, 5, scale=0.0), "edges"))
    cases.append(Case("logits as large as 1e4", _sequence_inputs(generator, 2, 6, 8, scale=5e3), "edges"))
    for label, number in (("1e4", 1e4), ("-1e4", -1e4)):
        extreme = _sequence_inputs(generator, 3, 7, 6)
        outside = ~torch.nn.functional.pad(extreme["mask"][:, 1:], (0, 1))  # positions that predict nothing wanted
        extreme["logits"][..., 0] = torch.where(outside, number, extreme["logits"][..., 0])
        cases.append(Case(f"logits of {label} at masked positions", extreme, "edges"))
    return cases


def _sequence_magnitude(inputs: Mapping[str, Any]) -> float:
    """The largest logit of a position that counts, times the number of terms added up."""
    mask = torch.nn.functional.pad(inputs["mask"][:, 1:], (0, 1))
    counted = inputs["logits"][mask]
    return max(1.0, counted.abs().max().item() if counted.numel() else 1.0) * max(1, int(mask.sum(-1).max()))


def log_prob_inputs(generator: torch.Generator, batch: int, beta: float, drift: float = 3.0) -> dict[str, Any]:
    chosen, rejected = -20 - 5 * torch.rand(2, batch, generator=generator, dtype=DOUBLE)
    return {
        "policy_chosen": chosen + _normal(generator, batch, scale=drift),
        "policy_rejected": rejected + _normal(generator, batch, scale=drift),
        "reference_chosen": chosen,
        "reference_rejected": rejected,
        "beta": beta,
    }


def margin_inputs(margins: list[float], beta: float) -> dict[str, Any]:
    zeros = torch.zeros(len(margins), dtype=DOUBLE)
    return {
        "policy_chosen": torch.tensor(margins, dtype=DOUBLE).clamp(max=0),  # no log-prob is above 0
        "policy_rejected": zeros.clone(),
        "reference_chosen": -torch.tensor(margins, dtype=DOUBLE).clamp(min=0),
        "reference_rejected": zeros.clone(),
        "beta": beta,
    }


def _log_prob_cases(generator: torch.Generator) -> list[Case]:
    cases = [
        Case("B=5, β=0.1", log_prob_inputs(generator, 5, 0.1)),
        Case("a batch of 1, β=0.5", log_prob_inputs(generator, 1, 0.5)),
        Case("B=32, β=0.25", log_prob_inputs(generator, 32, 0.25)),
        Case("β=1 given as an int", log_prob_inputs(generator, 4, 1)),
    ]
    start = log_prob_inputs(generator, 4, 0.1, drift=0.0)
    far = {
        "policy_chosen": torch.tensor([-2000.0, -100.0], dtype=DOUBLE),
        "policy_rejected": torch.tensor([-2003.0, -101.0], dtype=DOUBLE),
        "reference_chosen": torch.tensor([-1000.0, -1200.0], dtype=DOUBLE),
        "reference_rejected": torch.tensor([-1002.0, -1200.0], dtype=DOUBLE),
        "beta": 1.0,
    }
    edges = [
        Case("the policy equal to the reference", start, "edges"),
        Case("a policy equal to the reference in a batch of 1", log_prob_inputs(generator, 1, 0.3, drift=0.0), "edges"),
        Case("log-probs that are all 0", margin_inputs([0.0, 0.0], 0.5), "edges"),
        Case("margins of 0 and others", margin_inputs([0.0, 2.0, -3.0, 0.0], 0.5), "edges"),
        Case("margins of ±1e4", margin_inputs([1e4, -1e4], 1.0), "edges"),
        Case("margins of ±1e4 at β=0.1", margin_inputs([-1e4, 1e4, 0.0], 0.1), "edges"),
        Case("margins of +1e4 alone", margin_inputs([1e4], 0.5), "edges"),
        Case("policies far from the reference, on both sides", far, "edges"),
        Case("β=0", log_prob_inputs(generator, 3, 0.0), "edges"),
        Case("β=2.5", log_prob_inputs(generator, 3, 2.5), "edges"),
    ]
    return cases + edges


def _dpo_cases(generator: torch.Generator) -> list[Case]:
    """The same with and without label smoothing."""
    smoothed = [
        Case("a label smoothing of 0.1", log_prob_inputs(generator, 6, 0.3) | {"label_smoothing": 0.1}),
        Case("a label smoothing of 0.4 in a batch of 1", log_prob_inputs(generator, 1, 0.3) | {"label_smoothing": 0.4}),
        Case("a label smoothing of ½", log_prob_inputs(generator, 3, 0.2) | {"label_smoothing": 0.5}, "edges"),
        Case(
            "a label smoothing of 0, given as an int",
            log_prob_inputs(generator, 3, 0.2) | {"label_smoothing": 0},
            "edges",
        ),
        Case(
            "margins of ±1e4 with label smoothing",
            margin_inputs([1e4, -1e4], 1.0) | {"label_smoothing": 0.25},
            "edges",
        ),
    ]
    return _log_prob_cases(generator) + smoothed


def _sizes(inputs: Mapping[str, Any]) -> Tensor:
    """The largest of each pair's four log-probs, times β: what the rounding of its margin goes by, `[B]`."""
    return float(inputs["beta"]) * torch.stack([inputs[name].double().abs() for name in POLICIES + REFERENCES]).amax(0)


def _loss_magnitude(inputs: Mapping[str, Any]) -> float:
    return float(_sizes(inputs).max())


def _weight_magnitude(inputs: Mapping[str, Any]) -> float:
    """An error of the margin counts by the slope of σ there."""
    weight = dpo_gradient_weight(
        **{name: value if name == "beta" else value.double() for name, value in inputs.items()}
    )
    return float((_sizes(inputs) * weight * (1 - weight)).max())


def _reward_cases(generator: torch.Generator) -> list[Case]:
    cases = []
    close = torch.linspace(0.5, 3.0, 24, dtype=DOUBLE)
    apart = close + torch.where(torch.arange(24) % 3 == 0, -1e-4, 1e-4)
    cases.append(Case("pairs that nearly tie", {"chosen_rewards": apart, "rejected_rewards": close}))
    closer = close + torch.where(torch.arange(24) % 3 == 0, -1e-6, 1e-6)
    cases.append(Case("pairs 1e-6 apart", {"chosen_rewards": closer, "rejected_rewards": close}, "edges", short=False))
    for batch in (1, 5, 64):
        values = torch.randint(-8, 9, (2, batch), generator=generator).to(DOUBLE) / 4
        cases.append(
            Case(f"{batch} pairs, some of them ties", {"chosen_rewards": values[0], "rejected_rewards": values[1]})
        )
    any_ones = torch.randn(9, generator=generator, dtype=DOUBLE)
    tied = {"chosen_rewards": any_ones, "rejected_rewards": any_ones.clone()}
    cases.append(Case("ties of any numbers", tied, "edges", (torch.float32, DOUBLE)))
    ones = torch.ones(3, dtype=DOUBLE)
    for label, chosen, rejected in (
        ("ties alone", ones, ones),
        ("every pair right", ones, -ones),
        ("every pair wrong", -ones, ones),
        ("negative rewards", -ones, -3 * ones),
        ("rewards that are all 0", 0 * ones, 0 * ones),
        ("rewards in the thousands", 4_096 + 64 * values[0], 4_096 + 64 * values[1]),
        ("rewards far below 0", 64 * values[0] - 4_096, 64 * values[1] - 4_096),
        ("rewards of ±1e4", 1e4 * ones, -1e4 * ones),
        ("rewards of size 1e-10", 1e-10 * values[0], 1e-10 * values[1]),
    ):
        cases.append(Case(label, {"chosen_rewards": chosen.clone(), "rejected_rewards": rejected.clone()}, "edges"))
    return cases


def _pair_cases(generator: torch.Generator) -> list[Case]:
    """Rewards are multiples of 1/16, so that gaps are exact in every dtype."""

    def grid(*shape: int) -> Tensor:
        return torch.randint(0, 17, shape, generator=generator).to(DOUBLE) / 16

    cases = [
        Case("P=6, K=4", {"rewards": grid(6, 4), "min_gap": 0.3}),
        Case("rewards below 0 alone", {"rewards": -1 - grid(7, 4), "min_gap": 0.2}),
        Case("one prompt, K=3", {"rewards": torch.tensor([[0.25, 0.75, 0.5]], dtype=DOUBLE), "min_gap": 0.0}),
        Case("P=20, K=2", {"rewards": grid(20, 2), "min_gap": 0.25}),
        Case("min_gap left out", {"rewards": grid(8, 5)}),
        Case("P=40, K=8", {"rewards": grid(40, 8), "min_gap": 0.8}),
    ]
    cases[3].inputs["rewards"][0] = torch.tensor([0.25, 0.5], dtype=DOUBLE)  # a gap equal to min_gap
    ties = torch.tensor([[0.5, 1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, 0.5]], dtype=DOUBLE)
    edges = [
        Case("two best and two worst completions", {"rewards": ties, "min_gap": 0.0}, "edges"),
        Case(
            "a gap equal to min_gap",
            {"rewards": torch.tensor([[0.0, 0.5], [0.0, 0.75]], dtype=DOUBLE), "min_gap": 0.5},
            "edges",
        ),
        Case("rewards that are all 0", {"rewards": torch.zeros(2, 3, dtype=DOUBLE), "min_gap": 0.0}, "edges"),
        Case("rewards in the thousands", {"rewards": 8192 * grid(9, 4) - 4096, "min_gap": 1500}, "edges"),
        Case("rewards of -2048 and less", {"rewards": -2048 - 4096 * grid(12, 2), "min_gap": 1}, "edges"),
        Case("equal rewards", {"rewards": torch.full((3, 4), 0.5, dtype=DOUBLE), "min_gap": 0.0}, "edges"),
        Case("one completion a prompt (K=1)", {"rewards": grid(4, 1), "min_gap": 0.0}, "edges"),
        Case("one completion a prompt, any numbers", {"rewards": _normal(generator, 6, 1), "min_gap": 0.0}, "edges"),
        Case("one prompt with one completion", {"rewards": grid(1, 1), "min_gap": 0.0}, "edges"),
        Case("no pair wide enough", {"rewards": grid(3, 4), "min_gap": 2}, "edges"),
        Case("negative rewards", {"rewards": torch.tensor([[-3.0, -1.0, -2.0]], dtype=DOUBLE), "min_gap": 1}, "edges"),
    ]
    near = torch.tensor([[0.75, 0.5, 0.4501], [0.4499, 0.5, 0.75], [0.1, 0.3999, 0.2]], dtype=DOUBLE)
    edges.append(Case("gaps that are nearly min_gap", {"rewards": near, "min_gap": 0.3}, "edges", short=False))
    return cases + edges


register(
    Spec(
        name="make_preference_pairs",
        reference=make_preference_pairs,
        cases=_pair_cases,
    )
)
register(
    Spec(
        name="sequence_log_prob",
        reference=sequence_log_prob,
        cases=_sequence_cases,
        differentiable=("logits",),
        magnitude=_sequence_magnitude,
    )
)
register(
    Spec(
        name="compute_dpo_loss",
        reference=compute_dpo_loss,
        cases=_dpo_cases,
        differentiable=POLICIES,
        detached=REFERENCES,
        detached_outputs=(1, 2),
        magnitude=_loss_magnitude,
    )
)
register(
    Spec(
        name="dpo_gradient_weight",
        reference=dpo_gradient_weight,
        cases=_log_prob_cases,
        detached=POLICIES + REFERENCES,
        magnitude=_weight_magnitude,
    )
)
register(
    Spec(
        name="preference_accuracy",
        reference=preference_accuracy,
        cases=_reward_cases,
        magnitude=lambda inputs: 1.0,
        looseness=0.5,
    )
)
