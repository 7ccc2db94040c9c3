"""The judge of `reinforce_step`: measure what the worlds of `helpers.worlds.reinforce` recorded.

Records may have crossed the border of the sandbox as plain tensors and numbers. Worlds and expectations are rebuilt here from
the seed alone, and a trained policy's reward is measured here, on prompts and with a reward model that the student's code
never had in its hands.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from helpers.data import batch_at, load_prompts
from helpers.generation import Rollout, generate
from helpers.models import load_policy, load_reward_model, policy_logits
from helpers.worlds import reinforce as world
from helpers.worlds.small import EOS_ID, small_policy

from . import part2
from .steps_weights import LARGEST_UPDATE, SAME_DIRECTION, check_length, check_weights, cosine, flat, updates

FIRST_SEED = 200  # of the worlds, where the grading seed is 0
UNCHANGED = (
    "the policy's weights did not change. Is there a loss.backward() and an optimizer.step(), in this order, and the "
    "zero_grad() before both?"
)
TEST_PROMPTS, TEST_TOKENS = 128, 16
LEAST_RISE = 0.15  # of the mean reward, by the short training


def gradient_of(
    policy: nn.Module,
    rollout: Rollout,
    advantages: Tensor,
    mask: Tensor,
    *,
    per_token: bool = False,
    shift: bool = True,
) -> Tensor:
    """The direction in which a step with these advantages and this mask `[B, T-1]` moves the weights: minus the gradient.

    `per_token` and `shift=False` make two known mistakes: the mean over a completion's tokens, and no shift by one.
    """
    logits = policy_logits(policy, rollout.ids, rollout.attention_mask)
    if shift:
        log_probs = part2.token_log_probs(logits, rollout.ids)
    else:
        log_probs = logits.log_softmax(-1).gather(-1, rollout.ids[:, :, None]).squeeze(-1)[:, 1:]
    weights = advantages / mask.sum(dim=1).clamp(min=1) if per_token else advantages
    loss = part2.compute_reinforce_loss(log_probs, weights, mask)
    return -flat(torch.autograd.grad(loss, list(policy.parameters())))


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
        "all advantages are alike: every completion is made likelier, good or bad": direction(
            torch.ones_like(right), mask
        ),
    }


def check_update(record: Mapping[str, Any], seed: int) -> None:
    """Each recorded change of the weights must point where the definition points, and be one step's worth at most."""
    policy = small_policy(seed)
    changes = updates(record, world.SINGLE_STEPS, policy, "reinforce_step", UNCHANGED)
    earlier = torch.zeros(())
    for number, (before, change) in enumerate(changes):
        policy.load_state_dict(dict(before), strict=False)
        known = known_directions(policy, world.small_rollout(seed, number, policy))
        right = known[""]
        if cosine(change, right) < SAME_DIRECTION:
            raise AssertionError(f"reinforce_step: {_name_direction(change, known, earlier)}")
        size = float(change.norm() / (world.LEARNING_RATE * right.norm()))
        if size > LARGEST_UPDATE:
            raise AssertionError(
                f"reinforce_step: the update is {size:.2f} times as large as one step of this optimizer makes it (the sum "
                "over the batch in place of the mean, advantages divided by their standard deviation, or several steps?)"
            )
        earlier = earlier + right
    if record["optimizer_steps"] != world.SINGLE_STEPS:
        raise AssertionError(
            f"reinforce_step: optimizer.step() ran {record['optimizer_steps']} times in {world.SINGLE_STEPS} calls; "
            "once a call is right"
        )


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
        f"tokens (the cosine of the angle between the two is {cosine(change, known['']):.2f})"
    )


def check_report(record: Mapping[str, Any], seed: int) -> None:
    """The returned dict: Python floats, `loss` and `reward` among them, the reward that of the batch."""
    policy = small_policy(seed)
    check_length(record["answers"], world.SINGLE_STEPS, "reinforce_step")
    for number, answer in enumerate(record["answers"]):
        if "__type__" in answer:
            raise AssertionError(f"reinforce_step returned a {answer['__type__']}; it should return a dict of floats")
        for key in ("loss", "reward"):
            if key not in answer:
                raise AssertionError(f"reinforce_step: the returned dict has no entry {key!r}")
        for key, value in answer.items():
            if type(value) is not float:
                raise AssertionError(
                    f"reinforce_step: the entry {key!r} is a {value}; make it a Python float (use .item())"
                )
            if not math.isfinite(value):
                raise AssertionError(f"reinforce_step: the entry {key!r} is {value}")
        rewards = world.small_reward_model(world.small_rollout(seed, number, policy).texts)
        if abs(answer["reward"] - float(rewards.mean())) > 1e-3:
            raise AssertionError("reinforce_step: the entry 'reward' is not the mean reward of the batch's texts")


def check_modes(evaluation: Mapping[str, Any], training: Mapping[str, Any]) -> None:
    """The policy is left in the mode it was in, whichever that was."""
    for record, was in ((evaluation, False), (training, True)):
        check_length(record["training"], world.SINGLE_STEPS, "reinforce_step")
        if any(mode is not was for mode in record["training"]):
            names = ("train", "eval") if was else ("eval", "train")
            raise AssertionError(
                f"reinforce_step was given the policy in {names[0]} mode and left it in {names[1]} mode; leave it as it was"
            )


@functools.lru_cache(maxsize=4)
def base_reward(seed: int) -> float:
    """Mean reward of the embedded policy as it is before training."""
    return mean_reward({}, seed)


def mean_reward(weights: Mapping[str, Tensor], seed: int) -> float:
    """Mean reward of the embedded policy with these weights, on hidden prompts."""
    policy, tokenizer = load_policy("tiny", "cpu")
    if weights:
        check_weights(
            weights, policy, "reinforce_step", "after a short training the policy's weights are NaN or infinite"
        )
        policy.load_state_dict(dict(weights), strict=False)
    reward_model = load_reward_model("tiny", device="cpu")
    prompts = batch_at(load_prompts("tiny", "test"), TEST_PROMPTS, 0, seed + 17)
    texts = generate(policy, tokenizer, prompts, TEST_TOKENS, generator=seed + 29).texts
    return float(reward_model(texts).mean())


def check_training(record: Mapping[str, Any], seed: int) -> None:
    """After a short training the mean reward on hidden prompts is higher, and the reward model is what it was."""
    if record["reward_model_changed"]:
        raise AssertionError("reinforce_step changed the reward model's weights; only the policy learns")
    if record["reward_model_gradients"]:
        raise AssertionError(
            "reinforce_step: the reward model's weights received a gradient; call reward_model(texts) as it is"
        )
    if record["training"] is not False:
        raise AssertionError("reinforce_step was given the policy in eval mode and left it in train mode")
    before, after = base_reward(seed), mean_reward(record["weights"], seed)
    if after < before + LEAST_RISE:
        raise AssertionError(
            f"reinforce_step: after {len(record['answers'])} steps the mean reward on other prompts went from {before:.2f} to "
            f"{after:.2f}; with a right step it rises by at least {LEAST_RISE:.2f}"
        )


# --- the aspects ------------------------------------------------------------------------------------------------------


def _training(run: Callable[..., Any], seed: int) -> None:
    """The training costs the most: it is run only where single updates are right."""
    try:
        check_update(run("reinforce_single", seed=seed), seed)
    except AssertionError as wrong:
        raise AssertionError(
            f"the short training was left out, since single updates are wrong already: {wrong}"
        ) from wrong
    check_training(run("reinforce_training", seed=seed), seed)


CHECKS: dict[str, Callable[[Callable[..., Any], int], None]] = {
    "update": lambda run, seed: check_update(run("reinforce_single", seed=seed), seed),
    "report": lambda run, seed: check_report(run("reinforce_single", seed=seed), seed),
    "modes": lambda run, seed: check_modes(
        run("reinforce_single", seed=seed), run("reinforce_single", seed=seed, training=True)
    ),
    "training": _training,
}
