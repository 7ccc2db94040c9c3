"""What training leaves: its history, and in `runs/` beside the notebook checkpoints, weights and the frontier's points."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, SupportsFloat

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_model, save_model
from transformers import PreTrainedModel

RUNS = Path("runs")
FOLDERS = {"REINFORCE": "reinforce", "REINFORCE + KL": "leashed", "DPO": "dpo"}  # where in `runs` the weights are
Record = dict[str, float]


@dataclass
class History:
    """What happened in a run: one record (a dict of floats with its `step`) per recorded step.

    `history["reward"]` is the list of a column's values, `history.to_pandas()` a table.

    Attributes:
        records: the records.
        samples: completions of fixed prompts during training: dicts with `step`, `prompt` and `completion`.
        state: numbers that the step carries from one step to the next (see `train`).
        stopped: why the run ended: `"finished"` or `"interrupted"`.
    """

    records: list[Record] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    stopped: str = "finished"

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, column: str) -> list[float]:
        if not any(column in record for record in self.records):
            raise KeyError(f"the history has no column {column!r}; it has {', '.join(self.columns) or 'none'}")
        return [record.get(column, float("nan")) for record in self.records]

    def measured(self, column: str) -> tuple[list[float], list[float]]:
        """Return the steps at which a column was recorded, and its values there; not every step records every column."""
        rows = [(record["step"], record[column]) for record in self.records if column in record]
        return [step for step, _ in rows], [value for _, value in rows]

    @property
    def columns(self) -> list[str]:
        """Names of what was recorded."""
        return list(dict.fromkeys(name for record in self.records for name in record))

    def mean(self, column: str, last: int | None = None) -> float:
        """Return a column's mean over all records or the `last` ones."""
        values = self[column][-last:] if last else self[column]
        return sum(values) / len(values)

    def to_pandas(self) -> pd.DataFrame:
        """Return the records as a table."""
        return pd.DataFrame(self.records)


class Checkpoint:
    """A run's saved state in `<folder>/checkpoint`: safetensors, JSON, and tensors loaded with `weights_only`.

    A new checkpoint is written beside the old one and then takes its place, so that a crash never leaves half of one.
    """

    def __init__(self, folder: Path, mark: str) -> None:
        self.folder = folder
        self.mark = mark  # a checkpoint with another fingerprint belongs to another run
        self.current = folder / "checkpoint"
        self.previous = folder / "checkpoint.old"

    def save(
        self,
        policy: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        history: History,
        step: int,
        finished: bool = False,
    ) -> None:
        """Write everything the run needs to go on from `step` as if it had never stopped."""
        new = self.folder / "checkpoint.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        save_model(policy, str(new / "policy.safetensors"))
        torch.save({"optimizer": optimizer.state_dict(), "random": _random_tensors()}, new / "optimizer.pt")
        version, numbers, gauss = random.getstate()
        numpy_state: Any = np.random.get_state()
        name, keys, position, has_gauss, cached = numpy_state
        state = {
            "fingerprint": self.mark,
            "step": step,
            "finished": finished,
            "training": policy.training,
            "records": history.records,
            "samples": history.samples,
            "state": history.state,
            "python_random": [version, list(numbers), gauss],
            "numpy_random": [name, keys.tolist(), position, has_gauss, cached],
        }
        (new / "state.json").write_text(json.dumps(state), encoding="utf-8")
        shutil.rmtree(self.previous, ignore_errors=True)
        if self.current.exists():
            self.current.rename(self.previous)
        new.rename(self.current)
        shutil.rmtree(self.previous, ignore_errors=True)

    def load(self, policy: torch.nn.Module, optimizer: torch.optim.Optimizer, history: History) -> int:
        """Restore an unfinished run of the same fingerprint; return the step to go on from, 0 if there is none."""
        folder = self.current if (self.current / "state.json").is_file() else self.previous
        if not (folder / "state.json").is_file():
            return 0
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        if state["finished"]:
            return 0
        if state["fingerprint"] != self.mark:
            print(f"The unfinished run in {self.folder} had other settings or another step function: beginning anew.")
            return 0
        load_model(policy, str(folder / "policy.safetensors"), device=str(next(policy.parameters()).device))
        policy.train(state["training"])
        saved = torch.load(folder / "optimizer.pt", weights_only=True, map_location="cpu")
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["random"]["cpu"])
        if torch.cuda.is_available() and saved["random"]["cuda"]:
            torch.cuda.set_rng_state_all(saved["random"]["cuda"])
        version, numbers, gauss = state["python_random"]
        random.setstate((version, tuple(numbers), gauss))
        name, keys, *rest = state["numpy_random"]
        np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
        history.records[:] = state["records"]
        history.samples[:] = state["samples"]
        history.state.clear()
        history.state.update(state["state"])
        return state["step"]

    def clear(self) -> int:
        """Delete the run's checkpoint and return 0, the step to begin with."""
        shutil.rmtree(self.current, ignore_errors=True)
        shutil.rmtree(self.previous, ignore_errors=True)
        return 0


def _random_tensors() -> dict[str, Any]:
    """Return the state of PyTorch's random numbers."""
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def load_weights(policy: torch.nn.Module, folder: str | Path) -> None:
    """Load into `policy` the weights that the latest checkpoint of the run in `folder` holds.

    Raises:
        FileNotFoundError: there is no checkpoint.
    """
    path = Path(folder) / "checkpoint" / "policy.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint in {folder}; train with folder={str(folder)!r} first")
    load_model(policy, str(path), device=str(next(policy.parameters()).device))


def save_weights(policy: torch.nn.Module, folder: str | Path) -> Path:
    """Write a policy's weights, whole or not at all, to where `load_weights` looks for them; return that folder."""
    target = Path(folder) / "checkpoint"
    target.mkdir(parents=True, exist_ok=True)
    save_model(policy, str(target / "policy.new"))
    (target / "policy.new").replace(target / "policy.safetensors")
    return target


def fingerprint(step: Callable[..., Any], settings: Mapping[str, Any]) -> str:
    """Return a hash of the settings and of the compiled code of `step` and of the functions it calls by name."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    seen: set[int] = set()

    def add(function: Any) -> None:
        if not isinstance(function, FunctionType) or id(function) in seen:
            return
        seen.add(id(function))
        digest.update(_code_bytes(function.__code__, function.__doc__))
        for name in _names(function.__code__):
            other = function.__globals__.get(name)
            if isinstance(other, FunctionType) and other.__module__ == function.__module__:
                add(other)
        for cell in function.__closure__ or ():
            try:
                add(cell.cell_contents)
            except ValueError:  # a variable that has no value yet
                continue

    add(step)
    return digest.hexdigest()


def _names(code: CodeType) -> list[str]:
    """Return the names a function's code looks up, those of nested functions included."""
    inner = [name for constant in code.co_consts if isinstance(constant, CodeType) for name in _names(constant)]
    return [*code.co_names, *inner]


def _code_bytes(code: CodeType, docstring: str | None = None) -> bytes:
    """Return a function's instructions, names and constants as bytes, without line numbers and docstring."""
    constants = []
    for value in code.co_consts:
        if isinstance(value, CodeType):
            constants.append(_code_bytes(value))
        elif isinstance(value, frozenset):
            constants.append(repr(sorted(value, key=repr)).encode())
        elif not (isinstance(value, str) and value == docstring):
            constants.append(repr(value).encode())
    return b"|".join([code.co_code, repr(code.co_names).encode(), *constants])


def write_whole(path: Path, text: str) -> Path:
    """Write a text file that appears whole or not at all, even if the kernel dies meanwhile; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    return new.replace(path)


def save_point(
    name: str, kl: SupportsFloat, reward: SupportsFloat, *, folder: str | Path | None = None, **more: Any
) -> Path:
    """Record a trained policy as a point of the reward-KL frontier, in `runs/frontier.json` beside the notebook.

    A later point of the same name replaces the earlier one. Parts 2, 3 and 4 add to the same file.

    Args:
        name: what the plot calls it, such as `"REINFORCE α = 0.01"`.
        kl: nats per completion between the policy and the reference.
        reward: mean reward, 0 to 1.
        folder: where the file is, instead of `runs`.
        more: anything else worth keeping that JSON can hold: `method=`, `samples=`, `second_reward=` …
    """
    path = Path(folder or RUNS) / "frontier.json"
    points = [point for point in load_points(folder=folder) if point["name"] != name]
    points.append({"name": name, "kl": float(kl), "reward": float(reward), **more})
    return write_whole(path, json.dumps(points, indent=1, ensure_ascii=False))


def load_points(*, folder: str | Path | None = None) -> list[dict[str, Any]]:
    """Return the recorded points, oldest first; an empty list if there is none yet."""
    path = Path(folder or RUNS) / "frontier.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def save_policy(policy: PreTrainedModel, name: str, folder: Path = RUNS) -> Path:
    """Keep a trained policy's weights in `runs/` for Part 5."""
    return save_weights(policy, folder / FOLDERS[name])
