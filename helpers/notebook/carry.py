"""Functions that a student wrote in an earlier part, taken from that part's notebook."""

from __future__ import annotations

import ast
import json
from collections import namedtuple
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .host import in_colab
from .public_check import code_cells, define, load_tests, parameters, run_case
from .selection import Selection, select
from .unwritten import is_stub, is_unwritten, named, numbers, stand_in, watching

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
CATCH_UP = "_catch_up"  # ends the name of the notebook that `course release --catch-up` hands out after a deadline


class MissingFunctionError(RuntimeError):
    """A function of an earlier part could not be had; the message says what to do."""


def load_functions(notebook: str, names: Sequence[str], *, path: str | Path | None = None, tests: bool = True) -> Any:
    """Return functions from the student's own notebook of an earlier part.

    What is run of that notebook is what the grader runs of it: the functions, and the imports, constants and other
    functions they use (`helpers.notebook.selection`). Then the earlier part's public tests are run on them, if they lie
    beside the notebook.

    `token_log_probs, leave_one_out_advantages = load_functions("02_reinforce", ["token_log_probs",
    "leave_one_out_advantages"])`

    Each function comes from the first notebook in which it is written: the student's own, then the one that was handed out
    after the earlier part's deadline (`course release --catch-up`), then the solution.

    Args:
        notebook: the earlier notebook's name without its ending, such as `"02_reinforce"`.
        names: the functions wanted.
        path: the notebook file, if it is not found by itself. Looked for beside this notebook, in `notebooks` and in
            `solutions`; functions pasted into a cell of this notebook count as well.
        tests: run the public tests, and warn about functions that fail them.

    Returns:
        A named tuple of the functions in the order of `names`. In a notebook that leaves out what waits for an exercise
        (`helpers.notebook.unwritten`), a function that is not to be had is one that says so when it is called.

    Raises:
        MissingFunctionError: a function is not found or not written yet, and no such notebook runs.
    """
    part = int(notebook.split("_")[0])
    problems: list[str] = []
    found: dict[str, Any] = {}
    spaces: list[dict[str, Any]] = []
    warnings: list[str] = []
    places: list[Path] = []
    wanted = list(names)
    for candidate in _candidates(notebook, path):
        rest = [name for name in wanted if name not in found]
        if not rest:
            break
        space, gaps, failed, problem = _definitions(candidate, rest)
        if problem:
            problems.append(f"{candidate}: {problem}")
        if taken := [name for name in rest if name in space]:
            places.append(candidate.parent)
            spaces.append(space)
            found |= {name: space[name] for name in taken}
            wanted += [name for name in gaps if name not in wanted]  # what was written leans on these
            warnings += [f"while they were taken over, {warning}" for warning in failed]
            print(f"From {candidate}: {', '.join(taken)}.")
    rest = [name for name in names if name not in found]
    if pasted := _pasted(rest):
        print(f"From the cells of this notebook: {', '.join(pasted)}.")
        found |= pasted
    rest = [name for name in rest if name not in found]
    if rest:
        text = _what_to_do(notebook, part, rest, problems)
        if not watching():
            raise MissingFunctionError(text)
        print(f"{named(rest)} {'is' if len(rest) == 1 else 'are'} missing here. {text}")
    here = list(found)
    found |= {name: stand_in(name) for name in wanted if name not in found}
    for space in spaces:
        for name, function in found.items():
            space.setdefault(name, function)
    if tests:
        every = [*reversed(spaces), found]
        known = {name: value for space in every for name, value in space.items() if not is_unwritten(value)}
        failures = failing_tests(known, here, (places or [Path.cwd()])[0] / "tests", part)
        warnings += [f"your {name} does not pass the public test {message}" for name, message in failures]
    for warning in warnings:
        print(f"WARNING: {warning}")
    return namedtuple("Functions", names)(*(found[name] for name in names))


def _candidates(notebook: str, path: str | Path | None) -> list[Path]:
    """Return the files that may be the earlier notebook, the student's own before the solution."""
    if path is not None:
        return [Path(path)]
    here = Path.cwd()
    folders = [here, here.parent, here / "notebooks", here.parent / "notebooks", *uploads()]
    own = [file for folder in folders for file in sorted(folder.glob(f"{notebook}*.ipynb"))]
    own.sort(key=lambda file: file.stem.endswith(CATCH_UP))  # what the student wrote comes first
    solutions = [here / "solutions" / f"{notebook}.ipynb", here.parent / "solutions" / f"{notebook}.ipynb"]
    return list(dict.fromkeys([*own, *(file for file in solutions if file.is_file())]))


def uploads() -> list[Path]:
    """Where Colab's list of files on the left puts what a student uploads."""
    return [Path("/content")] if in_colab() else []


def _definitions(path: Path, names: Sequence[str]) -> tuple[dict[str, Any], list[str], list[str], str]:
    """Define those of the wanted functions that a notebook has, with what they need, by the rule of grading.

    Returns:
        The namespace, the exercises that it leans on and that are not written in it, what failed on the way, and why
        functions cannot be had (empty if all can).
    """
    if not path.is_file():
        return {}, [], [], "no such file"
    try:
        cells = code_cells(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, AttributeError, KeyError) as error:  # no JSON, or JSON of something else
        return {}, [], [], f"this is no notebook ({type(error).__name__}: {error})"
    selection = select(cells, names)
    unwritten = [name for name in names if _is_unwritten(selection, name)]
    written = [name for name in names if name not in unwritten]
    problems = [f"{', '.join(unwritten)} {'is' if len(unwritten) == 1 else 'are'} not written yet"] if unwritten else []
    if not written:
        return {}, [], [], problems[0]
    selection = select(cells, written)
    sources = {cell["number"]: cell["source"] for cell in cells}
    unreadable = [error for error in selection.errors if any(name in sources[error["cell"]] for name in written)]
    space, errors = define(replace(selection, errors=unreadable))  # the student's own code, in their own kernel
    gaps = [name for name in space if name in numbers() and name not in written and _is_unwritten(selection, name)]
    for name in (*unwritten, *gaps):
        space.pop(name, None)
    if absent := [name for name in written if name not in space]:
        problems.append("; ".join([f"it does not define {', '.join(absent)}", *errors]))
    return space, gaps, [] if absent else errors, "; ".join(problems)


def _is_unwritten(selection: Selection, name: str) -> bool:
    """True if the last statement that binds a name defines a function whose body is only a docstring, `...` or `pass`."""
    last = next((statement.node for statement in reversed(selection.statements) if name in statement.binds), None)
    found = [node for node in ast.walk(last) if isinstance(node, FUNCTIONS) and node.name == name] if last else []
    return bool(found) and all(map(is_stub, found))


def _pasted(names: Sequence[str]) -> dict[str, Any]:
    """Return those of the functions that are defined in this notebook's own cells."""
    try:
        from IPython import get_ipython
    except ImportError:
        return {}
    shell = get_ipython()
    space = {} if shell is None else shell.user_ns
    return {name: space[name] for name in names if callable(space.get(name)) and not is_unwritten(space[name])}


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
        f"  - or paste your functions from Part {part} into a new cell above this one, and run it;\n"
        f"  - or, if you were given {notebook}{CATCH_UP}.ipynb after the deadline, put it beside this notebook."
    )
