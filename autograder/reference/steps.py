"""Judging training steps by what they do: ``reinforce_step`` and ``dpo_step``.

The *run* is ``helpers.worlds.run_training``: it needs the student's function and ``helpers`` only, and it can happen inside
the sandbox (a stand-in for the function then has ``run_remotely(kind, seed, steps, **arguments)``, which returns the record
that ``run_training`` returned there). The *measuring* is done here, in the judge's process, on the record.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from helpers import worlds

from .verify import JudgeError

JUDGES = {"reinforce_step": "autograder.reference.steps_reinforce", "dpo_step": "autograder.reference.steps_dpo"}
KINDS = {
    "reinforce_step": {"run_single_steps": "reinforce_single", "run_training": "reinforce_training"},
    "dpo_step": {"run_single_steps": "dpo_single", "run_training": "dpo_training"},
}
_kept: dict[str, Any] = {"step": None, "records": {}}


def verify_step(step: Callable[..., Any], name: str, aspect: str) -> None:
    """Judge one aspect of a training step (the aspects are listed in the ``ASPECTS`` of the judge's module).

    Raises:
        AssertionError: the step is wrong; the message names what it did.
        JudgeError: the judge's own side failed.
    """
    if name not in JUDGES:
        raise JudgeError(f"there is no functional test of {name}")
    if step is None or step is ...:
        raise AssertionError(f"{name} is not defined yet")
    importlib.import_module(JUDGES[name]).judge(aspect, runner(step, name))


def runner(step: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return ``run(function, seed=…, **arguments)``: it runs a world with the step, wherever that is, and gives its record.

    Records of the latest step are kept, so that several tests of one step cost one run.
    """

    def run(function: str, seed: int, **arguments: Any) -> Any:
        key = (name, function, seed, repr(sorted(arguments.items())))
        if _kept["step"] is not step:
            _kept.update(step=step, records={})
        if key not in _kept["records"]:
            _kept["records"][key] = execute(step, name, KINDS[name][function], seed, **arguments)
        return _kept["records"][key]

    return run


def execute(step: Callable[..., Any], name: str, kind: str, seed: int, **arguments: Any) -> Any:
    """Run a world once: by the stand-in's ``run_remotely`` if it has one, else in this process.

    What the student's step raises becomes an ``AssertionError`` that quotes it; a world that fails is the judge's fault.
    """
    steps = arguments.pop("steps", 0)
    remote = getattr(step, "run_remotely", None)
    if remote is not None:
        return remote(kind, seed, steps, **arguments)

    def guarded(*inputs: Any) -> Any:
        try:
            return step(*inputs)
        except Exception as error:
            raise AssertionError(f"{name} raised {type(error).__name__}: {str(error)[:300]}{hint(error)}") from error

    try:
        return worlds.run_training(kind, guarded, seed, steps, **arguments)
    except AssertionError:
        raise
    except Exception as error:
        raise JudgeError(f"the world {kind} failed: {type(error).__name__}: {error}") from error


def hint(error: Exception) -> str:
    """What an exception of a training step usually means."""
    text = str(error)
    if "does not require grad" in text:
        return " (the loss has no gradient: were the log-probs computed under no_grad, detached, or taken from the rollout?)"
    if "must match the size" in text or "size mismatch" in text:
        return " (do log-probs and mask have the same number of columns? log-probs have one fewer than the ids)"
    return ""
