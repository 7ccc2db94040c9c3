"""Sampling completions from the policy in batches, with the log-probability of every sampled token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .models import positions_of

# Rows that have ended leave the batch as soon as no more than this share of it goes on, but never fewer than so many rows
# stay: a product of few rows may take another path through the processor, with other last digits.
WORTH_LEAVING_OUT, LEAST_ROWS = 0.75, 8

# (logits [B, V], temperature, top_k, generator) -> token ids [B]; a student's own may return anything, and is checked
Sampler = Callable[..., Any]


@dataclass(frozen=True)
class Rollout:
    """A batch of prompts with sampled completions.

    Each row is `[padding, prompt, completion, padding]`. The prompts are padded on the left, so that every completion
    begins at the same column, `prompt_length`. What follows a completion's first end-of-text token is padding.

    Attributes:
        ids: int64 `[B, T]`, token ids; `T = prompt_length + new_tokens`.
        attention_mask: bool `[B, T]`, True on real tokens (prompt and completion, its first end-of-text included).
        prompt_length: number of columns that prompts take, padding included.
        completion_mask: bool `[B, T]`, True on the generated tokens, the first end-of-text included.
        log_probs: float32 `[B, T-1]`; entry `[b, t]` is the policy's log-probability of `ids[b, t+1]` when it was
            sampled, and 0 outside the completion. It is that of the whole next-token distribution at temperature 1,
            whatever temperature and top-k were used for sampling. It carries no gradient.
        prompts, completions, texts: the same as text; a text is its prompt and its completion.
    """

    ids: Int[Tensor, "B T"]
    attention_mask: Bool[Tensor, "B T"]
    prompt_length: int
    completion_mask: Bool[Tensor, "B T"]
    log_probs: Float[Tensor, "B T-1"]
    prompts: list[str]
    completions: list[str]
    texts: list[str]

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def lengths(self) -> Int[Tensor, " B"]:
        """Number of generated tokens of each completion."""
        return self.completion_mask.sum(dim=1)

    def to(self, device: torch.device | str) -> Rollout:
        """Return the rollout with its tensors on another device."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        values |= {name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)}
        return Rollout(**values)


@contextmanager
def evaluation_mode(model: torch.nn.Module) -> Iterator[None]:
    """Switch dropout off inside the block, and restore the model's mode after it."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@torch.no_grad()
def generate(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    min_new_tokens: int | None = None,
    generator: torch.Generator | int | None = None,
    sample_next_token: Sampler | None = None,
) -> Rollout:
    """Sample one completion for each prompt.

    The keys and values of earlier tokens are kept from step to step (the KV cache), so each step computes one token per
    row only; rows that have ended leave the batch, unless a function of yours samples. Dropout is off while sampling, and
    the policy's mode is restored after.

    Args:
        policy: the language model.
        tokenizer: its tokenizer; padding goes to the left here whatever its own setting is.
        prompts: `B` prompts, none of them empty.
        new_tokens: number of tokens to generate; a row ends earlier with its first end-of-text token.
        temperature: divides the logits, if `sample_next_token` is given. Without it there are 1, which is right for
            on-policy training, and 0, which takes the most probable token.
        top_k: sample among the `k` most probable tokens, if `sample_next_token` is given; 0 means all.
        min_new_tokens: no end-of-text before that many tokens. The recorded log-probabilities stay those of the policy,
            so such samples are not quite on-policy where the policy would have ended.
        generator: a seed or a `torch.Generator` on the policy's device; None uses PyTorch's global one.
        sample_next_token: a function `(logits, temperature=, top_k=, generator=) -> ids` to sample with: yours.

    Returns:
        A `Rollout` on the policy's device.

    Raises:
        ValueError: a prompt is empty, the sequence is too long for the model, `sample_next_token` is missing for this
            temperature or top-k, or returns something else than `B` token ids.
    """
    if sample_next_token is None and (temperature not in (0, 1) or top_k != 0):
        raise ValueError(
            f"sampling with temperature {temperature} and top_k {top_k} is a function's of yours: "
            "pass it on as generate(…, sample_next_token=sample_next_token)"
        )
    prompts = list(prompts)
    ids, attention_mask = encode_prompts(tokenizer, prompts)
    device = policy.device
    ids, attention_mask = ids.to(device), attention_mask.to(device)  # [B, P]
    rows, prompt_length = ids.shape
    limit = getattr(policy.config, "max_position_embeddings", None)
    if limit is not None and prompt_length + new_tokens > limit:
        raise ValueError(
            f"{prompt_length} prompt tokens and {new_tokens} new ones exceed the model's {limit} positions"
        )
    if isinstance(generator, int):
        generator = torch.Generator(device=device).manual_seed(generator)
    eos = tokenizer.eos_token_id
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else eos

    completion = torch.full((rows, new_tokens), pad, dtype=torch.long, device=device)  # [B, N]
    chosen_log_probs = torch.zeros(rows, new_tokens, device=device)  # [B, N]
    generated = torch.zeros(rows, new_tokens, dtype=torch.bool, device=device)  # [B, N]
    everything = torch.cat([attention_mask, torch.ones_like(completion, dtype=torch.bool)], dim=1)  # [B, P + N]
    positions = positions_of(everything)  # [B, P + N]
    mask = everything.long()
    active = torch.arange(rows, device=device)  # [b] the rows that go through the model
    alive = torch.ones(rows, dtype=torch.bool, device=device)  # [b] those of them that have not ended
    cache = None
    step_ids = ids
    with evaluation_mode(policy):
        for step in range(new_tokens):
            end = prompt_length + step
            output = policy(
                input_ids=step_ids,
                attention_mask=mask[active, :end],
                position_ids=positions[active, end - step_ids.shape[1] : end],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = output.past_key_values
            logits = output.logits[:, -1].float()  # [b, V]
            allowed = logits
            if min_new_tokens is not None and step < min_new_tokens and eos is not None:
                allowed = logits.clone()
                allowed[:, eos] = -torch.inf
            if sample_next_token is not None:
                token = sample_next_token(allowed, temperature=temperature, top_k=top_k, generator=generator)
            elif temperature == 0:
                token = allowed.argmax(dim=-1)
            else:
                token = _drawn(allowed, _points(rows, device, generator)[active])  # [b]
            token = _checked(token, len(active), logits.shape[-1]).to(device)
            surprise = torch.nn.functional.cross_entropy(logits, token, reduction="none")  # [b]
            token = torch.where(alive, token, pad)
            completion[active, step] = token
            chosen_log_probs[active, step] = torch.where(alive, -surprise, 0.0)
            generated[active, step] = alive
            if eos is not None:
                alive = alive & (token != eos)
                left = int(alive.sum())
                if left == 0:
                    break
                if sample_next_token is None and LEAST_ROWS <= left <= WORTH_LEAVING_OUT * len(active):
                    cache.batch_select_indices(alive.nonzero()[:, 0])
                    active, token, alive = active[alive], token[alive], alive[alive]
            step_ids = token[:, None]

    prompt_zeros = torch.zeros(rows, prompt_length, device=device)
    completions = tokenizer.batch_decode(
        [row[kept].tolist() for row, kept in zip(completion, generated, strict=True)], skip_special_tokens=True
    )
    return Rollout(
        ids=torch.cat([ids, completion], dim=1),
        attention_mask=torch.cat([attention_mask, generated], dim=1),
        prompt_length=prompt_length,
        completion_mask=torch.cat([prompt_zeros.bool(), generated], dim=1),
        log_probs=torch.cat([prompt_zeros[:, 1:], chosen_log_probs], dim=1),
        prompts=prompts,
        completions=completions,
        texts=[prompt + text for prompt, text in zip(prompts, completions, strict=True)],
    )


def encode_prompts(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]
) -> tuple[Int[Tensor, "B P"], Bool[Tensor, "B P"]]:
    """Return the prompts' token ids, padded on the left, and the mask of real tokens.

    A model whose tokenizer opens every text with a token of its own (Llama's do, GPT-2's does not) gets that token.

    Raises:
        ValueError: there is no prompt, or one of them has no token.
    """
    if not prompts:
        raise ValueError("generate needs at least one prompt")
    encoded = tokenizer(list(prompts))["input_ids"]
    opening = tokenizer("")["input_ids"]
    empty = [index for index, row in enumerate(encoded) if len(row) == len(opening)]
    if empty:
        raise ValueError(f"prompt number {empty[0]} is empty; a language model needs at least one token to go on from")
    width = max(map(len, encoded))
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in encoded])  # [B, P]
    mask = torch.tensor([[False] * (width - len(row)) + [True] * len(row) for row in encoded])  # [B, P]
    return ids, mask


def _points(rows: int, device: torch.device, generator: torch.Generator | None) -> Float[Tensor, "B 1"]:
    """A random number for each row, those included that have ended: so nobody's luck depends on the others' lengths."""
    exact = torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
    return torch.rand(rows, 1, generator=generator, device=device, dtype=exact)


def _drawn(logits: Float[Tensor, "B V"], points: Float[Tensor, "B 1"]) -> Int[Tensor, " B"]:
    """Draw tokens by inverting the cumulative distribution at `points`: one random number a row, so it is fast."""
    reached = logits.to(points.dtype).softmax(dim=-1).cumsum(dim=-1)  # [B, V]
    found = torch.searchsorted(reached, points * reached[:, -1:], right=True)  # [B, 1]
    return found.clamp(max=reached.shape[-1] - 1)[:, 0]


def _checked(token: object, rows: int, vocabulary: int) -> Tensor:
    """Check what a sampling function returned.

    Raises:
        ValueError: not `rows` integer ids inside the vocabulary.
    """
    if not isinstance(token, Tensor) or token.shape != (rows,) or token.dtype != torch.long:
        what = f"{tuple(token.shape)} of {token.dtype}" if isinstance(token, Tensor) else type(token).__name__
        raise ValueError(f"sample_next_token must return an int64 tensor of shape ({rows},), it returned {what}")
    if token.min() < 0 or token.max() >= vocabulary:
        raise ValueError(f"sample_next_token returned an id outside the vocabulary of {vocabulary} tokens")
    return token
