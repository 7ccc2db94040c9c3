"""What the worlds of the training steps see of a step: a table in place of a model, and its conduct."""

from __future__ import annotations

import functools
import random

import numpy as np
import pytest
import torch

from helpers.models import policy_logits
from helpers.worlds import conduct, table
from helpers.worlds import reinforce as world
from helpers.worlds.small import small_policy


def test_the_table_finds_a_text_by_its_real_tokens():
    """Rows may come in parts, in another order, cut on the right or without their padding."""
    rollout = table.table_rollout()
    logits = torch.arange(60.0).reshape(3, 5, 4)
    policy = table.TablePolicy(logits, rollout)
    whole = policy_logits(policy, rollout.ids, rollout.attention_mask)
    assert torch.equal(whole[:2], logits[:2])
    assert torch.equal(whole[2, 1:3], logits[2, 1:3])
    some = torch.tensor([2, 0])
    part = policy_logits(policy, rollout.ids[some][:, :4], rollout.attention_mask[some][:, :4])
    assert torch.equal(part, whole[some][:, :4])
    for row, mask in enumerate(rollout.attention_mask):
        assert torch.equal(policy(rollout.ids[row][None, mask]).logits[0], whole[row, mask])
    assert not policy.unseen


@pytest.mark.parametrize(
    ("given", "unseen"),
    [
        ({}, {"attention"}),
        ({"attention_mask": table.table_rollout().attention_mask.long()}, {"positions"}),
        ({"position_ids": torch.tensor([[0, 1, 2, 3, 4]] * 2 + [[0, 0, 1, 2, 3]])}, {"attention"}),
    ],
)
def test_the_table_notes_what_it_was_not_told(given, unseen):
    rollout = table.table_rollout()
    policy = table.TablePolicy(torch.zeros(3, 5, 4), rollout)
    policy(input_ids=rollout.ids, **given)
    assert policy.unseen == unseen


def test_a_step_leaves_random_numbers_as_they_were_and_may_draw():
    """A step that draws is none that seeds; the caller's own random numbers go on as if nothing had been drawn."""
    policy, rollout = small_policy(0), world.small_rollout(0, 0)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
    before = torch.get_rng_state()
    draws = (lambda: torch.rand(3), lambda: np.random.rand(3), random.random)
    for draw_something in draws:
        notes = [conduct.observed(n, draw_something, optimizer, rollout, policy)[1] for n in range(3)]
        assert not conduct.told(notes)
    for seed_something in (torch.manual_seed, np.random.seed, random.seed):
        call = functools.partial(seed_something, 3)
        notes = [conduct.observed(n, call, optimizer, rollout, policy)[1] for n in range(2)]
        assert "seed" in conduct.told(notes)
    assert torch.equal(torch.get_rng_state(), before)


def test_conduct_sees_each_fault_alone():
    policy, rollout = small_policy(0), world.small_rollout(0, 0)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)

    def move():
        with torch.no_grad():
            next(policy.parameters()).add_(1e-4)

    def in_train_mode():
        policy.train()
        policy(input_ids=rollout.ids)
        policy.eval()

    deeds = {
        "outside": move,
        "settings": lambda: optimizer.param_groups[0].update(lr=0.2),
        "batch": lambda: rollout.texts.reverse(),
        "dropout": in_train_mode,
    }
    for fault, deed in deeds.items():
        _, note = conduct.observed(0, deed, optimizer, rollout, policy)
        assert note["faults"] == [fault]
    _, note = conduct.observed(0, optimizer.step, optimizer, rollout, policy)
    assert (note["faults"], note["steps"]) == ([], 1)
