"""What the judges of both training steps ask of recorded weights."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from helpers.worlds.small import weights_of

SAME_DIRECTION = 0.99  # the cosine from which two directions count as one
LARGEST_UPDATE = 1.05  # in steps of plain gradient descent
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


def check_length(recorded: Sequence[Any], wanted: int, step: str) -> None:
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
