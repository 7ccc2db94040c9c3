"""The small world that both training steps share: a random GPT-2 of a few thousand weights, and its vocabulary."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

VOCABULARY, WIDTH, LAYERS, HEADS = 48, 32, 2, 2
PAD_ID, EOS_ID = 0, 1
LIKED, DISLIKED, OTHERS = range(2, 13), range(13, 24), range(24, 48)
DISTANCE = 0.05  # standard deviation of the noise by which a moved policy differs from the one it comes from
BEARINGS = 6
DROPOUT = 0.3  # in train mode only; the worlds hand their models over in eval mode, but where a mode is what is tested


@functools.lru_cache(maxsize=1)
def _blank() -> PreTrainedModel:
    """A model to be copied, in eval mode: making one takes ten times as long."""
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=32,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        resid_pdrop=DROPOUT,
        embd_pdrop=DROPOUT,
        attn_pdrop=DROPOUT,
        bos_token_id=EOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
    )
    with torch.random.fork_rng(devices=[]):
        return GPT2LMHeadModel(config).eval()


def small_policy(seed: int, noise: float = 0.0, draw: int = 0) -> PreTrainedModel:
    """A random GPT-2 in eval mode, with the weights of `_drawn`."""
    policy = copy.deepcopy(_blank())
    set_weights(policy, _drawn(seed, noise, draw))
    return policy


def _drawn(seed: int, noise: float, draw: int) -> dict[str, Tensor]:
    """Random weights; `noise` moves them away from those of the same seed without noise.

    They are drawn here, name by name, so that no version of transformers gives others. Each number `draw` gives another noise.
    """
    first = torch.Generator().manual_seed(seed)
    second = torch.Generator().manual_seed(seed + 1_000_000 * (draw + 1))
    weights = {}
    for name, blank in sorted(_blank().named_parameters()):
        weight = torch.zeros(blank.shape)
        if ".ln_" in name and not name.endswith("bias"):
            weight.fill_(1.0)
        elif not name.endswith("bias"):
            weight.copy_(0.1 * torch.randn(weight.shape, generator=first))
        weights[name] = weight.add_(noise * torch.randn(weight.shape, generator=second))
    return {name: weights[name] for name, _ in _blank().named_parameters()}


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Copies of a model's parameters, by name (those that are tied once)."""
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def start_of(seed: int, number: int, distance: float) -> dict[str, Tensor]:
    """The weights before the single step of this number: those of the seed, moved so far, each step's in its own way."""
    return _drawn(seed, distance, number)


def set_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Write weights into a model's parameters, by name, where they are: an optimizer that has them keeps them."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(weights[name])


def bearings(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> Tensor:
    """The direction of a change of weights in a few numbers: its cosines with fixed random directions, times √size.

    Two changes in one direction have equal bearings, whatever their lengths; two that are at right angles have not.
    """
    change = torch.cat([(after[name] - before[name]).double().flatten() for name in before])
    fixed = torch.randn(BEARINGS, len(change), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return fixed @ change / change.norm().clamp(min=1e-300)


def length(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float:
    """How far weights have moved, as the root of a sum of squares."""
    return float(sum(((after[name] - before[name]).double() ** 2).sum() for name in before)) ** 0.5


def plain_answer(answer: Any) -> dict[str, Any]:
    """What a step returned, as plain data: floats stay floats, anything else becomes the name of its type.

    An answer that is no dict becomes one with the single entry `__type__`.
    """
    if not isinstance(answer, dict):
        return {"__type__": type(answer).__name__}
    return {str(key): value if type(value) is float else type(value).__name__ for key, value in answer.items()}
