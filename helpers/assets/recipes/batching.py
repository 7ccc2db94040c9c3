"""The training text, and batches of it."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from datasets import Dataset

BUCKET = 2048  # rows sorted by length inside a bucket, so that little of a batch is padding


def training_texts(out: Path) -> list[str]:
    """The snippets that generative models may see."""
    rows = Dataset.from_parquet(str(out / "snippets.parquet"))
    return [row["text"] for row in rows if row["split"] in ("train", "gold")]


def batches(sequences: list[list[int]], size: int, draw: random.Random) -> list[list[int]]:
    """Batches of index lists, shuffled, with rows of similar length together."""
    order = list(range(len(sequences)))
    draw.shuffle(order)
    result = []
    for start in range(0, len(order), BUCKET):
        bucket = sorted(order[start : start + BUCKET], key=lambda i: len(sequences[i]))
        result += [bucket[i : i + size] for i in range(0, len(bucket), size)]
    draw.shuffle(result)
    return result


def padded(rows: list[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Right-padded ids, attention mask and labels (−100 on padding), each `[B, T]`."""
    length = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows])  # [B, T]
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])  # [B, T]
    return ids, mask, ids.masked_fill(mask == 0, -100)
