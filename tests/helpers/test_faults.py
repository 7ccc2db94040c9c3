"""What goes wrong with a run's files: a crash, a full or slow disk, damaged and foreign checkpoints. `test_killed.py` kills."""

from __future__ import annotations

import json
import resource
from contextlib import ExitStack, contextmanager

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from helpers import training, weights
from helpers.runs import Checkpoint, History, load_weights
from helpers.training import train
from helpers.weights import CheckpointError
from tests.helpers.small_run import PROMPTS, iter_judge, make_run, same


def test_a_crash_while_saving_leaves_the_last_checkpoint(new_policy, tokenizer, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        real = torch.save
        saves = []

        def dying_save(*arguments):
            saves.append(1)
            if len(saves) == 2:
                raise SystemExit("the kernel died")
            real(*arguments)

        patch.setattr(torch, "save", dying_save)
        with pytest.raises(SystemExit, match="the kernel died"):
            make_run(new_policy, tokenizer, tmp_path, 8)
    resumed, history, _ = make_run(new_policy, tokenizer, tmp_path, 8)
    whole, _, _ = make_run(new_policy, tokenizer, None, 8)
    assert same(whole, resumed)
    assert len(history) == 8


@contextmanager
def full_disk(largest):
    """No file may grow beyond so many bytes: the system refuses the write, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def run_on_a_full_disk(new_policy, folder, largest, steps=8, full=(3, 8), **options):
    """Train with a checkpoint every second step, on a disk that is full in steps 3 to 7 and when the run ends."""
    policy = new_policy()
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-2)
    ids = torch.arange(20).view(2, 10)
    with ExitStack() as disk:

        def step(batch, number):
            if number == full[0]:
                disk.enter_context(full_disk(largest))
            if number == full[1]:
                disk.close()
            loss = policy(batch).logits.square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return {"loss": loss.item()}

        given = {"policy": policy, "optimizer": optimizer, "folder": folder, "checkpoint_every": 2, "progress": False}
        return policy, train(step, [ids], steps=steps, **given, **options)


@pytest.mark.parametrize("largest", [50, 50_000, 200_000], ids=["nothing", "the weights", "the optimizer"])
def test_a_full_disk_leaves_the_last_checkpoint_and_does_not_end_the_run(new_policy, tmp_path, capsys, largest):
    whole, history = run_on_a_full_disk(new_policy, None, 2**30)
    policy, again = run_on_a_full_disk(new_policy, tmp_path, largest)
    assert same(whole, policy)
    assert again.records == history.records
    told = capsys.readouterr().out
    assert "The checkpoint of step 4 is not saved, that of step 2 is still there" in told
    assert f"{tmp_path} cannot be written to: " in told
    assert "Training goes on; the next try is after step 6." in told
    saved = json.loads((tmp_path / "checkpoint" / "state.json").read_text())
    last = 8 if largest == 200_000 else 2  # the checkpoint of a finished run has no optimizer, so there is room for it
    assert saved["step"] == last
    assert ("keep the weights with save_weights(policy, folder)" in told) == (last == 2)
    assert not (tmp_path / "checkpoint.new").exists()
    resumed, _ = run_on_a_full_disk(new_policy, tmp_path, 2**30)
    assert same(whole, resumed)


def test_a_disk_that_has_room_again_gets_the_next_checkpoint(new_policy, tmp_path, capsys):
    run_on_a_full_disk(new_policy, tmp_path, 50, full=(3, 5))
    assert capsys.readouterr().out.count("is not saved") == 1
    assert json.loads((tmp_path / "checkpoint" / "state.json").read_text())["step"] == 8
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(8))


def test_the_best_weights_on_a_full_disk_are_those_from_before(new_policy, tokenizer, tmp_path, capsys):
    """Where the better ones cannot be kept, the score stays that of the weights that are there."""
    given = {"tokenizer": tokenizer, "sample_prompts": PROMPTS[:2], "sample_every": 2, "sample_tokens": 3}
    judge = iter_judge(0.25, 0.5, 0.75, 0.75, 0.75)
    _, history = run_on_a_full_disk(new_policy, tmp_path, 50, keep_best=judge, **given)
    assert (history.state["best_step"], history.state["best_score"]) == (2, 0.5)
    assert "The best weights so far, of step 4, are not kept, those of step 2 stay" in capsys.readouterr().out
    kept = new_policy()
    load_weights(kept, tmp_path / "best")
    assert same(kept, run_on_a_full_disk(new_policy, None, 2**30, steps=2)[0])


def test_a_slow_disk_takes_a_tenth_of_the_time(new_policy, tmp_path, monkeypatch):
    """A checkpoint of 30 s, as on Drive, is followed by the next after 300 s; a step takes 20 s here."""
    clock, saved = [0.0], []

    class Slow(Checkpoint):
        def save(self, policy, optimizer, history, step, finished=False):
            clock[0] += 30
            saved.append(step)

    def step(batch):
        clock[0] += 20
        return {"loss": 1.0}

    monkeypatch.setattr(training, "Checkpoint", Slow)
    monkeypatch.setattr(training.time, "perf_counter", lambda: clock[0])
    policy = new_policy()
    given = {"policy": policy, "optimizer": torch.optim.AdamW(policy.parameters()), "folder": tmp_path}
    train(step, ["x"], steps=40, checkpoint_every=2, progress=False, **given)
    assert saved == [2, 16, 30, 40]


def damaged(folder, how, new_policy):
    """Damage the checkpoint of a run in one of many ways."""
    checkpoint = folder / "checkpoint"
    file, _, way = how.partition(" ")
    path = checkpoint / {"weights": "policy.safetensors", "optimizer": "optimizer.pt", "state": "state.json"}[file]
    content = path.read_bytes()
    if way == "gone":
        path.unlink()
    elif way == "of another model":
        weights.write(GPT2LMHeadModel(GPT2Config(vocab_size=257, n_embd=16, n_layer=1, n_head=2)), path)
    elif way == "of fewer parameters":
        alone = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(3))])
        torch.save({"optimizer": alone.state_dict(), "random": torch.load(path, weights_only=True)["random"]}, path)
    elif way == "with code":
        torch.save({"optimizer": print, "random": {}}, path)
    else:
        changed = {
            "empty": b"", "half": content[: len(content) // 2], "noise": b"\x80noise" * 99, "a list": b"[1, 2]",
            "without step": content.replace(b'"step": 6,', b""), "no text": b"\xff\xfe{}",
        }  # fmt: skip
        path.write_bytes(changed[way])


DAMAGES = [
    *(f"{file} {way}" for file in ("weights", "optimizer", "state") for way in ("empty", "half", "noise", "gone")),
    "weights of another model", "optimizer of fewer parameters", "optimizer with code", "state a list", "state without step",
    "state no text",
]  # fmt: skip


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_or_foreign_checkpoint_is_refused(new_policy, tokenizer, tmp_path, how):
    """With the folder's name and what to do; no file is changed, and nothing of the policy; then `resume=False` begins anew."""
    with pytest.raises(RuntimeError, match="the kernel died"):
        make_run(new_policy, tokenizer, tmp_path, 8, fail_at=7)
    damaged(tmp_path, how, new_policy)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError) as caught:
        make_run(new_policy, tokenizer, tmp_path, 8)
    told = str(caught.value)
    assert f"The run in {tmp_path} cannot go on from its checkpoint" in told
    assert f"call train(..., resume=False) or delete the folder {tmp_path / 'checkpoint'}" in told
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    whole, _, _ = make_run(new_policy, tokenizer, None, 8)
    anew, _, _ = make_run(new_policy, tokenizer, tmp_path, 8, resume=False)
    assert same(whole, anew)


def test_a_policy_stays_as_it_is_where_a_later_file_is_damaged(new_policy, tokenizer, tmp_path):
    with pytest.raises(RuntimeError, match="the kernel died"):
        make_run(new_policy, tokenizer, tmp_path, 8, fail_at=7)
    damaged(tmp_path, "optimizer half", new_policy)
    policy, history = new_policy(), History()
    optimizer = torch.optim.AdamW(policy.parameters())
    state = json.loads((tmp_path / "checkpoint" / "state.json").read_text())
    numbers = torch.get_rng_state()
    with pytest.raises(CheckpointError):
        Checkpoint(tmp_path, state["fingerprint"]).load(policy, optimizer, history)
    assert same(policy, new_policy())
    assert not optimizer.state
    assert not history.records
    assert torch.equal(torch.get_rng_state(), numbers)
