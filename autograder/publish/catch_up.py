"""`course release --catch-up N`: the functions of a part whose deadline is over, so that all can go on with the next one.

They stand in a notebook of their own, `NN_name_catch_up.ipynb`, beside the students' notebooks. `load_functions` takes from
it what the student's own notebook of that part does not have.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder import masters
from autograder.grade.deadlines import parse_deadlines
from helpers.notebook.carry import CATCH_UP
from helpers.notebook.public_check import code_cells
from helpers.notebook.selection import Selection, select
from helpers.parts import PARTS

from .normalise import assign_ids, clean_notebook
from .settings import load_deadlines

TEXT = """\
# Functions of Part {part}, to go on with

The exercises of this part, solved: handed out after its deadline. Keep this file beside your notebooks. `load_functions` in
a later part takes from it what your own notebook of Part {part} does not have. It is not a file to hand in."""


def file_name(part: int) -> str:
    """What the notebook of a part's functions is called."""
    return f"{PARTS[part]}{CATCH_UP}.ipynb"


def still_open(parts: Sequence[int], now: datetime | None = None) -> dict[int, datetime]:
    """Those of the parts whose deadline in `course.toml` is still to come: until when work may be handed in."""
    deadlines, _ = parse_deadlines(load_deadlines())
    now = now or datetime.now(timezone.utc)
    ends = {part: deadlines[part].closes or deadlines[part].due for part in parts if part in deadlines}
    return {part: end for part, end in ends.items() if end > now}


def catch_up_notebook(part: int, solution: Path | None = None) -> NotebookNode:
    """A notebook with a part's functions and what they need, and nothing else of the solution.

    Args:
        part: its number.
        solution: the solution notebook; the built one by default.
    """
    solution = solution or masters.SOLUTIONS / f"{PARTS[part]}.ipynb"
    functions = [q.function for q in masters.load_questions(part) if q.function]
    chosen = select(code_cells(json.loads(solution.read_text(encoding="utf-8"))), functions)
    cells = [nbformat.v4.new_markdown_cell(TEXT.format(part=part))]
    cells += [nbformat.v4.new_code_cell(text) for text in _sources(chosen)]
    assign_ids(cells, f"{part:02d}-catch-up")
    return clean_notebook(nbformat.v4.new_notebook(cells=cells))


def _sources(chosen: Selection) -> list[str]:
    """The text of the chosen statements, cell by cell: all imports in the first."""
    imports: dict[str, None] = {}
    others: dict[int, list[str]] = {}
    for statement in chosen.statements:
        text = _text(chosen.sources[statement.cell], statement.node)
        if isinstance(statement.node, ast.Import | ast.ImportFrom):
            imports[text] = None
        else:
            others.setdefault(statement.cell, []).append(text)
    return ["\n".join(texts) for texts in ([*imports], *others.values()) if texts]


def _text(source: str, node: ast.stmt) -> str:
    """A statement's lines, with its decorators."""
    first = min([node.lineno, *(part.lineno for part in getattr(node, "decorator_list", []))])
    return "\n".join(source.splitlines()[first - 1 : node.end_lineno])
