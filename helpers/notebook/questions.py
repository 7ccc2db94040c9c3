"""The questions of all parts, as the build notes them down from the masters."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

QUESTIONS = Path(__file__).with_name("questions.json")  # the build writes it


@functools.cache
def questions() -> dict[str, dict[str, Any]]:
    """Every question's `label`, `points`, `function` (empty for a written one) and `minutes` of work, by name."""
    return json.loads(QUESTIONS.read_text(encoding="utf-8"))


def part_of_question(name: str) -> int:
    """The part of a question such as `q2_1`."""
    return int(name[1:].split("_")[0])


def label_of_question(name: str) -> str:
    """What the notebook calls a question, such as "Question 2.A"; the name itself where it is none of the course's."""
    return questions().get(name, {"label": name})["label"]
