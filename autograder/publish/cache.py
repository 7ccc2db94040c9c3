"""Which parts need no new build: neither what they are made from nor what was made has changed since the last one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from autograder import stamps
from helpers.parts import ROOT

from .normalise import write_json

RECORD = Path("build/built.json")


def recorded() -> dict[str, str]:
    """The stamps that earlier builds left."""
    path = ROOT / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def out_of_date(parts: Iterable[int]) -> list[int]:
    """The parts that need a build."""
    known = recorded()
    return [part for part in parts if known.get(str(part)) != stamps.build(part)]


def remember(parts: Iterable[int]) -> None:
    """Record the state after a build."""
    write_json(ROOT / RECORD, {**recorded(), **{str(part): stamps.build(part) for part in parts}})
