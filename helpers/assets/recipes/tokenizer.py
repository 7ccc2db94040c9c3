"""A small whole-word tokenizer: SmolLM2's byte-level BPE cut down to the tokens that the training text uses most.

Cutting down instead of training anew keeps every token's identity in SmolLM2: its embedding can start the policy's, and
the fine-tuned SmolLM2 can teach the policy token by token.
"""

from __future__ import annotations

import json
from collections import Counter

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

END = "<|endoftext|>"
ACCENTS = "éèêçñáàâóôöüïí"  # kept whole: a small model that must spell them byte by byte writes broken characters
TEACHER_END = 2  # <|im_end|>, which closes a review in the teacher's training


def cut_down(full: PreTrainedTokenizerFast, texts: list[str], size: int) -> PreTrainedTokenizerFast:
    """Keep single bytes and the most frequent tokens of ``texts`` with all that their merges need, ``size`` in all."""
    source = json.loads(full.backend_tokenizer.to_str())
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in source["model"]["merges"]]
    parts = {a + b: (a, b) for a, b in reversed(merges)}
    vocabulary = source["model"]["vocab"]
    counts = Counter(token for text in texts for token in full.tokenize(text))
    kept = {token: None for token in vocabulary if len(token) == 1}

    def ancestors(token: str) -> list[str]:
        if token in kept or token not in parts:
            return []
        left, right = parts[token]
        return ancestors(left) + ancestors(right) + [token]

    accents = [token for letter in ACCENTS for token in full.tokenize(letter)]
    for token in [*accents, *(token for token, _ in counts.most_common())]:
        needed = dict.fromkeys(ancestors(token))
        if len(kept) + len(needed) + 1 <= size:
            kept.update(needed)
    order = sorted(kept, key=lambda token: vocabulary[token])
    source["model"]["vocab"] = {END: 0} | {token: i + 1 for i, token in enumerate(order)}
    source["model"]["merges"] = [list(m) for m in merges if m[0] + m[1] in kept and m[0] in kept and m[1] in kept]
    source["added_tokens"] = [entry | {"id": 0} for entry in source["added_tokens"] if entry["content"] == END]
    source["post_processor"] = None
    tokenizer = Tokenizer.from_str(json.dumps(source))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        bos_token=END,
        pad_token=END,
        unk_token=END,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    fast.model_max_length = 64
    return fast


def decompositions(full: PreTrainedTokenizerFast, small: PreTrainedTokenizerFast) -> list[list[int]]:
    """For every token id of ``full``, the ids it falls into in ``small`` (end tokens give the end token)."""
    model = small.backend_tokenizer.model
    strings = full.convert_ids_to_tokens(list(range(len(full))))
    special = set(full.all_special_ids) | {0, TEACHER_END}
    return [[0] if i in special else [piece.id for piece in model.tokenize(s)] for i, s in enumerate(strings)]


def starting_embeddings(
    teacher_embeddings: torch.Tensor, full: PreTrainedTokenizerFast, small: PreTrainedTokenizerFast, width: int
) -> torch.Tensor:
    """``[V, width]``: a PCA of SmolLM2's embeddings of the kept tokens, scaled to GPT-2's usual 0.02 · √width norm."""
    ids = full.convert_tokens_to_ids(small.convert_ids_to_tokens(list(range(len(small)))))
    rows = teacher_embeddings[torch.tensor(ids)].float()  # [V, D]
    rows = rows - rows.mean(0)
    _, _, axes = torch.linalg.svd(rows, full_matrices=False)
    small_rows = rows @ axes[:width].T  # [V, width]
    return small_rows / small_rows.std() * 0.05
