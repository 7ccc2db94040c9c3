"""A run's figures on the disk while it goes: a line a step, whatever happens, and the same for TensorBoard."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest
import torch

from helpers.training import train


def run(new_policy, folder, stop_at=None, look=None, **options):
    """Five steps with a checkpoint every second one; `look(number)` is called in each."""
    policy = new_policy()

    def step(batch, number):
        if number == stop_at:
            raise RuntimeError("the kernel died")
        if look is not None:
            look(number)
        return {"loss": 0.5 * number} | ({} if number else {"kl": float("nan")})

    given = {"policy": policy, "optimizer": torch.optim.AdamW(policy.parameters()), "folder": folder}
    return train(step, ["x"], steps=5, checkpoint_every=2, progress=False, **given, **options)


def lines(folder):
    """The records in the file, read by a strict reader."""

    def no(word):
        raise ValueError(f"{word} is no JSON")

    text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line, parse_constant=no) for line in text.splitlines()]


def test_each_step_is_on_the_disk_before_the_next_begins(new_policy, tmp_path):
    seen = []
    run(new_policy, tmp_path, look=lambda number: seen.append(len(lines(tmp_path))))
    assert seen == [0, 1, 2, 3, 4]
    assert lines(tmp_path)[:2] == [{"step": 0.0, "loss": 0.0, "kl": None}, {"step": 1.0, "loss": 0.5}]


@pytest.mark.parametrize("end", ["", '{"step": 3.0, "lo', "\x00\x00"])
def test_a_run_that_was_cut_off_has_one_line_a_step(new_policy, tmp_path, end):
    """Steps 2 and 3 stand in the file and not in the checkpoint, and the last line is half: the resumed run mends it."""
    run(new_policy, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="died"):
        run(new_policy, tmp_path, stop_at=3)
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(end)
    run(new_policy, tmp_path)
    assert lines(tmp_path) == lines(tmp_path / "whole")


def test_another_run_in_the_folder_begins_its_own_file(new_policy, tmp_path):
    run(new_policy, tmp_path)
    run(new_policy, tmp_path, resume=False)
    assert [line["step"] for line in lines(tmp_path)] == [0, 1, 2, 3, 4]


def test_a_file_that_cannot_be_written_to_is_told_once_and_caught_up_on(new_policy, tmp_path, capsys):
    """A folder stands in the file's place for two steps; the run goes on, and in the end the file is whole."""
    kept = tmp_path / "kept"

    def look(number):
        if number == 1:
            (tmp_path / "metrics.jsonl").rename(kept)
            (tmp_path / "metrics.jsonl").mkdir()
        if number == 3:
            (tmp_path / "metrics.jsonl").rmdir()

    run(new_policy, tmp_path, look=look)
    assert capsys.readouterr().out.count("cannot be written to") == 1
    assert [line["step"] for line in lines(tmp_path)] == [0, 1, 2, 3, 4]


class Writer:
    """Stands for TensorBoard's writer, which the tests do not install: it writes each figure to a file when it is flushed."""

    def __init__(self, folder):
        Path(folder).mkdir()
        self.path, self.waiting = Path(folder) / "events", []

    def add_scalar(self, name, value, step):
        self.waiting.append((name, value, step))

    def flush(self):
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(f"{figure}\n" for figure in self.waiting)
        self.waiting = []

    def close(self):
        self.flush()


def test_tensorboard_gets_the_same_figures_once(new_policy, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Writer))
    run(new_policy, tmp_path / "whole", tensorboard=True)
    with pytest.raises(RuntimeError, match="died"):
        run(new_policy, tmp_path / "broken", stop_at=3, tensorboard=True)
    assert len((tmp_path / "broken" / "tensorboard" / "events").read_text().splitlines()) == 4, "not flushed each step"
    run(new_policy, tmp_path / "broken", tensorboard=True)
    expected = [("loss", 0.0, 0), ("kl", float("nan"), 0), *(("loss", 0.5 * number, number) for number in range(1, 5))]
    for folder in ("whole", "broken"):
        events = (tmp_path / folder / "tensorboard" / "events").read_text().splitlines()
        assert events == [str(figure) for figure in expected]


def test_tensorboard_that_is_missing_is_told_before_training(new_policy, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        run(new_policy, tmp_path, tensorboard=True)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="needs a folder"):
        train(lambda batch: {}, ["x"], steps=1, tensorboard=True)
