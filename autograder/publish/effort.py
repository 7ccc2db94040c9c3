"""What a notebook says of points, difficulty and time: written by the build from the masters, so that it is said once."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence

from autograder.chosen import NOT_HERE
from autograder.masters import Cell, Question

WORDS_A_MINUTE = 150  # of prose with formulas
EXERCISE = {1: 10, 2: 20, 3: 40}  # minutes, by difficulty
CHOICES, WRITTEN = 5, 10  # minutes a point: a question with one right answer, and one that people mark
STEP = 5  # minutes: an estimate is no finer
TITLE = re.compile(r"^\*\*((?:Exercise|Question|Written question) .+?)(\.?)\*\*", re.MULTILINE)
SECTION = re.compile(r"^## (\d+\.\d+)\b", re.MULTILINE)
ROW = re.compile(r"^\| (\d+\.\d+) \|.*\|$")
FOLD = re.compile(r"<details>.*?</details>", re.DOTALL)
HEADER = "| section | what |"


def titled(text: str, question: Question) -> str:
    """A question's text with its points and its difficulty behind its title."""
    points = f"{question.points:g} point{'' if question.points == 1 else 's'}"
    told = [*(["optional"] if question.optional else []), points]
    told += ["●" * question.level + "○" * (3 - question.level)] if question.level else []
    return TITLE.sub(lambda title: f"**{title[1]}** ({', '.join(told)}){title[2]}", text, count=1)


def minutes_of(question: Question) -> float:
    """How long a question may take, by a rule of thumb."""
    if question.manual:
        return WRITTEN * question.points
    if question.name[-1].isupper():  # questions have letters, exercises numbers
        return CHOICES * question.points
    return EXERCISE[question.level or 2]


def minutes_by_section(cells: Sequence[Cell], questions: dict[str, Question]) -> dict[str, tuple[int, int]]:
    """Minutes of reading and of working in each section, in steps of five. Folds and sample answers are not read."""
    words: dict[str, int] = defaultdict(int)
    working: dict[str, float] = defaultdict(float)
    section = ""
    for cell in cells:
        if cell.kind != "markdown" or cell.role == "answer" or NOT_HERE in cell.source:
            continue
        found = SECTION.search(cell.source)
        section = found[1] if found else section
        words[section] += sum(any(map(str.isalnum, word)) for word in FOLD.sub("", cell.source).split())
        if cell.role == "text":
            working[section] += minutes_of(questions[cell.question or ""])
    return {name: (_steps(count / WORDS_A_MINUTE), _steps(working[name])) for name, count in words.items() if name}


def with_minutes(text: str, minutes: dict[str, tuple[int, int]]) -> str:
    """A notebook's first cell, with a column of minutes in its table of sections, and their sum."""
    lines: list[str] = []
    total = [0, 0]
    for line in text.splitlines():
        if line.startswith(HEADER):
            line += " reading + working, in minutes |"
        elif lines and lines[-1].startswith(HEADER):
            line += " --- |"
        elif (row := ROW.match(line)) and row[1] in minutes:
            read, work = minutes[row[1]]
            total = [total[0] + read, total[1] + work]
            line += f" {read} + {work} |" if work else f" {read} |"
        lines.append(line)
    last = max((n for n, line in enumerate(lines) if ROW.match(line)), default=None)
    if last is not None:
        rule = (
            f"Reading and working: about {_hours(total[0])} and {_hours(total[1])}, by a rule of thumb: {WORDS_A_MINUTE} words a"
            f" minute; {EXERCISE[1]}, {EXERCISE[2]} or {EXERCISE[3]} minutes for an exercise marked ●○○, ●●○ or ●●●;"
            f" {CHOICES} minutes for each point of a question with one right answer, {WRITTEN} of a written one."
        )
        lines[last + 1 : last + 1] = ["", rule]
    return "\n".join(lines)


def _steps(minutes: float) -> int:
    return STEP * math.ceil(minutes / STEP)


def _hours(minutes: int) -> str:
    """Minutes in words, in quarters of an hour."""
    quarters = max(1, round(minutes / 15))
    whole, rest = divmod(quarters, 4)
    return f"{whole or ''}{('', '¼', '½', '¾')[rest]} h"
