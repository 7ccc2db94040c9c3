"""Sweeps: runs that are saved, skipped when done, trained anew when something changed, and examined alike."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch

from helpers.assets.recipes import recorded
from helpers.kl import figures as kl_figures
from helpers.kl import sweep
from helpers.runs import History

SCORES = {"reward": 0.5, "half_width": 0.1, "kl": 2.0, "length": 4.0, "repetition": 0.0}
SAMPLE = {"prompt": "the film", "completion": " was good", "tokens": [" was", " good"], "log_ratios": [0.5, -1.0]}


class Trainer:
    """Stands in for a notebook's training function and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.interrupt: str | None = None

    def plan(self, folder: Path, plan: dict, **common) -> dict[str, sweep.SweepRun]:
        asked, owner = self.asked, self

        def train_one(name, settings, checkpoints):
            asked.append(name)
            history = History(records=[{"step": 0.0, "reward": 0.5, "kl": settings["alpha"]}])
            history.stopped = "interrupted" if name == owner.interrupt else "finished"
            return None, history

        def examine(policy):
            return dict(SCORES), [dict(SAMPLE, reward=0.5)]

        return sweep.sweep(plan, train_one, examine, common=common, folder=folder)


def test_finished_runs_are_not_trained_again(tmp_path):
    trainer, plan = Trainer(), {"α = 0": {"alpha": 0.0}, "α = 0.1": {"alpha": 0.1}}
    first = trainer.plan(tmp_path, plan, steps=3)
    second = trainer.plan(tmp_path, plan, steps=3)
    assert trainer.asked == ["α = 0", "α = 0.1"]
    assert list(second) == list(plan)
    assert second["α = 0.1"].scores == first["α = 0.1"].scores
    assert second["α = 0.1"].history["kl"] == [0.1]


@pytest.mark.parametrize("change", ["settings", "common", "file"])
def test_a_changed_run_is_trained_again(tmp_path, change):
    trainer = Trainer()
    trainer.plan(tmp_path, {"a": {"alpha": 0.1}}, steps=3)
    if change == "file":
        (tmp_path / "a.json").unlink()
    settings = {"alpha": 0.2 if change == "settings" else 0.1}
    trainer.plan(tmp_path, {"a": settings}, steps=4 if change == "common" else 3)
    assert trainer.asked == ["a", "a"]


def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path, capsys):
    trainer, plan = Trainer(), {name: {"alpha": 0.1} for name in "abc"}
    trainer.interrupt = "b"
    assert list(trainer.plan(tmp_path, plan)) == ["a"]
    assert "go on from here" in capsys.readouterr().out
    trainer.interrupt = None
    assert list(trainer.plan(tmp_path, plan)) == ["a", "b", "c"]
    assert trainer.asked == ["a", "b", "b", "c"]


def test_file_names():
    assert sweep.slug("α = 0.003") == "alpha-0.003"
    assert sweep.slug("α = 0.03, free length") == "alpha-0.03-free-length"


def measure(model, rollout):
    """One nat at every position, prompt and padding included: only completions may count."""
    ones = torch.ones(rollout.ids.shape[0], rollout.ids.shape[1] - 1)
    return {"exact": ones, "k1": 2 * ones}


def test_examination_measures_completions_only(policy, tokenizer, reward_model):
    judges = {"reward": reward_model, "second_reward": lambda texts: torch.zeros(len(texts))}
    prompts = ["the film", "a story was", "it is not", "i loved"]
    arguments: dict[str, Any] = {"new_tokens": 5, "batch_size": 3, "samples": 2}
    scores, samples = sweep.examine(policy, tokenizer, prompts, judges, measure, **arguments)
    assert scores["kl"] == pytest.approx(scores["length"])
    assert scores["kl_k1"] == pytest.approx(2 * scores["length"])
    assert scores["kl_per_token"] == pytest.approx(1.0)
    assert scores["second_reward"] == 0.0
    assert [sample["prompt"] for sample in samples] == prompts[:2]
    assert all(len(sample["tokens"]) == len(sample["log_ratios"]) for sample in samples)
    assert "".join(samples[0]["tokens"]).startswith(samples[0]["completion"])
    again, _ = sweep.examine(policy, tokenizer, prompts, judges, measure, **arguments)
    assert again == scores


def test_more_prompts_count_for_repetition_alone(policy, tokenizer, reward_model, monkeypatch):
    """Each completion repeats one bigram of four in the first batch, none in the others."""
    real, texts = sweep.generate, iter(["so good so good so", "a b c d e", "f g h i j"])

    def sampled(*arguments, **named):
        rollout = real(*arguments, **named)
        return dataclasses.replace(rollout, completions=[next(texts)] * len(rollout))

    monkeypatch.setattr(sweep, "generate", sampled)
    arguments: dict[str, Any] = {
        "new_tokens": 5,
        "batch_size": 2,
        "more_prompts": ["i saw", "we saw", "they saw", "you saw"],
    }
    scores, samples = sweep.examine(
        policy, tokenizer, ["the film", "a story"], {"reward": reward_model}, measure, **arguments
    )
    assert scores["repetition"] == pytest.approx(0.5 * 2 / 6, abs=1e-4)
    assert len(samples) == 2
    assert next(texts, None) is None


def make_run(name: str = "α = 0.1", **scores: float) -> sweep.SweepRun:
    records = [
        {"step": float(i), "reward": 0.5, "k1": 0.1 * i, **({"kl": 0.2 * i} if i % 5 == 0 else {})} for i in range(11)
    ]
    return sweep.SweepRun(
        name, {"alpha": 0.1}, {**SCORES, **scores}, records, [dict(SAMPLE, reward=0.5, second_reward=0.4)]
    )


def test_pages_escape_and_colour_every_token():
    run = make_run()
    run.samples[0]["tokens"] = [" <b>", " good"]
    page = sweep.run_page(run)
    assert "<b>&nbsp;" not in page.html
    assert "&lt;b&gt;" in page.html
    assert page.html.count("background: rgb") >= 2
    assert "-1.000" in page.text
    assert "sum of log-ratios -0.5 nats" in page.text


def test_points_go_to_the_frontier_file(tmp_path):
    sweep.save_points({"a": make_run(second_reward=0.25)}, folder=tmp_path)
    (point,) = json.loads((tmp_path / "frontier.json").read_text())
    assert (point["name"], point["kl"], point["reward"], point["second_reward"]) == ("α = 0.1", 2.0, 0.5, 0.25)
    assert point["method"] == "fixed α"
    assert point["samples"] == ["the film was good"]


def test_recorded_copy_reads_back(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "ASSETS", tmp_path)
    monkeypatch.setattr("helpers.data.ASSETS", tmp_path)
    (tmp_path / "recorded").mkdir()
    sweep.save_run(make_run(), tmp_path / "a.json")
    recorded.record_sweep(tmp_path)
    run = sweep.recorded_runs()["α = 0.1"]
    assert run.scores == make_run().scores
    assert [record["step"] for record in run.records] == [0.0, 5.0, 10.0]


def test_the_exact_kl_is_drawn_where_it_was_computed():
    figure = kl_figures.plot_kl(make_run(), "KL")
    line, dots = figure.axes[0].lines
    assert list(dots.get_xdata()) == [0.0, 5.0, 10.0]
    assert list(dots.get_ydata()) == [0.0, 1.0, 2.0]
    assert len(line.get_xdata()) == 11
    assert "2 at step 10" in figure.alt
    plt.close(figure)


def test_figures_name_every_run_in_their_alternative_text():
    runs = {"near": make_run("near", kl=1.0, second_reward=0.5), "far": make_run("far", kl=30.0, second_reward=0.2)}
    for figure in (kl_figures.plot_sweep(runs, ("reward", "kl", "k1")), kl_figures.plot_opinions_by_kl(runs)):
        assert "near" in figure.alt
        assert "far" in figure.alt
        plt.close(figure)
    table = sweep.table(runs)
    assert list(table.index) == ["near", "far"]
    assert table.loc["far", "second reward model"] == 0.2


# J, the run that was chosen, the controller ----------------------------------------------------------------------------


def test_the_objective_is_reward_minus_alpha_times_kl():
    run = make_run()  # reward 0.5 at 2 nats, α = 0.1
    assert run.objective() == pytest.approx(0.3)
    assert run.objective(0.2) == pytest.approx(0.1)
    run.settings["target_kl"] = 3.0
    assert run.objective() is None, "its α changed: it has no objective of its own"
    assert run.objective(0.2) == pytest.approx(0.1)
    assert "J = reward − α·KL 0.300" in sweep.summary(make_run())


def test_the_table_says_what_is_possible():
    drawn = {"reward": torch.tensor([[0.0, 1.0], [0.5, 0.5]], dtype=torch.float64)}
    possible = [{"kl": 0.0, "reward": 0.5}, {"kl": 1.0, "reward": 0.75}]
    runs = {"a": make_run("a", kl=0.5), "free": make_run("free")}
    runs["free"].settings["alpha"] = 0.0
    table = sweep.table(runs, drawn=drawn, possible=possible)
    assert table.loc["a", "J = reward − α·KL"] == pytest.approx(0.45)
    assert table.loc["a", "best J (at least)"] == pytest.approx(0.715, abs=1e-3)  # (0.1·ln((1 + e^10)/2) + 0.5) / 2
    assert table.loc["a", "best reward at this KL (at least)"] == pytest.approx(0.625)
    assert table.loc["free", "best reward at this KL (at least)"] == pytest.approx(0.75), "beyond the last point"
    assert table.loc["free", "J = reward − α·KL"] == pytest.approx(0.5)
    assert torch.isnan(torch.tensor(table.loc["free", "best J (at least)"]))
    untuned_first = sweep.table({"free": runs["free"], "a": runs["a"]}, drawn=drawn, possible=possible)
    assert untuned_first.columns[-1] == "best reward at this KL (at least)", "the notebook says: the last column"


def test_an_alpha_that_is_not_in_the_sweep_is_refused_with_those_that_are():
    runs = {"α = 0.1": make_run(), "α = 0": make_run()}
    runs["α = 0"].settings["alpha"] = 0.0
    assert sweep.run_with(runs, 0.1) is runs["α = 0.1"]
    assert sweep.run_with(runs, 0) is runs["α = 0"]
    with pytest.raises(ValueError, match=r"no run of the sweep has α = 0\.05; there are 0, 0\.1\. Choose"):
        sweep.run_with(runs, 0.05)


@pytest.mark.parametrize("method", [None, "larger steps"])
def test_after_a_stop_the_missing_run_is_told_with_what_to_do(method):
    """Part 3's cells after a training ask for a run that a stopped cell has not made; a KeyError would say nothing.

    A run that differs in more than its α, such as that with larger steps, does not stand in for it.
    """
    runs = {}
    if method:
        runs["α = 0, larger steps"] = make_run()
        runs["α = 0, larger steps"].settings |= {"alpha": 0.0, "method": method}
    with pytest.raises(
        ValueError, match=r"α = 0; there are none yet\. .* was stopped, run it again .*sweep\.recorded_runs"
    ):
        sweep.run_with(runs, 0)


def test_recorded_runs_stand_in_for_a_sweep():
    assert sweep.run_with(sweep.recorded_runs(), 0).settings == {"alpha": 0.0}
    assert sweep.run_with(sweep.recorded_runs(), 0.03).settings == {"alpha": 0.03}


def test_the_controller_is_told_apart_from_a_fixed_plan():
    falling = [0.9**step for step in range(20)]
    told = sweep.controller_told(falling, [0.1] * 20, target=8.0)
    assert "never left its first clip" in told
    assert "0.1 nats; the target is 8" in told
    turning = [*falling[:10], *(falling[9] * 1.05**step for step in range(1, 6))]
    told = sweep.controller_told(turning, [2.0] * 15, target=2.0)
    assert "left its first clip at step 10 of 15" in told
    assert "2 nats; the target is 2" in told
