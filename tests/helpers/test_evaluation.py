"""Evaluation: the mean, its interval and the progress bar with the running average."""

from __future__ import annotations

import math

import pytest
import torch

from helpers.evaluation import batch_seed, evaluate, repetition

PROMPTS = [f"the film {number}" for number in range(10)]


def length_reward(texts):
    """A reward that can be computed by hand."""
    return torch.tensor([len(text) / 100 for text in texts])


def test_the_figures_are_those_of_the_rewards(policy, tokenizer, small_preset):
    result = evaluate(policy, tokenizer, length_reward, PROMPTS, small_preset, progress=False)
    expected = [len(text) / 100 for text in result.texts]
    assert result.rewards.tolist() == pytest.approx(expected)
    mean = sum(expected) / 10
    spread = math.sqrt(sum((value - mean) ** 2 for value in expected) / 9)
    assert result.mean == pytest.approx(mean)
    assert result.half_width == pytest.approx(1.96 * spread / math.sqrt(10), rel=1e-4)
    assert result.prompts == PROMPTS
    assert [p + c for p, c in zip(result.prompts, result.completions, strict=True)] == result.texts
    assert "N = 10" in str(result)


def test_the_same_seed_gives_the_same_figures(policy, tokenizer, small_preset):
    first, second = (
        evaluate(policy, tokenizer, length_reward, PROMPTS, small_preset, seed=4, progress=False) for _ in "ab"
    )
    assert first.texts == second.texts
    assert (
        first.texts != evaluate(policy, tokenizer, length_reward, PROMPTS, small_preset, seed=5, progress=False).texts
    )


def test_the_progress_bar_shows_the_running_average(policy, tokenizer, small_preset, capsys):
    rewards = iter([1.0] * 4 + [0.0] * 4 + [0.5] * 2)
    result = evaluate(
        policy, tokenizer, lambda texts: torch.tensor([next(rewards) for _ in texts]), PROMPTS, small_preset
    )
    shown = capsys.readouterr().out
    assert "reward=0.500" in shown
    assert "3/3" in shown
    assert result.mean == 0.5


def test_one_prompt_has_no_interval(policy, tokenizer, small_preset):
    result = evaluate(policy, tokenizer, length_reward, PROMPTS[:1], small_preset, progress=False)
    assert math.isnan(result.half_width)
    with pytest.raises(ValueError, match="at least one"):
        evaluate(policy, tokenizer, length_reward, [], small_preset)


@pytest.mark.parametrize(
    ("completions", "expected"),
    [
        (["so good so good so good"], 0.6),
        (["all words are different here"], 0.0),
        (["one", ""], 0.0),
        (["a a a", "a b c"], 0.25),
        (["So good, so good,"], 1 / 3),
    ],
)
def test_repetition(completions, expected):
    assert repetition(completions) == pytest.approx(expected)


def test_batches_of_different_runs_have_different_seeds():
    seeds = {batch_seed(seed, number) for seed in range(20) for number in range(200)}
    assert len(seeds) == 4000
