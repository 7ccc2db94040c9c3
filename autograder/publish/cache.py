"""Which parts need no new build: neither what they are made from nor what was made has changed since the last one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from autograder import masters
from helpers.parts import PARTS, ROOT

from .normalise import files_below, write_json

RECORD = Path("build/built.json")


def digest(files: Iterable[Path], base: Path) -> str:
    """A hash of files' paths and contents; a file that is missing counts as well."""
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(str(file.relative_to(base)).encode())
        total.update(hashlib.sha256(file.read_bytes()).digest() if file.exists() else b"missing")
    return total.hexdigest()


def inputs(part: int) -> list[Path]:
    """All that decides what a part's build gives."""
    files = [masters.master_path(part)]
    files += [ROOT / name for name in ("course.toml", "requirements.txt", "constraints.txt")]
    files += [f for f in files_below(ROOT / "autograder") if f.suffix in (".py", ".txt", ".safetensors")]
    files += files_below(ROOT / "helpers")
    return files


def outputs(part: int) -> list[Path]:
    """The files that a part's build writes."""
    name = PARTS[part]
    nbgrader = ROOT / "build" / "nbgrader"
    files = [ROOT / "notebooks" / f"{name}.ipynb", ROOT / "solutions" / f"{name}.ipynb"]
    files += [ROOT / "build" / "otter" / f"{part:02d}.zip"]
    files += [nbgrader / form / name / f"{name}.ipynb" for form in ("source", "release")]
    files += [ROOT / "notebooks" / "tests" / "hidden.json"]
    tests = [q.name for q in masters.load_questions(part) if q.tests]
    return files + [ROOT / "notebooks" / "tests" / f"{question}.py" for question in tests]


def state(part: int) -> str:
    """A hash of a part's inputs and outputs as they are now."""
    return digest(inputs(part), ROOT) + digest(outputs(part), ROOT)


def recorded() -> dict[str, str]:
    """The states that earlier builds left."""
    path = ROOT / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def out_of_date(parts: Iterable[int]) -> list[int]:
    """The parts that need a build."""
    known = recorded()
    return [part for part in parts if known.get(str(part)) != state(part)]


def remember(parts: Iterable[int]) -> None:
    """Record the state after a build."""
    write_json(ROOT / RECORD, {**recorded(), **{str(part): state(part) for part in parts}})
