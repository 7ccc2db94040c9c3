"""Running a student's training step so that what it does can be judged elsewhere.

``run_training(kind, step, seed, steps)`` runs ``step`` in one of the worlds below and returns a record: dicts and lists of
tensors, numbers, booleans, strings and None. It judges nothing. ``pack`` and ``unpack`` take a record apart into tensors and
plain data and put it together again, so that it can cross a process border without pickles.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

# kind -> (module, function); each function is called as f(step, seed=…, **arguments), with steps=… where it is not 0
KINDS: dict[str, tuple[str, str]] = {
    "reinforce_single": ("reinforce", "run_single_steps"),
    "reinforce_training": ("reinforce", "run_training"),
    "dpo_single": ("dpo", "run_single_steps"),
    "dpo_training": ("dpo", "run_training"),
}
_TENSOR = "__tensor__"
PLAIN = (bool, int, float, str, type(None))


def run_training(kind: str, step: Callable[..., Any], seed: int, steps: int = 0, **arguments: Any) -> dict[str, Any]:
    """Run a step in the world called ``kind`` and return its record.

    Args:
        kind: one of ``KINDS``.
        step: the student's ``reinforce_step`` or ``dpo_step``.
        seed: decides the world: weights, texts, random draws.
        steps: number of updates; 0 takes the world's own.
        arguments: what else this kind takes (numbers and tensors only).

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no kind {kind!r}; choose one of {', '.join(KINDS)}")
    module, name = KINDS[kind]
    function = getattr(importlib.import_module(f".{module}", __package__), name)
    return function(step, seed=seed, **({"steps": steps} if steps else {}), **arguments)


def pack(record: Any) -> tuple[dict[str, Tensor], str]:
    """Take a record apart: its tensors by name (for safetensors), and the rest as JSON with the names in their places."""
    tensors: dict[str, Tensor] = {}

    def walk(value: Any) -> Any:
        if isinstance(value, Tensor):
            name = str(len(tensors))
            tensors[name] = value.detach().cpu().contiguous().clone()
            return {_TENSOR: name}
        if isinstance(value, Mapping):
            return {str(key): walk(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [walk(item) for item in value]
        if type(value) not in PLAIN:
            raise TypeError(f"a record holds tensors, numbers and strings, not {type(value).__name__}")
        return value

    return tensors, json.dumps(walk(record))


def unpack(tensors: Mapping[str, Tensor], text: str) -> Any:
    """Put a record together again; tuples come back as lists.

    Raises:
        ValueError: the text is no JSON, or names a tensor that is not there.
    """

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            if set(value) == {_TENSOR}:
                if value[_TENSOR] not in tensors:
                    raise ValueError(f"the record names a tensor that did not come with it: {value[_TENSOR]!r}")
                return tensors[value[_TENSOR]]
            return {key: walk(item) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item) for item in value]
        return value

    return walk(json.loads(text))
