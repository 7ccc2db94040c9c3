"""The training loop: a run that was cut off and resumed equals one that was not, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from functools import partial

import pytest
import torch

from helpers.data import batch_at
from helpers.generation import Rollout
from helpers.runs import CheckpointError, History, fingerprint, load_points, load_weights, save_point
from helpers.training import rollout_source, train
from tests.helpers.small_run import PROMPTS, iter_judge, make_run, same


def test_the_bar_keeps_what_is_measured_now_and_then(capsys):
    """The KL of every fifth step flickered: it was there in one step and gone in the next."""
    train(lambda batch, number: {"reward": 1.0} | ({} if number else {"kl": 4.5}), ["x"], steps=3)
    assert "kl=4.500" in capsys.readouterr().out.rsplit("3/3", 1)[1]


def test_a_resumed_run_equals_an_uninterrupted_one(new_policy, tokenizer, tmp_path):
    whole, history, state = make_run(new_policy, tokenizer, None, 8)
    with pytest.raises(RuntimeError, match="the kernel died"):
        make_run(new_policy, tokenizer, tmp_path, 8, fail_at=7)
    torch.rand(100)  # whatever the new kernel drew before
    resumed, again, state_again = make_run(new_policy, tokenizer, tmp_path, 8)
    assert same(whole, resumed)
    assert history.records == again.records
    assert history.samples == again.samples
    assert state == state_again == {"weight": pytest.approx(0.9**8)}
    assert [record["step"] for record in again.records] == list(range(8))


def test_it_really_resumed(new_policy, tokenizer, tmp_path, capsys):
    with pytest.raises(RuntimeError):
        make_run(new_policy, tokenizer, tmp_path, 8, fail_at=7)
    assert json.loads((tmp_path / "checkpoint" / "state.json").read_text())["step"] == 6
    policy = new_policy()
    optimizer = torch.optim.AdamW(policy.parameters())
    calls = []

    def step(batch):
        calls.append(batch)
        return {"loss": 0.0}

    train(step, ["x"], steps=8, policy=policy, optimizer=optimizer, folder=tmp_path, progress=False)
    assert len(calls) == 8, "another step function must begin anew"
    assert "beginning anew" in capsys.readouterr().out


def weights_at(new_policy, tokenizer, steps):
    """The policy that a run of so many steps ends with."""
    return make_run(new_policy, tokenizer, None, steps)[0]


def test_early_stopping_keeps_the_policy_with_the_best_samples(new_policy, tokenizer, tmp_path):
    """Of the samples before steps 0 and 4 and after step 8 the judge prefers the second, and equal scores change nothing."""
    scores = iter([0.25, 0.75, 0.75])
    seen = []

    def judge(texts):
        seen.append(texts)
        return next(scores)

    policy, history, state = make_run(new_policy, tokenizer, tmp_path, 8, keep_best=judge)
    assert seen == [[s["prompt"] + s["completion"] for s in history.samples[i : i + 2]] for i in (0, 2, 4)]
    assert (state["best_step"], state["best_score"]) == (4, 0.75)
    kept = new_policy()
    load_weights(kept, tmp_path / "best")
    assert same(kept, weights_at(new_policy, tokenizer, 4))
    assert not same(kept, policy)


@pytest.mark.parametrize(
    ("scores", "step", "best"),
    [((0.5, 0.5625, 0.5625), 0, 0.5), ((0.5, 0.55, 0.6), 8, 0.6)],
    ids=["no more than the least gain", "two small gains: measured from the kept weights, not from the last"],
)
def test_early_stopping_asks_for_a_gain(new_policy, tokenizer, tmp_path, scores, step, best):
    """A gain of at most `least_gain` leaves the earlier weights, and small gains add up."""
    _, _, state = make_run(new_policy, tokenizer, tmp_path, 8, keep_best=iter_judge(*scores), least_gain=0.0625)
    assert (state["best_step"], state["best_score"]) == (step, best)
    kept = new_policy()
    load_weights(kept, tmp_path / "best")
    assert same(kept, weights_at(new_policy, tokenizer, step))


def test_early_stopping_survives_a_crash(new_policy, tokenizer, tmp_path):
    """A run that dies after the best samples goes on with their score: later, worse ones do not replace them."""
    with pytest.raises(RuntimeError, match="the kernel died"):
        make_run(new_policy, tokenizer, tmp_path, 8, fail_at=7, keep_best=iter_judge(0.25, 0.75))
    _, _, state = make_run(new_policy, tokenizer, tmp_path, 8, keep_best=iter_judge(0.5))
    assert (state["best_step"], state["best_score"]) == (4, 0.75)
    kept = new_policy()
    load_weights(kept, tmp_path / "best")
    assert same(kept, weights_at(new_policy, tokenizer, 4))


def test_early_stopping_needs_samples_and_a_folder(new_policy, tokenizer):
    with pytest.raises(ValueError, match="keep_best needs samples to judge and a folder"):
        make_run(new_policy, tokenizer, None, 8, keep_best=iter_judge(0.5))


def test_changed_settings_and_finished_runs_begin_anew(new_policy, tokenizer, tmp_path):
    counted = []
    policy = new_policy()
    optimizer = torch.optim.AdamW(policy.parameters())

    def step(batch, number):
        counted.append(number)
        if len(counted) == 5:
            raise RuntimeError("the kernel died")
        return {"loss": 0.0}

    def run(**options):
        return train(
            step,
            ["x"],
            steps=6,
            policy=policy,
            optimizer=optimizer,
            folder=tmp_path,
            checkpoint_every=2,
            progress=False,
            **options,
        )

    with pytest.raises(RuntimeError):
        run(settings={"alpha": 1})
    run(settings={"alpha": 1})
    assert counted == [0, 1, 2, 3, 4, 4, 5], "the second run must go on from the checkpoint after step 3"
    counted[:] = [None] * 10
    run(settings={"alpha": 1})
    assert counted[10:] == list(range(6)), "a finished run is not resumed"
    counted[:] = [None] * 3
    with pytest.raises(RuntimeError):
        run(settings={"alpha": 1})
    counted[:] = [None] * 10
    run(settings={"alpha": 2})
    assert counted[10:] == list(range(6)), "other settings are another run"


def test_a_finished_run_is_taken_again_where_that_is_asked_for(new_policy, tokenizer, tmp_path, capsys):
    """After the end of a session a cell with several trainings makes the missing ones only."""
    counted = []

    def step(batch, number):
        counted.append(number)
        return {"loss": float(number)}

    def run(step=step, **options):
        policy = new_policy()
        if not counted:
            with torch.no_grad():
                next(policy.parameters()).add_(1.0)  # what a step would have learned
        optimizer = torch.optim.AdamW(policy.parameters())
        options.setdefault("settings", {"beta": 1})
        options |= {"policy": policy, "optimizer": optimizer, "folder": tmp_path, "reuse": True}
        return policy, train(step, ["x"], steps=3, **options)

    first, history = run()
    capsys.readouterr()
    again, read = run()
    assert counted == [0, 1, 2], "not a step is made again"
    assert same(first, again)
    assert (read.records, read.stopped) == (history.records, "finished")
    assert "this run was finished before" in capsys.readouterr().out
    run(settings={"beta": 2})
    assert len(counted) == 6, "other settings are another run"
    run(resume=False, settings={"beta": 2})
    assert len(counted) == 9
    run(lambda batch, number: counted.append(0) or {"loss": 1.0})
    assert len(counted) == 12, "another step is another run"
    run(keep_finished=False, settings={"beta": 3})
    assert not (tmp_path / "checkpoint").exists(), "several runs of a large policy would fill a disk"


def test_a_run_stopped_in_its_last_step_is_ended_and_not_taken_for_a_finished_one(new_policy, tokenizer, tmp_path):
    """Its last samples are still to be drawn."""
    policy = new_policy()
    optimizer = torch.optim.AdamW(policy.parameters())

    def run(step):
        return train(
            step, ["x"], steps=2, policy=policy, optimizer=optimizer, tokenizer=tokenizer, sample_prompts=PROMPTS[:1],
            sample_every=1, sample_tokens=2, folder=tmp_path, reuse=True, settings={}, progress=False,
        )  # fmt: skip

    def step(batch, number):
        if number == 1 and first:
            os.kill(os.getpid(), signal.SIGINT)
        return {"loss": 0.0}

    first = True
    assert run(step).stopped == "interrupted"
    history = run(step)
    assert history.stopped == "finished"
    assert [sample["step"] for sample in history.samples] == [0, 1, 2]


def test_a_finished_run_whose_weights_are_damaged_is_refused(new_policy, tokenizer, tmp_path):
    policy = new_policy()

    def run():
        optimizer = torch.optim.AdamW(policy.parameters())
        step = lambda batch: {"loss": 1.0}  # noqa: E731
        return train(step, ["x"], steps=2, policy=policy, optimizer=optimizer, folder=tmp_path, reuse=True)

    run()
    (tmp_path / "checkpoint" / "policy.safetensors").write_bytes(b"half")
    with pytest.raises(CheckpointError, match="To begin anew"):
        run()


def test_what_a_step_has_bound_with_partial_is_part_of_its_fingerprint():
    """Part 4 trains with a loss whose label smoothing is bound: another value is another run."""

    def loss(x, smoothing):
        return x * smoothing

    def step_with(smoothing):
        bound = partial(loss, smoothing=smoothing)
        return lambda batch: {"loss": bound(batch)}

    assert fingerprint(step_with(0.1), {}) == fingerprint(step_with(0.1), {})
    assert fingerprint(step_with(0.1), {}) != fingerprint(step_with(0.2), {})


def test_resume_false_begins_anew(new_policy, tokenizer, tmp_path):
    with pytest.raises(RuntimeError):
        make_run(new_policy, tokenizer, tmp_path, 8, fail_at=7)
    whole, _, _ = make_run(new_policy, tokenizer, None, 8)
    anew, history, _ = make_run(new_policy, tokenizer, tmp_path, 8, resume=False)
    assert same(whole, anew)
    assert len(history) == 8


def test_checkpoints_hold_no_pickled_objects(new_policy, tokenizer, tmp_path):
    with pytest.raises(RuntimeError):
        make_run(new_policy, tokenizer, tmp_path, 8, fail_at=7)
    files = {path.name for path in (tmp_path / "checkpoint").iterdir()}
    assert files == {"policy.safetensors", "optimizer.pt", "state.json"}
    torch.load(tmp_path / "checkpoint" / "optimizer.pt", weights_only=True)


def test_the_stop_button_finishes_the_step_and_keeps_everything(new_policy, tmp_path, capsys):
    policy = new_policy()
    optimizer = torch.optim.AdamW(policy.parameters())
    finished = []

    def step(batch, number):
        if number == 3:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)  # the signal arrives here
        finished.append(number)
        return {"loss": 1.0}

    def run():
        return train(step, ["x"], steps=9, policy=policy, optimizer=optimizer, folder=tmp_path, checkpoint_every=50)

    before = signal.getsignal(signal.SIGINT)
    history = run()
    assert signal.getsignal(signal.SIGINT) is before
    assert history.stopped == "interrupted"
    assert finished == [0, 1, 2, 3]
    assert len(history) == 4
    assert "Stopped after 4 of 9 steps" in capsys.readouterr().out
    assert len(run()) == 9
    assert finished == [0, 1, 2, 3, 4, 5, 6, 7, 8], "the run must go on after the last whole step"


def test_an_interrupt_inside_a_step_keeps_the_history_and_the_last_whole_checkpoint(new_policy, tmp_path):
    policy = new_policy()

    def step(batch, number):
        if number == 3:
            raise KeyboardInterrupt
        return {"loss": 1.0}

    options = {"policy": policy, "optimizer": torch.optim.AdamW(policy.parameters()), "folder": tmp_path}
    history = train(step, ["x"], steps=5, checkpoint_every=2, progress=False, **options)
    assert history.stopped == "interrupted"
    assert len(history) == 3
    saved = json.loads((tmp_path / "checkpoint" / "state.json").read_text())
    assert (saved["step"], saved["finished"]) == (2, False), "after three steps the weights may be half updated"


def test_it_runs_outside_the_main_thread():
    results = []
    thread = threading.Thread(
        target=lambda: results.append(train(lambda b: {"loss": 1.0}, ["x"], steps=2, progress=False))
    )
    thread.start()
    thread.join()
    assert len(results[0]) == 2


def test_the_history_keeps_what_every_step_reports():
    numbers = iter(range(100))
    history = train(
        lambda batch: {"loss": next(numbers), "twice": torch.tensor(2.0)}, [1, 2, 3], steps=5, progress=False
    )
    assert history["step"] == [0, 1, 2, 3, 4]
    assert history["loss"] == [0, 1, 2, 3, 4]
    assert history.stopped == "finished"
    assert history.mean("loss", last=2) == 3.5
    assert list(history.to_pandas().columns) == ["step", "loss", "twice"]
    with pytest.raises(KeyError, match="kl"):
        history["kl"]


def test_the_bar_shows_what_counts_and_has_room_on_its_line(capsys):
    """Where there is a reward the loss is no measure; small and large numbers take five places, and nothing is cut off."""
    reported = {"loss": -2.9376, "reward": 0.48412, "kl": -7.33e-07, "length": 13.9375}
    train(lambda batch: reported, ["x"], steps=160, description="REINFORCE")
    line = capsys.readouterr().out.replace("\n", "\r").strip().split("\r")[-1]
    assert line.endswith("reward=0.484, kl=0.000, length=13.9]")
    assert "loss" not in line
    assert line.count("█") > 3
    train(lambda batch: {"loss": 0.6931, "accuracy": 0.5}, ["x"], steps=1)
    assert "loss=0.693, accuracy=0.500]" in capsys.readouterr().out


@pytest.mark.parametrize("progress", [True, False])
def test_the_first_sample_is_printed_on_the_way_if_asked_for(policy, tokenizer, capsys, progress):
    given = {
        "policy": policy,
        "tokenizer": tokenizer,
        "sample_prompts": PROMPTS[:2],
        "sample_every": 2,
        "sample_tokens": 3,
    }
    history = train(lambda b: {"loss": 1.0}, ["x"], steps=4, show_sample=True, progress=progress, **given)
    told = [f"step {s['step']}: {s['prompt']}{s['completion']}" for s in history.samples[::2]]
    assert len(told) == 3
    printed = capsys.readouterr().out
    assert [line in printed for line in told] == [progress] * 3
    train(lambda b: {"loss": 1.0}, ["x"], steps=4, **given)
    assert told[0] not in capsys.readouterr().out


def test_rollouts_add_length_and_repetition(policy, tokenizer):
    source = rollout_source(policy, tokenizer, PROMPTS, 5, 6, repeats=3, seed=1)
    rollout = source(0)
    assert isinstance(rollout, Rollout)
    assert rollout.prompts[0] == rollout.prompts[1] == rollout.prompts[2] != rollout.prompts[3]
    assert torch.equal(rollout.ids, source(0).ids)
    history = train(lambda batch: {"loss": 0}, source, steps=2, progress=False)
    assert history["length"][0] == rollout.lengths.float().mean().item()
    assert "repetition" in history.columns


@pytest.mark.parametrize("reported", [None, 1.0, {"loss": "high"}, {"loss": torch.zeros(2)}])
def test_a_step_that_reports_no_numbers_is_told_so(reported):
    with pytest.raises((TypeError, RuntimeError), match=r"training step|Tensor"):
        train(lambda batch: reported, ["x"], steps=1, progress=False)


def test_batches_of_an_epoch_hold_every_item_once():
    items = list(range(10))
    epochs = [[item for step in range(3) for item in batch_at(items, 3, 3 * epoch + step, 1)] for epoch in range(2)]
    assert all(len(set(epoch)) == 9 for epoch in epochs)
    assert epochs[0] != epochs[1]
    with pytest.raises(ValueError, match="at least as many"):
        batch_at([1, 2], 3, 0)


def test_frontier_points_are_kept_and_replaced(tmp_path):
    assert load_points(folder=tmp_path) == []
    save_point("α = 0", 100, 0.97, folder=tmp_path, method="REINFORCE", samples=["so good"])
    save_point("α = 0.1", 3, 0.58, folder=tmp_path)
    save_point("α = 0", 90, torch.tensor(0.5), folder=tmp_path)
    assert load_points(folder=tmp_path) == [
        {"name": "α = 0.1", "kl": 3.0, "reward": 0.58},
        {"name": "α = 0", "kl": 90.0, "reward": 0.5},
    ]


def test_checkpoints_need_the_policy_and_the_optimizer(tmp_path):
    with pytest.raises(ValueError, match="policy and the optimizer"):
        train(lambda batch: {}, ["x"], steps=1, folder=tmp_path)
    assert History().records == []
