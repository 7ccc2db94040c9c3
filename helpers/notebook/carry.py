"""Functions that a student wrote in an earlier part, taken from that part's notebook."""

from __future__ import annotations

import ast
from collections import namedtuple
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers.parts import PARTS

from .notebook_file import UnreadableError, is_file, read_notebook
from .places import CATCH_UP, Copy, copies, has_work, how_to_bring
from .public_check import code_cells, define, load_tests, parameters, run_case, tests_folders, title_of
from .selection import FUNCTIONS, Selection, select
from .unwritten import is_stub, is_unwritten, named, numbers, stand_in, watching

UNTOUCHED = "not written yet: the notebook is as it was handed out"


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
        path: the notebook file, if it is not found by itself (`helpers.notebook.places` says where it is looked for). A
            notebook that is as it was handed out is left aside; functions pasted into a cell of this notebook count too.
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
    for candidate in _candidates(part, path):
        rest = [name for name in wanted if name not in found]
        if not rest:
            warnings += _other_version(candidate, part, names, found, places)
            continue
        space, gaps, failed, problem = _definitions(candidate, rest, part)
        if problem:
            problems.append(f"{candidate.path}: {problem}")
        if taken := [name for name in rest if name in space]:
            places.append(candidate.path)
            spaces.append(space)
            found |= {name: space[name] for name in taken}
            wanted += [name for name in gaps if name not in wanted]  # what was written leans on these
            warnings += [f"while they were taken over, {warning}" for warning in failed]
            print(f"From {candidate.path}: {', '.join(taken)}.")
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
        beside = [place.parent / "tests" for place in places]
        folder = next(iter(tests_folders(part, *beside)), Path("tests"))
        failures = failing_tests(known, here, folder, part)
        warnings += [f"your {name} does not pass the public test {message}" for name, message in failures]
    for warning in warnings:
        print(f"WARNING: {warning}")
    return namedtuple("Functions", names)(*(found[name] for name in names))


def _candidates(part: int, path: str | Path | None) -> list[Copy]:
    """Return the files that may be the earlier notebook: the student's own, then what was handed out, then the solution."""
    if path is not None:
        return [_copy(Path(path).expanduser())]
    solutions = [folder / "solutions" / f"{PARTS[part]}.ipynb" for folder in (Path.cwd(), Path.cwd().parent)]
    return [*copies(part), *(_copy(file) for file in solutions if is_file(file))]


def _copy(path: Path) -> Copy:
    try:
        return Copy(path, read_notebook(path))
    except UnreadableError as error:
        return Copy(path, {}, str(error))


def _definitions(copy: Copy, names: Sequence[str], part: int) -> tuple[dict[str, Any], list[str], list[str], str]:
    """Define those of the wanted functions that a notebook has, with what they need, by the rule of grading.

    Returns:
        The namespace, the exercises that it leans on and that are not written in it, what failed on the way, and why
        functions cannot be had (empty if all can).
    """
    if copy.problem:
        return {}, [], [], copy.problem
    if not has_work(copy, part):
        return {}, [], [], UNTOUCHED
    cells = code_cells(copy.content)
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


def _other_version(
    copy: Copy, part: int, names: Sequence[str], found: dict[str, Any], taken_from: Sequence[Path]
) -> list[str]:
    """A warning where another copy of the student's notebook has another version of a function that was taken."""
    if copy.catch_up or copy.path.parent.name == "solutions" or not taken_from or not has_work(copy, part):
        return []
    first = _copy(taken_from[0])
    mine, other = (_trees(content.content, names) for content in (first, copy))
    differ = [name for name in names if name in found and name in mine and other.get(name, mine[name]) != mine[name]]
    if not differ:
        return []
    return [
        f"{copy.path} has another version of {', '.join(differ)}. If that is the right one, give its name: "
        f"load_functions(…, path='{copy.path.name}')"
    ]


def _trees(content: dict[str, Any], names: Sequence[str]) -> dict[str, str]:
    """The last definition of each function in a notebook, as its syntax tree; a stub is none."""
    nodes = [
        node
        for statement in select(code_cells(content), names).statements
        for node in [statement.node]
        if isinstance(node, FUNCTIONS) and node.name in names and not is_stub(node)
    ]
    return {node.name: ast.dump(node) for node in nodes}


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
                failures.append((tested[0], f"{question}, {title_of(case)}: {message}"))
    return failures


def _what_to_do(notebook: str, part: int, names: Sequence[str], problems: Sequence[str]) -> str:
    """Return the message for functions that could not be had."""
    lines = [f"  tried {problem}" for problem in problems]
    if all(UNTOUCHED in problem for problem in problems):
        lines.append(f"  no file {notebook}.ipynb with work of yours was found")
    tried = "\n".join(lines)
    return (
        f"This notebook uses what you wrote in Part {part}: {', '.join(names)}.\n{tried}\n"
        "Do one of these, then run this cell again:\n"
        f"  - bring your finished notebook of Part {part} here: {how_to_bring(part)};\n"
        f"  - or, if it is here under another name or in another folder, say where: load_functions(…, path='…/my.ipynb');\n"
        f"  - or paste your functions from Part {part} into a new cell above this one, and run it;\n"
        f"  - or, if you were given {notebook}{CATCH_UP}.ipynb after the deadline, put it beside this notebook."
    )
