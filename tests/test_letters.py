"""The eight letters of Part 2: runs of spoiled steps are those of the broken ones, and look as the sample answer says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from helpers.models import policy_logits
from helpers.reinforce import letters
from helpers.reinforce.gauges import step_sizes


def broken_step(part2: dict[str, Callable[..., Any]], mistake: str | None) -> Callable[..., Any]:
    """A training step with one mistake, written out: what `helpers.reinforce.letters` brings about from outside."""

    def step(policy: Any, optimizer: torch.optim.Optimizer, rollout: Any, reward_model: Callable[..., Tensor]) -> None:
        advantages = part2["leave_one_out_advantages"](reward_model(rollout.texts))
        logits = policy_logits(policy, rollout.ids, rollout.attention_mask)
        log_probs, mask = part2["token_log_probs"](logits, rollout.ids), rollout.completion_mask[:, 1:]
        if mistake == "no shift":
            log_probs = logits.log_softmax(-1).gather(-1, rollout.ids.unsqueeze(-1)).squeeze(-1)
            mask = rollout.completion_mask
        loss = part2["compute_reinforce_loss"](log_probs, advantages, mask)
        if mistake != "no zero_grad":
            optimizer.zero_grad()
        (-loss if mistake == "sign" else loss).backward()
        optimizer.step()

    return step


@pytest.mark.parametrize("mistake", letters.MISTAKES)
def test_a_spoiled_run_is_that_of_the_broken_step(part2, mistake):
    spoiled = letters.run(part2["reinforce_step"], mistake=mistake, steps=12)
    written = letters.run(broken_step(part2, mistake), steps=12)
    for column in ("reward", "gradient"):
        assert spoiled[column] == pytest.approx(written[column], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_runs_of_letters_look_as_the_sample_answer_says(part2, seed):
    right = letters.run(part2["reinforce_step"], seed=seed)
    uncleared, unshifted, turned = letters.broken_runs(part2["reinforce_step"], seed=seed).values()
    assert right.mean("reward", last=10) > 0.9
    assert max(right["gradient"][-10:]) < right["gradient"][0]
    assert uncleared.mean("reward", last=10) > 0.9
    assert min(uncleared["gradient"][-10:]) > 5 * uncleared["gradient"][0]
    assert 0.06 < unshifted.mean("reward", last=10) < 0.25
    assert turned.mean("reward", last=10) < 0.05
    assert turned.mean("gradient", last=10) < turned["gradient"][0]


def test_the_learning_rate_of_a_run_is_that_of_its_optimizer(part2):
    seen = []

    def step(policy, optimizer, *batch):
        seen.append(optimizer.param_groups[0]["lr"])
        part2["reinforce_step"](policy, optimizer, *batch)

    letters.run(step, steps=1)
    letters.run(step, steps=1, learning_rate=0.003)
    assert seen == [letters.LEARNING_RATE, 0.003]


@pytest.mark.parametrize("seed", range(3))
def test_experiments_on_the_letters_end_as_the_fold_says(part2, seed):
    """A rate of .01 is too small and 1 is none too large; without a baseline the gradient stays, and rate 1 ends in a loop."""
    policies = []

    def without(policy, optimizer, rollout, reward_model):
        policies.append(policy)
        logits = policy_logits(policy, rollout.ids, rollout.attention_mask)
        log_probs = part2["token_log_probs"](logits, rollout.ids)
        loss = part2["compute_reinforce_loss"](log_probs, reward_model(rollout.texts), rollout.completion_mask[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    slow, usual, fast = (letters.run(part2["reinforce_step"], learning_rate=rate, seed=seed) for rate in (0.01, 0.1, 1))
    unsteady = letters.run(without, seed=seed)
    stuck = letters.run(without, learning_rate=1, seed=seed)
    assert slow.mean("reward", last=10) < 0.3
    assert fast.mean("reward", last=10) > 0.99
    assert unsteady.mean("reward", last=10) < usual.mean("reward", last=10) - 0.05
    assert unsteady.mean("gradient", last=10) > 5 * usual.mean("gradient", last=10)
    assert stuck.mean("reward", last=10) < 0.85
    assert stuck.mean("gradient", last=10) < 0.05
    assert policies[-1].table.softmax(dim=1).amax(dim=1).min() > 0.9
    assert len(set("".join(sample["completion"] for sample in stuck.samples[-3:]))) < len(letters.LETTERS)


def test_letters_note_the_log_probs_that_they_were_drawn_with(part2):
    policy = letters.LetterPolicy()
    torch.nn.init.normal_(policy.table, generator=torch.Generator().manual_seed(0))
    rollout = policy.write(torch.Generator().manual_seed(1))
    again = part2["token_log_probs"](policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    torch.testing.assert_close(again, rollout.log_probs)
    assert letters.in_order(["efghabcde", "aaaaaaaaa", "abaabaaba"]).tolist() == pytest.approx([1, 0, 3 / 8])
    with pytest.raises(ValueError, match="no mistake 'other'"):
        letters.run(part2["reinforce_step"], mistake="other")


def test_step_sizes_are_those_of_the_gradient_and_of_the_step(part2):
    policy = letters.LetterPolicy()
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.5)
    rollout = policy.write(torch.Generator().manual_seed(0))
    with step_sizes(policy) as sizes:
        part2["reinforce_step"](policy, optimizer, rollout, lambda texts: 100 * letters.in_order(texts))
    assert policy.table.grad is not None
    assert policy.table.grad.norm().item() == pytest.approx(1)  # clipped
    assert sizes["gradient"] > 2
    assert sizes["step_length"] == pytest.approx(0.5)
