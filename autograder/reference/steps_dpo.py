"""The judge of `dpo_step`: measure what the worlds of `helpers.worlds.dpo` recorded.

Each check takes a record, which may have crossed the border of the sandbox as plain tensors and numbers, and raises
`AssertionError` with the mistake it shows. Worlds and expectations are rebuilt here from the seed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from helpers.dpo.pairs import PairBatch
from helpers.models import policy_logits
from helpers.worlds import dpo as world
from helpers.worlds.small import small_policy, start_of, weights_of

from . import part4
from .quoting import a_type
from .steps_weights import (
    INCOMPLETE,
    LEAST_UPDATE,
    SAME_DIRECTION,
    SAME_SIZE,
    STILL,
    check_conduct,
    check_length,
    check_one_step,
    check_parameters,
    check_size,
    check_weights,
    cosine,
    flat,
    probed,
    probes_of,
    some_are_still,
    updates,
)

REPORTED = ("loss", "accuracy", "chosen_reward", "rejected_reward")
FIRST_SEED = 100  # of the worlds, where the grading seed is 0
LEAST_ACCURACY = 0.8  # of held-out pairs, after training; a right step reaches .98: see docs/training-tests.md
UPHILL = -0.5  # the cosine below which an update counts as one in the opposite direction
LEAST_BOUND = 0.98  # of a gradient's norm: clipping to 1 or more is allowed
PROBES = 3  # steps of the training that are judged one by one
NOT_DOWNHILL = "the update of step {} does not follow the gradient of the DPO loss"
TOO_SMALL = (
    "the update is shorter than one step of this optimizer makes it (the loss divided by something, a gradient that is cut, "
    "label smoothing, or a learning rate of your own?)"
)
TOO_LARGE = (
    "the update is several times as large as one step of the optimizer makes it (the sum over the batch in place of the mean, "
    "or several steps?)"
)
UNCHANGED = "the policy's weights did not change (no optimizer.step(), or no gradient?)"
Sides = tuple[Tensor, Tensor]  # [B], [B]: of the chosen and of the rejected completions


# --- what is right ----------------------------------------------------------------------------------------------------


def log_probs(model: nn.Module, batch: PairBatch) -> Sides:
    """Log-probs of the chosen and the rejected completions."""
    sides = (
        (batch.chosen_ids, batch.chosen_attention, batch.chosen_mask),
        (batch.rejected_ids, batch.rejected_attention, batch.rejected_mask),
    )
    chosen, rejected = (
        part4.sequence_log_prob(policy_logits(model, ids, seen), ids, mask) for ids, seen, mask in sides
    )
    return chosen, rejected


def models_of(seed: int, weights: Mapping[str, Tensor]) -> tuple[nn.Module, nn.Module]:
    """The policy with these weights, and the reference."""
    policy = small_policy(seed)
    policy.load_state_dict(dict(weights), strict=False)  # tied weights are named once only
    return policy, small_policy(seed)


def reference_log_probs(reference: nn.Module, batch: PairBatch) -> Sides:
    """The reference's log-probs of both sides: those in the batch, where there are any."""
    if batch.reference_chosen is not None and batch.reference_rejected is not None:
        return batch.reference_chosen, batch.reference_rejected
    with torch.no_grad():
        return log_probs(reference, batch)


def expected_step(
    seed: int, weights: Mapping[str, Tensor], batch: PairBatch, beta: float
) -> tuple[dict[str, float], Tensor]:
    """What a right step reports at these weights, and the gradient of the loss there as one long vector."""
    policy, reference = models_of(seed, weights)
    kept = reference_log_probs(reference, batch)
    loss, chosen_rewards, rejected_rewards = part4.compute_dpo_loss(*log_probs(policy, batch), *kept, beta)
    reported = {
        "loss": loss.item(),
        "accuracy": part4.preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }
    return reported, flat(torch.autograd.grad(loss, list(policy.parameters())))


def kept_reference(seed: int) -> list[Sides]:
    """Reference log-probs for each batch of the single steps, some nats from the reference's own: to see which count."""
    reference, draw = small_policy(seed), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        rows = [log_probs(reference, batch) for batch in world.batches_for("single steps", seed)]
    return [(c + torch.randn(c.shape, generator=draw), r + torch.randn(r.shape, generator=draw)) for c, r in rows]


def batches_with(seed: int, kept: Sequence[Sides]) -> list[PairBatch]:
    """The batches of the single steps, with these reference log-probs inside them."""
    batches = world.batches_for("single steps", seed)
    return [
        replace(batch, reference_chosen=c, reference_rejected=r) for batch, (c, r) in zip(batches, kept, strict=True)
    ]


def heldout_accuracy(seed: int, weights: Mapping[str, Tensor]) -> float:
    """Share of the held-out pairs that the trained policy prefers rightly, measured against the reference."""
    policy, reference = models_of(seed, weights)
    shares = []
    with torch.no_grad():
        for batch in world.batches_for("held out", seed):
            (pc, pr), (rc, rr) = log_probs(policy, batch), log_probs(reference, batch)
            shares.append(part4.preference_accuracy(pc - rc, pr - rr))
    return sum(shares) / len(shares)


# --- what is reported -------------------------------------------------------------------------------------------------


def answers_of(record: Mapping[str, Any], count: int) -> list[Mapping[str, Any]]:
    """What the steps returned.

    Raises:
        AssertionError: not every one returned a dict.
    """
    check_length(record["answers"], count, "dpo_step")
    if not all(isinstance(answer, Mapping) for answer in record["answers"]):
        raise AssertionError(f"dpo_step: {INCOMPLETE}")
    for answer in record["answers"]:
        if "__type__" in answer:
            raise AssertionError(f"dpo_step returned {a_type(answer['__type__'])}; it should return a dict of floats")
    return record["answers"]


def check_first_step(record: Mapping[str, Any], seed: int) -> None:
    """Policy equal to reference: the loss is ln 2, both rewards are 0, every pair is a tie. The update is what counts."""
    batches = world.batches_for("single steps", seed)
    answer = answers_of(record, len(batches))[0]
    for key, wanted in (("loss", 0.6931), ("chosen_reward", 0.0), ("rejected_reward", 0.0), ("accuracy", 0.5)):
        value = answer.get(key)
        if type(value) is not float or not abs(value - wanted) < 2e-3:
            raise AssertionError(f"dpo_step: with the policy equal to the reference, {key!r} must be {wanted}")
    start = start_of(seed, 0, 0.0)
    (change,) = updates(record["weights"][:1], [start], small_policy(seed), "dpo_step", UNCHANGED)
    if cosine(-expected_step(seed, start, batches[0], world.beta_of(seed, 0))[1], change) < SAME_DIRECTION:
        raise AssertionError(f"dpo_step: {NOT_DOWNHILL.format(1)}")


def check_reported(record: Mapping[str, Any], seed: int, kept: Sequence[Sides] | None = None) -> None:
    """The returned floats, against those computed anew at the weights that the step was given."""
    batches = world.batches_for("single steps", seed) if kept is None else batches_with(seed, kept)
    for number, (answer, batch) in enumerate(zip(answers_of(record, len(batches)), batches, strict=True)):
        weights = start_of(seed, number, world.DISTANCE)
        beta = world.beta_of(seed, number)
        expected, _ = expected_step(seed, weights, batch, beta)
        for key in REPORTED:
            if type(answer.get(key)) is not float:
                found = a_type(answer[key]) if key in answer else "missing"
                raise AssertionError(
                    f"dpo_step: the entry {key!r} is {found}; it should be a Python float (use .item())"
                )
            if not abs(answer[key] - expected[key]) <= 2e-3 * max(1.0, abs(expected[key])):
                mistake = name_mistake(key, answer[key], *models_of(seed, weights), batch, beta)
                raise AssertionError(f"dpo_step: {key!r} is wrong in step {number + 1}{mistake}")


def name_mistake(key: str, value: float, policy: nn.Module, reference: nn.Module, batch: PairBatch, beta: float) -> str:
    """Which known mistake gives this value, as the end of a message; empty if none does."""
    with torch.no_grad():
        guesses = GUESSES[key](policy, reference, batch, beta)
    near = (
        label for label, guess in guesses.items() if abs(float(guess) - value) <= 1e-3 * max(1.0, abs(float(guess)))
    )
    return next((f": {label}" for label in near), "")


def masked_by(batch: PairBatch, chosen: Tensor, rejected: Tensor) -> PairBatch:
    """The batch with other completion masks `[B, T]`."""
    return replace(batch, chosen_mask=chosen, rejected_mask=rejected)


def guess_losses(policy: nn.Module, reference: nn.Module, batch: PairBatch, beta: float) -> dict[str, Tensor]:
    """Losses that known mistakes give."""
    unmasked = masked_by(batch, batch.chosen_attention, batch.rejected_attention)
    padded = masked_by(batch, torch.ones_like(batch.chosen_mask), torch.ones_like(batch.rejected_mask))
    (pc, pr), (rc, rr) = log_probs(policy, batch), reference_log_probs(reference, batch)
    zero, own = torch.zeros_like(rc), log_probs(reference, batch)
    inputs = {
        "chosen and rejected are swapped": (pr, pc, rr, rc, beta),
        "the reference is missing from it": (pc, pr, zero, zero, beta),
        "β is applied twice": (pc, pr, rc, rr, beta**2),
        "β is missing": (pc, pr, rc, rr, 1.0),
        "β is another than the one that was given": (pc, pr, rc, rr, 0.1),
        "the log-probs that the batch holds of the reference are not used": (pc, pr, *own, beta),
        "the log-probs that the batch holds of the reference are swapped": (pc, pr, rr, rc, beta),
        "the prompt is not masked": (*log_probs(policy, unmasked), *log_probs(reference, unmasked), beta),
        "the padding is not masked": (*log_probs(policy, padded), *log_probs(reference, padded), beta),
    }
    losses = {label: part4.compute_dpo_loss(*values)[0] for label, values in inputs.items()}
    right = part4.compute_dpo_loss(pc, pr, rc, rr, beta)[0]
    return losses | {
        "it is 0": 0 * right,
        "its sign is turned round": -right,
        "it is the sum over the batch": right * len(batch),
        "its labels are smoothed": 0.9 * right + 0.1 * losses["chosen and rejected are swapped"],
    }


def guess_rewards(
    side: int, policy: nn.Module, reference: nn.Module, batch: PairBatch, beta: float
) -> dict[str, Tensor]:
    """Mean implicit rewards of one side (0: chosen, 1: rejected) that known mistakes give."""
    unmasked = masked_by(batch, batch.chosen_attention, batch.rejected_attention)
    own, kept = log_probs(policy, batch), reference_log_probs(reference, batch)
    own_unmasked, kept_unmasked = log_probs(policy, unmasked)[side], log_probs(reference, unmasked)[side]
    guesses = {
        "the prompt is not masked (the loss does not notice, the rewards do)": beta * (own_unmasked - kept_unmasked),
        "chosen and rejected are swapped": beta * (own[1 - side] - kept[1 - side]),
        "it lacks the factor β": own[side] - kept[side],
        "the reference is missing from it": beta * own[side],
        "it is a log-prob, not an implicit reward": own[side],
        "its sign is turned round": beta * (kept[side] - own[side]),
    }
    summed = beta * (own[side] - kept[side]).sum()
    return {label: rewards.mean() for label, rewards in guesses.items()} | {"it is the sum over the batch": summed}


def guess_accuracies(policy: nn.Module, reference: nn.Module, batch: PairBatch, beta: float) -> dict[str, float]:
    """Accuracies that known mistakes give."""
    (pc, pr), (rc, rr) = log_probs(policy, batch), reference_log_probs(reference, batch)
    return {
        "chosen and rejected are swapped": 1 - part4.preference_accuracy(pc - rc, pr - rr),
        "it compares log-probs; compare the implicit rewards": part4.preference_accuracy(pc, pr),
    }


GUESSES: dict[str, Callable[[nn.Module, nn.Module, PairBatch, float], Mapping[str, Any]]] = {
    "loss": guess_losses,
    "accuracy": guess_accuracies,
    "chosen_reward": lambda *given: guess_rewards(0, *given),
    "rejected_reward": lambda *given: guess_rewards(1, *given),
}


# --- what is changed --------------------------------------------------------------------------------------------------


def check_change(
    change: Tensor, gradient: Tensor, policy: nn.Module, batch: PairBatch, beta: float, earlier: Tensor, number: int
) -> None:
    """A change of the weights must be one step down the gradient of the loss at that place."""
    angle = cosine(-gradient, change)
    if change.norm() < LEAST_UPDATE * world.LEARNING_RATE * gradient.norm():
        raise AssertionError(f"dpo_step: {TOO_SMALL}")
    if angle < SAME_DIRECTION and some_are_still(change, gradient, policy):
        raise AssertionError(f"dpo_step: {STILL}")
    if number and angle < SAME_DIRECTION and cosine(earlier - gradient, change) > SAME_DIRECTION:
        raise AssertionError("dpo_step: gradients of earlier steps are still there; call optimizer.zero_grad()")
    if angle < UPHILL:
        raise AssertionError("dpo_step: the update goes uphill (chosen and rejected swapped, or a sign)")
    if angle < SAME_DIRECTION:
        raise AssertionError(f"dpo_step: {NOT_DOWNHILL.format(number + 1)}")
    sizes = {
        "the update is several times as large as it should be: this is the sum over the batch, the loss is the mean": len(
            batch
        ),
        "the gradient lacks the factor β": 1 / beta,
        "β is applied twice": beta,
    }
    check_size(change, -world.LEARNING_RATE * gradient, "dpo_step", sizes, (TOO_SMALL, TOO_LARGE))
    check_parameters(change, -world.LEARNING_RATE * gradient, policy, "dpo_step")


def allowing_for_clipping(gradients: Sequence[Tensor], changes: Sequence[Tensor]) -> list[Tensor]:
    """The gradients with their norms cut as the changes show it: to one bound for all, which is `LEAST_BOUND` or more."""
    sizes = [float(change.norm()) / world.LEARNING_RATE for change in changes]
    norms = [float(gradient.norm()) for gradient in gradients]
    bound = max(sizes)
    cut = all(abs(size - min(norm, bound)) <= SAME_SIZE * size for size, norm in zip(sizes, norms, strict=True))
    if bound < LEAST_BOUND or not cut:
        return list(gradients)
    return [gradient * size / norm for gradient, size, norm in zip(gradients, sizes, norms, strict=True)]


def check_update(record: Mapping[str, Any], seed: int, kept: Sequence[Sides] | None = None) -> None:
    """Each change of the weights must be one step down the gradient of the loss at that place, made by the optimizer."""
    batches = world.batches_for("single steps", seed) if kept is None else batches_with(seed, kept)
    starts = [start_of(seed, number, world.DISTANCE) for number in range(len(batches))]
    changes = updates(record["weights"], starts, small_policy(seed), "dpo_step", UNCHANGED)
    check_conduct(record, "dpo_step", "dropout", "outside", "settings", "batch")
    check_one_step(record, "dpo_step")
    earlier = torch.zeros_like(changes[0])
    gradients = [
        expected_step(seed, before, batch, world.beta_of(seed, number))[1]
        for number, (batch, before) in enumerate(zip(batches, starts, strict=True))
    ]
    gradients = allowing_for_clipping(gradients, changes)
    for number, (batch, before, change, gradient) in enumerate(zip(batches, starts, changes, gradients, strict=True)):
        beta = world.beta_of(seed, number)
        check_change(change, gradient, models_of(seed, before)[0], batch, beta, earlier, number)
        earlier = earlier - gradient


def check_modes(record: Mapping[str, Any]) -> None:
    """Policy and reference are in the mode in which the step found them."""
    if record["training_after"] != record["training_before"]:
        raise AssertionError(
            "dpo_step left the policy or the reference in another mode (train/eval) than it found it in"
        )


def check_reference(record: Mapping[str, Any], seed: int, cached: bool) -> None:
    """The reference stays as it was; kept log-probs are used, and the reference is then not run."""
    before = weights_of(small_policy(seed))
    check_length(record["reference_after"], world.BATCHES["single steps"][1], "dpo_step")
    for after in record["reference_after"]:
        check_weights(after, small_policy(seed), "dpo_step", "the reference's weights are NaN or infinite")
        if any(not torch.equal(weight, after[name]) for name, weight in before.items()):
            raise AssertionError("dpo_step changed the reference's weights")
    if record["reference_gradients"]:
        raise AssertionError("dpo_step: the reference carries a gradient; compute its log-probs under torch.no_grad()")
    check_modes(record)
    check_conduct(record, "dpo_step", "batch", "seeded")
    if cached and record["reference_calls"]:
        raise AssertionError("dpo_step ran the reference although the batch holds its log-probs already")
    if not cached and not record["reference_calls"]:
        raise AssertionError("dpo_step never ran the reference, although the batches hold no log-probs of it")


def training_probes(seed: int) -> tuple[int, ...]:
    """Which steps of the training are judged one by one."""
    return probes_of(seed, world.BATCHES["training"][1], PROBES)


def check_training(record: Mapping[str, Any], seed: int) -> None:
    """Held-out pair accuracy after training; single steps on the way follow the gradient of the DPO loss."""
    batches = world.batches_for("training", seed)
    policy = small_policy(seed)
    check_weights(record["weights"], policy, "dpo_step", "after a short training the policy's weights are not finite")
    for number, before, change in probed(record, training_probes(seed), policy, "dpo_step", UNCHANGED):
        if cosine(-expected_step(seed, before, batches[number], world.BETAS[0])[1], change) < SAME_DIRECTION:
            raise AssertionError(f"dpo_step: in the training, {NOT_DOWNHILL.format(number + 1)}")
    if not heldout_accuracy(seed, record["weights"]) >= LEAST_ACCURACY:
        raise AssertionError(
            f"dpo_step: after {len(batches)} steps the policy prefers the better of two held-out completions in fewer "
            f"than {LEAST_ACCURACY:.0%} of pairs; a right step reaches more"
        )


# --- the aspects ------------------------------------------------------------------------------------------------------


def _reference(run: Callable[..., Any], seed: int) -> None:
    kept = kept_reference(seed)
    check_modes(run("dpo_single", seed=seed, moved=True, training=True))
    check_reference(run("dpo_single", seed=seed, moved=True), seed, cached=False)
    with_kept = run("dpo_single", seed=seed, moved=True, cached=kept)
    check_reference(with_kept, seed, cached=True)
    check_reported(with_kept, seed, kept)
    check_update(with_kept, seed, kept)


CHECKS: dict[str, Callable[[Callable[..., Any], int], None]] = {
    "first_step": lambda run, seed: check_first_step(run("dpo_single", seed=seed, moved=False), seed),
    "update": lambda run, seed: check_update(run("dpo_single", seed=seed, moved=True), seed),
    "reported": lambda run, seed: check_reported(run("dpo_single", seed=seed, moved=True), seed),
    "reference": _reference,
    "training": lambda run, seed: check_training(run("dpo_training", seed=seed, probes=training_probes(seed)), seed),
}
