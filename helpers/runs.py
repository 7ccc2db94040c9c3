"""What training leaves: its history, and in `runs/` beside the notebook checkpoints, weights and the frontier's points."""

from __future__ import annotations

import hashlib
import json
import pickle
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, SupportsFloat

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

from . import weights
from .weights import CheckpointError

RUNS = Path("runs")
FOLDERS = {"REINFORCE": "reinforce", "REINFORCE + KL": "leashed", "DPO": "dpo"}  # where in `runs` the weights are
WEIGHTS, OPTIMIZER, STATE = "policy.safetensors", "optimizer.pt", "state.json"  # the files of a checkpoint
Record = dict[str, float]


class NotSavedError(OSError):
    """Weights or a checkpoint could not be written, as on a full disk; what was saved before is still there, and whole."""


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

    def put(self, records: list[Record], samples: list[dict[str, Any]], state: dict[str, Any]) -> None:
        """Take what was saved, in place: the state is also the caller's."""
        self.records[:] = records
        self.samples[:] = samples
        self.state.clear()
        self.state.update(state)

    def to_pandas(self) -> pd.DataFrame:
        """Return the records as a table."""
        return pd.DataFrame(self.records)


class Checkpoint:
    """A run's saved state in `<folder>/checkpoint`: safetensors, JSON, and tensors loaded with `weights_only`.

    A new checkpoint is written beside the old one and then takes its place, so that a crash never leaves half of one. Its
    size: what is trainable of the weights and the optimizer's numbers for them (three times that with AdamW); of a finished
    run, which nobody goes on with, the weights alone. While it is written, the disk holds two.
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
        """Write everything the run needs to go on from `step` as if it had never stopped.

        Raises:
            NotSavedError: the disk is full, or may not be written to. The checkpoint from before stays as it is.
        """
        new = self.folder / "checkpoint.new"
        with _saving(new):
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            weights.write(policy, new / WEIGHTS)
            if not finished:
                torch.save({"optimizer": optimizer.state_dict(), "random": _random_tensors()}, new / OPTIMIZER)
            state = {
                "fingerprint": self.mark,
                "step": step,
                "finished": finished,
                "training": policy.training,
                "records": history.records,
                "samples": history.samples,
                "state": history.state,
                **_random_lists(),
            }
            (new / STATE).write_text(json.dumps(state), encoding="utf-8")
            shutil.rmtree(self.previous, ignore_errors=True)
            if self.current.exists():
                self.current.rename(self.previous)
            new.rename(self.current)
        shutil.rmtree(self.previous, ignore_errors=True)

    def load(self, policy: torch.nn.Module, optimizer: torch.optim.Optimizer, history: History) -> int:
        """Restore an unfinished run of the same fingerprint; return the step to go on from, 0 if there is none.

        Raises:
            CheckpointError: what is there is damaged, half, or of another model. Nothing is changed then.
        """
        folder = _latest(self.folder)
        if not any((folder / name).is_file() for name in (STATE, OPTIMIZER)):
            return 0
        with self._refusing(folder / STATE):
            state = json.loads((folder / STATE).read_text(encoding="utf-8"))
            if state["finished"]:
                return 0
            if state["fingerprint"] != self.mark:
                print(
                    f"The unfinished run in {self.folder} had other settings or another step function: beginning anew."
                )
                return 0
            step, training = int(state["step"]), bool(state["training"])
            version, numbers, gauss = state["python_random"]
            name, keys, *rest = state["numpy_random"]
            records, samples, numbers_kept = list(state["records"]), list(state["samples"]), dict(state["state"])
        with self._refusing(folder / WEIGHTS):
            found = weights.read(policy, folder / WEIGHTS)
        with self._refusing(folder / OPTIMIZER):
            saved = torch.load(folder / OPTIMIZER, weights_only=True, map_location="cpu")
            drawn, drawn_on_gpus = saved["random"]["cpu"], saved["random"]["cuda"]
            optimizer.load_state_dict(saved["optimizer"])  # it looks at the groups before it changes anything
        weights.put(policy, found)
        policy.train(training)
        torch.set_rng_state(drawn)
        if torch.cuda.is_available() and drawn_on_gpus:
            torch.cuda.set_rng_state_all(drawn_on_gpus)
        random.setstate((version, tuple(numbers), gauss))
        np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
        history.put(records, samples, numbers_kept)
        return step

    def load_finished(self, policy: torch.nn.Module, history: History) -> int:
        """Put the weights and the history of a finished run of the same fingerprint in place; return its steps, else 0.

        Raises:
            CheckpointError: its weights are damaged or of another model. Nothing is changed then.
        """
        folder = _latest(self.folder)
        if not (folder / STATE).is_file():
            return 0
        with self._refusing(folder / STATE):
            state = json.loads((folder / STATE).read_text(encoding="utf-8"))
            if not state["finished"] or state["fingerprint"] != self.mark:
                return 0
            step, records, samples = int(state["step"]), list(state["records"]), list(state["samples"])
            numbers_kept = dict(state["state"])
        with self._refusing(folder / WEIGHTS):
            found = weights.read(policy, folder / WEIGHTS)
        weights.put(policy, found)
        policy.train(bool(state["training"]))
        history.put(records, samples, numbers_kept)
        return step

    def clear(self) -> int:
        """Delete the run's checkpoint and return 0, the step to begin with."""
        for folder in (self.current, self.previous, self.folder / "checkpoint.new"):
            shutil.rmtree(folder, ignore_errors=True)
        return 0

    @contextmanager
    def _refusing(self, file: Path) -> Iterator[None]:
        """Turn whatever reading a damaged or foreign file raises into one message that says what to do."""
        try:
            yield
        except (
            CheckpointError, OSError, EOFError, RuntimeError, ValueError, TypeError, LookupError, AttributeError,
            pickle.UnpicklingError,
        ) as error:  # fmt: skip
            why = (
                str(error)
                if isinstance(error, CheckpointError)
                else f"{file.name} is damaged or missing ({error!r:.200})."
            )
            raise CheckpointError(
                f"The run in {self.folder} cannot go on from its checkpoint. {why} Nothing was changed. To begin anew, call "
                f"train(..., resume=False) or delete the folder {file.parent}; to keep that run, give this one another folder."
            ) from error


@contextmanager
def _saving(new: Path) -> Iterator[None]:
    """While a file or folder `new` is written: if that fails, take what there is of it away, and say why.

    Raises:
        NotSavedError: in place of the errors of Python, safetensors and torch.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:  # torch's writer raises the last
        shutil.rmtree(new, ignore_errors=True)
        with suppress(OSError):
            new.unlink()
        free = shutil.disk_usage(next(folder for folder in new.parents if folder.is_dir())).free
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        if isinstance(error, RuntimeError):  # torch names a line of its own source
            reason = f"PyTorch could not write the whole file; is the disk full? ({reason})"
        raise NotSavedError(
            f"{new.parent} cannot be written to: {reason} ({free / 2**30:.1f} GiB free there)."
        ) from error


def _latest(folder: Path) -> Path:
    """Where a run's latest whole checkpoint is: it has another name if the kernel died while the next took its place."""
    current, previous = folder / "checkpoint", folder / "checkpoint.old"
    return previous if not current.exists() and previous.exists() else current


def _random_tensors() -> dict[str, Any]:
    """Return the state of PyTorch's random numbers."""
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _random_lists() -> dict[str, Any]:
    """Return the state of Python's and NumPy's random numbers as JSON can hold it."""
    version, numbers, gauss = random.getstate()
    numpy_state: Any = np.random.get_state()
    name, keys, position, has_gauss, cached = numpy_state
    return {
        "python_random": [version, list(numbers), gauss],
        "numpy_random": [name, keys.tolist(), position, has_gauss, cached],
    }


def load_weights(policy: torch.nn.Module, folder: str | Path) -> None:
    """Load into `policy` the weights that the latest checkpoint of the run in `folder` holds.

    Raises:
        FileNotFoundError: there is no checkpoint.
        CheckpointError: its weights are damaged or of another model; the policy stays as it is.
    """
    path = _latest(Path(folder)) / WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint in {folder}; train with folder={str(folder)!r} first")
    weights.put(policy, weights.read(policy, path))


def save_weights(policy: torch.nn.Module, folder: str | Path) -> Path:
    """Write a policy's weights, whole or not at all, to where `load_weights` looks for them; return that folder.

    Raises:
        NotSavedError: the disk is full, or may not be written to. Weights from before stay as they are.
    """
    target = Path(folder) / "checkpoint"
    with _saving(target / "policy.new"):
        target.mkdir(parents=True, exist_ok=True)
        weights.write(policy, target / "policy.new")
        (target / "policy.new").replace(target / WEIGHTS)
    return target


def fingerprint(step: Callable[..., Any], settings: Mapping[str, Any]) -> str:
    """Return a hash of the settings and of the compiled code of `step` and of the functions it calls by name."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    seen: set[int] = set()

    def add(function: Any) -> None:
        if isinstance(function, partial):
            digest.update(repr((function.args, sorted(function.keywords.items()))).encode())
            function = function.func
        if not isinstance(function, FunctionType) or id(function) in seen:
            return
        seen.add(id(function))
        digest.update(_code_bytes(function.__code__, function.__doc__))
        for name in _names(function.__code__):
            other = function.__globals__.get(name)
            inner = other.func if isinstance(other, partial) else other
            if isinstance(inner, FunctionType) and inner.__module__ == function.__module__:
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
