"""Micro-batches change the memory of a step and nothing else: logits and gradients are those of the whole batch."""

from __future__ import annotations

import pytest
import torch

from helpers.fast import completion_log_probs
from helpers.generation import generate
from helpers.models import in_micro_batches, policy_logits


@pytest.fixture(params=["gpt2", "llama"])
def policy(request, new_policy, new_llama):
    return (new_policy() if request.param == "gpt2" else new_llama()).double()


@pytest.fixture
def batch():
    """Seven rows of ten tokens, padded on the left by their row's number."""
    torch.manual_seed(0)
    return torch.randint(256, (7, 10)), torch.arange(10) >= torch.arange(7)[:, None]  # [B, T] each


def passed(policy, batch):
    """The logits at real tokens and the gradients of a loss of them, one that ties rows together, as a baseline does."""
    logits = policy_logits(policy, *batch)  # [B, T, V]
    seen = logits[batch[1]]
    loss = seen.log_softmax(-1).square().mean() * seen.std()
    policy.zero_grad()
    loss.backward()
    return seen.detach(), [value.grad.clone() for value in policy.parameters()]


@pytest.mark.parametrize("rows", [1, 3, 6, 7, 20])
def test_logits_and_gradients_are_those_of_the_whole_batch(policy, batch, rows):
    whole, gradients = passed(policy, batch)
    again, found = passed(in_micro_batches(policy, rows), batch)
    torch.testing.assert_close(again, whole, rtol=1e-10, atol=1e-12)
    assert max(value.abs().max() for value in gradients) > 1e-3
    torch.testing.assert_close(found, gradients, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2])
def test_the_fast_path_does_the_same(policy, batch, groups):
    """Log-probs of the completions alone, and their gradients."""
    ids, mask = batch
    completion = torch.arange(10).expand(7, 10) >= 7  # [B, T] every row has a token before

    def found():
        policy.zero_grad()
        log_probs = completion_log_probs(policy, ids, mask, completion, groups=groups)  # [B, T-1]
        (log_probs.square().mean() * log_probs.std()).backward()
        return log_probs.detach(), [value.grad.clone() for value in policy.parameters()]

    whole = found()
    in_micro_batches(policy, 2)
    torch.testing.assert_close(found(), whole, rtol=1e-9, atol=1e-12)


def test_activations_of_one_group_are_kept_at_a_time(policy, batch, monkeypatch):
    """What autograd keeps between the passes is the logits and little else; each group goes through the policy twice."""

    def kept():
        sizes = {}
        weights = {value.untyped_storage().data_ptr() for value in policy.parameters()}

        def pack(tensor):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            policy_logits(policy, *batch)
        return sum(size for place, size in sizes.items() if place not in weights)

    together = kept()
    in_micro_batches(policy, 2)
    assert kept() < together / 10
    seen = []
    policy.register_forward_pre_hook(lambda module, args, given: seen.append(len(given["input_ids"])), with_kwargs=True)
    passed(policy, batch)
    assert seen == [2, 2, 2, 1, 1, 2, 2, 2], "forward in order, then computed anew from the last group to the first"


def test_dropout_is_the_same_in_both_passes_of_a_group(new_policy, batch):
    """Else the gradients would be of another function than the logits; and the random numbers after are as without it."""
    policy = new_policy(dropout=0.3).double().train()
    torch.manual_seed(1)
    ids, mask = batch
    groups = [policy_logits(policy, ids[rows], mask[rows]) for rows in torch.arange(7).split(3)]
    loss = torch.cat(groups)[mask].log_softmax(-1).square().mean()
    loss.backward()
    expected = [value.grad.clone() for value in policy.parameters()], torch.rand(3)
    torch.manual_seed(1)
    policy.zero_grad()
    logits = policy_logits(in_micro_batches(policy, 3), ids, mask)
    assert torch.equal(logits, torch.cat(groups))
    logits[mask].log_softmax(-1).square().mean().backward()
    torch.testing.assert_close([value.grad for value in policy.parameters()], expected[0], rtol=1e-9, atol=1e-12)
    assert torch.equal(torch.rand(3), expected[1])


def test_a_students_step_needs_no_change(new_policy, tokenizer, part2):
    """The solution's `reinforce_step` moves the weights to the same place."""
    ends = []
    for rows in (None, 2):
        policy = in_micro_batches(new_policy().double(), rows)
        rollout = generate(policy, tokenizer, ["the film", "a", "it was", "good", "bad !"], 6, generator=0)
        optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
        part2["reinforce_step"](policy, optimizer, rollout, lambda texts: torch.linspace(0, 1, 5))
        ends.append(list(policy.parameters()))
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-8, atol=1e-10)


def test_without_gradients_nothing_is_split(new_policy, batch):
    policy = in_micro_batches(new_policy(), 2)
    seen = []
    policy.register_forward_pre_hook(lambda module, args, given: seen.append(len(given["input_ids"])), with_kwargs=True)
    with torch.no_grad():
        policy_logits(policy, *batch)
    policy_logits(in_micro_batches(policy, None), *batch)
    assert seen == [7, 7]
    with pytest.raises(ValueError, match="at least one row"):
        in_micro_batches(policy, 0)
