"""Preference pairs for Part 4: sampling completions to compare, the type of a batch of pairs, noise in the labels.

Nothing here decides which completion of a prompt is the better one, what a log-probability is or what the loss is: those
are the student's functions. This module turns their answers into batches, and keeps sampled completions on disk.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.data import batches
from helpers.devices import in_float64
from helpers.evaluation import batch_seed
from helpers.generation import generate
from helpers.models import Policy, policy_logits
from helpers.runs import write_whole


@dataclass(frozen=True)
class Completions:
    """`K` scored completions for each of `P` prompts.

    Attributes:
        prompts: `P` prompts.
        prompt_ids: the token ids of each prompt.
        texts: `P` lists of `K` completions, each without its prompt.
        ids: the token ids of each completion, its end-of-text token included where it has one.
        scores: `P` lists of `K` rewards of prompt and completion together (for a sentiment classifier P(positive)).
    """

    prompts: list[str]
    prompt_ids: list[list[int]]
    texts: list[list[str]]
    ids: list[list[list[int]]]
    scores: list[list[float]]

    @property
    def rewards(self) -> Float[Tensor, "P K"]:
        """The scores as a tensor `[P, K]`."""
        return torch.tensor(self.scores)

    def __len__(self) -> int:
        return len(self.prompts)


@dataclass(frozen=True)
class Pair:
    """Two completions of one prompt, the chosen one judged better than the rejected one.

    `chosen_ids` and `rejected_ids` are the completion's tokens alone, without the prompt's.
    """

    prompt: str
    chosen: str
    rejected: str
    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]
    chosen_score: float
    rejected_score: float

    @property
    def gap(self) -> float:
        """How much higher the chosen completion scored; negative when the label was swapped by noise."""
        return self.chosen_score - self.rejected_score


def mark(pairs: Sequence[Pair], reference: Float[Tensor, "N 2"]) -> str:
    """A short hash of pairs and of their log-probs under the reference: a training on others is another training."""
    told = [(pair.prompt_ids, pair.chosen_ids, pair.rejected_ids) for pair in pairs]
    numbers = reference.double().cpu().numpy().round(4)  # last digits may depend on what else was computed
    return hashlib.sha256(f"{told} {numbers.tolist()}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class PairBatch:
    """A batch of `B` pairs as tensors, padded **on the right**; what `dpo_step` gets.

    Attributes:
        chosen_ids, rejected_ids: `[B, T]` int64: prompt, completion, padding. `T` may differ between the two.
        chosen_attention, rejected_attention: `[B, T]` bool: True on prompt and completion, False on padding.
        chosen_mask, rejected_mask: `[B, T]` bool: True on the completion's tokens alone.
        reference_chosen, reference_rejected: `[B]` float: log-probabilities of the completions under the reference
            policy, when they were computed beforehand; `None` otherwise.
    """

    chosen_ids: Int[Tensor, "B T"]
    chosen_attention: Bool[Tensor, "B T"]
    chosen_mask: Bool[Tensor, "B T"]
    rejected_ids: Int[Tensor, "B U"]
    rejected_attention: Bool[Tensor, "B U"]
    rejected_mask: Bool[Tensor, "B U"]
    reference_chosen: Float[Tensor, " B"] | None = None
    reference_rejected: Float[Tensor, " B"] | None = None

    def __len__(self) -> int:
        return len(self.chosen_ids)

    def to(self, device: torch.device | str) -> PairBatch:
        """The same batch on another device."""
        parts: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        parts |= {name: part.to(device) for name, part in parts.items() if part is not None}
        return PairBatch(**parts)


def _right_padded(
    prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], pad_id: int, length: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, attention mask and completion mask `[B, T]` of prompt + completion, padded on the right to `length`."""
    rows = [list(prompt) + list(completion) for prompt, completion in zip(prompts, completions, strict=True)]
    width = max(map(len, rows)) if length is None else length
    if any(len(row) > width for row in rows):
        raise ValueError(f"a sequence of {max(map(len, rows))} tokens does not fit into length={width}")
    ids = torch.full((len(rows), width), pad_id)  # [B, T]
    attention = torch.zeros(len(rows), width, dtype=torch.bool)  # [B, T]
    mask = torch.zeros(len(rows), width, dtype=torch.bool)  # [B, T]
    for row_number, row in enumerate(rows):
        ids[row_number, : len(row)] = torch.tensor(row)
        attention[row_number, : len(row)] = True
        mask[row_number, len(prompts[row_number]) : len(row)] = True
    return ids, attention, mask


def collate(
    pairs: Sequence[Pair],
    pad_id: int,
    *,
    length: int | None = None,
    reference: Float[Tensor, "B 2"] | None = None,
) -> PairBatch:
    """One `PairBatch` of these pairs, in their order.

    Args:
        pairs: `B` pairs, at least one.
        pad_id: the token id written into the padding; no result may depend on it.
        length: pad to this many tokens; without it, to the longest sequence of each side.
        reference: `[B, 2]` kept log-probabilities under the reference, chosen in column 0, rejected in column 1.

    Raises:
        ValueError: no pairs, or a sequence longer than `length`.
    """
    if not pairs:
        raise ValueError("there are no pairs to put into a batch")
    prompts = [pair.prompt_ids for pair in pairs]
    chosen = _right_padded(prompts, [pair.chosen_ids for pair in pairs], pad_id, length)
    rejected = _right_padded(prompts, [pair.rejected_ids for pair in pairs], pad_id, length)
    kept = (None, None) if reference is None else (reference[:, 0], reference[:, 1])
    return PairBatch(*chosen, *rejected, *kept)


def pair_batches(
    pairs: Sequence[Pair],
    pad_id: int,
    size: int,
    *,
    seed: int | None = None,
    epochs: int = 1,
    reference: Float[Tensor, "N 2"] | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[PairBatch]:
    """Batches of `size` pairs, `epochs` times through all of them.

    Args:
        pairs: all pairs.
        pad_id: see `collate`.
        size: pairs a batch; with a seed, the pairs left over at the end of an epoch are dropped, so that all training
            batches are alike; without one they make a last, smaller batch.
        seed: shuffles the pairs anew in each epoch; `None` keeps their order.
        epochs: how many times each pair is seen.
        reference: `[N, 2]` kept log-probabilities under the reference, in the order of `pairs`.
        device: where the tensors go.
    """
    for epoch in range(epochs):
        order = list(range(len(pairs)))
        if seed is not None:
            random.Random(f"{seed} {epoch}").shuffle(order)
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            if seed is not None and len(chosen) < size and len(pairs) >= size:
                break
            kept = None if reference is None else reference[chosen]
            yield collate([pairs[i] for i in chosen], pad_id, reference=kept).to(device)


def pairs_from(completions: Completions, index: Int[Tensor, "M 3"] | None) -> list[Pair]:
    """The pairs that an index names, each row of it (prompt, chosen completion, rejected completion).

    Raises:
        TypeError: the index is no tensor, as long as the function that makes it is not written.
    """
    if not isinstance(index, Tensor):
        raise TypeError(
            f"pairs_from needs a tensor [M, 3] of pairs and got {index!r:.80}: "
            "is `make_preference_pairs` (exercise 4.1) written, and does it return its result?"
        )
    return [
        Pair(
            prompt=completions.prompts[p],
            chosen=completions.texts[p][c],
            rejected=completions.texts[p][r],
            prompt_ids=tuple(completions.prompt_ids[p]),
            chosen_ids=tuple(completions.ids[p][c]),
            rejected_ids=tuple(completions.ids[p][r]),
            chosen_score=completions.scores[p][c],
            rejected_score=completions.scores[p][r],
        )
        for p, c, r in index.tolist()
    ]


def draw_labels(pairs: Sequence[Pair], scale: float, seed: int = 0) -> list[Pair]:
    """The same pairs, their labels drawn as raters give them who follow Bradley-Terry with the reward scale x score.

    A pair keeps its label with probability sigmoid(scale x gap); otherwise chosen and rejected are exchanged. The random
    number of a pair depends on the seed and on its place alone: in two lists of equal length, those of one place meet the
    same luck, and of two pairs whose labels are right it is the one with the smaller gap that is exchanged more easily.
    """
    luck = random.Random(seed)
    return [pair if luck.random() < _sigmoid(scale * pair.gap) else _swapped(pair) for pair in pairs]


def _sigmoid(value: float) -> float:
    return torch.tensor(value, dtype=torch.float64).sigmoid().item()


def _swapped(pair: Pair) -> Pair:
    return replace(
        pair,
        chosen=pair.rejected,
        rejected=pair.chosen,
        chosen_ids=pair.rejected_ids,
        rejected_ids=pair.chosen_ids,
        chosen_score=pair.rejected_score,
        rejected_score=pair.chosen_score,
    )


def sample_completions(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    reward_model: Callable[[list[str]], Float[Tensor, " N"]],
    prompts: Sequence[str],
    per_prompt: int,
    new_tokens: int,
    *,
    seed: int = 0,
    batch_size: int = 64,
    folder: Path | str | None = None,
    progress: bool = True,
) -> Completions:
    """Sample `per_prompt` completions for each prompt from `policy` and score them.

    Args:
        policy, tokenizer: the policy to sample from, in eval mode, with its tokenizer.
        reward_model: gives a reward for each text (prompt and completion together).
        prompts: `P` prompts.
        per_prompt: `K`, completions for each prompt.
        new_tokens: most tokens a completion may have.
        seed: the same seed gives the same completions.
        batch_size: sequences sampled at once.
        folder: when given, the result is kept there under a name made of everything that decides it, and read next time.
        progress: show a progress bar.
    """
    kept = None
    if folder is not None:
        models = (policy, getattr(reward_model, "model", None))
        name = _hash_of(models, [*prompts], per_prompt, new_tokens, seed, batch_size)
        kept = Path(folder) / f"completions_{name}.json"
        if kept.exists():
            return Completions(**json.loads(kept.read_text(encoding="utf-8")))
    repeated = [prompt for prompt in prompts for _ in range(per_prompt)]
    prompt_ids, texts, ids, scores = [], [], [], []
    with tqdm(
        total=len(repeated), desc="completions", unit="text", disable=not progress, file=sys.stdout, ncols=90
    ) as bar:
        for number, part in enumerate(batches(repeated, batch_size)):
            rollout = generate(policy, tokenizer, part, new_tokens, generator=batch_seed(seed, number))
            scores += reward_model(rollout.texts).tolist()
            texts += rollout.completions
            in_prompt = rollout.attention_mask & ~rollout.completion_mask  # [B, T]
            prompt_ids += [row[mask].tolist() for row, mask in zip(rollout.ids, in_prompt, strict=True)]
            ids += [row[mask].tolist() for row, mask in zip(rollout.ids, rollout.completion_mask, strict=True)]
            bar.update(len(part))
    columns = [list(batches(column, per_prompt)) for column in (texts, ids, scores)]
    result = Completions(list(prompts), prompt_ids[::per_prompt], *columns)
    if kept is not None:
        write_whole(kept, json.dumps(asdict(result)))
    return result


def _hash_of(models: Sequence[torch.nn.Module | None], *settings: Any) -> str:
    """A short hash of the models' weights and of plain settings: of all that decides the samples."""
    digest = hashlib.sha256(json.dumps(settings).encode())
    for model in models:
        if model is not None:
            for name, weight in sorted(model.state_dict().items()):
                digest.update(f"{name} {tuple(weight.shape)} {in_float64(weight).sum().item():.10g}".encode())
    return digest.hexdigest()[:12]


def both_sides(pairs: PairBatch) -> tuple[Int[Tensor, "N T"], Bool[Tensor, "N T"], Bool[Tensor, "N T"]]:
    """Ids, attention mask and completion mask of the chosen sequences followed by the rejected ones: `N = 2B` rows."""
    width = max(pairs.chosen_ids.shape[1], pairs.rejected_ids.shape[1])

    def both(chosen: Tensor, rejected: Tensor) -> Tensor:
        return torch.cat([torch.nn.functional.pad(x, (0, width - x.shape[1])) for x in (chosen, rejected)])  # [2B, T]

    return (
        both(pairs.chosen_ids, pairs.rejected_ids),
        both(pairs.chosen_attention, pairs.rejected_attention),
        both(pairs.chosen_mask, pairs.rejected_mask),
    )


def pair_log_probs(
    policy: Policy,
    pairs: PairBatch,
    sequence_log_prob: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
    """Run the policy on both sides of a batch, and let `sequence_log_prob` turn its logits into log-probs.

    Both sides go through the model together, as one batch of `2B` sequences: that is faster than one after the other.

    Args:
        policy: any causal language model; whether gradients are recorded is the caller's choice.
        pairs: `B` pairs.
        sequence_log_prob: the student's function, called once with the logits `[2B, T, V]`, ids `[2B, T]` and
            completion masks `[2B, T]` of the chosen sequences followed by the rejected ones.

    Returns:
        Log-probs of the chosen and of the rejected completions, `[B]` each.
    """
    ids, attention, mask = both_sides(pairs)
    result = sequence_log_prob(policy_logits(policy, ids, attention), ids, mask)  # [2B]
    if not isinstance(result, Tensor) or result.shape != (len(ids),):
        raise ValueError(
            f"sequence_log_prob must return one number per sequence, shape [{len(ids)}]; it gave {result!r:.200}"
        )
    return result[: len(pairs)], result[len(pairs) :]
