"""Runs side by side: the same results as one after the other, one stop for all that loses nothing, and clear errors."""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from helpers.devices import set_threads
from helpers.parts import ROOT
from helpers.runs import History
from helpers.side_by_side import all_results, cores_for, side_by_side, tell
from helpers.training import train


def one(seed: int, folder: Path, steps: int, pause: float = 0.0) -> History:
    """A small run with checkpoints, whose records depend on its seed and on its random numbers alone."""
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=7, n_embd=4, n_layer=1, n_head=1, n_positions=8))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)

    def step(batch: int) -> dict[str, float]:
        time.sleep(pause)
        ids = torch.randint(0, 7, (batch, 8))  # [B, T]
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss.item()}

    return train(
        step,
        [1, 2, 3],
        steps=steps,
        policy=model,
        optimizer=optimizer,
        folder=folder,
        checkpoint_every=5,
        progress=False,
    )


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_results_are_those_of_one_after_the_other(tmp_path: Path, workers: int) -> None:
    calls = {f"seed {n}": partial(one, n, tmp_path / f"side-{n}", 12) for n in range(3)}
    found = dict(all_results(calls, workers))
    assert found.keys() == calls.keys()
    for n in range(3):
        alone = one(n, tmp_path / f"alone-{n}", 12)
        assert found[f"seed {n}"].records == alone.records
        assert found[f"seed {n}"].stopped == "finished"


def test_one_stop_reaches_all_runs_and_the_next_call_goes_on(tmp_path: Path) -> None:
    """What was stopped is given too, says that it was, and ends as a run that nobody stopped."""
    # 400 steps of 0.1 s each: on a busy machine the second process may begin many seconds after the first
    calls = {n: partial(one, int(n), tmp_path / f"side-{n}", 400, 0.1) for n in "01"}

    def stop() -> None:
        while not all((tmp_path / f"side-{n}" / "checkpoint").exists() for n in calls):
            time.sleep(0.05)
        _thread.interrupt_main()  # as the notebook's stop button

    threading.Thread(target=stop, daemon=True).start()
    found = dict(side_by_side(calls, 2))
    assert [found[n].stopped for n in calls] == ["interrupted"] * 2
    assert all(0 < len(found[n]) < 400 for n in calls)
    again = dict(side_by_side({n: partial(one, int(n), tmp_path / f"side-{n}", 400) for n in calls}, 2))
    for n in calls:
        assert again[n].records == one(int(n), tmp_path / f"alone-{n}", 400).records


def test_a_run_that_fails_and_one_that_is_killed_say_so(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        list(side_by_side({"a": partial(divmod, 1, 0), "b": partial(int, 1)}, 2))
    with pytest.raises(RuntimeError, match=r"memory may be short[\s\S]*workers = 1"):
        list(side_by_side({"a": partial(signal.raise_signal, signal.SIGKILL), "b": partial(int, 1)}, 2))


NOTEBOOK = """
import dataclasses
import torch
from helpers.side_by_side import side_by_side

factor = torch.tensor([2.0])  # a global, as a notebook's models are
Sizes = dataclasses.make_dataclass("Sizes", ["steps"])
sizes = Sizes(3)

def scaled(value):
    return factor * value

def run(value):
    return scaled(value) * sizes.steps

if __name__ == "__main__":
    calls = {str(value): lambda value=value: run(value) for value in (1, 2)}
    print(sorted((int(name), got.item()) for name, got in side_by_side(calls, 2)))
"""


def test_functions_of_a_notebook_travel_with_what_they_use() -> None:
    """They live in `__main__`, call each other, and use models and sizes that no process could import."""
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK], cwd=ROOT, capture_output=True, text=True, timeout=300,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout.strip().endswith("[(1, 6.0), (2, 12.0)]"), done.stdout + done.stderr


def test_runs_go_side_by_side_as_cores_and_memory_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, small = torch.device("cpu"), torch.nn.Linear(10, 10)
    with torch.device("meta"):
        large = torch.nn.Linear(10_000, 13_500)  # 135 million weights, as SmolLM2 has
    monkeypatch.delenv("COURSE_FAST", raising=False)
    monkeypatch.setattr("loky.cpu_count", lambda **_: 2)
    for free, workers_large in ((16.0, 2), (5.0, 1), (1.0, 1)):
        monkeypatch.setattr("helpers.side_by_side.device_memory", lambda _, free=free: (free, 32.0))
        assert cores_for(large, cpu) == workers_large, free
        assert cores_for(small, cpu) == 2 - (free == 1.0), free
    monkeypatch.setattr("helpers.side_by_side.device_memory", lambda _: None)  # nobody knows
    assert (cores_for(large, cpu), cores_for(small, cpu)) == (1, 2)
    assert cores_for(small, torch.device("cuda")) == 1
    monkeypatch.setattr("loky.cpu_count", lambda **_: 1)
    assert cores_for(small, cpu) == 1
    monkeypatch.setattr("loky.cpu_count", lambda **_: 64)
    monkeypatch.setattr("helpers.side_by_side.device_memory", lambda _: (500.0, 512.0))
    assert cores_for(large, cpu) == 4
    monkeypatch.setenv("COURSE_FAST", "1")
    assert cores_for(small, cpu) == 1


def test_the_processes_of_runs_take_one_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that loads a large model in its process must not take all cores again, beside the others."""
    before = torch.get_num_threads()
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert set_threads(model_is_tiny=False) == torch.get_num_threads() == 1
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        assert set_threads(model_is_tiny=False) == 3
        assert set_threads(model_is_tiny=True) == 1
    finally:
        torch.set_num_threads(before)


def test_a_run_by_itself_is_told_nothing() -> None:
    assert tell(1, 2)


kept = []


def grow(name: str) -> str:
    """Keep 400 MB, as a worker does that has trained a large policy, for longer than loky waits between two looks."""
    kept.append(torch.ones(100 << 20))
    time.sleep(1.3)
    return name


def test_a_worker_that_has_grown_is_replaced_without_a_red_notice():
    """loky takes a large policy for a memory leak; the student's cell would show its warning."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        results = dict(side_by_side({name: partial(grow, name) for name in "abcdef"}, workers=2))
    assert results == {name: name for name in "abcdef"}
    assert not shown, [str(warning.message) for warning in shown]
