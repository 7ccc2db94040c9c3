"""Places to look: answers that are alike beyond what the task and the course's own material explain.

Code is read as lines of tokens. Names that are no keyword and no attribute become one and the same token; comments, strings,
layout and the order of lines do not count, so that renaming and reordering hide nothing. A run of up to five tokens of a line
is a *feature*. Comments and longer names are features too, apart: they add to what is shared, and differ without harm. What the
handed-out notebook holds is no sign of anything and is left out; what the sample solution holds counts half, for right
answers must look alike. Written answers are read as words.

A feature weighs more the fewer of the class have it. Answers are alike if most of the weight of what two have is shared
(Jaccard's index with weights), and if what is shared weighs enough: a line that half the class had to write does not,
seventy runs do, however many have them. Answers that are alike form one group, of any size. That is
a reason to read them, and no more.
"""

from __future__ import annotations

import functools
import keyword
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from autograder.grade.intake.answers import squeeze

RUN, WORDS = 5, 4  # tokens of code, words of text in a feature
LEAST = 0.7  # the index from which two answers are alike
ENOUGH = 90.0  # the weight that two must share; in one exercise, of which much is given, three times that
RAREST, COMMONEST = 3.0, 1.3  # what a run weighs that few have, and that all have: so 30 or 69 of them are enough
EXPLAINED = 0.5  # the share of its weight that a run of the sample solution keeps
OWN_WORDS = 3.0  # what a comment or a longer name weighs, in runs of tokens
AS_SOLUTION = 0.9  # the share of features in the sample solution from which an answer is called the same
LONGEST = 200_000  # characters of a student's code that are looked at
TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
      | (?P<newline>\n[ \t]*)
      | (?P<skip>\\\n|[^\S\n]+)
      | (?P<text>[rbfuRBFU]{0,2}(?:\"\"\".*?(?:\"\"\"|\Z)|'''.*?(?:'''|\Z)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?))
      | (?P<number>\d[\w.]*)
      | (?P<name>[^\W\d]\w*)
      | (?P<other>\*\*|//|->|:=|[-+*/%@&|^<>=!]=|.)""",
    re.VERBOSE | re.DOTALL,
)
WHOLE, TOGETHER = "the whole notebook", "all exercises together"


@dataclass(frozen=True)
class Features:
    """What is looked at of an answer: hashes of its runs of tokens, and of comments and longer names."""

    runs: frozenset[int] = frozenset()
    words: frozenset[int] = frozenset()

    def without(self, other: Features) -> Features:
        """What is not in another's."""
        return Features(self.runs - other.runs, self.words - other.words)


@dataclass(frozen=True)
class AlikeGroup:
    """Students whose answers are alike.

    Attributes:
        what: the whole notebook, all exercises together, or the question that the answers are to.
        students: who.
        index: the least of the pairs that make it a group; 1 if nothing differs but names, comments, layout and order.
        as_solution: whether nearly all of it is in the sample solution.
    """

    what: str
    students: tuple[str, ...]
    index: float
    as_solution: bool


@dataclass(frozen=True)
class Comparison:
    """What comparing gave: the groups, and how many students had enough of their own to be compared."""

    groups: tuple[AlikeGroup, ...]
    compared: int


@dataclass(frozen=True)
class Line:
    """One logical line: its indentation and its tokens as they stand. A comment is a line of its own."""

    indent: int
    tokens: tuple[str, ...]
    comment: bool = False


@functools.lru_cache(maxsize=2048)  # most cells are the same for the whole class
def lines_of(code: str) -> tuple[Line, ...]:
    """The logical lines of a cell, joined within brackets. Works on code that does not parse, in linear time."""
    result: list[Line] = []
    current: list[str] = []
    depth = indent = 0
    for match in TOKEN.finditer(code):
        kind, text = match.lastgroup, match.group()
        if kind == "comment":
            result.append(Line(indent, (squeeze(text),), comment=True))
        elif kind == "newline" and not depth:
            if current:
                result.append(Line(indent, tuple(current)))
            current, indent = [], len(text) - 1
        elif kind not in ("newline", "skip"):
            depth = max(0, depth + (text in "([{") - (text in ")]}"))
            if text in ")]}" and current[-1:] == [","]:  # a trailing comma is layout
                current.pop()
            current.append("''" if kind == "text" else text)
    return (*result, Line(indent, tuple(current))) if current else tuple(result)


def lines_of_all(cells: Iterable[dict[str, Any]]) -> list[Line]:
    """The lines of a student's cells, as far as they are looked at."""
    result: list[Line] = []
    left = LONGEST
    for cell in cells:
        result += lines_of(cell["source"][:left])
        left = max(0, left - len(cell["source"]))
    return result


def definitions(lines: Sequence[Line], names: Collection[str]) -> dict[str, list[Line]]:
    """The lines of the last definition of each of these functions."""
    result: dict[str, list[Line]] = {}
    inside: list[Line] | None = None
    for line in lines:
        if not line.indent and not line.comment:
            defines = line.tokens[0] == "def" and len(line.tokens) > 1 and line.tokens[1] in names
            inside = [] if defines else None
            if inside is not None:
                result[line.tokens[1]] = inside
        if inside is not None:
            inside.append(line)
    return result


def features(lines: Iterable[Line]) -> Features:
    """The features of some lines of code."""
    runs: set[int] = set()
    words: set[int] = set()
    for line in lines:
        if line.comment:
            words |= {hash(line.tokens)} if len(line.tokens[0]) >= 10 else set()
            continue
        plain = [
            "v" if token.isidentifier() and not keyword.iskeyword(token) and before != "." else token
            for before, token in zip(("", *line.tokens), line.tokens, strict=False)
        ]
        runs |= windows(plain, RUN)
        words |= {hash(name) for name, token in zip(line.tokens, plain, strict=True) if token == "v" and len(name) >= 4}
    return Features(frozenset(runs), frozenset(words))


def text_features(text: str) -> Features:
    """The features of a written answer: its runs of words."""
    return Features(frozenset(windows(re.findall(r"\w+", text[:LONGEST].casefold()), WORDS)))


def windows(tokens: Sequence[str], size: int) -> set[int]:
    """The hashes of all runs of `size` tokens, or of all of them if they are fewer."""
    return {hash(tuple(tokens[start : start + size])) for start in range(max(1, len(tokens) - size + 1)) if tokens}


def compare_code(
    code: Mapping[str, Iterable[dict[str, Any]]], functions: Mapping[str, str], given: str, solution: str, size: int
) -> Comparison:
    """Compare the code of a class in one part.

    Args:
        code: the code cells of each student.
        functions: the functions that the part asks for, with their questions.
        given: the code of the student notebook, which everybody has.
        solution: the code of the sample solution.
        size: how many the class are, those without code included.
    """
    known = features(lines_of(given))
    explained = features(lines_of(solution)).without(known)
    units: dict[str, dict[str, Features]] = {name: {} for name in (WHOLE, TOGETHER, *functions.values())}
    for student, cells in code.items():
        lines = lines_of_all(cells)
        units[WHOLE][student] = features(lines).without(known)
        answers = definitions(lines, functions)
        units[TOGETHER][student] = features(line for found in answers.values() for line in found).without(known)
        for name, answer in answers.items():
            units[functions[name]][student] = features(answer).without(known)
    groups: list[AlikeGroup] = []
    for what, found in units.items():
        made = alike(what, found, explained.runs, size, ENOUGH * (1 if what in (WHOLE, TOGETHER) else 3))
        groups += [group for group in made if not any(set(group.students) <= set(old.students) for old in groups)]
    enough = sum(_can_tell(found, explained.runs, size) for found in units[WHOLE].values())
    return Comparison(tuple(groups), enough)


def compare_texts(question: str, answers: Mapping[str, str], given: str, solution: str, size: int) -> Comparison:
    """Compare the written answers of a class to one question; see `compare_code`."""
    known = text_features(given)
    explained = text_features(solution).without(known)
    found = {student: text_features(text).without(known) for student, text in answers.items()}
    enough = sum(_can_tell(own, explained.runs, size) for own in found.values())
    return Comparison(tuple(alike(question, found, explained.runs, size)), enough)


def _can_tell(found: Features, explained: frozenset[int], size: int) -> bool:
    """Whether an answer could be alike another at all: one that just one other student has as well."""
    weight = sum(EXPLAINED if key in explained else 1.0 for key in found.runs) + OWN_WORDS * len(found.words)
    return weight * _rarity(np.array(2), size) >= ENOUGH


def _rarity(counts: Any, size: int) -> Any:
    """What a run weighs that so many of a class have."""
    return np.minimum(RAREST, COMMONEST + np.log(np.maximum(1.0, size / np.maximum(1, counts))))


def alike(
    what: str, answers: Mapping[str, Features], explained: frozenset[int], size: int, enough: float = ENOUGH
) -> list[AlikeGroup]:
    """The groups of answers that are alike, the largest first."""
    students = [student for student, found in answers.items() if found.runs]
    if len(students) < 2:
        return []
    runs, weights = _table([answers[s].runs for s in students], explained, size)
    shared = (runs.multiply(weights) @ runs.T).toarray()
    own = shared.diagonal()
    index = shared / (own[:, None] + own[None, :] - shared)
    words, weights = _table([answers[s].words for s in students], frozenset(), size)
    evidence = shared + OWN_WORDS * (words.multiply(weights) @ words.T).toarray()
    linked = np.triu((index >= LEAST) & (evidence >= enough), k=1)
    _, labels = connected_components(csr_matrix(linked), directed=False)
    result = []
    for label in np.flatnonzero(np.bincount(labels) > 1):
        members = np.flatnonzero(labels == label)
        inside = np.ix_(members, members)
        least = float(index[inside][linked[inside]].min())
        first = answers[students[members[0]]].runs
        as_solution = len(first & explained) >= AS_SOLUTION * len(first)
        result.append(AlikeGroup(what, tuple(students[n] for n in members), round(least, 4), as_solution))
    return sorted(result, key=lambda group: (-len(group.students), group.students))


def _table(answers: Sequence[frozenset[int]], explained: frozenset[int], size: int) -> tuple[Any, Any]:
    """Which answer has which feature, as a sparse matrix, and the features' weights."""
    columns: dict[int, int] = {}
    flat = [columns.setdefault(key, len(columns)) for found in answers for key in found]
    pointer = np.cumsum([0, *map(len, answers)])
    matrix = csr_matrix((np.ones(len(flat)), flat, pointer), shape=(len(answers), max(1, len(columns))))
    shares = np.array([EXPLAINED if key in explained else 1.0 for key in columns] or [1.0])
    counts = np.bincount(flat, minlength=max(1, len(columns)))
    return matrix, shares * _rarity(counts, size)
