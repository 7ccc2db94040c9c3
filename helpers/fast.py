"""The fast path: log-probabilities of completions from a real language model, without what a training step does not need.

What the students write stays what is taught: logits of every position, their log-softmax, and then one entry of each row.
Here the same numbers and the same gradients come at less expense. Only the completions' own tokens go through the output
layer; it and the log-softmax are one operation with a gradient of its own, so that one table of probabilities is kept where
autograd would keep three; columns that hold padding only are left out, and rows of like length can be read together.
`benchmarks/beside_trl.py` measures what it gains.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel
from transformers.activations import NewGELUActivation

from .models import by_rows, positions_of

ROWS = 1024  # tokens that go through the output layer at once: with 50,000 words a table of 200 MB
PLAIN_HEADS = ("gpt2", "llama")  # model types whose logits are the output layer's and nothing else: no scale, no cap


def completion_log_probs(
    policy: nn.Module,
    ids: Int[Tensor, "B T"],
    attention_mask: Bool[Tensor, "B T"],
    completion_mask: Bool[Tensor, "B T"],
    *,
    groups: int = 1,
) -> Float[Tensor, "B T-1"]:
    """Log-probability of each completion token under the policy; 0 everywhere else. Gradients flow to the weights.

    Args:
        policy: a language model of `transformers`, with a LoRA adapter or without.
        ids: token ids, padded on the left, on the right, or both.
        attention_mask: True on real tokens, False on padding.
        completion_mask: True on the tokens to score.
        groups: cut the batch into so many groups of rows of like length, each as wide as its longest row. It pays where
            rows differ much in length.

    Returns:
        Entry `[b, t]` belongs to the token `ids[b, t+1]`.

    Raises:
        TypeError: the policy is no model of `transformers`.
        ValueError: there are fewer rows than groups, or no group.
    """
    model: Any = policy
    if hasattr(model, "get_base_model"):  # peft has wrapped it
        model = model.get_base_model()
    if not isinstance(model, PreTrainedModel):
        raise TypeError(f"the fast path needs a language model of transformers, not {type(model).__name__}")
    if not 1 <= groups <= len(ids):
        raise ValueError(f"{len(ids)} rows cannot be cut into {groups} groups")
    read = partial(by_rows, policy, partial(_of_group, model))
    if groups == 1:
        return read(ids, attention_mask, completion_mask)
    order = attention_mask.sum(dim=1).argsort(descending=True, stable=True)  # [B]
    found = [read(ids[part], attention_mask[part], completion_mask[part]) for part in order.chunk(groups)]
    return torch.cat(found)[order.argsort()]  # [B, T-1]


@contextmanager
def fused_activations(policy: nn.Module) -> Iterator[None]:
    """Inside the block, GPT-2's activation is PyTorch's own kernel: one pass over the numbers where `transformers` takes eight.

    Both compute the same function (the tanh form of GELU), so results differ by rounding only.
    """
    swapped = []
    for module in policy.modules():
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                swapped.append((module, name, child))
                setattr(module, name, nn.GELU(approximate="tanh"))
    try:
        yield
    finally:
        for module, name, child in swapped:
            setattr(module, name, child)


def _of_group(model: PreTrainedModel, ids: Tensor, attention_mask: Tensor, completion_mask: Tensor) -> Tensor:
    """What `completion_log_probs` returns, for rows that are read together."""
    columns = attention_mask.any(dim=0).nonzero()[:, 0]  # those that hold a token
    start, end = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, ids.shape[1])
    wanted = completion_mask[:, start + 1 : end]  # [B, t-1]
    of_wanted = _scored(model, ids[:, start:end], attention_mask[:, start:end], wanted)  # [M]
    result = of_wanted.new_zeros(wanted.shape).masked_scatter(wanted, of_wanted)  # [B, t-1]
    return nn.functional.pad(result, (start, ids.shape[1] - end))


def _scored(model: PreTrainedModel, ids: Tensor, attention_mask: Tensor, wanted: Tensor) -> Tensor:
    """The log-probabilities `[M]` of the wanted tokens, row by row; `wanted` `[B, t-1]` says of which next tokens."""
    read = {
        "input_ids": ids,
        "attention_mask": attention_mask.long(),
        "position_ids": positions_of(attention_mask),
        "use_cache": False,
    }
    following = ids[:, 1:][wanted]  # [M]
    head = model.get_output_embeddings()
    if model.config.model_type in PLAIN_HEADS and type(head) is nn.Linear and head.bias is None:
        hidden = model.base_model(**read).last_hidden_state[:, :-1][wanted]  # [M, D]
        return torch.cat(
            [
                _OutputLayer.apply(part, head.weight, tokens)
                for part, tokens in zip(hidden.split(ROWS), following.split(ROWS), strict=True)
            ]
        )
    first = (
        int(wanted.any(dim=0).long().argmax()) if wanted.numel() else 0
    )  # the position before the first wanted token
    logits = model(**read, logits_to_keep=ids.shape[1] - first).logits[:, :-1][wanted[:, first:]]  # [M, V]
    return -nn.functional.cross_entropy(logits, following, reduction="none")


class _OutputLayer(torch.autograd.Function):
    """From hidden states `[M, D]`, the output layer's weight `[V, D]` and tokens `[M]` to the tokens' log-probs `[M]`."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, tokens: Tensor) -> Tensor:
        logits = hidden @ weight.T  # [M, V]
        table = logits.log_softmax(dim=-1)  # [M, V]
        del logits
        result = table.gather(-1, tokens[:, None])[:, 0]  # [M]
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            ctx.save_for_backward(hidden, weight, tokens, table.exp_())
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        hidden, weight, tokens, probabilities = ctx.saved_tensors
        table = probabilities.mul_(-gradient[:, None])  # [M, V] in place: so a graph can be walked once, as in training
        table.scatter_add_(1, tokens[:, None], gradient[:, None])
        of_hidden = table @ weight if ctx.needs_input_grad[0] else None
        of_weight = table.T @ hidden if ctx.needs_input_grad[1] else None
        return of_hidden, of_weight, None
