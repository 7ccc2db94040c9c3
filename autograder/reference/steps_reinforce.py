"""The judge of `reinforce_step`: measure what the worlds of `helpers.worlds.reinforce` recorded.

Records may have crossed the border of the sandbox as plain tensors and numbers. Worlds and expectations are rebuilt here from
the seed alone, and a trained policy's reward is measured here, on prompts that the training does not use.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from helpers.generation import Rollout
from helpers.models import load_policy, load_reward_model, policy_logits, positions_of
from helpers.worlds import reinforce as world
from helpers.worlds.small import EOS_ID, set_weights, small_policy, start_of, weights_of

from . import part2
from .quoting import a_type
from .steps_weights import (
    INCOMPLETE,
    LEAST_UPDATE,
    SAME_DIRECTION,
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

FIRST_SEED = 200  # of the worlds, where the grading seed is 0
UNCHANGED = (
    "the policy's weights did not change. Is there a loss.backward() and an optimizer.step(), in this order, and the "
    "zero_grad() before both?"
)
TEST_TEXTS = 256
LEAST_RISE = 0.15  # of the mean reward, in parts of `world.REWARD`; a right step has .27 (docs/training-tests.md)
NOT_FINITE = "after a short training the policy's weights are NaN or infinite"
SAME_LOSS = 1e-3  # how far a reported loss may be from the right one, in parts of what the completions add to it
MADE_OF_LOG_PROBS = 0.9  # the share of an update's length that gradients of the texts' log-probs must explain
PROBES = 2  # steps of each training that are judged one by one
ALIKE = 0.9  # the cosine for these: another processor may draw another token here and there
TOO_SMALL = (
    "the update is shorter than one step of this optimizer makes it (the loss divided by something, a very short norm "
    "to which the gradient is cut, or a learning rate of your own?)"
)
TOO_LARGE = (
    "the update is several times as large as one step of this optimizer makes it (the sum over the batch in place of the "
    "mean, advantages divided by their standard deviation, or several steps?)"
)


def gradient_of(
    policy: nn.Module,
    rollout: Rollout,
    advantages: Tensor,
    mask: Tensor,
    *,
    per_token: bool = False,
    shift: bool = True,
    attention: bool = True,
    positions: bool = True,
    ratio: bool = False,
) -> Tensor:
    """The direction in which a step with these advantages and this mask `[B, T-1]` moves the weights: minus the gradient.

    The switches make known mistakes: the mean over a completion's tokens, no shift by one, no attention mask, positions
    that count the padding, and the ratio to the rollout's log-probs.
    """
    seen = {"attention_mask": rollout.attention_mask.long()} if attention else {}
    places = {"position_ids": positions_of(rollout.attention_mask)} if positions else {}
    logits = policy(input_ids=rollout.ids, use_cache=False, **seen, **places).logits
    if shift:
        log_probs = part2.token_log_probs(logits, rollout.ids)
    else:
        log_probs = logits.log_softmax(-1).gather(-1, rollout.ids[:, :, None]).squeeze(-1)[:, 1:]
    if ratio:
        log_probs = torch.where(mask, log_probs - rollout.log_probs, 0.0).exp()
    weights = advantages / mask.sum(dim=1).clamp(min=1) if per_token else advantages
    loss = part2.compute_reinforce_loss(log_probs, weights, mask)
    return -flat(torch.autograd.grad(loss, list(policy.parameters())))


def right_direction(policy: nn.Module, rollout: Rollout, rewards: Tensor) -> Tensor:
    """The direction of a right step, given the rewards of the rollout's texts."""
    return gradient_of(policy, rollout, part2.leave_one_out_advantages(rewards), rollout.completion_mask[:, 1:])


def known_directions(policy: nn.Module, rollout: Rollout) -> dict[str, Tensor]:
    """The right direction, under the key `""`, and those of known mistakes under the message that names them."""
    rewards = world.small_reward_model(rollout.texts)
    right, mask = part2.leave_one_out_advantages(rewards), rollout.completion_mask[:, 1:]
    after_prompt = torch.zeros_like(mask)
    after_prompt[:, rollout.prompt_length - 1 :] = True
    without_eos = mask & (rollout.ids[:, 1:] != EOS_ID)
    of_completions = part2.leave_one_out_advantages(world.small_reward_model(rollout.completions))
    direction = functools.partial(gradient_of, policy, rollout)
    return {
        "": direction(right, mask),
        "the prompt's tokens are in the loss; only the completion's tokens count": direction(
            right, rollout.attention_mask[:, 1:]
        ),
        "prompt and padding are in the loss; only the completion's tokens count": direction(
            right, torch.ones_like(mask)
        ),
        "the padding after the completion is in the loss": direction(right, after_prompt),
        "the mask is off by one: log-prob t belongs to token t + 1, so the mask is completion_mask[:, 1:]": direction(
            right, rollout.completion_mask[:, :-1]
        ),
        "the end-of-text token is missing from the loss; the policy chose it, so it counts": direction(
            right, without_eos
        ),
        "the rewards are used without a baseline; take the leave-one-out advantages": direction(rewards, mask),
        "this is the mean over a completion's tokens; the definition sums": direction(right, mask, per_token=True),
        "the completions were scored without their prompts; score rollout.texts": direction(of_completions, mask),
        "the log-probs lack the shift by one": direction(right, mask, shift=False),
        "the policy is not told what is padding; give it rollout.attention_mask": direction(
            right, mask, attention=False
        ),
        "the policy is not told the positions, which count from a row's first real token; use policy_logits": direction(
            right, mask, positions=False
        ),
        "the policy is told neither what is padding nor the positions; use policy_logits": direction(
            right, mask, attention=False, positions=False
        ),
        "the rollout's log-probs are in the loss; it needs those of the present policy alone": direction(
            right, mask, ratio=True
        ),
        "all advantages are alike: every completion is made likelier, good or bad": direction(
            torch.ones_like(right), mask
        ),
    }


def known_sizes(rollout: Rollout, rewards: Tensor, norm: float) -> dict[str, float]:
    """How many times as long known mistakes make the update, whose gradient has this norm, by their message."""
    rows, columns, tokens = len(rollout), rollout.ids.shape[1], int(rollout.completion_mask.sum())
    deviations = {float(rewards.std(correction=correction)) for correction in (0, 1)}
    divided = "the advantages are divided by their standard deviation; the definition takes them as they are"
    sizes = {
        "the sum over the batch in place of the mean": rows,
        "the loss is the mean over all tokens of the batch; the definition sums over tokens": rows / tokens,
        "the loss is the mean over all positions; the definition sums over the completion's tokens": 1 / (columns - 1),
        "the baseline is the batch's mean, the completion's own reward included; leave it out": (rows - 1) / rows,
    }
    cut = {f"{message} (and the gradient is then cut)": 1 / norm for message, size in sizes.items() if size * norm > 1}
    return sizes | {divided + " " * n: 1 / deviation for n, deviation in enumerate(deviations)} | cut


def single_steps(record: Mapping[str, Any], seed: int) -> Iterator[tuple[nn.Module, Rollout, Tensor]]:
    """For each single step the policy before it and its rollout, made anew here, and the change of the weights."""
    starts = [start_of(seed, number, world.DISTANCE) for number in range(world.SINGLE_STEPS)]
    policy = small_policy(seed)
    changes = updates(record["weights"], starts, policy, "reinforce_step", UNCHANGED)
    for number, (start, change) in enumerate(zip(starts, changes, strict=True)):
        set_weights(policy, start)
        yield policy, world.small_rollout(seed, number), change


def check_direction(record: Mapping[str, Any], seed: int) -> None:
    """Each change of the weights must point where the definition points."""
    earlier = torch.zeros(())
    for policy, rollout, change in single_steps(record, seed):
        right = right_direction(policy, rollout, world.small_reward_model(rollout.texts))
        if change.norm() < LEAST_UPDATE * world.LEARNING_RATE * right.norm():
            raise AssertionError(f"reinforce_step: {TOO_SMALL}")
        if cosine(change, right) < SAME_DIRECTION:
            check_conduct(record, "reinforce_step", "dropout", "outside")
            known = known_directions(policy, rollout)
            message = STILL if some_are_still(change, right, policy) else _name_direction(change, known, earlier)
            raise AssertionError(f"reinforce_step: {message}")
        earlier = earlier + right


def check_update(record: Mapping[str, Any], seed: int) -> None:
    """Each change of the weights must be what one step of the optimizer makes of the definition's gradient."""
    check_direction(record, seed)
    check_conduct(record, "reinforce_step", "outside", "settings")
    check_one_step(record, "reinforce_step")
    for policy, rollout, change in single_steps(record, seed):
        rewards = world.small_reward_model(rollout.texts)
        gradient = right_direction(policy, rollout, rewards)
        right = world.LEARNING_RATE * gradient
        known = known_sizes(rollout, rewards, float(gradient.norm()))
        check_size(change, right, "reinforce_step", known, (TOO_SMALL, TOO_LARGE))
        check_parameters(change, right, policy, "reinforce_step")


def _name_direction(change: Tensor, known: Mapping[str, Tensor], earlier: Tensor) -> str:
    """Say which known mistake a wrong direction is, or how far it is from the right one."""
    if earlier.dim() and cosine(change, known[""] + earlier) > SAME_DIRECTION:
        return "the gradients of earlier batches are still there; call optimizer.zero_grad() before loss.backward()"
    if cosine(change, -known[""]) > SAME_DIRECTION:
        return "the sign is turned round: completions with a high reward are made less likely"
    for message, direction in known.items():
        for sign, addition in ((1, ""), (-1, ", and the sign is turned round")):
            if message and cosine(change, sign * direction) > SAME_DIRECTION:
                return message + addition
    return (
        "the update does not follow the gradient of the REINFORCE loss with leave-one-out advantages over the completion's "
        "tokens"
    )


def made_of_log_probs(policy: nn.Module, rollout: Rollout, change: Tensor) -> bool:
    """Whether a change of the weights is one that some loss of the texts' log-probs makes, right or wrong."""
    log_probs = part2.token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    terms = log_probs.flatten()  # [N], padding too: a loss over it is wrong, and still a loss
    gradients = torch.autograd.grad(terms, list(policy.parameters()), torch.eye(len(terms)), is_grads_batched=True)
    rows = torch.cat([gradient.flatten(1) for gradient in gradients], dim=1).double()  # [N, weights]
    basis = torch.linalg.qr(rows.T).Q  # [weights, N]
    return bool((basis.T @ change).norm() >= MADE_OF_LOG_PROBS * change.norm())


def check_report(record: Mapping[str, Any], seed: int) -> None:
    """The returned dict: Python floats, `loss` and `reward` among them, both those of the batch before the update.

    They count only as the report of a step: the weights must have changed as some loss of the log-probs changes them.
    """
    check_length(record["answers"], world.SINGLE_STEPS, "reinforce_step")
    for number, answer in enumerate(record["answers"]):
        if not isinstance(answer, Mapping):
            raise AssertionError(f"reinforce_step: {INCOMPLETE}")
        if "__type__" in answer:
            found = a_type(answer["__type__"])
            raise AssertionError(f"reinforce_step returned {found}; it should return a dict of floats")
        for key in ("loss", "reward"):
            if key not in answer:
                raise AssertionError(f"reinforce_step: the returned dict has no entry {key!r}")
        for key, value in answer.items():
            entry = f"the entry {key!r}" if key in ("loss", "reward") else "one of the entries"
            if type(value) is not float:
                raise AssertionError(
                    f"reinforce_step: {entry} is {a_type(value)}; make it a Python float (use .item())"
                )
            if not math.isfinite(value):
                raise AssertionError(f"reinforce_step: {entry} is not finite")
        rollout = world.small_rollout(seed, number)
        rewards = world.small_reward_model(rollout.texts)
        if not abs(answer["reward"] - float(rewards.mean())) <= 1e-4 * world.REWARD:
            raise AssertionError("reinforce_step: the entry 'reward' is not the mean reward of the batch's texts")
        terms = loss_terms(small_policy(seed, world.DISTANCE, number), rollout, rewards)
        if not abs(answer["loss"] - float(terms.mean())) <= SAME_LOSS * float(terms.abs().mean()):
            message = name_loss(answer["loss"], terms, later_terms(record, number, rollout, rewards), rollout, rewards)
            raise AssertionError(f"reinforce_step: the entry 'loss' is not the batch's loss before the update{message}")
    if not made_of_log_probs(*next(single_steps(record, seed))):
        raise AssertionError(
            "reinforce_step: the numbers count only as the report of a step, and the weights did not change as a loss of "
            "the log-probs changes them"
        )


def loss_terms(policy: nn.Module, rollout: Rollout, rewards: Tensor) -> Tensor:
    """What each completion adds to the REINFORCE loss `[B]`, whose mean it is."""
    with torch.no_grad():
        log_probs = part2.token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    summed = torch.where(rollout.completion_mask[:, 1:], log_probs, 0.0).sum(dim=1)
    return -part2.leave_one_out_advantages(rewards) * summed


def later_terms(record: Mapping[str, Any], number: int, rollout: Rollout, rewards: Tensor) -> Tensor:
    """The same with the recorded weights after the step."""
    policy = small_policy(0)
    check_length(record["weights"], world.SINGLE_STEPS, "reinforce_step")
    check_weights(record["weights"][number], policy, "reinforce_step", NOT_FINITE)
    set_weights(policy, record["weights"][number])
    return loss_terms(policy, rollout, rewards)


def name_loss(value: float, terms: Tensor, later: Tensor, rollout: Rollout, rewards: Tensor) -> str:
    """Which known mistake gives this loss, as the end of a message; empty if none does."""
    loss, tokens = float(terms.mean()), rollout.completion_mask.sum(dim=1)
    guesses = {
        "it is 0": 0.0,
        "it is that after the update": float(later.mean()),
        "its sign is turned round": -loss,
        "it is the sum over the batch": float(terms.sum()),
        "it is the mean over tokens": float(terms.sum() / tokens.sum()),
        "it is the mean over each completion's tokens": float((terms / tokens).mean()),
        "it is the surrogate of a ratio": -float((part2.leave_one_out_advantages(rewards) * tokens).mean()),
    }
    allowed = SAME_LOSS * float(terms.abs().mean())
    return next((f": {label}" for label, guess in guesses.items() if abs(guess - value) <= allowed), "")


def check_modes(evaluation: Mapping[str, Any], training: Mapping[str, Any]) -> None:
    """The policy is left in the mode it was in, whichever that was, and nothing else is changed."""
    for record, was in ((evaluation, False), (training, True)):
        check_length(record["training"], world.SINGLE_STEPS, "reinforce_step")
        if any(mode is not was for mode in record["training"]):
            names = ("train", "eval") if was else ("eval", "train")
            raise AssertionError(
                f"reinforce_step was given the policy in {names[0]} mode and left it in {names[1]} mode; leave it as it was"
            )
        check_conduct(record, "reinforce_step", "dropout", "batch", "seeded")


def mean_reward(weights: Mapping[str, Tensor], seed: int) -> float:
    """Mean reward of the small policy with these weights, on prompts and draws of its own, in parts of `world.REWARD`."""
    policy = small_policy(seed)
    set_weights(policy, weights)
    texts = world.practice_rollout(policy, seed + 17, world.PRACTICE_STEPS, TEST_TEXTS).texts
    return float(world.small_reward_model(texts).mean()) / world.REWARD


def check_probe(policy: nn.Module, rollout: Rollout, rewards: Tensor, change: Tensor, number: int) -> None:
    """A step on the way of a training points where the definition points."""
    if cosine(change, right_direction(policy, rollout, rewards)) < ALIKE:
        raise AssertionError(
            f"reinforce_step: in the training, the update of step {number + 1} does not follow the gradient of the "
            "REINFORCE loss"
        )


def practice_probes(seed: int) -> tuple[int, ...]:
    """Which steps of the small policy's training are judged one by one."""
    return probes_of(seed, world.PRACTICE_STEPS, PROBES)


def check_practice(record: Mapping[str, Any], seed: int) -> None:
    """After a training of the small policy the mean reward on other prompts is higher."""
    policy, start = small_policy(seed), weights_of(small_policy(seed))
    check_weights(record["weights"], policy, "reinforce_step", NOT_FINITE)
    for number, before, change in probed(
        record, practice_probes(seed), small_policy(seed), "reinforce_step", UNCHANGED
    ):
        set_weights(policy, before)
        rollout = world.practice_rollout(policy, seed, number)
        check_probe(policy, rollout, world.small_reward_model(rollout.texts), change, number)
    if not mean_reward(record["weights"], seed) >= mean_reward(start, seed) + LEAST_RISE:
        raise AssertionError(
            "reinforce_step: after a short training the mean reward on other prompts has not risen enough; with a right "
            f"step it rises by at least {LEAST_RISE:.2f} of what lies between the worst and the best text"
        )


def training_probes(seed: int) -> tuple[int, ...]:
    """Which steps of the embedded policy's training are judged one by one."""
    return probes_of(seed, world.TRAINING_STEPS, PROBES)


def check_training(record: Mapping[str, Any], seed: int) -> None:
    """Steps of the embedded policy's training follow the loss, and the reward model is what it was.

    How far so few steps raise the reward depends on what they draw, so nothing is asked of that.
    """
    if record["reward_model_changed"]:
        raise AssertionError("reinforce_step changed the reward model's weights; only the policy learns")
    if record["reward_model_gradients"]:
        raise AssertionError(
            "reinforce_step: the reward model's weights received a gradient; call reward_model(texts) as it is"
        )
    if record["training"] is not False:
        raise AssertionError("reinforce_step was given the policy in eval mode and left it in train mode")
    policy, tokenizer = load_policy("tiny", "cpu")
    reward_model = load_reward_model("tiny", device="cpu")
    check_weights(record["weights"], policy, "reinforce_step", NOT_FINITE)
    for number, before, change in probed(record, training_probes(seed), policy, "reinforce_step", UNCHANGED):
        set_weights(policy, before)
        rollout = world.training_rollout(policy, tokenizer, seed, number)
        check_probe(policy, rollout, reward_model(rollout.texts), change, number)


# --- the aspects ------------------------------------------------------------------------------------------------------


def _training(run: Callable[..., Any], seed: int) -> None:
    """The training costs the most: it is run only where single updates are right."""
    try:
        check_update(run("reinforce_single", seed=seed), seed)
    except AssertionError as wrong:
        raise AssertionError(
            f"the short training was left out, since single updates are wrong already: {wrong}"
        ) from wrong
    check_practice(run("reinforce_practice", seed=seed, probes=practice_probes(seed)), seed)
    check_training(run("reinforce_training", seed=seed, probes=training_probes(seed)), seed)


CHECKS: dict[str, Callable[[Callable[..., Any], int], None]] = {
    "direction": lambda run, seed: check_direction(run("reinforce_single", seed=seed), seed),
    "update": lambda run, seed: check_update(run("reinforce_single", seed=seed), seed),
    "report": lambda run, seed: check_report(run("reinforce_single", seed=seed), seed),
    "modes": lambda run, seed: check_modes(
        run("reinforce_single", seed=seed), run("reinforce_single", seed=seed, training=True)
    ),
    "training": _training,
}
