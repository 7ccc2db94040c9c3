"""What a training step does besides its update: seen from outside, call by call, and told in words.

A world notes what happened; `told` says what of it a step must not do. A note that comes from elsewhere may be forged.
"""

from __future__ import annotations

import copy
import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

FIRST_SEED = 1_234_567  # of the global random numbers in a step's first call
FAULTS = {
    "outside": "weights were changed beside optimizer.step(); leave every change to the optimizer that was given",
    "settings": "the optimizer's settings (its learning rate, for example) were changed; they are not the step's to choose",
    "dropout": "a model that came in eval mode was run in train mode, where dropout changes the log-probs",
    "batch": "the batch was changed; leave its tensors as they are",
    "seeded": "a global seed was set inside; all random numbers that are drawn after it repeat themselves",
}


def observed(
    number: int, call: Callable[[], Any], optimizer: torch.optim.Optimizer, batch: Any, *models: nn.Module
) -> tuple[Any, dict[str, Any]]:
    """Call a step and note what it does.

    Args:
        number: of the call in its world; decides the states of the global random numbers with which it begins.
        call: the step with its arguments.
        optimizer: what it was given to move the weights.
        batch: the dataclass that it was given, a rollout or a batch of pairs.
        models: policy, and reference where there is one.

    Returns:
        What the step returned, and the note: `steps` (how often the optimizer's `step` ran), `faults` (keys of `FAULTS`)
        and `random` (digests of the global generators' states after the call, which began with new ones).
    """
    settings, parts = _settings(optimizer), copy.deepcopy(_parts(batch))
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    left = [weight.detach().clone() for weight in weights]  # as the optimizer left them
    faults: set[str] = set()
    steps = [0]

    def compare(*_: Any) -> None:
        if not all(torch.equal(weight, kept) for weight, kept in zip(weights, left, strict=True)):
            faults.add("outside")

    def after_step(*_: Any) -> None:
        steps[0] += 1
        left[:] = [weight.detach().clone() for weight in weights]

    def in_train_mode(model: nn.Module, *_: Any) -> None:
        if mode_of(model) is not False:
            faults.add("dropout")

    hooks: list[Any] = [optimizer.register_step_pre_hook(compare), optimizer.register_step_post_hook(after_step)]
    hooks += [model.register_forward_pre_hook(in_train_mode) for model in models if mode_of(model) is False]
    try:
        with _random_numbers_of(FIRST_SEED + number):
            answer = call()
            digests = _digests()
            if torch.initial_seed() != FIRST_SEED + number:
                faults.add("seeded")
    finally:
        for hook in hooks:
            hook.remove()
    compare()
    if _settings(optimizer) != settings:
        faults.add("settings")
    if not all(_same(part, parts[name]) for name, part in _parts(batch).items()):
        faults.add("batch")
    return answer, {"steps": steps[0], "faults": sorted(faults), "random": digests}


def told(notes: Sequence[Mapping[str, Any]], *which: str) -> str:
    """The first fault in notes of several calls, in words; empty where there is none.

    Args:
        notes: as `observed` makes them.
        which: the faults that count, keys of `FAULTS`; all where none is given.
    """
    found = {fault for note in notes for fault in note["faults"]}
    states = [state for note in notes for state in set(note["random"])]
    if len(set(states)) < len(states):
        found.add("seeded")  # two calls, which began with different states, ended with the same one
    return next((FAULTS[fault] for fault in which or FAULTS if fault in found), "")


def mode_of(model: nn.Module) -> bool | None:
    """Whether a model is in train mode with all its parts; None where they differ."""
    modes = {module.training for module in model.modules()}
    return modes.pop() if len(modes) == 1 else None


@contextmanager
def _random_numbers_of(seed: int) -> Iterator[None]:
    """New states for the three global generators, and the former ones back at the end."""
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _digests() -> list[str]:
    """What the states of PyTorch's, NumPy's and Python's generators are, in short."""
    states = (
        torch.get_rng_state().numpy().tobytes(),
        np.random.get_state(legacy=False)["state"]["key"].tobytes(),
        repr(random.getstate()).encode(),
    )
    return [hashlib.sha256(state).hexdigest() for state in states]


def _settings(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    return [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]


def _parts(batch: Any) -> dict[str, Any]:
    return {field.name: getattr(batch, field.name) for field in fields(batch)}


def _same(part: Any, kept: Any) -> bool:
    return torch.equal(part, kept) if isinstance(part, Tensor) and isinstance(kept, Tensor) else bool(part == kept)
