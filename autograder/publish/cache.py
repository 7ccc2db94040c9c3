"""Which parts need no new build, or no new comparison: nothing that decides it has changed since the last one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from autograder import stamps
from helpers.parts import ROOT

from .normalise import write_json

BUILT, IN_STEP = "built", "in-step"  # all that a build makes is current; what is committed is what the masters give
STAMPS = {BUILT: stamps.build, IN_STEP: stamps.committed}
RECORDS = Path("build")


def recorded(kind: str = BUILT) -> dict[str, str]:
    """The stamps that earlier builds or comparisons left."""
    path = ROOT / RECORDS / f"{kind}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def out_of_date(parts: Iterable[int], kind: str = BUILT) -> list[int]:
    """The parts that need a build, or with `IN_STEP` a comparison."""
    known = recorded(kind)
    return [part for part in parts if known.get(str(part)) != STAMPS[kind](part)]


def remember(parts: Iterable[int], *kinds: str) -> None:
    """Record the state after a build (both kinds) or a comparison."""
    chosen = list(parts)
    for kind in kinds or STAMPS:
        write_json(ROOT / RECORDS / f"{kind}.json", {**recorded(kind), **{str(p): STAMPS[kind](p) for p in chosen}})
