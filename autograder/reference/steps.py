"""Judging training steps by what they do: `reinforce_step` and `dpo_step`.

The *run* is `helpers.worlds.run`: it needs the student's function and `helpers` only, and happens wherever the function's
code is. The *measuring* is done here, in the judge's process, on the record of the run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from helpers import worlds

from . import steps_dpo, steps_reinforce
from .spec import OWN_ASPECTS, JudgeError, grading_seed
from .steps_weights import INCOMPLETE

# the step -> its checks by aspect, each called with `run(world, **arguments)` and a seed; and the first seed
JUDGES = {
    "reinforce_step": (steps_reinforce.CHECKS, steps_reinforce.FIRST_SEED),
    "dpo_step": (steps_dpo.CHECKS, steps_dpo.FIRST_SEED),
}
_kept: dict[str, Any] = {"step": None, "records": {}}


def verify_step(step: Any, name: str, aspect: str, seed: int | None = None) -> None:
    """Judge one aspect of a training step.

    Args:
        step: the student's function, or what stands for it.
        name: one of `JUDGES`.
        aspect: one of the judge's `CHECKS`.
        seed: of the worlds; made from the grading seed when left out.

    Raises:
        AssertionError: the step is wrong; the message names what it did.
        JudgeError: the judge's own side failed.
    """
    if name not in JUDGES:
        raise JudgeError(f"there is no test of a training step {name}")
    checks, first_seed = JUDGES[name]
    if aspect not in checks:
        raise JudgeError(f"unknown aspect {aspect!r} of {name}")
    if step is None or step is ...:
        raise AssertionError(f"{name} is not defined yet")
    checks[aspect](functools.partial(record_of, step, name), first_seed + grading_seed() if seed is None else seed)


class _Record(dict[str, Any]):
    """A record. What is missing in one that was forged is the student's fault."""

    def __init__(self, record: Any) -> None:
        super().__init__(record if isinstance(record, Mapping) else {})

    def __missing__(self, key: str) -> Any:
        raise AssertionError(INCOMPLETE)


def record_of(step: Callable[..., Any], name: str, world: str, **arguments: Any) -> Any:
    """The record of a step in a world.

    Records of the latest step are kept, so that several tests of one step cost one run.
    """
    key = (world, repr(sorted(arguments.items())))
    if _kept["step"] is not step:
        _kept.update(step=step, records={})
    if key not in _kept["records"]:
        _kept["records"][key] = _Record(_run(step, name, world, arguments))
    return _kept["records"][key]


def _run(step: Callable[..., Any], name: str, world: str, arguments: dict[str, Any]) -> Any:
    """Run a world once. A step that runs elsewhere has its faults told there; one that runs here has them told here.

    What the student's step raises becomes an `AssertionError` that quotes it; a world that fails is the judge's fault.
    """
    if hasattr(step, "run_remotely"):
        return worlds.run(world, step, **arguments)

    def quoting(*inputs: Any) -> Any:
        try:
            return step(*inputs)
        except Exception as error:
            raise AssertionError(f"{name} raised {type(error).__name__}: {str(error)[:300]}{hint(error)}") from error

    try:
        return worlds.run(world, quoting, **arguments)
    except AssertionError:
        raise
    except Exception as error:
        raise JudgeError(f"the world {world} failed: {type(error).__name__}: {error}") from error


def hint(error: Exception) -> str:
    """What an exception of a training step usually means."""
    text = str(error)
    if "does not require grad" in text:
        return " (the loss has no gradient: were the log-probs computed under no_grad, detached, or taken from the rollout?)"
    if "must match the size" in text or "size mismatch" in text:
        return " (do log-probs and mask have the same number of columns? log-probs have one fewer than the ids)"
    return ""


def _aspect(name: str, aspect: str, step: Any) -> None:
    verify_step(step, name, aspect)


for _name, (_checks, _) in JUDGES.items():
    OWN_ASPECTS[_name] = {aspect: functools.partial(_aspect, _name, aspect) for aspect in _checks}
