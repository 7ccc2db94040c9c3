"""What the judges of both training steps ask of recorded weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

SAME_DIRECTION = 0.99  # the cosine from which two directions count as one
LARGEST_UPDATE = 1.05  # in steps of plain gradient descent


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
    if {name: weight.shape for name, weight in weights.items()} != shapes:
        raise AssertionError(f"{step} changed the policy's structure")
    if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
        raise AssertionError(f"{step}: {otherwise}")


def updates(
    record: Mapping[str, Any], count: int, policy: nn.Module, step: str, unchanged: str
) -> Iterator[tuple[Mapping[str, Tensor], Tensor]]:
    """The recorded updates of a policy, one after the other.

    Args:
        record: with `weights`, before the first step and after each.
        count: how many steps the world makes.
        policy: a policy as the world hands it out.
        step: the name of the student's function, for the messages.
        unchanged: what to say of an update that changes nothing.

    Yields:
        For each step the weights before it, and their change as one long vector.

    Raises:
        AssertionError: the weights of a step are not finite, not of the policy's structure, or have not changed.
    """
    check_length(record["weights"], count + 1, step)
    names = [name for name, _ in policy.named_parameters()]
    for before, after in itertools.pairwise(record["weights"]):
        check_weights(after, policy, step, "the policy's weights are NaN or infinite after a step")
        change = flat([after[name] for name in names]) - flat([before[name] for name in names])
        if not bool(change.abs().max() > 0):
            raise AssertionError(f"{step}: {unchanged}")
        yield before, change


def check_length(recorded: Sequence[Any], wanted: int, step: str) -> None:
    """A record must hold as much as its world writes down: an empty one would pass every check of its entries.

    Raises:
        AssertionError: it does not.
    """
    if len(recorded) != wanted:
        raise AssertionError(f"{step}: the record of its run is not complete")


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors as one long vector of float64."""
    return torch.cat([tensor.detach().double().flatten() for tensor in tensors])


def cosine(left: Tensor, right: Tensor) -> float:
    """Cosine of the angle between two directions; 0 where one of them has no length."""
    return float(torch.cosine_similarity(left, right, dim=0))
