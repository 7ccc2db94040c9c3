"""How far a student's step moved the embedded policy: its reward and its KL to the reference, for the class report.

It decides nothing. The weights are those that a hidden test of `reinforce_step` got back from the sandbox.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any

import torch

TEXTS, TOKENS, SEED = 48, 16, 20240
WORLD = "reinforce_training"  # of `helpers.worlds`: the one that trains the embedded policy


@functools.cache
def _world() -> tuple[Any, Any, Any, list[str]]:
    from helpers.data import load_prompts
    from helpers.models import load_policy, load_reward_model

    policy, tokenizer = load_policy("tiny", "cpu")
    return policy, tokenizer, load_reward_model("tiny", device="cpu"), load_prompts("tiny", "test")[:TEXTS]


def measure(records: Mapping[str, Any]) -> dict[str, float] | None:
    """Mean reward and KL (nats per text, by sampling) of the embedded policy as a student's step has trained it.

    Args:
        records: what the worlds that the step was run in have recorded, by the world's name; not trusted.

    Returns:
        The two numbers; None where the embedded policy was not trained, or its weights do not fit.
    """
    record = records.get(WORLD)
    weights = record.get("weights") if isinstance(record, dict) else None
    try:
        return _measure(weights) if isinstance(weights, dict) else None
    except Exception as error:  # a figure of the report that is missing, and no mark
        logging.getLogger(__name__).warning("a trained policy was not measured: %s", type(error).__name__)
        return None


def _measure(weights: Mapping[str, Any]) -> dict[str, float] | None:
    from helpers.generation import generate
    from helpers.models import policy_logits

    reference, tokenizer, reward_model, prompts = _world()
    shapes = {name: weight.shape for name, weight in reference.state_dict().items()}
    if not weights or not all(_is_weight(weight, shapes.get(name)) for name, weight in weights.items()):
        return None
    before = {name: weight.clone() for name, weight in reference.state_dict().items()}
    try:
        reference.load_state_dict(dict(weights), strict=False)  # tied weights may be named once only
        rollout = generate(reference, tokenizer, prompts, TOKENS, generator=SEED)
        with torch.no_grad():
            moved = _log_probs(policy_logits(reference, rollout.ids, rollout.attention_mask), rollout.ids)
    finally:
        reference.load_state_dict(before)
    with torch.no_grad():
        start = _log_probs(policy_logits(reference, rollout.ids, rollout.attention_mask), rollout.ids)
        mask = rollout.completion_mask[:, 1:]
        kl = torch.where(mask, moved - start, 0.0).sum(dim=1).mean().item()
    reward = reward_model(rollout.texts).mean().item()
    return {"kl": round(kl, 4), "reward": round(reward, 4)} if kl == kl and reward == reward else None


def _is_weight(value: object, shape: torch.Size | None) -> bool:
    """Whether a recorded value can be one of the policy's weights: what comes out of the sandbox may be anything."""
    return isinstance(value, torch.Tensor) and value.is_floating_point() and value.shape == shape


def _log_probs(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return logits[:, :-1].log_softmax(dim=-1).gather(-1, ids[:, 1:, None]).squeeze(-1)
