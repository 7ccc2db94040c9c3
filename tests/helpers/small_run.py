"""A short training run that depends on all that a checkpoint holds: weights, optimizer, state and all random numbers."""

from __future__ import annotations

import torch

from helpers.models import policy_logits
from helpers.training import rollout_source, train

PROMPTS = [f"the film {number}" for number in range(12)]


def make_run(new_policy, tokenizer, folder, steps, fail_at=None, **options):
    """Train a random policy by a stand-in for a student's step that also uses dropout and two kinds of random numbers."""
    policy = new_policy(dropout=0.1).train()
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-2)
    state = {"weight": 1.0}
    torch.manual_seed(7)

    def step(rollout, number):
        if number == fail_at:
            raise RuntimeError("the kernel died")
        noise = torch.rand(())
        logits = policy_logits(policy, rollout.ids, rollout.attention_mask)
        loss = state["weight"] * (logits.square().mean() + noise * logits.mean())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        state["weight"] *= 0.9
        return {"loss": loss.item(), "reward": noise.item()}

    source = rollout_source(policy, tokenizer, PROMPTS, 5, 4, seed=3)
    history = train(
        step,
        source,
        steps=steps,
        policy=policy,
        optimizer=optimizer,
        tokenizer=tokenizer,
        sample_prompts=PROMPTS[:2],
        sample_every=4,
        sample_tokens=3,
        state=state,
        folder=folder,
        checkpoint_every=3,
        progress=False,
        **options,
    )
    return policy, history, state


def same(first, second):
    one, two = first.state_dict(), second.state_dict()
    return all(torch.equal(one[name], two[name]) for name in one)


def iter_judge(*scores):
    """A judge that gives these scores, one after the other."""
    left = iter(scores)
    return lambda texts: next(left)
