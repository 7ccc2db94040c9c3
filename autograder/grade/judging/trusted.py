"""The course's own solutions as functions in this process: to tell a broken test from a wrong answer."""

from __future__ import annotations

import ast
import functools
from typing import Any

from autograder import masters
from autograder.reference.spec import JudgeError


@functools.cache
def trusted_env(part: int) -> dict[str, Any]:
    """The solutions of a part, executed with the imports and constants of its master.

    Raises:
        JudgeError: a solution does not run.
    """
    space: dict[str, Any] = {"__name__": "course_solution"}
    for cell in masters.read_cells(masters.master_path(part)):
        if cell.kind != "code" or cell.role == "test":
            continue
        source = masters.strip_markers(cell.source)
        try:
            tree = ast.parse(source)
        except SyntaxError:  # a cell with magics
            continue
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                _run(node, space, f"the imports of part {part}")
    for question in masters.load_questions(part):
        for node in ast.parse(question.solution).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.Import | ast.ImportFrom):
                _run(node, space, f"the solution of {question.name}")
    return space


def _run(node: ast.stmt, space: dict[str, Any], what: str) -> None:
    try:
        exec(compile(ast.Module(body=[node], type_ignores=[]), "<solution>", "exec"), space)
    except Exception as error:
        raise JudgeError(f"{what} failed: {type(error).__name__}: {error}") from error
