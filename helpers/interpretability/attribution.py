"""Who writes the answer: what the parts of a model add to a difference of two logits, and what heads do with what they read.

Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from .circuits import Part, Recording, anatomy, keep_copy, projection_hook, record


def norm_scale(norm: Part, stream: Float[Tensor, "B W"]) -> Float[Tensor, "B 1"]:
    """What the final normalisation (LayerNorm or RMSNorm) divides a residual stream by, once its mean is gone."""
    if isinstance(norm, nn.LayerNorm):
        return (stream.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
    return (stream.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon).sqrt()


@dataclass(frozen=True)
class Attribution:
    """Who writes how much in a chosen direction of the logits, at the last position; the four parts add up to it."""

    heads: Float[Tensor, "B L H"]
    mlps: Float[Tensor, "B L"]
    embedding: Float[Tensor, " B"]
    constant: Float[Tensor, " B"]  # biases of the output projections and of the final normalisation

    def total(self) -> Float[Tensor, " B"]:
        """The sum of all parts: exactly the logit difference of the run."""
        return self.heads.sum((1, 2)) + self.mlps.sum(1) + self.embedding + self.constant


@torch.no_grad()
def head_writes(model: PreTrainedModel, run: Recording) -> Float[Tensor, "L B H W"]:
    """What each head adds to the residual stream at the last position, as the final normalisation passes it on.

    That is: its mean taken away where the normalisation is a LayerNorm, and divided by the scale of this run. The
    normalisation's weights are not in it; `answer_direction` has them.
    """
    parts = anatomy(model)
    scale = norm_scale(parts.final_norm, run.last[:, -1])[:, None]  # [B, 1, 1]
    written = torch.stack(
        [torch.einsum("bhd,hdw->bhw", outputs[:, -1], parts.head_matrices(n)) for n, outputs in enumerate(run.outputs)]
    )  # [L, B, H, W]
    if isinstance(parts.final_norm, nn.LayerNorm):
        written = written - written.mean(-1, keepdim=True)
    return written / scale


@torch.no_grad()
def answer_direction(
    model: PreTrainedModel, plus_ids: Int[Tensor, " B"], minus_ids: Int[Tensor, " B"]
) -> Float[Tensor, "B W"]:
    """The direction along which a step of length 1 raises logit(plus) − logit(minus) most.

    The difference of the two tokens' rows of the unembedding, times the weights of the final normalisation.
    """
    parts = anatomy(model)
    return parts.final_norm.weight * (parts.unembedding[plus_ids] - parts.unembedding[minus_ids])


@torch.no_grad()
def attribute_logits(
    model: PreTrainedModel, run: Recording, plus_ids: Int[Tensor, " B"], minus_ids: Int[Tensor, " B"]
) -> Attribution:
    """Split the difference of two tokens' logits at the last position into what each head and each MLP wrote directly.

    The residual stream is a sum, and the logits are a linear function of it once the scale of the final normalisation
    is held at its value in this run; so the logit difference is a sum of one number for each part of the model.
    """
    parts = anatomy(model)
    norm = parts.final_norm
    direction = answer_direction(model, plus_ids, minus_ids)  # [B, W]
    direction_in = direction / norm_scale(norm, run.last[:, -1])
    from_bias = torch.zeros_like(direction[:, 0])
    if isinstance(norm, nn.LayerNorm):  # RMSNorm has no mean and no bias
        direction_in = direction_in - direction_in.mean(-1, keepdim=True)  # the normalisation takes the mean away
        from_bias = (norm.bias * (parts.unembedding[plus_ids] - parts.unembedding[minus_ids])).sum(-1)

    mlps = []
    after = [*run.before[1:], run.last]
    for layer in range(len(parts.blocks)):
        mlps.append(((after[layer] - run.middle[layer])[:, -1] * direction_in).sum(-1))
        bias = parts.output_projection(layer).bias
        if bias is not None:
            from_bias = from_bias + (bias * direction_in).sum(-1)
    heads = torch.einsum("lbhw,bw->blh", head_writes(model, run), direction)
    embedding = (run.before[0][:, -1] * direction_in).sum(-1)
    return Attribution(heads, torch.stack(mlps, 1), embedding, from_bias)


@torch.no_grad()
def copying_scores(
    model: PreTrainedModel, ids: Int[Tensor, "B T"], positions: Int[Tensor, " B"], rivals: Int[Tensor, " N"]
) -> Float[Tensor, "L H"]:
    """What each head would do to a word's own logit if it put all its attention, at the last position, on that word.

    The head's value at `positions` goes through the output matrix, the final normalisation (its scale held) and the
    unembedding. The score is the logit that the word there gets, minus the mean over the `rivals` (other words of its
    kind), averaged over the texts. Positive: the head copies what it looks at. Negative: it suppresses it.
    """
    parts = anatomy(model)
    values: dict[int, Tensor] = {}
    with ExitStack() as hooks:
        for layer in range(len(parts.blocks)):
            hooks.enter_context(projection_hook(parts, layer, "value", partial(keep_copy, values, layer)))
        run = record(model, ids, patterns=False)
    rows = torch.arange(len(ids), device=ids.device)
    words = ids[rows, positions]  # [B]
    norm = parts.final_norm
    scale = norm_scale(norm, run.last[:, -1])[:, None]  # [B, 1, 1]
    scores = []
    for layer in range(len(parts.blocks)):
        value = values[layer][rows, positions]  # [B, key heads, D]
        value = value.repeat_interleave(parts.heads // parts.key_heads, dim=1)
        written = torch.einsum("bhd,hdw->bhw", value, parts.head_matrices(layer))
        if isinstance(norm, nn.LayerNorm):
            written = written - written.mean(-1, keepdim=True)
        logits = (written * norm.weight / scale) @ parts.unembedding.T  # [B, H, V]
        own = logits.gather(2, words[:, None, None].expand(-1, parts.heads, 1))[..., 0]
        scores.append((own - logits[..., rivals].mean(-1)).mean(0))
    return torch.stack(scores)
