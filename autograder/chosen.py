"""What an instructor chose in `course.toml` that changes the masters: points, optional sections left out, the models.

What is wrong there is refused by `publish.settings`, with its line; here it is left out, so that grading goes on.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.parts import ROOT

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

SETTINGS = ROOT / "course.toml"
SECTION = re.compile(r"^## (\d+\.\d+)\b(.*)$", re.MULTILINE)
OPTIONAL = re.compile(r"\s*Optional\b")
NOT_HERE = "*This optional section is left out of your course.*"
ANY_PRESET = 'choose_preset("auto")'
MODELS = (
    "policy",
    "reward_model",
    "learning_rate",
    "lora_rank",
)  # settings that become arguments of `choose_preset`, by keyword


@dataclass(frozen=True)
class Chosen:
    """The choices: points by question, numbers of sections that are left out, how the notebooks choose their models."""

    points: Mapping[str, float] = field(default_factory=dict)
    leave_out: frozenset[str] = frozenset()
    call: str = ANY_PRESET


def chosen() -> Chosen:
    """The choices in `course.toml`; the file is read again only when it has changed."""
    return _read(SETTINGS, SETTINGS.stat().st_mtime_ns) if SETTINGS.exists() else Chosen()


@functools.lru_cache(maxsize=4)
def _read(path: Path, _modified: int) -> Chosen:
    try:
        content = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except ValueError:
        return Chosen()
    points, course = _table(content, "points"), _table(content, "course")
    sections = course.get("leave_out", [])
    return Chosen(
        {name: float(worth) for name, worth in points.items() if type(worth) in (int, float) and worth >= 0},
        frozenset(map(str, sections)) if isinstance(sections, list) else frozenset(),
        call_of(course),
    )


def call_of(course: Mapping[str, Any]) -> str:
    """The call of `choose_preset` that the notebooks make, from the setting `preset` and those of `MODELS`."""
    preset = course.get("preset", "auto")
    named = {name: course[name] for name in MODELS if isinstance(course.get(name), (str, float, int))}
    written = [json.dumps(preset if isinstance(preset, str) else "auto")]
    written += [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in named.items()]
    return f"choose_preset({', '.join(written)})"


def _table(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = content.get(name, {})
    return found if isinstance(found, dict) else {}


def shared(parts: Sequence[float], total: float) -> list[float]:
    """`parts` scaled to add up to `total`, in hundredths; the largest takes what rounding leaves over."""
    scaled = [round(total * part / sum(parts), 2) for part in parts]
    largest = scaled.index(max(scaled))
    scaled[largest] = round(scaled[largest] + total - sum(scaled), 2)
    return scaled


def optional_sections(texts: Sequence[str]) -> list[str]:
    """The numbers of the sections whose titles begin with `Optional`, in the order of these Markdown cells."""
    return [number for text in texts for number, title in SECTION.findall(text) if OPTIONAL.match(title)]


def kept(texts: Sequence[str], leave_out: frozenset[str]) -> list[str | None]:
    """A master's texts without these sections; None for a cell that goes. What is not optional stays in any case.

    Args:
        texts: the sources of all cells, in order; a section begins with a cell that holds its heading, and ends before the
            next heading of its rank.
        leave_out: the numbers of the sections, such as `4.9`.

    Returns:
        A text a cell: of a section only its heading, with a sentence that it is left out, and in the table of sections of
        the first cell the same.
    """
    result: list[str | None] = []
    out = False
    gone = [number for number in optional_sections(texts) if number in leave_out]
    for text in texts:
        if found := SECTION.search(text):
            out = found[1] in gone
            result.append(f"{found[0]}\n\n{NOT_HERE}" if out else text)
        elif re.search(r"^## ", text, re.MULTILINE):
            out = False
            result.append(text)
        else:
            result.append(None if out else text)
    if result and isinstance(result[0], str):
        for number in gone:
            result[0] = re.sub(
                rf"^(\| {re.escape(number)} \| ).*\|$", r"\1left out of your course | – |", result[0], flags=re.M
            )
    return result
