"""The training steps of Parts 2 and 4 on the fast path: the same arguments, update and report as the course's solutions.

They stand here and not in `helpers`, which students have: handed in under an exercise's name, each of them is a right answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from autograder.grade.judging.trusted import trusted_env
from helpers.dpo.pairs import Pair, PairBatch, both_sides, pair_batches
from helpers.fast import completion_log_probs
from helpers.generation import Rollout


def reinforce_step(
    policy: nn.Module,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    reward_model: Callable[[list[str]], Tensor],
    groups: int = 1,
) -> dict[str, float]:
    """One REINFORCE update, as exercise 2.7 defines it; `groups` as in `completion_log_probs`."""
    part2 = trusted_env(2)
    rewards = reward_model(rollout.texts)  # [B]
    advantages = part2["leave_one_out_advantages"](rewards)  # [B]
    log_probs = completion_log_probs(
        policy, rollout.ids, rollout.attention_mask, rollout.completion_mask, groups=groups
    )  # [B, T-1]
    mask = rollout.completion_mask[:, 1:]  # [B, T-1]
    loss = part2["compute_reinforce_loss"](log_probs, advantages.to(log_probs.device), mask)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


def side_log_probs(policy: nn.Module, pairs: PairBatch, groups: int = 1) -> tuple[Tensor, Tensor]:
    """Log-probs `[B]` of the chosen and of the rejected completions, from one forward pass for both."""
    chosen, rejected = completion_log_probs(policy, *both_sides(pairs), groups=groups).sum(dim=1).chunk(2)
    return chosen, rejected


@torch.no_grad()
def reference_log_probs(reference: nn.Module, pairs: list[Pair], pad_id: int, size: int = 64) -> Tensor:
    """Log-probs `[N, 2]` of all pairs under the reference, chosen and rejected: computed once, for `pair_batches` to keep."""
    batches = pair_batches(pairs, pad_id, size, device=next(reference.parameters()).device)
    return torch.cat([torch.stack(side_log_probs(reference, batch), dim=1) for batch in batches])


def dpo_step(
    policy: nn.Module,
    reference: nn.Module,
    optimizer: torch.optim.Optimizer,
    pairs: PairBatch,
    beta: float,
    groups: int = 1,
) -> dict[str, float]:
    """One DPO update, as exercise 4.6 defines it; `groups` as in `completion_log_probs`."""
    part4: dict[str, Any] = trusted_env(4)
    policy_sides = side_log_probs(policy, pairs, groups)  # [B], [B]
    if pairs.reference_chosen is not None and pairs.reference_rejected is not None:
        reference_sides = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_sides = side_log_probs(reference, pairs, groups)
    loss, chosen_rewards, rejected_rewards = part4["compute_dpo_loss"](*policy_sides, *reference_sides, beta)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": part4["preference_accuracy"](chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }
