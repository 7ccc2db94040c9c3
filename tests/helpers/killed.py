"""A run that is killed before each of its writes to the disk in turn, and called again: `python -m tests.helpers.killed FOLDER`.

Each run has a child of its own, forked from a process that has all libraries loaded and has made no backward pass. It prints
as JSON what an unbroken run gave, and what each killed one gave when it was called again.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from helpers.runs import WEIGHTS, load_weights
from tests.helpers.conftest import make_policy, make_tokenizer
from tests.helpers.small_run import make_run

WRITES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"}  # audit events; so is "open"


def training(folder: Path) -> dict[str, Any]:
    """Eight steps with early stopping: all that they leave, in JSON."""
    policy, history, state = make_run(make_policy, make_tokenizer(), folder, 8, keep_best=judge)
    best = make_policy()
    load_weights(best, folder / "best")
    return {
        "records": history.records,
        "samples": history.samples,
        "state": state,
        "weights": digest(policy),
        "best": digest(best),
        "metrics": (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines(),
        "files": sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")),
    }


def judge(texts: list[str]) -> float:
    """Some number that differs from text to text."""
    return int(hashlib.sha256("".join(texts).encode()).hexdigest()[:6], 16)


def digest(policy: torch.nn.Module) -> str:
    """A hash of all weights."""
    found = hashlib.sha256()
    for value in policy.parameters():
        found.update(value.detach().numpy().tobytes())
    return found.hexdigest()


def in_child(action: Callable[[], Any]) -> Any:
    """What an action returns that is made in a forked child; None if the child was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with open(writing, "w", encoding="utf-8") as pipe:
            json.dump(action(), pipe)
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    assert (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL) or (status == 0 and told)
    return json.loads(told) if status == 0 else None


def killed_before(number: int, folder: Path) -> dict[str, Any]:
    """Make the run and kill it before write number `number`, counted from 1; where it has fewer, return how many."""
    count = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in WRITES or writes:
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    training(folder)
    return {"writes": count}


def halve(folder: Path) -> None:
    """Let it look as if the kill had come in the middle of a write: half files where a checkpoint was begun, half a line."""
    for path in [*folder.glob("checkpoint.new/*"), *folder.glob("best/checkpoint/*.new")]:
        os.truncate(path, path.stat().st_size // 2)
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 3.0, "lo')


def main(folder: Path) -> None:
    """Print what came of it."""
    torch.set_num_threads(1)
    whole = in_child(partial(training, folder / "whole"))
    writes = in_child(partial(killed_before, 0, folder / "counted"))["writes"]
    found = []
    for number in range(1, writes + 1):
        place = folder / str(number)
        assert in_child(partial(killed_before, number, place)) is None
        resumable = any((place / name / WEIGHTS).is_file() for name in ("checkpoint", "checkpoint.old"))
        if number % 2 and place.is_dir():
            halve(place)
        found.append({"resumable": resumable, "again": in_child(partial(training, place))})
    print(json.dumps({"whole": whole, "killed": found}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
