"""Small worlds in which a student's training step is run, so that what it does can be judged elsewhere.

A world calls the step and returns a record of what happened: dicts and lists of tensors, numbers and texts. It judges
nothing. The numbers of a world (learning rates, seeds, how many steps) are written in its module and nowhere else.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

# the name of a world -> (module of this package, function); the function takes the step, and the rest by keyword
WORLDS: dict[str, tuple[str, str]] = {
    "reinforce_table": ("table", "run_on_table"),
    "reinforce_single": ("reinforce", "run_reinforce_steps"),
    "reinforce_practice": ("reinforce", "run_reinforce_practice"),
    "reinforce_training": ("reinforce", "run_reinforce_training"),
    "dpo_single": ("dpo", "run_dpo_steps"),
    "dpo_training": ("dpo", "run_dpo_training"),
}


def find(name: str) -> Callable[..., Any]:
    """Return the function behind a world's name.

    Raises:
        ValueError: there is no such world.
    """
    if name not in WORLDS:
        raise ValueError(f"there is no world {name!r}; choose one of {', '.join(WORLDS)}")
    module, function = WORLDS[name]
    return getattr(importlib.import_module(f".{module}", __package__), function)


def run(name: str, step: Callable[..., Any], **arguments: Any) -> Any:
    """Run a step in a world: here, or where the step's code is.

    Args:
        name: one of `WORLDS`.
        step: the student's `reinforce_step` or `dpo_step`, or what stands for it: if it has a method `run_remotely`, that
            is called with the name and the arguments, and the world runs beside the student's code.
        arguments: what this world takes (see its function): seeds, flags, numbers, tensors.

    Returns:
        The world's record. One that was made elsewhere is not to be trusted.

    Raises:
        ValueError: there is no such world.
    """
    world = find(name)
    remotely = getattr(step, "run_remotely", None)
    return world(step, **arguments) if remotely is None else remotely(name, **arguments)
