"""Read the masters, `solutions/NN_name.py`: the questions in them, and their cells in order.

A master is a notebook in jupytext's percent format. Its first cell begins with the title, `# Part 3 · …`. A question is
three things in a row:

1. its text, a markdown cell with the question's name, and if you like how hard it is, and that it may be left out:
   `# %% [markdown] q="q3_1" level=2 optional=true`. The build writes its points behind its title, the first bold words;
2. its answer, one cell. An exercise's is a code cell that defines one function, with `# BEGIN SOLUTION` and
   `# END SOLUTION` around what the student writes. A written question's is a markdown cell: a sample answer, a line
   `**Rubric**`, and a list of `- 1 point: …`;
3. an exercise's tests, code cells of two kinds. `# %% points=1 success="…"` holds one test function, which may be
   `hidden=true` and have a `failure="…"`. `success` is a sentence that says what is tested; it is the test's title too. A
   public test with `confirm="update"` gives its points in the sandboxed grader only if these kinds of cases, on inputs that
   nobody has seen, agree with it: so its answers cannot be copied. One with `points=0` shows an edge and costs nothing.
   `# %% hidden={"values dtypes": 1, "edges": 0.5}` holds no code: each entry is a hidden test, `verify` with these kinds
   of cases for so many points. Its name is `test_hidden_` and the first kind.
   Comments in such a cell, a line an entry, say what went wrong when the test fails. A test may use `torch`, and `CHECKS`
   of `helpers.checks`: their imports are written into it when the forms are built.

The question ends where a cell is no test. Its points are the sum over its tests or its rubric.

This module only reads. Building the notebooks is `autograder.publish`'s work; grading untrusted code is the sandboxed
grader's.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jupytext

from helpers.parts import PARTS, ROOT

from .chosen import ANY_PRESET, Chosen, chosen, kept, shared

SOLUTIONS = ROOT / "solutions"

CELL = "# %%"
_TEXT_KEYS = {"q", "level", "optional"}
_KEYS = {*_TEXT_KEYS, "points", "hidden", "confirm", "success", "failure", "tags"}
# what a master's tests use of `helpers.checks`
CHECKS = ("check", "check_answers", "check_choices", "check_rules", "is_float", "must_raise", "trying")
_RUBRIC = re.compile(r"^\*\*Rubric\*\*$", re.MULTILINE)
_RUBRIC_LINE = re.compile(r"(\d+(?:\.\d+)?) points?: .+", re.DOTALL)
_HIDDEN = """\
def {name}({function}):
    from autograder.reference.verify import verify

    verify({function}, "{function}", {kinds})
"""
LABEL = re.compile(r"\*\*((?:Exercise|Question|Written question) \w+\.\w+)")  # what a notebook calls a question


class MasterError(ValueError):
    """A master does not follow the format. The message names the file, the line, the question and what to change."""


@dataclass(frozen=True)
class TestCase:
    """One test: `source` defines exactly one function, called `name`, whose arguments are the student's names.

    `confirm` names kinds of hidden cases that the sandboxed grader tries after a public test has passed.
    """

    name: str
    points: float
    hidden: bool
    source: str
    success_message: str = ""
    failure_message: str = ""
    confirm: tuple[str, ...] = ()

    __test__ = False  # not a pytest class

    @property
    def title(self) -> str:
        """What a student sees as the test's name: what a public test checks, or a hidden one's name in words."""
        return self.success_message or self.name.removeprefix("test_").replace("_", " ").capitalize()


@dataclass(frozen=True)
class Question:
    """One question of a part. A written one (`manual`) has a rubric and a sample answer, the others have tests."""

    name: str
    part: int
    points: float
    function: str | None  # what an exercise asks for; None in a written question
    manual: bool
    rubric: tuple[str, ...]  # each "1 point: …"
    prompt: str
    sample_answer: str
    tests: tuple[TestCase, ...]
    solution: str
    level: int = 0  # how hard it is, from 1 to 3; 0 where nothing is said
    optional: bool = False


@dataclass(frozen=True)
class Cell:
    """One cell of a master, with the place it has in a question."""

    kind: str  # "code" or "markdown"
    source: str
    question: str | None = None  # the question's name
    role: str | None = None  # "text", "answer" or "test"; None outside any question
    tags: tuple[str, ...] = ()
    where: str = ""  # file, line and question, for messages
    metadata: dict[str, Any] = field(default_factory=dict)  # what else stands on the cell's line


def label_of(question: Question) -> str:
    """What the notebook calls a question, e.g. "Question 2.A"; its short name if the notebook gives it none."""
    found = LABEL.search(question.prompt)
    return found[1] if found else question.name


def master_path(part: int) -> Path:
    """The path of a part's master, whether or not it exists yet."""
    if part not in PARTS:
        raise MasterError(f"there is no part {part}: the parts are {', '.join(map(str, PARTS))}")
    return SOLUTIONS / f"{PARTS[part]}.py"


def existing_parts() -> list[int]:
    """The numbers of the parts whose masters exist."""
    return [part for part in PARTS if master_path(part).exists()]


def read_cells(path: Path, choice: Chosen | None = None) -> list[Cell]:
    """Read a master's cells in order, without the optional sections that an instructor leaves out, and with the models chosen.

    Args:
        path: the master.
        choice: what to leave out; by default what `course.toml` says.

    Raises:
        MasterError: if a cell's line holds something unknown, or a question's cells are not in order.
    """
    choice = chosen() if choice is None else choice
    cells = read_all_cells(path)
    texts = kept([cell.source if cell.kind == "markdown" else "" for cell in cells], choice.leave_out)
    stay = [(cell, text) for cell, text in zip(cells, texts, strict=True) if text is not None]
    return [
        replace(cell, source=text if cell.kind == "markdown" else cell.source.replace(ANY_PRESET, choice.call))
        for cell, text in stay
    ]


def read_all_cells(path: Path) -> list[Cell]:
    """Read a master's cells in order, as they stand there.

    Raises:
        MasterError: if a cell's line holds something unknown, or a question's cells are not in order.
    """
    text = path.read_text(encoding="utf-8")
    notebook = jupytext.reads(text, fmt="py:percent")
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if line.startswith(CELL)]
    if len(lines) != len(notebook.cells):
        raise MasterError(
            f"{path.name}: the file must begin with a line `{CELL}`, and no other text may begin like one"
        )
    cells: list[Cell] = []
    for line, raw in zip(lines, notebook.cells, strict=True):
        metadata = {key: value for key, value in raw.metadata.items() if key != "lines_to_next_cell"}
        place = f"{path.name}, line {line}"
        if unknown := set(metadata) - _KEYS:
            raise MasterError(
                f"{place}: unknown on a cell's line: {', '.join(sorted(unknown))}; known: {sorted(_KEYS)}"
            )
        if raw.cell_type not in ("code", "markdown"):
            raise MasterError(f"{place}: a master has code and markdown cells only, not `[{raw.cell_type}]`")
        tags = tuple(metadata.pop("tags", ()))
        question, role = _place(metadata, raw.cell_type, cells[-1] if cells else None, place)
        where = f"{place}, question {question}" if question else place
        cells.append(Cell(raw.cell_type, raw.source.strip("\n"), question, role, tags, where, metadata))
    if cells and cells[-1].role == "text":
        raise MasterError(f"{cells[-1].where}: the question has no answer cell after its text")
    return cells


def _place(metadata: dict[str, Any], kind: str, before: Cell | None, where: str) -> tuple[str | None, str | None]:
    """The question a cell belongs to, and its role there."""
    is_test = "points" in metadata or "hidden" in metadata
    if before and before.role == "text":
        if metadata:
            raise MasterError(
                f"{where}: the cell after the text of {before.question} is its answer, without {metadata}"
            )
        return before.question, "answer"
    if "q" in metadata:
        if kind != "markdown" or not set(metadata) <= _TEXT_KEYS or metadata.get("level", 1) not in (1, 2, 3):
            raise MasterError(
                f"{where}: a question begins with a markdown cell that has `q`, if you like `level` (1, 2 or 3) and "
                "`optional`, and nothing else"
            )
        return str(metadata["q"]), "text"
    if is_test:
        if kind != "code" or not before or before.role not in ("answer", "test"):
            raise MasterError(
                f"{where}: a test is a code cell after a question's answer, or after another of its tests"
            )
        return before.question, "test"
    if metadata:
        raise MasterError(f"{where}: a test needs `points` or `hidden` beside {', '.join(metadata)}")
    return None, None


def read_title(path: Path) -> str:
    """A part's title: the heading with which its master's first cell begins."""
    cells = read_cells(path)
    first = cells[0].source.splitlines() if cells else []
    if not first or not first[0].startswith("# Part "):
        raise MasterError(f"{path.name}: its first cell must begin with the title, `# Part … · …`")
    return first[0].removeprefix("# ")


def load_questions(part: int) -> list[Question]:
    """All questions of a part, in the notebook's order."""
    return load_questions_from(master_path(part), part)


def load_questions_from(path: Path, part: int) -> list[Question]:
    """All questions of the master at `path`. The file is parsed again only when it has changed.

    Raises:
        FileNotFoundError: if there is no such master.
        MasterError: if it does not follow the format.
    """
    choice = chosen()
    return weighted(_parse(path, part, path.stat().st_mtime_ns, choice.leave_out), choice.points)


def weighted(questions: Sequence[Question], points: Mapping[str, float]) -> list[Question]:
    """The questions, those in `points` worth what stands there: their tests, or the lines of their rubric, keep their shares.

    A question that is worth nothing may be left out by students.
    """
    return [_worth(question, points[question.name]) if question.name in points else question for question in questions]


def _worth(question: Question, points: float) -> Question:
    lines = [line.split(": ", 1) for line in question.rubric]
    worth = shared([test.points for test in question.tests] or [float(line[0].split()[0]) for line in lines], points)
    return replace(
        question,
        points=points,
        rubric=tuple(
            f"{own:g} {'point' if own == 1 else 'points'}: {line[1]}" for own, line in zip(worth, lines, strict=False)
        ),
        tests=tuple(replace(test, points=own) for test, own in zip(question.tests, worth, strict=False)),
        optional=question.optional or points == 0,
    )


@functools.lru_cache(maxsize=32)
def _parse(path: Path, part: int, _modified: int, leave_out: frozenset[str]) -> tuple[Question, ...]:
    groups: dict[str, list[Cell]] = {}
    for cell in read_cells(path, Chosen(leave_out=leave_out)):
        if cell.role == "text" and cell.question in groups:
            raise MasterError(f"{cell.where}: two questions have this name")
        if cell.question:
            groups.setdefault(cell.question, []).append(cell)
    return tuple(_make_question(part, *group) for group in groups.values())


def _make_question(part: int, text: Cell, answer: Cell, *test_cells: Cell) -> Question:
    name = text.question or ""
    extra = int(text.metadata.get("level", 0)), bool(text.metadata.get("optional", False))
    manual = answer.kind == "markdown"
    if manual == bool(test_cells):
        raise MasterError(
            f"{answer.where}: a written question (its answer is markdown) has no tests, every other has some"
        )
    if manual:
        sample_answer, rubric = _read_sample(answer)
        points = sum(float(line.split()[0]) for line in rubric)
        return Question(name, part, points, None, True, rubric, text.source, sample_answer, (), "", *extra)
    solution = strip_markers(answer.source)
    function = _function_of(solution, answer)
    tests = tuple(test for cell in test_cells for test in read_tests(cell, function))
    names = [test.name for test in tests]
    if twice := {test for test in names if names.count(test) > 1}:
        raise MasterError(f"{text.where}: two tests have one name, {twice.pop()}: otter would keep only the last")
    points = sum(test.points for test in tests)
    return Question(name, part, points, function, False, (), text.source, "", tests, solution, *extra)


def _read_sample(answer: Cell) -> tuple[str, tuple[str, ...]]:
    """A written question's sample answer and its rubric; lines of the list may go on in indented lines."""
    parts = _RUBRIC.split(answer.source)
    if len(parts) != 2 or not parts[0].strip():
        raise MasterError(f"{answer.where}: a sample answer ends with a line `**Rubric**` and a list of points")
    items = [" ".join(item.split()) for item in re.split(r"^- ", parts[1].strip(), flags=re.MULTILINE)]
    if items[0] or len(items) < 2 or not all(_RUBRIC_LINE.fullmatch(item) for item in items[1:]):
        raise MasterError(f"{answer.where}: each line of the rubric reads `- 1 point: …`")
    return parts[0].strip(), tuple(items[1:])


def _function_of(solution: str, answer: Cell) -> str:
    """The name of the one function that an exercise's solution defines."""
    defined = [node.name for node in _tree(solution, answer).body if isinstance(node, ast.FunctionDef)]
    if len(defined) != 1:
        raise MasterError(f"{answer.where}: its solution must define one function, not {', '.join(defined) or 'none'}")
    return defined[0]


def _tree(source: str, cell: Cell) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise MasterError(f"{cell.where}: the code does not parse: {error}") from error


def read_tests(cell: Cell, function: str) -> list[TestCase]:
    """The test in a test cell, or the hidden tests of its table.

    Raises:
        MasterError: if the cell's line or its content is not as the module's docstring says.
    """
    config = cell.metadata
    if isinstance(config.get("hidden"), dict):
        return _hidden_tests(cell, function)
    if not isinstance(config.get("points"), int | float):
        raise MasterError(f"{cell.where}: a test's line needs `points=` and a number")
    body = _tree(cell.source, cell).body
    if len(body) != 1 or not isinstance(body[0], ast.FunctionDef):
        raise MasterError(f"{cell.where}: a test cell holds exactly one function")
    hidden, confirm = bool(config.get("hidden", False)), tuple(str(config.get("confirm", "")).split())
    if hidden and confirm:
        raise MasterError(f"{cell.where}: a hidden test needs no `confirm`: its inputs are drawn already")
    messages = (str(config.get("success", "")), str(config.get("failure", "")))
    source = _standing_alone(body[0], cell.source.strip() + "\n", messages[0])
    return [TestCase(body[0].name, float(config["points"]), hidden, source, *messages, confirm)]


def _standing_alone(test: ast.FunctionDef, source: str, title: str) -> str:
    """A test with its title as its docstring, and the imports of `torch` and of `CHECKS` that it needs."""
    used = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    used -= {
        alias.name for node in ast.walk(test) if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names
    }
    checks = ", ".join(name for name in CHECKS if name in used)
    head = [f'    """{title}"""'] if title and not ast.get_docstring(test) else []
    imports = ["    import torch"] if "torch" in used else []
    imports += [f"    from helpers.checks import {checks}"] if checks else []
    lines = source.split("\n")
    first = test.body[1 if ast.get_docstring(test) and len(test.body) > 1 else 0]
    at = first.lineno - 1
    if imports and not isinstance(first, ast.Import | ast.ImportFrom):
        imports.append("")
    return "\n".join([*lines[:at], *head, *imports, *lines[at:]])


def _hidden_tests(cell: Cell, function: str) -> list[TestCase]:
    table = cell.metadata["hidden"]
    lines = cell.source.splitlines()
    if set(cell.metadata) != {"hidden"} or (lines and len(lines) != len(table)):
        raise MasterError(
            f"{cell.where}: a table of hidden tests has no more on its line, and one comment an entry or none"
        )
    if not all(line.startswith("# ") for line in lines):
        raise MasterError(
            f"{cell.where}: a table of hidden tests holds no code; write a test of its own with hidden=true"
        )
    tests = []
    for n, (kinds, points) in enumerate(table.items()):
        if not kinds.split() or not isinstance(points, int | float):
            raise MasterError(f'{cell.where}: an entry reads "values dtypes": 1')
        test = hidden_test(f"test_hidden_{kinds.split()[0]}", function, kinds.split(), float(points))
        tests.append(replace(test, failure_message=lines[n].removeprefix("# ") if lines else ""))
    return tests


def hidden_test(name: str, function: str, kinds: Sequence[str], points: float) -> TestCase:
    """A hidden test of a function with these kinds of cases."""
    quoted = ", ".join(f'"{kind}"' for kind in kinds)
    return TestCase(name, points, True, _HIDDEN.format(name=name, function=function, kinds=quoted))


def has_solution(source: str) -> bool:
    """Whether a cell holds a region marked as a solution."""
    return bool(re.search(r"^\s*# BEGIN SOLUTION( NO PROMPT)?\s*$", source, re.MULTILINE))


def strip_markers(source: str) -> str:
    """A cell's code without the lines that mark a solution."""
    marker = re.compile(r"\s*# (BEGIN|END) SOLUTION( NO PROMPT)?\s*")
    return "\n".join(line for line in source.splitlines() if not marker.fullmatch(line)).strip() + "\n"
