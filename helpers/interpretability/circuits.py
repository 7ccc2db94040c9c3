"""Look inside attention heads and intervene on them, in plain `transformers` models of the GPT-2 and Llama kinds.

A *head output* here is what one head has mixed together from the values it attended to, **before** the layer's output
projection: a tensor `[B, T, H, D]` for one layer (batch, position, head, head width). The layer's output projection
turns the heads' outputs into the vector that is added to the residual stream. Everything in this module reads or
replaces these head outputs (or the queries, keys and values of single heads) with ordinary PyTorch hooks; the model
itself is never changed, and every hook is removed again even when an error occurs.

Source of the methods: Wang et al. 2022 (arXiv 2211.00593).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

Head = tuple[int, int]  # (layer, head), both counted from 0
Part = Any  # a module of the model; what is inside it depends on the architecture
Edit = Callable[[int, Tensor], Tensor]  # (layer, head outputs [B, T, H, D]) -> head outputs [B, T, H, D]
Patch = Callable[..., Tensor]  # the student's patch_heads(receiver, donor, heads, positions=None)


@dataclass(frozen=True)
class Anatomy:
    """Where the parts of a model are: the same names for both kinds of model."""

    blocks: Sequence[Part]  # one per layer
    heads: int  # H, query heads per layer
    key_heads: int  # key and value heads per layer; fewer than H where several heads share them (Llama kind)
    width: int  # D, of one head
    final_norm: Part
    unembedding: Float[Tensor, "V W"]
    is_gpt2: bool

    def attention(self, layer: int) -> Part:
        """The attention module of a layer."""
        return self.blocks[layer].attn if self.is_gpt2 else self.blocks[layer].self_attn

    def output_projection(self, layer: int) -> Part:
        """The module that turns the concatenated head outputs into the layer's attention output."""
        return self.attention(layer).c_proj if self.is_gpt2 else self.attention(layer).o_proj

    def all_heads(self) -> list[Head]:
        """Every (layer, head) of the model, layer by layer."""
        return [(layer, head) for layer in range(len(self.blocks)) for head in range(self.heads)]

    def head_matrices(self, layer: int) -> Float[Tensor, "H D W"]:
        """The output projection cut into one matrix per head: head output `[D]` times it is what the head adds."""
        weight = self.output_projection(layer).weight
        weight = weight if self.is_gpt2 else weight.T  # GPT-2's Conv1D stores [in, out], nn.Linear [out, in]
        return weight.reshape(self.heads, self.width, -1)


def anatomy(model: Any) -> Anatomy:
    """Find the parts of a GPT-2 or Llama-kind causal language model; `TypeError` for any other architecture."""
    config: Any = getattr(model, "config", None)
    if hasattr(model, "transformer") and hasattr(model.transformer, "h"):
        blocks, norm, gpt2 = model.transformer.h, model.transformer.ln_f, True
    elif hasattr(model, "model") and hasattr(model.model, "layers") and hasattr(model.model.layers[0], "self_attn"):
        blocks, norm, gpt2 = model.model.layers, model.model.norm, False
    else:
        raise TypeError(f"{type(model).__name__} is neither of the GPT-2 nor of the Llama kind")
    heads = config.num_attention_heads
    key_heads = heads if gpt2 else config.num_key_value_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return Anatomy(list(blocks), heads, key_heads, width, norm, model.get_output_embeddings().weight, gpt2)


def head_output_hook(parts: Anatomy, layer: int, edit: Edit) -> RemovableHandle:
    """Register `edit` on the head outputs of one layer; returns the hook's handle."""

    def before_projection(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        merged = inputs[0]  # [B, T, H·D]
        outputs = edit(layer, merged.unflatten(-1, (parts.heads, parts.width)))
        return (outputs.flatten(-2), *inputs[1:])

    return parts.output_projection(layer).register_forward_pre_hook(before_projection)


@dataclass(frozen=True)
class Recording:
    """What one forward pass left behind: `B` texts of `T` tokens, `L` layers of `H` heads of width `D`."""

    logits: Float[Tensor, "B T V"]
    outputs: Float[Tensor, "L B T H D"]  # head outputs
    patterns: Float[Tensor, "L B H T T"] | None  # attention: [..., query position, key position]
    before: Float[Tensor, "L B T W"]  # the residual stream that enters each layer
    middle: Float[Tensor, "L B T W"]  # after the attention of the layer, before its MLP
    last: Float[Tensor, "B T W"]  # the residual stream that enters the final normalisation


@torch.no_grad()
def record(
    model: PreTrainedModel, ids: Int[Tensor, "B T"], patterns: bool = True, edit: Edit | None = None
) -> Recording:
    """Run the model on `ids` (no padding) and keep the head outputs, attention patterns and residual stream.

    Args:
        edit: changes every layer's head outputs before they are kept and go on, as in `run_with_heads`; None: as they are.
    """
    parts = anatomy(model)
    outputs: dict[int, Tensor] = {}
    before: dict[int, Tensor] = {}
    middle: dict[int, Tensor] = {}
    last: list[Tensor] = []

    def keep(layer: int, heads: Tensor) -> Tensor:
        heads = heads if edit is None else edit(layer, heads)
        outputs[layer] = heads.clone()
        return heads

    def keep_input(store: dict[int, Tensor], layer: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            store[layer] = (args[0] if args else kwargs["hidden_states"]).clone()

        return hook

    if patterns and model.config._attn_implementation != "eager":
        model.set_attn_implementation("eager")  # the only kind that computes the attention pattern explicitly
    with ExitStack() as hooks:
        for layer, block in enumerate(parts.blocks):
            second_norm = block.ln_2 if parts.is_gpt2 else block.post_attention_layernorm
            hooks.enter_context(head_output_hook(parts, layer, keep))
            hooks.enter_context(block.register_forward_pre_hook(keep_input(before, layer), with_kwargs=True))
            hooks.enter_context(second_norm.register_forward_pre_hook(keep_input(middle, layer), with_kwargs=True))
        hooks.enter_context(
            parts.final_norm.register_forward_pre_hook(lambda module, inputs: last.append(inputs[0].clone()))
        )
        result = model(ids, output_attentions=patterns, use_cache=False)

    def stack(store: dict[int, Tensor]) -> Tensor:
        return torch.stack([store[layer] for layer in range(len(parts.blocks))])

    attention = torch.stack(result.attentions) if patterns else None
    return Recording(result.logits, stack(outputs), attention, stack(before), stack(middle), last[0])


@torch.no_grad()
def run_with_heads(model: PreTrainedModel, ids: Int[Tensor, "B T"], edit: Edit) -> Float[Tensor, "B T V"]:
    """Run the model with every layer's head outputs passed through `edit(layer, outputs [B, T, H, D])`."""
    parts = anatomy(model)
    with ExitStack() as hooks:
        for layer in range(len(parts.blocks)):
            hooks.enter_context(head_output_hook(parts, layer, edit))
        return model(ids, use_cache=False).logits


def by_layer(heads: Sequence[Head]) -> dict[int, list[int]]:
    """The heads of each layer that has any of these, from layer to numbers."""
    found: dict[int, list[int]] = {}
    for layer, head in heads:
        found.setdefault(layer, []).append(head)
    return found


def swapping(
    patch: Patch, heads: Sequence[Head], source: Float[Tensor, "L B T H D"], positions: Int[Tensor, " B"] | None = None
) -> Edit:
    """An edit that hands each layer's head outputs to `patch`, with those of `source` as the donor.

    With `positions`, one position for each text, texts with the same position are patched together.
    """
    chosen = by_layer(heads)

    def edit(layer: int, outputs: Tensor) -> Tensor:
        if layer not in chosen:
            return outputs
        if positions is None:
            return patch(outputs, source[layer], chosen[layer])
        changed = outputs.clone()
        for position in positions.unique().tolist():
            rows = (positions == position).nonzero()[:, 0]
            changed[rows] = patch(outputs[rows], source[layer][rows], chosen[layer], [position])
        return changed

    return edit


def patched_logits(
    model: PreTrainedModel,
    ids: Int[Tensor, "B T"],
    heads: Sequence[Head],
    source: Float[Tensor, "L B T H D"],
    patch: Patch,
    positions: Int[Tensor, " B"] | None = None,
) -> Float[Tensor, "B V"]:
    """Activation patching: run on `ids` with some heads' outputs from another run; logits at the last position.

    Args:
        model: of the GPT-2 or the Llama kind.
        ids: what it reads; no padding.
        heads: (layer, head) pairs.
        source: the outputs of a recording, from which the named heads' are taken.
        patch: `patch_heads` of this part's exercise; it is called once for each layer and position.
        positions: one for each text; None for all.
    """
    return run_with_heads(model, ids, swapping(patch, heads, source, positions))[:, -1]


@torch.no_grad()
def stream_patched_logits(
    model: PreTrainedModel,
    ids: Int[Tensor, "B T"],
    layer: int,
    source: Float[Tensor, "L B T W"],
    positions: Int[Tensor, " B"],
) -> Float[Tensor, "B V"]:
    """Run on `ids` with the residual stream that enters a layer from another run, at one position of each text.

    `source` is `Recording.before` of that run. Returns the logits at the last position.
    """
    rows = torch.arange(len(ids), device=ids.device)

    def insert(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        stream = (args[0] if args else kwargs["hidden_states"]).clone()  # [B, T, W]
        stream[rows, positions] = source[layer][rows, positions]
        return ((stream, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": stream})

    with ExitStack() as hooks:
        hooks.enter_context(anatomy(model).blocks[layer].register_forward_pre_hook(insert, with_kwargs=True))
        return model(ids, use_cache=False).logits[:, -1]


def path_patch(
    model: PreTrainedModel,
    ids: Int[Tensor, "B T"],
    clean: Recording,
    other: Recording,
    patch: Patch,
    senders: Sequence[Head],
    receivers: Sequence[Head] = (),
    through: str = "query",
    positions: Int[Tensor, " B"] | None = None,
) -> Float[Tensor, "B V"]:
    """Path patching (Wang et al. 2022): change what the receivers are told by the senders, and nothing else.

    The senders' outputs come from `other`; every other head is held at its output in `clean` (the recording of
    `ids`), so that the change travels to the receivers only along the residual stream and the MLPs between. Without
    `receivers` the receiver is the logits. With receivers, their `through` ("query", "key" or "value") as seen in
    that run is put into a fresh run on `ids` in which all heads are free to react. `positions` restricts the senders'
    change to one position of each text; `patch` is `patch_heads` of this part's exercise. Returns the logits at the last
    position.
    """
    swap = swapping(patch, senders, other.outputs, positions)

    def hold(layer: int, outputs: Tensor) -> Tensor:
        return swap(layer, clean.outputs[layer])

    if not receivers:
        return run_with_heads(model, ids, hold)[:, -1]
    parts = anatomy(model)
    seen: dict[int, Tensor] = {}
    chosen = by_layer(receivers)
    with ExitStack() as hooks, torch.no_grad():
        for layer in range(len(parts.blocks)):
            hooks.enter_context(head_output_hook(parts, layer, hold))
        for layer in chosen:
            hooks.enter_context(projection_hook(parts, layer, through, partial(keep_copy, seen, layer)))
        model(ids, use_cache=False)
    with ExitStack() as hooks, torch.no_grad():
        for layer, heads in chosen.items():
            if through != "query":  # heads that share keys and values receive together
                heads = sorted({head * parts.key_heads // parts.heads for head in heads})

            def insert(x: Tensor, layer: int = layer, heads: list[int] = heads) -> Tensor:
                changed = x.clone()
                changed[:, :, heads] = seen[layer][:, :, heads]
                return changed

            hooks.enter_context(projection_hook(parts, layer, through, insert))
        return model(ids, use_cache=False).logits[:, -1]


def projection_hook(parts: Anatomy, layer: int, kind: str, act: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Register `act` on the queries, keys or values `[B, T, heads, D]` of a layer; its result replaces them."""
    if kind not in ("query", "key", "value"):
        raise ValueError(f"through must be 'query', 'key' or 'value', not {kind!r}")
    heads = parts.heads if kind == "query" else parts.key_heads

    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if not parts.is_gpt2:
            changed = act(output.unflatten(-1, (heads, parts.width)))
            return None if changed is None else changed.flatten(-2)
        three = list(output.chunk(3, dim=-1))  # GPT-2 computes queries, keys and values in one matrix
        index = ("query", "key", "value").index(kind)
        changed = act(three[index].unflatten(-1, (heads, parts.width)))
        if changed is None:
            return None
        three[index] = changed.flatten(-2)
        return torch.cat(three, dim=-1)

    if parts.is_gpt2:
        return parts.attention(layer).c_attn.register_forward_hook(hook)
    name = {"query": "q_proj", "key": "k_proj", "value": "v_proj"}[kind]
    return getattr(parts.attention(layer), name).register_forward_hook(hook)


def keep_copy(store: dict[int, Tensor], layer: int, x: Tensor) -> None:
    """Put a copy of a layer's tensor into a store; it replaces nothing."""
    store[layer] = x.clone()


def with_shifted_head(model: PreTrainedModel, head: Head, size: float, seed: int = 0) -> PreTrainedModel:
    """A copy of a GPT-2 that computes the same function, in which one head always says a constant more.

    A random constant of the given length is added to the head's values. A head's attention adds up to 1, so its output
    then holds the same constant, whatever the text. What this adds to the residual stream is subtracted from the bias
    of the output projection. Model and copy give the same logits; but "this head's output set to 0" now means
    something else. Used to compare zero ablation with mean ablation.
    """
    changed = copy.deepcopy(model)
    parts = anatomy(changed)
    if not parts.is_gpt2:
        raise TypeError("only GPT-2 has the biases that this needs")
    layer, number = head
    constant = torch.randn(parts.width, generator=torch.Generator().manual_seed(seed))
    constant = (size * constant / constant.norm()).to(parts.unembedding)
    start = 2 * parts.heads * parts.width + number * parts.width  # queries, keys, then values
    with torch.no_grad():
        parts.attention(layer).c_attn.bias[start : start + parts.width] += constant
        parts.output_projection(layer).bias -= constant @ parts.head_matrices(layer)[number]
    return changed
