"""Stage `data`: the rated movie-review snippets, split once and for all by snippet."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from . import sources
from .whole_words import crude

SIZES = {"test": 1200, "validation": 700, "gold": 1600}  # the rest is for the policy and the reward model


def split_snippets(cache: Path) -> list[dict]:
    """Rows `{"text", "rating", "positive_share", "split"}`; `split` is train, gold, validation or test.

    Snippets with crude words are dropped once the splits are drawn, so the list of such words moves no snippet to another split.

    `rating` is the raters' mean (−4 to 4), `positive_share` the share of raters above 0 (a 0 counts one half).
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
    return [row for row in rows if not crude(row["text"])]


def build(cache: Path, out: Path) -> None:
    """Write `snippets.parquet` below `out`."""
    out.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(split_snippets(cache))
    pq.write_table(table, out / "snippets.parquet", compression="zstd", compression_level=19)
