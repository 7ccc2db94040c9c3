"""Stage ``data``: the rated movie-review snippets, split once and for all by snippet, and the prompts cut from them."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from . import sources

SIZES = {"test": 1200, "validation": 700, "gold": 1600}  # the rest is for the policy and the reward model


def split_snippets(cache: Path) -> list[dict]:
    """Rows ``{"text", "rating", "positive_share", "split"}``; ``split`` is train, gold, validation or test.

    ``rating`` is the raters' mean (−4 to 4), ``positive_share`` the share of raters above 0 (a 0 counts one half).
    """
    seen: set[str] = set()
    rows = []
    for row in sources.rated_snippets("movie", cache):
        key = row["text"].lower()
        if key in seen or len(row["text"].split()) < 2:
            continue
        seen.add(key)
        ratings = row["ratings"]
        share = sum((r > 0) + 0.5 * (r == 0) for r in ratings) / len(ratings)
        rows.append({"text": row["text"], "rating": sum(ratings) / len(ratings), "positive_share": share})
    random.Random(0).shuffle(rows)
    names = [name for name, size in SIZES.items() for _ in range(size)]
    for row, name in zip(rows, names + ["train"] * (len(rows) - len(names)), strict=True):
        row["split"] = name
    return rows


def prompts(rows: list[dict]) -> list[dict]:
    """One prompt a snippet of at least eight words: its first two to five words, cut at a word border.

    A prompt that would occur in two splits is dropped from all but the first that has it (test, validation, train).
    """
    draw = random.Random(1)
    taken: dict[str, str] = {}
    result = []
    for split in ("test", "validation", "train"):
        for row in rows:
            if ("train" if row["split"] == "gold" else row["split"]) != split:
                continue
            words = row["text"].split()
            if len(words) < 8:
                continue
            prompt = " ".join(words[: draw.randint(2, 5)])
            if taken.setdefault(prompt.lower(), split) != split:
                continue
            result.append({"prompt": prompt, "split": split, "rating": row["rating"]})
    return result


def build(cache: Path, out: Path) -> None:
    """Write ``snippets.parquet`` and ``prompts.parquet`` below ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    rows = split_snippets(cache)
    for name, table in (("snippets", rows), ("prompts", prompts(rows))):
        pq.write_table(pa.Table.from_pylist(table), out / f"{name}.parquet", compression="zstd", compression_level=19)
