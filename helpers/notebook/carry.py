"""Functions that a student wrote in an earlier part, taken from that part's notebook."""

from __future__ import annotations

import ast
import json
from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .public_check import code_cells, define, load_tests, parameters, run_case
from .selection import Selection, select

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class MissingFunctionError(RuntimeError):
    """A function of an earlier part could not be had; the message says what to do."""


def load_functions(
    notebook: str, names: Sequence[str], *, path: str | Path | None = None, tests: bool = True
) -> tuple[Callable[..., Any], ...]:
    """Return functions from the student's own notebook of an earlier part.

    What is run of that notebook is what the grader runs of it: the functions, and the imports, constants and other
    functions they use (`helpers.notebook.selection`). Then the earlier part's public tests are run on them, if they lie
    beside the notebook.

    `token_log_probs, leave_one_out_advantages = load_functions("02_reinforce", ["token_log_probs",
    "leave_one_out_advantages"])`

    Args:
        notebook: the earlier notebook's name without its ending, such as `"02_reinforce"`.
        names: the functions wanted.
        path: the notebook file, if it is not found by itself. Looked for beside this notebook, in `notebooks` and in
            `solutions`; functions pasted into a cell of this notebook count as well.
        tests: run the public tests, and warn about functions that fail them.

    Returns:
        A named tuple of the functions in the order of `names`.

    Raises:
        MissingFunctionError: a function is not found or not written yet.
    """
    part = int(notebook.split("_")[0])
    problems: list[str] = []
    found: dict[str, Any] = {}
    warnings: list[str] = []
    folder = Path.cwd()
    where = "the cells of this notebook"
    for candidate in _candidates(notebook, path):
        found, warnings, problem = _definitions(candidate, names)
        if not problem:
            folder, where = candidate.parent, str(candidate)
            break
        problems.append(f"{candidate}: {problem}")
    found = found or _pasted(names)
    if not found:
        raise MissingFunctionError(_what_to_do(notebook, part, names, problems))
    print(f"From {where}: {', '.join(names)}.")
    warnings = [f"while they were taken over, {warning}" for warning in warnings]
    if tests:
        failures = failing_tests(found, names, folder / "tests", part)
        warnings += [f"your {name} does not pass the public test {message}" for name, message in failures]
    for warning in warnings:
        print(f"WARNING: {warning}")
    return namedtuple("Functions", names)(*(found[name] for name in names))  # type: ignore[misc]


def _candidates(notebook: str, path: str | Path | None) -> list[Path]:
    """Return the files that may be the earlier notebook, the student's own before the solution."""
    if path is not None:
        return [Path(path)]
    here = Path.cwd()
    folders = [
        here,
        here.parent,
        here / "notebooks",
        here.parent / "notebooks",
        here / "solutions",
        here.parent / "solutions",
    ]
    every = [file for folder in folders for file in sorted(folder.glob(f"{notebook}*.ipynb"))]
    return list(dict.fromkeys(every))


def _definitions(path: Path, names: Sequence[str]) -> tuple[dict[str, Any], list[str], str]:
    """Define the wanted functions of a notebook, with what they need, by the rule of grading.

    Returns:
        The namespace, what failed on the way, and why the functions cannot be had (empty if they can).
    """
    if not path.is_file():
        return {}, [], "no such file"
    try:
        cells = code_cells(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, AttributeError, KeyError) as error:  # no JSON, or JSON of something else
        return {}, [], f"this is no notebook ({type(error).__name__}: {error})"
    selection = select(cells, names)
    if unwritten := [name for name in names if _is_unwritten(selection, name)]:
        return {}, [], f"{', '.join(unwritten)} is not written yet"
    sources = {cell["number"]: cell["source"] for cell in cells}
    unreadable = [error for error in selection.errors if any(name in sources[error["cell"]] for name in names)]
    space, errors = define(replace(selection, errors=unreadable))  # the student's own code, in their own kernel
    if absent := [name for name in names if name not in space]:
        return {}, [], "; ".join([f"it does not define {', '.join(absent)}", *errors])
    return space, errors, ""


def _is_unwritten(selection: Selection, name: str) -> bool:
    """True if the last statement that binds a name defines a function whose body is only a docstring, `...` or `pass`."""
    last = next((statement.node for statement in reversed(selection.statements) if name in statement.binds), None)
    found = [node for node in ast.walk(last) if isinstance(node, FUNCTIONS) and node.name == name] if last else []
    return bool(found) and all(
        isinstance(part, ast.Pass) or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
        for node in found
        for part in node.body
    )


def _pasted(names: Sequence[str]) -> dict[str, Any]:
    """Return the functions if all of them are defined in this notebook's own cells."""
    try:
        from IPython import get_ipython
    except ImportError:
        return {}
    shell = get_ipython()
    space = {} if shell is None else shell.user_ns
    return dict(space) if all(callable(space.get(name)) for name in names) else {}


def failing_tests(found: dict[str, Any], names: Sequence[str], folder: Path, part: int) -> list[tuple[str, str]]:
    """Run the public tests of a part that test one of the functions; return `(function, message)` of those that fail.

    A test belongs to a function when it takes it as an argument. Tests that need something else are left out.
    """
    failures = []
    for question, cases in load_tests(folder, part).items():
        for case in cases:
            wanted = parameters(case)
            tested = [name for name in wanted if name in names]
            if not tested or any(name not in found for name in wanted):
                continue
            if message := run_case(case, found):
                failures.append((tested[0], f"{question}, {case.name}: {message}"))
    return failures


def _what_to_do(notebook: str, part: int, names: Sequence[str], problems: Sequence[str]) -> str:
    """Return the message for functions that could not be had."""
    tried = "\n".join(f"  tried {problem}" for problem in problems) or f"  no file {notebook}.ipynb was found here"
    return (
        f"This notebook uses what you wrote in Part {part}: {', '.join(names)}.\n{tried}\n"
        "Do one of these, then run this cell again:\n"
        f"  - put your finished {notebook}.ipynb beside this notebook (in Colab: File > Download in Part {part}, "
        "then the folder symbol on the left > upload);\n"
        f"  - or paste your functions from Part {part} into a new cell above this one, and run it."
    )
