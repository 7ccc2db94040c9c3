"""What the judges of both training steps ask of recorded weights."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from helpers.worlds import conduct
from helpers.worlds.small import weights_of

SAME_DIRECTION = 0.99  # the cosine from which two directions count as one
SAME_SIZE = 0.02  # how far the length of a step of plain gradient descent may be from that of the right one, relatively
SAME_UPDATE = 0.005  # how far an update may be from the right one, relatively
SAME_PARAMETER = 0.03  # how far a single parameter's may be
LEAST_UPDATE = 0.01  # relatively; a shorter one is lost in the rounding of the weights, its direction too
STILL = "some of the policy's parameters do not move; all of them are to be trained"
INCOMPLETE = "the record of its run is not complete"


def check_weights(weights: Mapping[str, Tensor], policy: nn.Module, step: str, otherwise: str) -> None:
    """Weights must be those of a policy of this structure, and finite.

    Args:
        weights: by name, as `helpers.worlds.small.weights_of` gives them.
        policy: a policy as the world hands it out.
        step: the name of the student's function, for the message.
        otherwise: what to say of weights that are not finite.

    Raises:
        AssertionError: they are not.
    """
    shapes = {name: weight.shape for name, weight in policy.named_parameters()}
    if not isinstance(weights, Mapping) or any(not isinstance(weight, Tensor) for weight in weights.values()):
        raise AssertionError(f"{step}: {INCOMPLETE}")
    if {name: weight.shape for name, weight in weights.items()} != shapes:
        raise AssertionError(f"{step} changed the policy's structure")
    if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
        raise AssertionError(f"{step}: {otherwise}")


def updates(
    after: Sequence[Mapping[str, Tensor]],
    starts: Sequence[Mapping[str, Tensor]],
    policy: nn.Module,
    step: str,
    unchanged: str,
) -> list[Tensor]:
    """The updates of a policy by single steps, each as one long vector.

    Args:
        after: the recorded weights after each step.
        starts: the weights before each step. The judge makes them itself: a record could claim any.
        policy: a policy as the world hands it out.
        step: the name of the student's function, for the messages.
        unchanged: what to say of an update that changes nothing.

    Raises:
        AssertionError: the weights of a step are not finite, not of the policy's structure, or have not changed.
    """
    check_length(after, len(starts), step)
    names = [name for name, _ in policy.named_parameters()]
    changes = []
    for before, weights in zip(starts, after, strict=True):
        check_weights(weights, policy, step, "the policy's weights are NaN or infinite after a step")
        changes.append(flat([weights[name] for name in names]) - flat([before[name] for name in names]))
        if not bool(changes[-1].abs().max() > 0):
            raise AssertionError(f"{step}: {unchanged}")
    return changes


def probes_of(seed: int, steps: int, count: int) -> tuple[int, ...]:
    """Numbers of the steps of a training that are judged one by one: the first, and others that the seed draws."""
    return (0, *sorted(random.Random(seed).sample(range(1, steps), count - 1)))


def probed(
    record: Mapping[str, Any], probes: Sequence[int], policy: nn.Module, step: str, unchanged: str
) -> Iterator[tuple[int, Mapping[str, Tensor], Tensor]]:
    """The probed steps of a training.

    Args:
        record: with `probes`, the weights before and after each.
        probes: numbers of these steps, the first 0.
        policy: a policy as the training begins with it: the weights before step 0 are taken from it.
        step: the name of the student's function, for the messages.
        unchanged: what to say of an update that changes nothing.

    Yields:
        For each its number, the weights before it and their change as one long vector.

    Raises:
        AssertionError: weights are missing, not finite, not of the policy's structure, or have not changed.
    """
    check_length(record["probes"], len(probes), step)
    start = weights_of(policy)
    for number, pair in zip(probes, record["probes"], strict=True):
        check_length(pair, 2, step)
        before = start if number == 0 else pair[0]
        check_weights(before, policy, step, "the policy's weights are NaN or infinite in the training")
        (change,) = updates([pair[1]], [before], policy, step, unchanged)
        yield number, before, change


def check_conduct(record: Mapping[str, Any], step: str, *which: str) -> None:
    """A step does nothing besides its update.

    Args:
        record: with `conduct`, a note for each call.
        step: the name of the student's function, for the message.
        which: the faults that count, keys of `helpers.worlds.conduct.FAULTS`.

    Raises:
        AssertionError: it does, or the notes are not complete.
    """
    notes = record["conduct"]
    check_length(notes, len(record["answers"]), step)
    if not all(isinstance(note, Mapping) and _is_note(note) for note in notes):
        raise AssertionError(f"{step}: {INCOMPLETE}")
    fault = conduct.told(notes, *which)
    if fault:
        raise AssertionError(f"{step}: {fault}")


def _is_note(note: Mapping[str, Any]) -> bool:
    """Whether a note is of the form that `helpers.worlds.conduct.observed` gives it: it may be forged."""
    texts = note.get("faults"), note.get("random")
    return type(note.get("steps")) is int and all(
        isinstance(listed, list) and all(isinstance(text, str) for text in listed) for listed in texts
    )


def check_one_step(record: Mapping[str, Any], step: str) -> None:
    """The optimizer's `step` ran once in each call.

    Raises:
        AssertionError: it did not.
    """
    if any(note["steps"] != 1 for note in record["conduct"]):
        raise AssertionError(f"{step} must call optimizer.step() exactly once in each call")


def check_size(
    change: Tensor, right: Tensor, step: str, known: Mapping[str, float], otherwise: tuple[str, str]
) -> None:
    """An update that points where it should must be as long as one step of plain gradient descent.

    Args:
        change: the update, as one long vector.
        right: what it should be.
        step: the name of the student's function, for the message.
        known: how many times as long known mistakes make it, by the message that names them.
        otherwise: what to say of other sizes: too small, too large.

    Raises:
        AssertionError: it is shorter or longer.
    """
    size = float(change.norm() / right.norm())
    if abs(size - 1) <= SAME_SIZE:
        return
    named = (message for message, times in known.items() if abs(size - times) <= SAME_SIZE * times)
    raise AssertionError(f"{step}: {next(named, otherwise[size > 1])}")


def some_are_still(change: Tensor, right: Tensor, policy: nn.Module) -> bool:
    """Whether some parameters did not move at all, though others did and the right update moves them."""
    sizes = [weight.numel() for weight in policy.parameters()]
    parts = zip(change.split(sizes), right.split(sizes), strict=True)
    still = [not moved.any() and bool(wanted.any()) for moved, wanted in parts]
    return any(still) and not all(still)


def check_parameters(change: Tensor, right: Tensor, policy: nn.Module, step: str) -> None:
    """Every parameter must move as it should: an angle over all of them hides those with short gradients.

    Args:
        change: the update, as one long vector.
        right: what it should be.
        policy: with the weights before the update; rounding allows for some difference of large ones.
        step: the name of the student's function, for the message.

    Raises:
        AssertionError: some parameters did not move or moved otherwise.
    """
    if some_are_still(change, right, policy):
        raise AssertionError(f"{step}: {STILL}")
    sizes = [weight.numel() for weight in policy.parameters()]
    rounding = [2e-7 * float(weight.detach().norm()) + 1e-9 for weight in policy.parameters()]
    off = []
    for moved, wanted, least in zip(change.split(sizes), right.split(sizes), rounding, strict=True):
        off.append(float((moved - wanted).norm()) > SAME_PARAMETER * float(wanted.norm()) + least)
    if any(off) or float((change - right).norm()) > SAME_UPDATE * float(right.norm()) + sum(rounding):
        raise AssertionError(
            f"{step}: the update is nearly that of the loss, and something else is in it (another term in the loss, a weight "
            "decay, noise, gradients that were cut or changed?)"
        )


def check_length(recorded: Any, wanted: int, step: str) -> None:
    """A record must hold as much as its world writes down: an empty one would pass every check of its entries.

    Raises:
        AssertionError: it does not.
    """
    if not isinstance(recorded, list) or len(recorded) != wanted:
        raise AssertionError(f"{step}: {INCOMPLETE}")


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors as one long vector of float64."""
    return torch.cat([tensor.detach().double().flatten() for tensor in tensors])


def cosine(left: Tensor, right: Tensor) -> float:
    """Cosine of the angle between two directions; 0 where one of them has no length."""
    return float(torch.cosine_similarity(left, right, dim=0))
