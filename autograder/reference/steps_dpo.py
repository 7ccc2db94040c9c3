"""The judge's side of ``dpo_step``'s functional test: measure what ``helpers.worlds.dpo`` recorded.

Each check takes a record, which may have crossed the border of the sandbox as plain tensors and numbers, and raises
``AssertionError`` with the mistake it shows. Worlds and expectations are rebuilt here from the seed alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from helpers.dpo.pairs import PairBatch
from helpers.models import policy_logits
from helpers.worlds import dpo as world
from helpers.worlds import small

from . import part4
from .verify import JudgeError, grading_seed

REPORTED = ("loss", "accuracy", "chosen_reward", "rejected_reward")
ASPECTS = ("first_step", "update", "reported", "reference", "training")
LEAST_ACCURACY = 0.8  # of held-out pairs, after training; a right step reaches about 0.95


def log_probs(model: torch.nn.Module, batch: PairBatch) -> tuple[Tensor, Tensor]:
    """Log-probs ``[B], [B]`` of the chosen and the rejected completions."""
    sides = (
        (batch.chosen_ids, batch.chosen_attention, batch.chosen_mask),
        (batch.rejected_ids, batch.rejected_attention, batch.rejected_mask),
    )
    chosen, rejected = (
        part4.sequence_log_prob(policy_logits(model, ids, seen), ids, mask) for ids, seen, mask in sides
    )
    return chosen, rejected


class _With(torch.nn.Module):
    """A model with other weights, callable as a model."""

    def __init__(self, model: torch.nn.Module, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.inner, self.weights = [model], weights

    def forward(self, **inputs: Any) -> Any:
        return functional_call(self.inner[0], dict(self.weights), kwargs=inputs)


def expected_step(
    seed: int, weights: Mapping[str, Tensor], batch: PairBatch
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """What a right step reports at these weights, and the gradient of the loss there."""
    reference = small.small_policy(seed)
    model = small.small_policy(seed)
    names = [name for name, _ in model.named_parameters()]
    variables = {name: weights[name].clone().requires_grad_(True) for name in names}
    with torch.no_grad():
        reference_chosen, reference_rejected = log_probs(reference, batch)
    chosen, rejected = log_probs(_With(model, variables), batch)
    loss, chosen_rewards, rejected_rewards = part4.compute_dpo_loss(
        chosen, rejected, reference_chosen, reference_rejected, world.BETA
    )
    gradient = torch.autograd.grad(loss, list(variables.values()))
    reported = {
        "loss": loss.item(),
        "accuracy": part4.preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }
    return reported, dict(zip(names, gradient, strict=True))


def _flat(tensors: Mapping[str, Tensor], names: list[str]) -> Tensor:
    return torch.cat([tensors[name].detach().double().flatten() for name in names])


def _check_weights(record: Mapping[str, Any], seed: int) -> None:
    """The record's weights must be tensors of the world's shapes, all finite."""
    shapes = {name: weight.shape for name, weight in small.small_policy(seed).state_dict().items()}
    for weights in record["weights"]:
        if {name: weight.shape for name, weight in weights.items()} != shapes:
            raise AssertionError("dpo_step changed the policy's structure")
        if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
            raise AssertionError("dpo_step: the policy's weights are NaN or infinite after a step")


def check_reported(record: Mapping[str, Any], seed: int) -> None:
    """The returned floats, against those computed anew at the recorded weights."""
    batches = world.small_batches(seed + 1, len(record["answers"]))
    for number, (answer, weights, batch) in enumerate(
        zip(record["answers"], record["weights"][:-1], batches, strict=True)
    ):
        if "__type__" in answer:
            raise AssertionError(f"dpo_step returned a {answer['__type__']}; it should return a dict of floats")
        expected, _ = expected_step(seed, weights, batch)
        for key in REPORTED:
            if type(answer.get(key)) is not float:
                found = f"a {answer[key]}" if key in answer else "missing"
                raise AssertionError(
                    f"dpo_step: the entry {key!r} is {found}; it should be a Python float (use .item())"
                )
            if not abs(answer[key] - expected[key]) <= 2e-3 * max(1.0, abs(expected[key])):
                raise AssertionError(
                    f"dpo_step: {key!r} is wrong in step {number + 1}{_why(key, answer, seed, weights, batch)}"
                )


def _why(key: str, answer: Mapping[str, Any], seed: int, weights: Mapping[str, Tensor], batch: PairBatch) -> str:
    """A named mistake, if the reported loss or rewards are those of one."""
    model, reference = small.small_policy(seed), small.small_policy(seed)
    model.load_state_dict(dict(weights))

    def near(value: Tensor) -> bool:
        return abs(float(value) - answer[key]) <= 1e-3 * max(1.0, abs(float(value)))

    with torch.no_grad():
        (pc, pr), (rc, rr) = log_probs(model, batch), log_probs(reference, batch)
        zero = torch.zeros_like(rc)
        if key == "loss":
            guesses = {
                "chosen and rejected are swapped": part4.compute_dpo_loss(pr, pc, rr, rc, world.BETA)[0],
                "the reference is missing from it": part4.compute_dpo_loss(pc, pr, zero, zero, world.BETA)[0],
                "β is applied twice": part4.compute_dpo_loss(pc, pr, rc, rr, world.BETA**2)[0],
                "β is missing": part4.compute_dpo_loss(pc, pr, rc, rr, 1.0)[0],
            }
            unmasked = _unmasked(batch, batch.chosen_attention, batch.rejected_attention)
            padded = _unmasked(batch, torch.ones_like(batch.chosen_mask), torch.ones_like(batch.rejected_mask))
            for label, other in (("the prompt is not masked", unmasked), ("the padding is not masked", padded)):
                (pc2, pr2), (rc2, rr2) = log_probs(model, other), log_probs(reference, other)
                guesses[label] = part4.compute_dpo_loss(pc2, pr2, rc2, rr2, world.BETA)[0]
        elif key in ("chosen_reward", "rejected_reward"):
            side = 0 if key == "chosen_reward" else 1
            unmasked = _unmasked(batch, batch.chosen_attention, batch.rejected_attention)
            (pu, ru) = log_probs(model, unmasked)[side], log_probs(reference, unmasked)[side]
            own, other = ((pc, rc), (pr, rr)) if side == 0 else ((pr, rr), (pc, rc))
            guesses = {
                "the prompt is not masked (the loss does not notice, the rewards do)": (world.BETA * (pu - ru)).mean(),
                "chosen and rejected are swapped": (world.BETA * (other[0] - other[1])).mean(),
                "it lacks the factor β": (own[0] - own[1]).mean(),
                "the reference is missing from it": (world.BETA * own[0]).mean(),
                "it is a log-prob, not an implicit reward": own[0].mean(),
            }
        else:
            guesses = {}
            if abs(answer[key] + part4.preference_accuracy(pc - rc, pr - rr) - 1) < 1e-6:
                return ": chosen and rejected are swapped"
            if abs(answer[key] - part4.preference_accuracy(pc, pr)) < 1e-6:
                return ": it compares log-probs; compare the implicit rewards"
    return "".join(f": {label}" for label, value in guesses.items() if near(value))


def _unmasked(batch: PairBatch, chosen: Tensor, rejected: Tensor) -> PairBatch:
    return PairBatch(**{**batch.__dict__, "chosen_mask": chosen, "rejected_mask": rejected})


def check_update(record: Mapping[str, Any], seed: int) -> None:
    """Each recorded change of the weights must go down the gradient of the loss at that place, one step's worth."""
    _check_weights(record, seed)
    names = [name for name, _ in small.small_policy(seed).named_parameters()]
    batches = world.small_batches(seed + 1, len(record["weights"]) - 1)
    earlier = torch.zeros(0)
    for number, batch in enumerate(batches):
        before, after = record["weights"][number], record["weights"][number + 1]
        _, gradient = expected_step(seed, before, batch)
        down = -_flat(gradient, names)
        change = _flat(after, names) - _flat(before, names)
        if not bool(change.abs().max() > 0):
            raise AssertionError("dpo_step: the policy's weights did not change (no optimizer.step(), or no gradient?)")
        cosine = torch.cosine_similarity(down, change, dim=0).item()
        if number and cosine < 0.99 and torch.cosine_similarity(down + earlier, change, dim=0).item() > 0.99:
            raise AssertionError("dpo_step: gradients of earlier steps are still there; call optimizer.zero_grad()")
        if cosine < -0.5:
            raise AssertionError("dpo_step: the update goes uphill (chosen and rejected swapped, or a sign)")
        if cosine < 0.99:
            raise AssertionError(
                f"dpo_step: the update of step {number + 1} does not follow the gradient of the DPO loss "
                f"(cosine {cosine:.2f})"
            )
        size = (change.norm() / (0.2 * down.norm())).item()
        if size > 1.05:
            raise AssertionError(
                f"dpo_step: the update is {size:.2f} times as large as one step of the optimizer makes it"
            )
        earlier = earlier + down if number else down
    if record["optimizer_steps"] != len(batches):
        raise AssertionError(
            f"dpo_step called optimizer.step() {record['optimizer_steps']} times in {len(batches)} calls"
        )


def check_first_step(record: Mapping[str, Any]) -> None:
    """Policy equal to reference: the loss is ln 2, both rewards are 0, every pair is a tie."""
    answer = record["answers"][0]
    if "__type__" in answer:
        raise AssertionError(f"dpo_step returned a {answer['__type__']}; it should return a dict of floats")
    for key, wanted in (("loss", 0.6931), ("chosen_reward", 0.0), ("rejected_reward", 0.0), ("accuracy", 0.5)):
        value = answer.get(key)
        if type(value) is not float or not abs(value - wanted) < 2e-3:
            raise AssertionError(
                f"dpo_step: with the policy equal to the reference, {key!r} must be {wanted}, got {value}"
            )


def check_reference(record: Mapping[str, Any], seed: int, cached: bool) -> None:
    """The reference and the modes stay as they were; kept log-probs are used, and the reference is then not run."""
    before = small.small_policy(seed).state_dict()
    if any(not torch.equal(before[name], record["reference_after"][name]) for name in before):
        raise AssertionError("dpo_step changed the reference's weights")
    if record["reference_gradients"]:
        raise AssertionError("dpo_step: the reference carries a gradient; compute its log-probs under torch.no_grad()")
    if record["training_after"] != record["training_before"]:
        raise AssertionError(
            "dpo_step left the policy or the reference in another mode (train/eval) than it found it in"
        )
    if cached and record["reference_calls"]:
        raise AssertionError("dpo_step ran the reference although the batch holds its log-probs already")
    if not cached and not record["reference_calls"]:
        raise AssertionError("dpo_step never ran the reference, although the batches hold no log-probs of it")


def check_modes(record: Mapping[str, Any]) -> None:
    """Policy and reference are in the mode in which the step found them."""
    if record["training_after"] != record["training_before"]:
        raise AssertionError(
            "dpo_step left the policy or the reference in another mode (train/eval) than it found it in"
        )


def heldout_accuracy(seed: int, weights: Mapping[str, Tensor]) -> float:
    """Share of 200 held-out pairs that the trained policy prefers rightly, measured against the reference."""
    model, reference = small.small_policy(seed), small.small_policy(seed)
    model.load_state_dict(dict(weights))
    shares = []
    with torch.no_grad():
        for batch in world.small_batches(seed + 3, 25):
            (pc, pr), (rc, rr) = log_probs(model, batch), log_probs(reference, batch)
            shares.append(part4.preference_accuracy(pc - rc, pr - rr))
    return sum(shares) / len(shares)


def check_training(weights: Mapping[str, Tensor], seed: int) -> None:
    """Held-out pair accuracy after training."""
    accuracy = heldout_accuracy(seed, weights)
    if not accuracy >= LEAST_ACCURACY:
        raise AssertionError(
            f"dpo_step: after {world.STEPS} steps the policy prefers the better of two held-out completions in "
            f"{accuracy:.0%} of pairs; a right step reaches at least {LEAST_ACCURACY:.0%}"
        )


def kept_reference(seed: int) -> tuple[Tensor, Tensor]:
    """Reference log-probs of the three batches of ``run_single_steps``: two tensors ``[3, B]``."""
    reference = small.small_policy(seed)
    with torch.no_grad():
        rows = [log_probs(reference, batch) for batch in world.small_batches(seed + 1, 3)]
    return torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])


def judge(aspect: str, run: Any, seed: int | None = None) -> None:
    """One aspect of the functional test.

    Args:
        aspect: one of ``ASPECTS``.
        run: ``run(name, **arguments)`` runs ``run_single_steps`` or ``run_training`` of ``helpers.worlds.dpo`` with
            the student's step, wherever that is, and returns its record.
        seed: of the world; the grading seed when left out.
    """
    seed = 100 + grading_seed() if seed is None else seed
    if aspect == "first_step":
        check_first_step(run("run_single_steps", seed=seed, moved=False))
    elif aspect == "update":
        check_update(run("run_single_steps", seed=seed, moved=True), seed)
    elif aspect == "reported":
        check_reported(run("run_single_steps", seed=seed, moved=True), seed)
    elif aspect == "reference":
        check_modes(run("run_single_steps", seed=seed, moved=False))
        check_reference(run("run_single_steps", seed=seed, moved=True), seed, cached=False)
        check_reference(run("run_single_steps", seed=seed, moved=True, cached=kept_reference(seed)), seed, cached=True)
    elif aspect == "training":
        check_training(run("run_training", seed=seed), seed)
    else:
        raise JudgeError(f"unknown aspect {aspect!r} of dpo_step")
