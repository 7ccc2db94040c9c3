"""What single questions are worth where an instructor says so, in the table `[points]` of `course.toml`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from helpers.parts import ROOT

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

SETTINGS = ROOT / "course.toml"


def set_points() -> dict[str, float]:
    """The table `[points]` of `course.toml`: what an instructor lets single questions be worth.

    What is wrong there is refused by `publish.settings`, with its line; here it is left out.
    """
    return _read_points(SETTINGS, SETTINGS.stat().st_mtime_ns) if SETTINGS.exists() else {}


@functools.lru_cache(maxsize=4)
def _read_points(path: Path, _modified: int) -> dict[str, float]:
    try:
        table = tomllib.loads(path.read_bytes().decode("utf-8-sig")).get("points", {})
    except ValueError:
        return {}
    if not isinstance(table, dict):
        return {}
    return {name: float(worth) for name, worth in table.items() if type(worth) in (int, float) and worth >= 0}


def shared(parts: Sequence[float], total: float) -> list[float]:
    """`parts` scaled to add up to `total`, in hundredths; the largest takes what rounding leaves over."""
    scaled = [round(total * part / sum(parts), 2) for part in parts]
    largest = scaled.index(max(scaled))
    scaled[largest] = round(scaled[largest] + total - sum(scaled), 2)
    return scaled
