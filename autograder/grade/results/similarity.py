"""Places to look: code of two students that is alike beyond what the task and the course's own code explain.

The method: code is read as tokens; names that are no Python keyword and no attribute become one and the same token, so
renaming hides nothing; comments, strings and layout do not count. Every run of eight tokens is a *shingle*. Shingles that
the handed-out notebook holds, or that more than a fifth of the class shares (at least five students), are no sign of
anything and are dropped. What two students have in common of the rest is measured by Jaccard's index, the size of the
intersection by that of the union. A high index is a reason to read both, and no more than that.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

SHINGLE = 8
FEWEST = 12  # shingles of one's own below which nothing can be said
TOKEN = re.compile(
    r"""(?P<skip>\#[^\n]*|\s+)
      | (?P<text>[rbfuRBFU]{0,2}(?:\"\"\".*?\"\"\"|'''.*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
      | (?P<number>\d[\w.]*)
      | (?P<name>[^\W\d]\w*)
      | (?P<other>\*\*|//|->|:=|[-+*/%@&|^<>=!]=|.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Pair:
    """Two students whose code is alike: how much, and an example of it from each."""

    first: str
    second: str
    part: int
    index: float
    shared: int


def tokens(code: str) -> list[str]:
    """The tokens of code, with names replaced. Works on code that does not parse."""
    result: list[str] = []
    for match in TOKEN.finditer(code):
        kind, text = match.lastgroup, match.group()
        if kind == "name" and not keyword.iskeyword(text) and result[-1:] != ["."]:
            result.append("v")
        elif kind == "text":
            result.append("s")
        elif kind != "skip":
            result.append(text)
    return result


def shingles(code: str) -> set[int]:
    """The hashes of all runs of `SHINGLE` tokens."""
    found = tokens(code)
    return {hash(tuple(found[i : i + SHINGLE])) for i in range(len(found) - SHINGLE + 1)}


def code_of(cells: Iterable[dict[str, Any]]) -> str:
    """All code of a notebook as one text."""
    return "\n".join(cell["source"] for cell in cells)


def pairs(
    code: Mapping[str, Iterable[dict[str, Any]]], part: int, handed_out: str = "", least: float = 0.3, most: int = 50
) -> list[Pair]:
    """The most alike pairs of one part.

    Args:
        code: the code cells of each student.
        part: the part, for the result.
        handed_out: the code of the student notebook, which everybody has.
        least: the smallest index told.
        most: how many pairs are told.
    """
    given = shingles(handed_out)
    students = list(code)
    own = [shingles(code_of(cells)) - given for cells in code.values()]
    counts = Counter(s for found in own for s in found)
    limit = max(5, len(students) // 5)
    kept = {s: n for n, s in enumerate(s for s, count in counts.items() if 2 <= count <= limit)}
    rare = [{s for s in found if counts[s] <= limit} for found in own]
    indices = [sorted(kept[s] for s in found if s in kept) for found in rare]
    pointer = np.cumsum([0, *(len(i) for i in indices)])
    flat = np.array([n for i in indices for n in i], dtype=np.int64)
    matrix = csr_matrix((np.ones(len(flat), dtype=np.int32), flat, pointer), shape=(len(students), max(1, len(kept))))
    common = (matrix @ matrix.T).tocoo()
    result = []
    for i, j, shared in zip(common.row, common.col, common.data, strict=True):
        union = len(rare[i]) + len(rare[j]) - shared
        if i < j and min(len(rare[i]), len(rare[j])) >= FEWEST and shared / union >= least:
            result.append(Pair(students[i], students[j], part, float(shared / union), int(shared)))
    return sorted(result, key=lambda p: (-p.index, p.first, p.second))[:most]
