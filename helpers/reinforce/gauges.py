"""What one training step does to a policy, in two numbers: how long the gradient is, and how far the weights go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from helpers.devices import in_float64


@contextmanager
def step_sizes(policy: nn.Module) -> Iterator[dict[str, float]]:
    """Measure the training step that runs inside; nothing of it is changed.

    Args:
        policy: the model that the step trains.

    Yields:
        A dict, filled at the end: `gradient`, the norm of the gradient as `backward` leaves it (before any clipping), and
        `step_length`, the norm of the change of all weights together.
    """
    parameters = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    squares: dict[int, Tensor] = {}

    def note(parameter: Tensor) -> None:
        if parameter.grad is not None:
            squares[id(parameter)] = in_float64(parameter.grad).square().sum().cpu()

    hooks = [parameter.register_post_accumulate_grad_hook(note) for parameter in parameters]
    before = [parameter.detach().clone() for parameter in parameters]
    sizes: dict[str, float] = {}
    try:
        yield sizes
    finally:
        for hook in hooks:
            hook.remove()
    sizes["gradient"] = float(sum(squares.values(), torch.zeros((), dtype=torch.float64)).sqrt())
    moved = (
        in_float64(parameter.detach() - was).square().sum().cpu()
        for parameter, was in zip(parameters, before, strict=True)
    )
    sizes["step_length"] = float(sum(moved, torch.zeros((), dtype=torch.float64)).sqrt())
