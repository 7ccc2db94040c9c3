"""Read the masters, `solutions/NN_name.py`: the questions in them, and a plain way to run a question's tests.

A master is a notebook in jupytext's percent format with the block markers of `otter assign`. This module only reads it.
Building the notebooks from it is `autograder.publish`'s work; grading untrusted code is the sandboxed grader's.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jupytext
import yaml

from helpers.parts import PARTS, ROOT

SOLUTIONS = ROOT / "solutions"

_BOUNDARY = re.compile(r"#\s*(BEGIN|END)\s+(QUESTION|SOLUTION|TESTS|PROMPT)\s*$", re.IGNORECASE)
_CONFIG_BEGIN = re.compile(r'(?:.\s*=\s*)?""?"?\s*#\s*BEGIN\s*TEST\s*CONFIG', re.IGNORECASE)
_CONFIG_END = re.compile(r'""?"?\s*#\s*END\s*TEST\s*CONFIG', re.IGNORECASE)
_MARKER_LINE = re.compile(r"#\s*(BEGIN|END)\s+(SOLUTION|PROMPT|IGNORE)( NO PROMPT)?\s*$")


class MasterError(ValueError):
    """A master does not follow the format. The message names the file, the question and what to change."""


@dataclass(frozen=True)
class TestCase:
    """One test: `source` defines exactly one function, called `name`, whose arguments are the student's names."""

    name: str
    points: float
    hidden: bool
    source: str
    success_message: str = ""
    failure_message: str = ""

    __test__ = False  # not a pytest class


@dataclass(frozen=True)
class Question:
    """One question of a part. A written one (`manual`) has a rubric and a sample answer, the others have tests."""

    name: str
    part: int
    points: float
    function: str | None
    manual: bool
    rubric: tuple
    prompt: str
    sample_answer: str
    tests: tuple[TestCase, ...]
    solution: str


@dataclass(frozen=True)
class Cell:
    """One cell of a master, with the place it has in the block structure."""

    kind: str  # "code", "markdown" or "raw"
    source: str
    tags: tuple[str, ...]
    block: tuple[str, ...]  # e.g. ("question", "solution"); () outside any question
    question: str | None  # the question's name inside a question block
    boundary: str | None  # e.g. "begin question"; "config" for the assignment's config cell


def master_path(part: int) -> Path:
    """The path of a part's master, whether or not it exists yet."""
    if part not in PARTS:
        raise MasterError(f"there is no part {part}: the parts are {', '.join(map(str, PARTS))}")
    return SOLUTIONS / f"{PARTS[part]}.py"


def existing_parts() -> list[int]:
    """The numbers of the parts whose masters exist."""
    return [part for part in PARTS if master_path(part).exists()]


def read_cells(path: Path) -> list[Cell]:
    """Read a master's cells in order.

    Raises:
        MasterError: if a block is not closed, is closed twice or stands where it may not.
    """
    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    cells: list[Cell] = []
    blocks: list[str] = []
    question: str | None = None
    for number, raw in enumerate(notebook.cells, start=1):
        tags = tuple(raw.metadata.get("tags", ()))
        boundary = None
        where = f"{path.name}, cell {number}"
        if raw.cell_type == "raw":
            first = raw.source.strip().splitlines()[0] if raw.source.strip() else ""
            match = _BOUNDARY.match(first)
            if re.match(r"#\s*ASSIGNMENT CONFIG", first, re.IGNORECASE):
                boundary = "config"
            elif match:
                action, block = match.group(1).lower(), match.group(2).lower()
                boundary = f"{action} {block}"
                if action == "begin":
                    if (block == "question") != (not blocks) or len(blocks) > 1:
                        raise MasterError(
                            f"{where}: BEGIN {block.upper()} inside {' > '.join(blocks) or 'no question'}"
                        )
                    blocks.append(block)
                    if block == "question":
                        question = (yaml.safe_load(raw.source) or {}).get("name")
                        if not question:
                            raise MasterError(f"{where}: a BEGIN QUESTION cell needs `name: …`")
        cells.append(Cell(raw.cell_type, raw.source, tags, tuple(blocks), question, boundary))
        if boundary and boundary.startswith("end "):
            block = boundary.split()[1]
            if not blocks or blocks[-1] != block:
                raise MasterError(f"{where}: END {block.upper()}, but the open block is {' > '.join(blocks) or 'none'}")
            blocks.pop()
            if block == "question":
                question = None
    if blocks:
        raise MasterError(f"{path.name}: the block {' > '.join(blocks)} ({question}) is never closed")
    return cells


def read_config(path: Path) -> dict:
    """The assignment's config (`title`, `part`, `minutes`, …) from a master's first cell."""
    for cell in read_cells(path):
        if cell.boundary == "config":
            return yaml.safe_load(cell.source) or {}
    raise MasterError(f"{path.name}: no cell begins with `# ASSIGNMENT CONFIG`")


def load_questions(part: int) -> list[Question]:
    """All questions of a part, in the notebook's order."""
    return load_questions_from(master_path(part), part)


def load_questions_from(path: Path, part: int) -> list[Question]:
    """All questions of the master at `path`. The file is parsed again only when it has changed.

    Raises:
        FileNotFoundError: if there is no such master.
        MasterError: if it does not follow the format.
    """
    return list(_parse(path, part, path.stat().st_mtime_ns))


@functools.lru_cache(maxsize=32)
def _parse(path: Path, part: int, _modified: int) -> tuple[Question, ...]:
    questions: list[Question] = []
    for group in _question_groups(read_cells(path)):
        question = _make_question(group, part, path)
        if any(other.name == question.name for other in questions):
            raise MasterError(f"{path.name}: two questions are called {question.name}")
        questions.append(question)
    return tuple(questions)


def _question_groups(cells: list[Cell]) -> Iterator[list[Cell]]:
    group: list[Cell] = []
    for cell in cells:
        if cell.question is not None:
            group.append(cell)
        if cell.boundary == "end question":
            yield group
            group = []


def _make_question(group: list[Cell], part: int, path: Path) -> Question:
    config = yaml.safe_load(group[0].source) or {}
    name = config["name"]
    where = f"{path.name}, question {name}"
    content = [cell for cell in group if cell.boundary is None]
    solution_cells = [cell for cell in content if cell.block[-1] == "solution"]
    tests = tuple(parse_test(cell.source, where) for cell in content if cell.block[-1] == "tests")
    manual = bool(config.get("manual", False))
    if manual == bool(tests):
        raise MasterError(f"{where}: a written question has no tests, every other has some")
    names = [test.name for test in tests]
    if len(set(names)) != len(names):
        raise MasterError(f"{where}: two test functions have one name: otter would keep only the last")
    total = sum(test.points for test in tests)
    points = float(config.get("points", total))
    if tests and abs(total - points) > 1e-9:
        raise MasterError(f"{where}: `points: {points:g}`, but its tests add up to {total:g}")
    solution = "\n\n".join(strip_markers(cell.source) for cell in solution_cells if cell.kind == "code")
    function = config.get("function")
    if function and function not in {n.name for n in ast.parse(solution).body if isinstance(n, ast.FunctionDef)}:
        raise MasterError(f"{where}: its solution does not define `{function}`")
    return Question(
        name=name,
        part=part,
        points=points,
        function=function,
        manual=manual,
        rubric=tuple(config.get("rubric") or ()),
        prompt="\n\n".join(c.source for c in content if c.kind == "markdown" and c.block == ("question",)),
        sample_answer="\n\n".join(c.source for c in solution_cells if c.kind == "markdown"),
        tests=tests,
        solution=solution,
    )


def parse_test(source: str, where: str) -> TestCase:
    """Read one test cell: the config between its markers, then one function.

    Raises:
        MasterError: if the config is missing or there is not exactly one function.
    """
    lines = source.splitlines()
    end = next((i for i, line in enumerate(lines) if _CONFIG_END.match(line)), None)
    if end is None or not _CONFIG_BEGIN.match(lines[0]):
        raise MasterError(f'{where}: a test cell begins with `""" # BEGIN TEST CONFIG` and closes it')
    config = yaml.safe_load("\n".join(lines[1:end])) or {}
    body = "\n".join(line for line in lines[end + 1 :] if not line.rstrip().endswith("# IGNORE")).strip() + "\n"
    try:
        tree = ast.parse(body)
    except SyntaxError as error:
        raise MasterError(f"{where}: a test does not parse: {error}") from error
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef):
        raise MasterError(f"{where}: a test cell holds exactly one function (and its call marked `# IGNORE`)")
    if "points" not in config:
        raise MasterError(f"{where}, {tree.body[0].name}: the test's config needs `points`")
    return TestCase(
        name=tree.body[0].name,
        points=float(config["points"]),
        hidden=bool(config.get("hidden", False)),
        source=body,
        success_message=config.get("success_message") or "",
        failure_message=config.get("failure_message") or "",
    )


def has_solution(source: str) -> bool:
    """Whether a cell holds a region or a line marked as a solution."""
    return bool(re.search(r"^\s*# BEGIN SOLUTION( NO PROMPT)?\s*$|# ?SOLUTION( NO PROMPT)?\s*$", source, re.MULTILINE))


def strip_markers(source: str) -> str:
    """A solution cell's code without the marker lines and without lines marked `# IGNORE`."""
    kept, ignoring = [], False
    for line in source.splitlines():
        text = line.strip()
        if re.match(r"#\s*BEGIN\s*IGNORE", text):
            ignoring = True
        elif re.match(r"#\s*END\s*IGNORE", text):
            ignoring = False
        elif not (ignoring or _MARKER_LINE.match(text) or text.endswith("# IGNORE")):
            kept.append(re.sub(r"\s*# SOLUTION( NO PROMPT)?$", "", line))
    return "\n".join(kept).strip() + "\n"


# --------------------------------------------------------------------------------------------- running tests
