"""What Part 4's helpers do: labels drawn by Bradley-Terry, rows of its tables, the words beneath its figures."""

from __future__ import annotations

import math
from dataclasses import replace

import matplotlib.pyplot as plt
import pytest
import torch

from helpers.dpo import figures, measures
from helpers.dpo import pairs as preferences
from helpers.kl.sweep import SweepRun
from helpers.models import load_policy
from helpers.presets import choose_preset
from helpers.runs import History
from helpers.worlds import dpo as world

# --- labels ---------------------------------------------------------------------------------------------------------


def some_pairs(count: int = 40) -> list[preferences.Pair]:
    return world.small_pairs(5, count)


def with_gap(pairs: list[preferences.Pair], gap: float) -> list[preferences.Pair]:
    return [replace(pair, chosen_score=0.5 + gap / 2, rejected_score=0.5 - gap / 2) for pair in pairs]


@pytest.mark.parametrize(("scale", "gap"), [(0.0, 0.8), (2.0, 0.8), (2.0, 0.1), (10.0, 0.3), (2.0, -0.8)])
def test_drawn_labels_are_right_as_often_as_bradley_terry_says(scale: float, gap: float) -> None:
    pairs = with_gap(some_pairs(40), gap) * 100
    drawn = preferences.draw_labels(pairs, scale, seed=1)
    kept = sum(before == after for before, after in zip(pairs, drawn, strict=True)) / len(pairs)
    share = 1 / (1 + math.exp(-scale * gap))
    assert kept == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / len(pairs)))


def test_drawn_labels_change_nothing_but_the_order() -> None:
    pairs = with_gap(some_pairs(40), 0.2)
    drawn = preferences.draw_labels(pairs, 1.0, seed=1)
    assert 0 < sum(pair.gap < 0 for pair in drawn) < len(pairs)
    assert preferences.draw_labels(pairs, 1.0, seed=1) == drawn != preferences.draw_labels(pairs, 1.0, seed=2)
    for before, after in zip(pairs, drawn, strict=True):
        assert {before.chosen_ids, before.rejected_ids} == {after.chosen_ids, after.rejected_ids}
        assert before.prompt_ids == after.prompt_ids
        assert abs(after.gap) == pytest.approx(before.gap)


def test_a_label_that_survives_a_narrow_gap_survives_a_wide_one() -> None:
    """Both lists meet the same luck, so that comparing them compares the gaps."""
    narrow, wide = (preferences.draw_labels(with_gap(some_pairs(40), gap), 3.0, seed=4) for gap in (0.1, 0.9))
    assert all(far.gap > 0 for near, far in zip(narrow, wide, strict=True) if near.gap > 0)
    assert sum(pair.gap < 0 for pair in narrow) > sum(pair.gap < 0 for pair in wide)


def test_pairs_of_an_unwritten_exercise_name_it() -> None:
    with pytest.raises(TypeError, match=r"exercise 4\.1"):
        preferences.pairs_from(preferences.Completions([], [], [], [], []), None)


# --- what stands in the tables --------------------------------------------------------------------------------------


def run_of_part_3(name: str, kl: float, reward: float, length: float, steps: list[int]) -> SweepRun:
    scores = {"kl": kl, "reward": reward, "length": length}
    return SweepRun(name, {"alpha": 0.1}, scores, [{"step": float(step)} for step in steps])


def test_epochs_are_rows_and_the_trained_policy_is_the_last_of_them() -> None:
    history = History(
        records=[{"step": 0, "loss": 1.0}, {"step": 1, "epoch_kl": 2.0, "epoch_test loss": 0.5}, {"step": 2}]
    )
    assert measures.epoch_rows("run", history, {"kl": 3.0, "test loss": 0.6}) == [
        {"run": "run", "epoch": 1, "kl": 2.0, "test loss": 0.5},
        {"run": "run", "epoch": 2, "kl": 3.0, "test loss": 0.6},
    ]


@pytest.mark.parametrize(("steps", "texts"), [([0, 5, 10], 15 * 8), ([0, 1, 2, 3], 4 * 8), ([0], 8), ([], 0)])
def test_scored_texts_are_counted_also_where_records_are_few(steps: list[int], texts: int) -> None:
    assert measures.texts_scored(run_of_part_3("r", 1.0, 0.5, 10.0, steps), 8) == texts


def test_the_interval_of_a_reward_is_that_of_the_first_judge() -> None:
    """Two judges, of whom the second never differs: its interval would be 0; the first's is 1.96 standard errors."""
    preset = choose_preset("tiny", quiet=True)
    policy, tokenizer = load_policy(preset, torch.device("cpu"))
    judges = {
        "reward": lambda texts: torch.arange(len(texts)) / 2,
        "second_reward": lambda texts: torch.ones(len(texts)),
    }
    prompts = ["It is", "The film", "A story", "We saw"]
    nothing = lambda _logits, ids, _mask: torch.zeros(len(ids))  # noqa: E731
    got = measures.reward_and_kl(policy, policy, tokenizer, prompts, judges, nothing, new_tokens=2)
    assert (got["reward"], got["second_reward"]) == (0.75, 1.0)
    assert got["half_width"] == pytest.approx(1.96 * math.sqrt(1.25 / 3) / 2, rel=1e-3)


def test_the_table_beside_reinforce_compares_at_equal_kl() -> None:
    runs = [run_of_part_3("far", 10.0, 0.9, 20.0, [0, 1]), run_of_part_3("near", 2.0, 0.5, 10.0, [0, 1])]
    dpo = {name: {"kl": kl, "reward": 0.7, "length": 14.0} for name, kl in (("mid", 4.0), ("out", 11.0))}
    untrained = {"reward": 0.3, "length": 8.0}
    dpo["close"] = {"kl": 1.0, "reward": 0.5, "length": 9.0}
    table = measures.beside_reinforce(dpo, runs, untrained, scored=100, batch_size=8)
    assert list(table.index) == ["close", "REINFORCE, near", "mid", "REINFORCE, far", "out"]
    assert table.loc["close", "reward at equal KL"] == pytest.approx(0.4)
    assert table.loc["mid", "reward at equal KL"] == pytest.approx(0.6)
    assert table.loc["mid", "length at equal KL"] == pytest.approx(12.5)
    assert table.loc["mid", "KL per token"] == pytest.approx(4 / 14)
    assert table["texts scored"].to_list() == [100, 16, 100, 16, 100]
    assert table["reward at equal KL"].isna().to_list() == [False, True, False, True, True]
    alone = measures.beside_reinforce(dpo, [], untrained, scored=100, batch_size=8)
    assert alone["texts scored"].to_list() == [100, 100, 100]
    assert alone["reward at equal KL"].isna().all()


def test_figures_of_part_4_are_described() -> None:
    own = {"a": 0.1}
    fig = figures.plot_rulers([0.01, 0.1, 1.0], {"a": [0.69, 0.5, 0.9], "b": [0.69, 0.7, 0.8]}, own)
    assert "lowest 0.500 at β = 0.1" in fig.alt
    assert "at its own β = 0.1" in fig.alt
    plt.close(fig)


# --- a step with another loss ---------------------------------------------------------------------------------------


def doubled(value: float, *, offset: float = 1.0) -> float:
    return math.sqrt(value) * 2 + offset


def test_a_copy_of_a_function_sees_other_names_and_the_function_does_not() -> None:
    """The conservative step is the student's own step with another loss; the step itself keeps the plain one."""
    other = measures.with_names(doubled, math=type("Cubes", (), {"sqrt": staticmethod(lambda value: value**3)}))
    assert other(4.0) == 129.0
    assert other(4.0, offset=0.0) == 128.0
    assert doubled(4.0) == 5.0
    with pytest.raises(TypeError, match="written with `def`"):
        measures.with_names(math.sqrt)
