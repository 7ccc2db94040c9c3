"""How much memory a training run needs, before it begins: an estimate from the model's sizes, and what to change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from .devices import device_memory
from .weights import size

GIB = 2**30
LARGE = 50_000_000  # parameters from which on `memory_line` is worth a line
LOGIT_TABLES = 4  # logits, their log-softmax, and the gradients of both


@dataclass(frozen=True)
class TrainingMemory:
    """The bytes that a training run needs, by what they hold.

    Attributes:
        weights: of the policy.
        others: weights of the frozen models beside it: the reference, reward models.
        gradients, moments: of what is trainable.
        activations: what the forward pass keeps for the backward pass.
        logits: the tables [B, T, V].
    """

    weights: int
    others: int
    gradients: int
    moments: int
    activations: int
    logits: int

    @property
    def to_come(self) -> int:
        """What is added to the models when training begins."""
        return self.gradients + self.moments + self.activations + self.logits

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.others + self.to_come


def training_memory(
    policy: PreTrainedModel, rows: int, length: int, *, others: Iterable[Any] = (), rows_at_once: int | None = None
) -> TrainingMemory:
    """Estimate the memory of training steps with AdamW on a batch.

    Nothing is computed, so the policy may lie on the device `meta`, without weights. The parts:

    - weights, and gradients and AdamW's two moments of those that are trainable: counted, not estimated;
    - activations: in each layer a token leaves about 11 vectors of the model's width (input, output and statistics of two
      norms, queries, keys, values, the attention's result twice) and 5 of the MLP's inner width (its activation function
      written out, as in `transformers`' GPT-2; a gated MLP as Llama's has 4). This is the count of Korthikanti et al. 2022
      (arXiv 2205.05198, section 4.1) without dropout and in one precision, with what `transformers` keeps besides.
      Attention that is written out (`attn_implementation="eager"`) keeps its probabilities too, one number for each head and
      earlier token;
    - logits: `LOGIT_TABLES` tables [B, T, V] of float32, for a loss of log-probs.

    What it leaves out: the libraries themselves (some 0.5 GiB), sampling, which needs less than training, and memory that the
    allocator keeps for later (with glibc on a CPU some 0.1 GiB). Where a base is frozen, some activations are not kept, so the
    estimate is high. Measured peaks lie within a factor of 1.5 (`tests/helpers/test_memory.py`).

    Args:
        policy: a causal language model of `transformers`.
        rows: sequences of a batch, B.
        length: tokens of a sequence, T.
        others: frozen models beside it.
        rows_at_once: rows that go through the policy at once, see `helpers.models.in_micro_batches`; as it is set for the
            policy if left out.
    """
    config = policy.config
    width, layers = config.hidden_size, config.num_hidden_layers
    inner = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * width
    numbers = 11 * width + 5 * inner  # a token's, in a layer
    if getattr(config, "_attn_implementation", None) == "eager":
        numbers += config.num_attention_heads * length
    together = min(rows, rows_at_once or getattr(policy, "rows_at_once", None) or rows)
    parameters = list(policy.parameters())
    trainable = size(value for value in parameters if value.requires_grad)
    return TrainingMemory(
        weights=size(parameters),
        others=sum(size(model.parameters()) for model in others),
        gradients=trainable,
        moments=2 * trainable,
        activations=together * length * layers * numbers * parameters[0].element_size(),
        logits=LOGIT_TABLES * rows * length * config.vocab_size * 4,
    )


def memory_line(policy: PreTrainedModel, rows: int, length: int, free: float | None, there: int = 0) -> str:
    """Say in one line what a run needs beside the models, what is free, and what helps where that is not enough.

    Args:
        free: GiB that are free on the device; None where nobody knows.
        there: bytes of gradients and moments that are in memory already.
    """
    need = training_memory(policy, rows, length)
    parts = {
        "gradients": need.gradients,
        "AdamW's moments": need.moments,
        "activations": need.activations,
        "logits": need.logits,
    }
    told = ", ".join(f"{name} {value / GIB:.2f}" for name, value in parts.items())
    known = "" if free is None else f"; {free:.2f} GiB are free"
    line = (
        f"Memory of {rows} rows of {length} tokens, about: {told}, together {(need.to_come - there) / GIB:.2f} GiB beside the "
        f"policy's {need.weights / GIB:.2f}{known}."
    )
    if free is None or need.to_come - there <= free * GIB:
        return line
    for fewer in (rows // part for part in (2, 4, 8, 16, 32, 64) if rows >= part):
        less = training_memory(policy, rows, length, rows_at_once=fewer).to_come - there
        if less <= free * GIB:
            return (
                f"{line} That may not fit. With in_micro_batches(policy, {fewer}) from helpers.models the gradients stay the "
                f"same, and it needs {less / GIB:.2f} GiB."
            )
    return f"{line} That may not fit: take a smaller batch, or a smaller model, choose_preset('tiny')."


def announce(policy: PreTrainedModel | None, optimizer: torch.optim.Optimizer | None, batch: Any) -> str:
    """What `train` says of the memory before its first step: `memory_line` where the policy is large, else nothing."""
    shape = batch_shape(batch)
    if policy is None or shape is None or sum(value.numel() for value in policy.parameters()) < LARGE:
        return ""
    moments = [value for kept in (optimizer.state.values() if optimizer else ()) for value in kept.values()]
    gradients = [value.grad for value in policy.parameters() if value.grad is not None]
    there = size(value for value in (*moments, *gradients) if isinstance(value, Tensor))
    free = device_memory(next(policy.parameters()).device)
    return memory_line(policy, *shape, None if free is None else free[0], there)


def batch_shape(batch: Any) -> tuple[int, int] | None:
    """Rows and tokens of what goes through a policy at once: a rollout, or both sides of a batch of pairs; else None."""
    sides = (getattr(batch, name, None) for name in ("ids", "chosen_ids", "rejected_ids"))
    shapes = [tuple(side.shape) for side in sides if isinstance(side, Tensor) and side.ndim == 2]
    return (sum(rows for rows, _ in shapes), max(tokens for _, tokens in shapes)) if shapes else None
