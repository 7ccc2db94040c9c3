"""Submissions for the tests of the grader, made from the masters."""

from __future__ import annotations

import ast
import json
from typing import Any

from autograder import masters

SECRET = "5e" * 32
EASY = 2  # the part most tests use: its first functions are judged in well under a second
WRONG = """
import torch
def token_log_probs(logits, ids):
    return torch.zeros(ids.shape[0], ids.shape[1] - 1)
"""


def code(*cells: str | dict[str, Any], tags: tuple[str, ...] = ()) -> tuple[dict[str, Any], ...]:
    """Code cells as the judge takes them, from their sources or from a master's cells, which have tags of their own."""
    plain = ({"source": cell} if isinstance(cell, str) else cell for cell in cells)
    return tuple({"number": n, "tags": list(tags)} | cell for n, cell in enumerate(plain, start=1))


def master_cells(part: int) -> list[dict[str, Any]]:
    """The code cells of a part's solution notebook, `source` and `tags`, tests left out."""
    cells = masters.read_cells(masters.master_path(part))
    wanted = [c for c in cells if c.kind == "code" and c.role != "test"]
    return [{"source": masters.strip_markers(c.source), "tags": list(c.tags)} for c in wanted]


def solution(part: int) -> tuple[dict[str, Any], ...]:
    """The solution notebook's code cells."""
    return code(*master_cells(part))


def blank(part: int) -> tuple[dict[str, Any], ...]:
    """The same with every graded function's body replaced by `...`, as students get it."""
    functions = {q.function for q in masters.load_questions(part)}
    return code(*(cell | {"source": stubbed(cell["source"], functions)} for cell in master_cells(part)))


def stubbed(source: str, functions: set[str | None]) -> str:
    """A cell's code with the bodies of some functions replaced."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in functions:
            node.body = [ast.Expr(ast.Constant(...))]
    return ast.unparse(tree)


def with_answer(part: int, source: str) -> tuple[dict[str, Any], ...]:
    """The solution notebook with one more cell at the end, which defines a function anew."""
    start = "import math\nimport numpy as np\nimport torch\nimport torch.nn.functional as F\n"
    return code(start, *master_cells(part), source)


def notebook(*sources: str, markdown: str = "", **extra: Any) -> bytes:
    """A notebook file with these code cells."""
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "metadata": {}, "source": s, "outputs": [], "execution_count": None} for s in sources
    ]
    if markdown:
        cells.append({"cell_type": "markdown", "metadata": {}, "source": markdown})
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | extra).encode()
