"""Sampling: what is recorded is what the policy says, padding changes nothing, and the frequencies are the softmax's."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare

from helpers import generation
from helpers.generation import generate
from helpers.models import policy_logits

PROMPTS = ["a", "the film was", "it is a very dull and", "i"]


def next_token_log_probs(policy, rollout):
    """Score a rollout by an independent route: torch's own categorical distribution."""
    logits = policy_logits(policy, rollout.ids, rollout.attention_mask)[:, :-1]
    return torch.distributions.Categorical(logits=logits).log_prob(rollout.ids[:, 1:])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_recorded_log_probs_are_those_of_a_full_forward_pass(policy, tokenizer, seed):
    rollout = generate(policy, tokenizer, PROMPTS * 4, 20, generator=seed)
    mask = rollout.completion_mask[:, 1:]
    expected = next_token_log_probs(policy, rollout).detach()
    assert mask.sum() > 100
    torch.testing.assert_close(rollout.log_probs[mask], expected[mask], rtol=1e-4, atol=1e-4)
    assert (rollout.log_probs[~mask] == 0).all()
    assert not rollout.log_probs.requires_grad


def likely_ones(logits, temperature, top_k, generator):
    """A student's sampler."""
    logits, ids = (logits / temperature).topk(top_k)
    return ids.gather(1, torch.multinomial(logits.softmax(-1), 1, generator=generator))[:, 0]


def test_log_probs_do_not_depend_on_temperature_or_top_k(policy, tokenizer):
    rollout = generate(
        policy, tokenizer, PROMPTS, 12, temperature=0.5, top_k=5, generator=0, sample_next_token=likely_ones
    )
    mask = rollout.completion_mask[:, 1:]
    torch.testing.assert_close(
        rollout.log_probs[mask], next_token_log_probs(policy, rollout).detach()[mask], rtol=1e-4, atol=1e-4
    )


def test_padding_changes_no_logit(policy, tokenizer):
    """Left padding without explicit positions is the classical mistake: log-probabilities off by tens."""
    ids = torch.tensor(tokenizer("the film")["input_ids"])[None]
    plain = policy_logits(policy, ids, torch.ones_like(ids, dtype=torch.bool))
    for left, right in [(5, 0), (0, 5), (3, 4)]:
        padded = torch.nn.functional.pad(ids, (left, right), value=tokenizer.eos_token_id)
        mask = torch.nn.functional.pad(torch.ones_like(ids, dtype=torch.bool), (left, right), value=False)
        logits = policy_logits(policy, padded, mask)
        torch.testing.assert_close(logits[:, left : left + ids.shape[1]], plain, rtol=1e-4, atol=1e-4)
        assert torch.isfinite(logits).all()
        logits.square().mean().backward()
        assert all(torch.isfinite(p.grad).all() for p in policy.parameters())


def test_a_prompt_is_completed_alike_alone_and_in_a_batch(policy, tokenizer):
    together = generate(policy, tokenizer, PROMPTS, 15, temperature=0)
    for number, prompt in enumerate(PROMPTS):
        assert generate(policy, tokenizer, [prompt], 15, temperature=0).completions[0] == together.completions[number]


def test_agrees_with_the_generate_method_of_transformers(policy, tokenizer):
    ids = torch.tensor(tokenizer("the film was")["input_ids"])[None]
    theirs = policy.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=15, pad_token_id=256
    )
    ours = generate(policy, tokenizer, ["the film was"], 15, temperature=0)
    kept = ours.ids[0][ours.attention_mask[0]]
    assert kept.tolist() == theirs[0, : len(kept)].tolist()


@pytest.mark.parametrize("options", [{"temperature": 0.7}, {"top_k": 8}, {"temperature": 0, "top_k": 2}])
def test_another_temperature_and_top_k_need_the_students_sampler(policy, tokenizer, options):
    """They are the whole answer of an exercise."""
    with pytest.raises(ValueError, match="sample_next_token=sample_next_token"):
        generate(policy, tokenizer, PROMPTS, 3, **options)


def test_sampling_frequencies_match_softmax(policy, tokenizer):
    count = 4000
    rollout = generate(policy, tokenizer, ["the film"] * count, 1, generator=3)
    ids = rollout.ids[:1, : rollout.prompt_length]
    logits = policy_logits(policy, ids, torch.ones_like(ids, dtype=torch.bool))[0, -1].detach().double()
    expected = logits.softmax(0) * count
    seen = torch.bincount(rollout.ids[:, -1], minlength=len(expected)).double()
    assert (seen[expected == 0] == 0).all()
    common = expected >= 5  # chi-square needs some of each; the rare ones are counted together
    observed, wanted = [*seen[common].tolist()], [*expected[common].tolist()]
    if expected[~common].sum() > 0:
        observed, wanted = [*observed, seen[~common].sum().item()], [*wanted, expected[~common].sum().item()]
    assert len(wanted) > 4
    assert chisquare(observed, wanted).pvalue > 0.001


def test_masks_run_through_the_first_end_of_text(policy, tokenizer):
    end = tokenizer.eos_token_id
    rows = iter([[10, end], [end, 11], [12, 13], [14, 15], [16, 17]])

    def scripted(logits, temperature, top_k, generator):
        return torch.tensor(next(rows))

    rollout = generate(policy, tokenizer, ["a", "the"], 5, sample_next_token=scripted)
    assert rollout.prompt_length == 3
    assert rollout.ids[:, 3:].tolist() == [[10, end, end, end, end], [end, end, end, end, end]]
    assert rollout.completion_mask.tolist() == [
        [False] * 3 + [True] * 2 + [False] * 3,
        [False] * 3 + [True] + [False] * 4,
    ]
    assert rollout.attention_mask.tolist() == [[False, False, True, True, True] + [False] * 3, [True] * 4 + [False] * 4]
    assert rollout.lengths.tolist() == [2, 1]
    assert rollout.completions[1] == ""
    assert rollout.texts[1] == "the"
    assert (rollout.log_probs[0, 4:] == 0).all()


def test_a_students_own_sampler_gets_the_arguments_by_name(policy, tokenizer):
    seen = []

    def mine(logits, temperature=1.0, top_k=0, generator=None):
        seen.append((tuple(logits.shape), temperature, top_k, generator is not None))
        return logits.argmax(-1)

    rollout = generate(policy, tokenizer, PROMPTS, 3, temperature=0.8, top_k=4, generator=1, sample_next_token=mine)
    assert set(seen) == {((4, 257), 0.8, 4, True)}
    assert rollout.completions == generate(policy, tokenizer, PROMPTS, 3, temperature=0).completions


@pytest.mark.parametrize("bad", [torch.zeros(4, 1, dtype=torch.long), torch.zeros(4), torch.full((4,), 257), None])
def test_a_wrong_sampler_is_told_so(policy, tokenizer, bad):
    with pytest.raises(ValueError, match="sample_next_token"):
        generate(policy, tokenizer, PROMPTS, 3, sample_next_token=lambda logits, **options: bad)


def test_seeds_repeat_and_differ(policy, tokenizer):
    first = generate(policy, tokenizer, PROMPTS, 10, generator=5)
    torch.manual_seed(99)
    again = generate(policy, tokenizer, PROMPTS, 10, generator=torch.Generator().manual_seed(5))
    assert torch.equal(first.ids, again.ids)
    assert not torch.equal(first.ids, generate(policy, tokenizer, PROMPTS, 10, generator=6).ids)


def test_a_seed_leaves_the_global_random_numbers_alone(policy, tokenizer):
    before = torch.get_rng_state()
    generate(policy, tokenizer, PROMPTS, 5, generator=5)
    assert torch.equal(before, torch.get_rng_state())


def test_min_new_tokens_keeps_the_text_from_ending_early(policy, tokenizer):
    policy.lm_head.weight = torch.nn.Parameter(policy.lm_head.weight.clone())
    with torch.no_grad():
        policy.transformer.ln_f.bias[0] += 10
        policy.lm_head.weight[256] = 0
        policy.lm_head.weight[256, 0] = 10  # the end of text is now nearly certain
    assert generate(policy, tokenizer, PROMPTS, 8, generator=0).lengths.max() <= 2
    longer = generate(policy, tokenizer, PROMPTS, 8, min_new_tokens=5, generator=0)
    assert longer.lengths.min() >= 5
    mask = longer.completion_mask[:, 1:]
    torch.testing.assert_close(
        longer.log_probs[mask], next_token_log_probs(policy, longer).detach()[mask], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_while_sampling_and_the_mode_is_restored(new_policy, tokenizer, training):
    policy = new_policy(dropout=0.5).train(training)
    rollout = generate(policy, tokenizer, PROMPTS, 10, generator=0)
    assert policy.training is training
    policy.eval()
    mask = rollout.completion_mask[:, 1:]
    torch.testing.assert_close(
        rollout.log_probs[mask], next_token_log_probs(policy, rollout).detach()[mask], rtol=1e-4, atol=1e-4
    )


def test_the_mode_is_restored_after_an_error(policy, tokenizer):
    policy.train()
    with pytest.raises(ValueError, match="sample_next_token"):
        generate(policy, tokenizer, PROMPTS, 3, sample_next_token=lambda logits, **options: None)
    assert policy.training


def test_impossible_prompts_are_refused(policy, tokenizer):
    with pytest.raises(ValueError, match="empty"):
        generate(policy, tokenizer, ["a", ""], 3)
    with pytest.raises(ValueError, match="at least one prompt"):
        generate(policy, tokenizer, [], 3)
    with pytest.raises(ValueError, match="64 positions"):
        generate(policy, tokenizer, ["a" * 60], 5)


def test_leaving_out_rows_that_have_ended_changes_nothing(policy, tokenizer, monkeypatch):
    """The same random numbers, texts and log-probs as when every row is carried to the end."""

    def sampled():
        return generate(policy, tokenizer, PROMPTS * 12, 20, generator=5)

    def end_often(module, given, logits):
        """One token in ten ends its text, so that rows end at many lengths."""
        logits[..., tokenizer.eos_token_id] = logits.logsumexp(dim=-1) - 2.2

    policy.lm_head.register_forward_hook(end_often)
    shorter = sampled()
    sizes = []
    policy.register_forward_pre_hook(
        lambda module, given, named: sizes.append(len(named["input_ids"])), with_kwargs=True
    )
    assert sampled().texts == shorter.texts
    monkeypatch.setattr(generation, "WORTH_LEAVING_OUT", 0.0)
    whole = sampled()
    half = len(sizes) // 2
    assert min(sizes[:half]) >= generation.LEAST_ROWS
    assert len(set(sizes[:half])) > 2
    assert set(sizes[half:]) == {48}
    assert shorter.texts == whole.texts
    for name in ("ids", "attention_mask", "completion_mask"):
        assert (getattr(shorter, name) == getattr(whole, name)).all()
    torch.testing.assert_close(shorter.log_probs, whole.log_probs, rtol=1e-5, atol=1e-5)


def test_a_students_sampler_sees_every_row_at_every_step(policy, tokenizer):
    """It draws with the generator itself: with fewer rows it would draw other numbers."""
    seen = []

    def noting(logits, temperature, top_k, generator):
        seen.append(len(logits))
        return likely_ones(logits, temperature, 5, generator)

    generate(policy, tokenizer, PROMPTS * 12, 20, generator=0, sample_next_token=noting)
    assert set(seen) == {48}
