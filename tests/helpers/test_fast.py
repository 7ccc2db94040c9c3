"""The fast path gives the numbers and gradients of the simple one: otherwise what it gains is worth nothing."""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from benchmarks import fast_steps
from helpers import fast
from helpers.dpo.pairs import pair_batches
from helpers.models import policy_logits
from helpers.reinforce import figures, stopwatch
from helpers.worlds import dpo, reinforce, small

VOCABULARY, COLUMNS = 37, 11


def gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=32, initializer_range=0.3,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return GPT2LMHeadModel(config).double().eval()


def llama() -> LlamaForCausalLM:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.3, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).double().eval()


MODELS = {"gpt2": gpt2, "llama": llama}


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of four lengths, padded on the left and on the right, one of them without a completion."""
    ids = torch.randint(VOCABULARY, (5, COLUMNS), generator=torch.Generator().manual_seed(2))
    starts, prompts, ends = torch.tensor([[1, 3, 2, 1, 2], [4, 4, 4, 4, 4], [10, 7, 9, 5, 4]])[:, :, None]
    columns = torch.arange(COLUMNS)
    attention = (columns >= starts) & (columns < ends)
    return ids, attention, attention & (columns >= prompts)


def simple(policy, ids, attention, mask, part2) -> torch.Tensor:
    """What a student's functions give, 0 outside the completions."""
    log_probs = part2["token_log_probs"](policy_logits(policy, ids, attention), ids)
    return log_probs.masked_fill(~mask[:, 1:], 0.0)


def gradients(policy, value) -> list[torch.Tensor]:
    policy.zero_grad()
    weights = torch.linspace(-1, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
    (value * weights).sum().backward()
    return [parameter.grad.clone() for parameter in policy.parameters()]


@pytest.mark.parametrize("groups", [1, 2, 5])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("heads", [fast.PLAIN_HEADS, ()], ids=["output layer apart", "any model"])
def test_values_and_gradients_are_those_of_the_simple_way(name, groups, heads, part2, monkeypatch):
    monkeypatch.setattr(fast, "PLAIN_HEADS", heads)
    monkeypatch.setattr(fast, "ROWS", 4)  # several pieces
    policy = MODELS[name]()
    expected = simple(policy, *batch(), part2)
    got = fast.completion_log_probs(policy, *batch(), groups=groups)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)
    assert (got[~batch()[2][:, 1:]] == 0).all()
    for ours, theirs in zip(gradients(policy, got), gradients(policy, expected), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_in_float32_they_agree_within_rounding(name, part2):
    policy = MODELS[name]().float()
    expected = simple(policy, *batch(), part2)
    got = fast.completion_log_probs(policy, *batch(), groups=2)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(gradients(policy, got), gradients(policy, expected), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_a_second_walk_through_the_graph_is_refused():
    """The table is overwritten: a gradient of it would be wrong."""
    value = fast.completion_log_probs(gpt2(), *batch()).sum()
    value.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_large_logits_stay_finite():
    hidden = torch.full((1, 1), 1e4, requires_grad=True)
    value = fast._OutputLayer.apply(hidden, torch.tensor([[1.0], [-1.0]]), torch.tensor([1]))
    assert value.item() == -2e4
    value.backward()
    assert hidden.grad.item() == -2.0


def test_without_gradients_the_table_of_probabilities_is_not_kept():
    policy = gpt2()
    with torch.no_grad():
        assert not fast.completion_log_probs(policy, *batch()).requires_grad
    policy.requires_grad_(False)
    assert fast.completion_log_probs(policy, *batch()).grad_fn is None


def test_a_model_inside_an_adapter_is_found():
    """peft wraps a model and adds its weights inside it."""

    class Wrapped(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def get_base_model(self):
            return self.model

    policy = llama()
    expected = fast.completion_log_probs(policy, *batch())
    assert (fast.completion_log_probs(Wrapped(policy), *batch()) == expected).all()


def test_bad_input_gets_a_clear_error():
    with pytest.raises(TypeError, match="a language model of transformers, not Linear"):
        fast.completion_log_probs(torch.nn.Linear(2, 2), *batch())
    for groups in (0, 6):
        with pytest.raises(ValueError, match="5 rows cannot be cut into"):
            fast.completion_log_probs(gpt2(), *batch(), groups=groups)


def test_fused_activations_compute_the_same_and_go_away_again():
    policy = gpt2()
    before = policy_logits(policy, *batch()[:2])
    with fast.fused_activations(policy):
        assert isinstance(policy.transformer.h[0].mlp.act, torch.nn.GELU)
        torch.testing.assert_close(policy_logits(policy, *batch()[:2]), before, rtol=1e-9, atol=1e-9)
    assert (policy_logits(policy, *batch()[:2]) == before).all()


# --- the steps that the benchmark measures ------------------------------------------------------------------------------


def after(step, seed: int, *batches):
    """The report of a step and the weights that it leaves, in float64 (plain descent: Adam would blow up what is near 0)."""
    policy = small.small_policy(seed).double()
    report = step(policy, torch.optim.SGD(policy.parameters(), lr=0.1), *batches)
    return report, small.weights_of(policy)


@pytest.mark.parametrize("groups", [1, 3])
def test_the_fast_reinforce_step_is_the_solution(groups, part2):
    rollout = reinforce.small_rollout(3, 0)
    reward = reinforce.small_reward_model
    simple_report, simple_weights = after(part2["reinforce_step"], 3, rollout, reward)
    report, weights = after(functools.partial(fast_steps.reinforce_step, groups=groups), 3, rollout, reward)
    assert report == pytest.approx(simple_report, abs=1e-9)
    for name, weight in weights.items():
        torch.testing.assert_close(weight, simple_weights[name], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kept", [False, True])
def test_the_fast_dpo_step_is_the_solution(kept):
    from autograder.grade.judging.trusted import trusted_env

    reference = small.small_policy(4, noise=0.1).double()
    pairs = dpo.small_pairs(4, 6)
    kept_log_probs = fast_steps.reference_log_probs(reference, pairs, small.PAD_ID) if kept else None
    (batch,) = pair_batches(pairs, small.PAD_ID, len(pairs), reference=kept_log_probs)

    def on(step):
        return after(lambda policy, optimizer: step(policy, reference, optimizer, batch, 0.5), 4)

    (simple_report, simple_weights), (report, weights) = on(trusted_env(4)["dpo_step"]), on(fast_steps.dpo_step)
    assert report == pytest.approx(simple_report, abs=1e-9)
    for name, weight in weights.items():
        torch.testing.assert_close(weight, simple_weights[name], rtol=1e-9, atol=1e-10)


# --- the stopwatch ------------------------------------------------------------------------------------------------------


def test_the_parts_of_a_step_add_up_and_the_step_is_as_it_was(part2):
    rollout, reward = reinforce.small_rollout(3, 0), reinforce.small_reward_model
    policy, other = small.small_policy(3), small.small_policy(3)
    sums = []
    for one, take in ((policy, stopwatch.step_parts), (other, None)):
        optimizer = torch.optim.SGD(one.parameters(), lr=0.1)
        if take:
            parts = take(part2["reinforce_step"], one, optimizer, lambda: copy.copy(rollout), reward)
        else:
            part2["reinforce_step"](one, optimizer, rollout, reward)
        sums.append(small.weights_of(one))
    assert list(parts) == list(stopwatch.PARTS)
    assert all(seconds > 0 for seconds in parts.values())
    for name, weight in sums[0].items():
        assert (weight == sums[1][name]).all()
    assert "sampling: " in figures.plot_step_parts(parts).alt
    assert not policy._forward_hooks
    assert not policy._forward_pre_hooks
