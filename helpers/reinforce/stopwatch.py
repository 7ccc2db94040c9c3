"""Where the time of a training step goes, measured from outside: the step itself is called as it is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from helpers.generation import Rollout

PARTS = ("sampling", "reward model", "policy, forward", "log-probs and loss", "policy, backward", "optimizer", "rest")


def step_parts(
    step: Callable[..., Any],
    policy: nn.Module,
    optimizer: torch.optim.Optimizer,
    sample: Callable[[], Rollout],
    reward_model: Callable[[Sequence[str]], Tensor],
) -> dict[str, float]:
    """Take one training step and say how many seconds each of its parts took.

    Args:
        step: `step(policy, optimizer, rollout, reward_model)`.
        policy: the language model; what happens between the end of its forward pass and the arrival of the gradient at its
            logits is counted as "log-probs and loss", what follows until the optimizer begins as its backward pass.
        sample: gives the batch.

    Returns:
        Seconds under each name of `PARTS`.
    """
    seconds = dict.fromkeys(PARTS, 0.0)
    where = next(policy.parameters()).device
    last = _now(where)

    def mark(part: str) -> None:
        """What went by since the last mark was spent on this part."""
        nonlocal last
        now = _now(where)
        seconds[part] += now - last
        last = now

    def scored(texts: Sequence[str]) -> Tensor:
        mark("rest")
        rewards = reward_model(texts)
        mark("reward model")
        return rewards

    rollout = sample()
    mark("sampling")
    with _hooked(policy, optimizer, mark):
        step(policy, optimizer, rollout, scored)
    mark("rest")
    return seconds


def median_seconds(call: Callable[[], Any], device: torch.device, repeats: int = 4) -> float:
    """How long a call takes: the median of so many, after one that warms up."""
    times = []
    for _ in range(repeats + 1):
        start = _now(device)
        call()
        times.append(_now(device) - start)
    return statistics.median(times[1:])


@contextmanager
def _hooked(policy: nn.Module, optimizer: torch.optim.Optimizer, mark: Callable[[str], None]) -> Iterator[None]:
    """Inside the block, forward passes of the policy, gradients at its logits and the optimizer's step set marks."""

    def read(module: nn.Module, arguments: Any, output: Any) -> None:
        mark("policy, forward")
        if output.logits.requires_grad:
            output.logits.register_hook(lambda gradient: mark("log-probs and loss"))

    hooks = [
        policy.register_forward_pre_hook(lambda module, arguments: mark("rest")),
        policy.register_forward_hook(read),
        optimizer.register_step_pre_hook(lambda *_: mark("policy, backward")),
        optimizer.register_step_post_hook(lambda *_: mark("optimizer")),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _now(device: torch.device) -> float:
    """Seconds of a clock, after a GPU has done what it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
