"""Prompts and rated snippets, and the order in which training sees them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import datasets
from pyarrow import parquet

from .hub import ASSETS, ModelNotAvailableError, Source, dataset_folder
from .presets import PRESETS, Preset

Item = TypeVar("Item")
PROMPT_SPLITS = ("train", "validation", "test")
SNIPPET_SPLITS = ("train", "gold", "validation", "test")
VALIDATION_SHARE = 0.04  # of the hub's training reviews: IMDb has no validation split of its own


def load_prompts(preset: Preset | str, split: str) -> list[str]:
    """Return the prompts of a split: beginnings of reviews, cut between two words. No prompt is in two splits.

    Args:
        preset: a preset or its name.
        split: `"train"`, `"validation"` or `"test"`.
    """
    preset = PRESETS[preset] if isinstance(preset, str) else preset
    if split not in PROMPT_SPLITS:
        raise ValueError(f"split must be one of {PROMPT_SPLITS}, not {split!r}")
    if preset.prompts.embedded:
        rows = _parquet(str(ASSETS / "data" / "prompts.parquet"))
        return list(_of_split(rows, split)["prompt"])
    return _review_prompts(preset.prompts, split)


def load_snippets(split: str) -> datasets.Dataset:
    """Return the embedded movie-review snippets of a split.

    Columns: `text`; `rating`, the mean of the human ratings (−4 to 4); `positive_share`, the share of raters
    above 0; `split`: `"train"`, `"gold"` (for the second reward model only), `"validation"` or `"test"`.
    """
    if split not in SNIPPET_SPLITS:
        raise ValueError(f"split must be one of {SNIPPET_SPLITS}, not {split!r}")
    rows = _parquet(str(ASSETS / "data" / "snippets.parquet"))
    return _of_split(rows, split)


def load_recorded(name: str) -> Any:
    """Return recorded model answers: the content of `helpers/assets/recorded/<name>.json`."""
    path = ASSETS / "recorded" / f"{name}.json"
    if not path.is_file():
        present = sorted(file.stem for file in path.parent.glob("*.json"))
        raise FileNotFoundError(f"no recorded answers named {name!r}; there are: {', '.join(present) or 'none'}")
    return json.loads(path.read_text(encoding="utf-8"))


def batches(items: Sequence[Item], size: int, seed: int | None = None) -> Iterator[list[Item]]:
    """Yield the items in batches of `size`, each item once; the last batch may be smaller.

    Args:
        seed: shuffles the items first, in the same way for the same seed. None keeps their order.
    """
    if size < 1:
        raise ValueError("size must be at least 1")
    order = list(range(len(items)))
    if seed is not None:
        random.Random(seed).shuffle(order)
    for start in range(0, len(order), size):
        yield [items[index] for index in order[start : start + size]]


def batch_at(items: Sequence[Item], size: int, step: int, seed: int = 0) -> list[Item]:
    """Return training batch number `step`: epochs in a fresh order each, full batches only.

    The batch depends on the arguments alone, so a resumed run sees what an uninterrupted one would have seen.
    """
    if size > len(items):
        raise ValueError(f"a batch of {size} needs at least as many items, there are {len(items)}")
    per_epoch = len(items) // size
    epoch, position = divmod(step, per_epoch)
    order = list(range(len(items)))
    random.Random(f"{seed}:{epoch}").shuffle(order)
    return [items[index] for index in order[position * size : (position + 1) * size]]


@lru_cache(maxsize=4)
def _parquet(path: str) -> datasets.Dataset:
    """Read a parquet file into memory (without the files that `datasets` would otherwise write to its cache)."""
    return datasets.Dataset(datasets.table.InMemoryTable(parquet.read_table(path)))


def _of_split(rows: datasets.Dataset, split: str) -> datasets.Dataset:
    """Return the rows whose column `split` has that value."""
    return rows.select([number for number, name in enumerate(rows["split"]) if name == split])


def _review_prompts(source: Source, split: str) -> list[str]:
    """Cut prompts of two to five words from whole reviews, one per review, none in two splits."""
    folder = dataset_folder(source)
    prompts: dict[str, list[str]] = {name: [] for name in PROMPT_SPLITS}
    taken: dict[str, str] = {}
    for part in ("test", "train"):
        files = sorted(str(path) for path in folder.rglob(f"{part}-*.parquet"))
        if not files:
            raise ModelNotAvailableError(f"{source.name}: no {part}-*.parquet in {folder}")
        texts = [text for file in files for text in parquet.read_table(file, columns=["text"])["text"].to_pylist()]
        draw = random.Random(f"prompts:{part}")
        for text in texts:
            length, chance = draw.randint(2, 5), draw.random()
            words = text.replace("<br />", " ").split()
            if len(words) < 8:
                continue
            name = part if part == "test" else ("validation" if chance < VALIDATION_SHARE else "train")
            prompt = " ".join(words[:length])
            if taken.setdefault(prompt.lower(), name) == name:
                prompts[name].append(prompt)
    for name in ("test", "validation", "train"):
        random.Random(f"order:{name}").shuffle(prompts[name])
    return prompts[split]
