"""Functions that a student wrote in an earlier part, taken from that part's notebook."""

from __future__ import annotations

import ast
import inspect
import json
from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMPORTS = (ast.Import, ast.ImportFrom)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class MissingFunctionError(RuntimeError):
    """A function of an earlier part could not be had; the message says what to do."""


@dataclass(frozen=True)
class _Statement:
    """A definition, import or plain assignment at the top level of a notebook."""

    node: ast.stmt
    gives: frozenset[str]  # names it defines
    needs: frozenset[str]  # names it looks up


def load_functions(
    notebook: str, names: Sequence[str], *, path: str | Path | None = None, tests: bool = True
) -> tuple[Callable[..., Any], ...]:
    """Return functions from the student's own notebook of an earlier part.

    Only the definitions are executed, with the imports, constants and other functions they use; nothing else in that
    notebook runs. Then the earlier part's public tests are run on them, if they lie beside the notebook.

    ``token_log_probs, leave_one_out_advantages = load_functions("02_reinforce", ["token_log_probs",
    "leave_one_out_advantages"])``

    Args:
        notebook: the earlier notebook's name without its ending, such as ``"02_reinforce"``.
        names: the functions wanted.
        path: the notebook file, if it is not found by itself. Looked for beside this notebook, in ``notebooks`` and in
            ``solutions``; functions pasted into a cell of this notebook count as well.
        tests: run the public tests, and warn about functions that fail them.

    Returns:
        A named tuple of the functions in the order of ``names``.

    Raises:
        MissingFunctionError: a function is not found or not written yet.
    """
    problems: list[str] = []
    found: dict[str, Any] = {}
    used: Path | None = None
    for candidate in _candidates(notebook, path):
        namespace, problem = _definitions(candidate, names)
        if problem:
            problems.append(f"{candidate}: {problem}")
        else:
            found, used = namespace, candidate
            break
    if used is None:
        found = _pasted(names)
    if not found:
        raise MissingFunctionError(_what_to_do(notebook, names, problems))
    where = used if used is not None else "the cells of this notebook"
    print(f"From {where}: {', '.join(names)}.")
    if tests:
        for name, message in failing_tests(found, names, _tests_folder(used)):
            print(f"WARNING: your {name} does not pass the public test {message}")
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


def _definitions(path: Path, names: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Execute the wanted definitions of a notebook; return them, or what is wrong."""
    if not path.is_file():
        return {}, "no such file"
    statements: list[_Statement] = []
    broken: list[str] = []
    for cell in json.loads(path.read_text(encoding="utf-8")).get("cells", []):
        if cell.get("cell_type") != "code":
            continue
        source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        try:
            statements += _statements(source)
        except SyntaxError as error:
            broken += [name for name in names if f"def {name}" in source]
            if broken:
                return {}, f"the cell that defines {broken[-1]} has a syntax error: {error.msg}, line {error.lineno}"
    given = {name for statement in statements for name in statement.gives}
    absent = [name for name in names if name not in given]
    if absent:
        return {}, f"it does not define {', '.join(absent)}"
    chosen = _closure(statements, names)
    unwritten = [node.name for node in (s.node for s in chosen) if isinstance(node, FUNCTIONS[:2]) and _is_stub(node)]
    if set(unwritten) & set(names):
        return {}, f"{', '.join(n for n in unwritten if n in names)} is not written yet"
    namespace: dict[str, Any] = {"__name__": f"carried.{path.stem}"}
    for statement in chosen:
        module = ast.Module(body=[statement.node], type_ignores=[])
        try:
            exec(compile(module, str(path), "exec"), namespace)  # the student's own code, in their own kernel
        except Exception as error:  # whatever the student's own code raises is theirs to see
            return {}, f"executing the definition of {', '.join(sorted(statement.gives))} failed: {error!r}"
    return namespace, ""


def _statements(source: str) -> list[_Statement]:
    """Return a cell's imports, definitions and plain assignments; magics and shell lines are dropped."""
    lines = [("pass" if line.lstrip()[:1] in "%!?" and line.strip() else line) for line in source.split("\n")]
    result = []
    for node in ast.parse("\n".join(lines)).body:
        if isinstance(node, IMPORTS):
            gives = {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, FUNCTIONS):
            gives = {node.name}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and _is_plain(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            gives = {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        else:
            continue
        needs = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)} - gives
        result.append(_Statement(node, frozenset(gives), frozenset(needs)))
    return result


def _is_plain(value: ast.expr | None) -> bool:
    """True for an expression without calls, subscripts or attributes of objects, such as ``1e-6`` or ``(2, 3)``."""
    allowed = (ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop)
    return value is not None and all(isinstance(part, (*allowed, ast.expr_context)) for part in ast.walk(value))


def _closure(statements: Sequence[_Statement], names: Iterable[str]) -> list[_Statement]:
    """Return, in the notebook's order, the statements that the names need, directly or through others.

    Of several definitions of one name the last counts, as in a notebook run from top to bottom.
    """
    by_name = {name: index for index, statement in enumerate(statements) for name in statement.gives}
    waiting, chosen = list(names), set()
    while waiting:
        index = by_name.get(waiting.pop())
        if index is not None and index not in chosen:
            chosen.add(index)
            waiting += statements[index].needs
    stars = {i for i, s in enumerate(statements) if isinstance(s.node, ast.ImportFrom) and "*" in s.gives}
    return [statements[index] for index in sorted(chosen | stars)]


def _is_stub(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """True when a function's body is only a docstring, ``...`` or ``pass``."""
    return all(
        isinstance(part, ast.Pass) or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
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


def _tests_folder(used: Path | None) -> Path:
    """Return the folder with the public tests that belong to a notebook."""
    return (used.parent if used is not None else Path.cwd()) / "tests"


def failing_tests(found: dict[str, Any], names: Sequence[str], folder: Path) -> list[tuple[str, str]]:
    """Run the public tests in a folder that test one of the functions; return ``(function, message)`` of failures.

    A test belongs to a function when it takes it as an argument. Tests that need something else are left out.
    """
    if not folder.is_dir():
        return []
    try:
        from otter.test_files.exception_test import ExceptionTestFile
    except ImportError:
        return []
    failures = []
    for file in sorted(folder.glob("*.py")):
        source = file.read_text(encoding="utf-8")
        if "OK_FORMAT = False" not in source or not any(name in source for name in names):
            continue
        test_file = ExceptionTestFile.from_file(str(file))
        for case in test_file.test_cases:
            wanted = list(inspect.signature(case.body.test_func).parameters)
            tested = [name for name in wanted if name in names]
            if not tested or any(name not in found for name in wanted):
                continue
            try:
                case.body.call_func(found)
            except Exception as error:  # a test that fails may raise anything
                failures.append((tested[0], f"{file.stem}, {case.name}: {error}"))
    return failures


def _what_to_do(notebook: str, names: Sequence[str], problems: Sequence[str]) -> str:
    """Return the message for functions that could not be had."""
    part = notebook.split("_")[0].lstrip("0")
    tried = "\n".join(f"  tried {problem}" for problem in problems) or f"  no file {notebook}.ipynb was found here"
    return (
        f"This notebook uses what you wrote in Part {part}: {', '.join(names)}.\n{tried}\n"
        "Do one of these, then run this cell again:\n"
        f"  - put your finished {notebook}.ipynb beside this notebook (in Colab: File > Download in Part {part}, "
        "then the folder symbol on the left > upload);\n"
        f"  - or paste your functions from Part {part} into a new cell above this one, and run it."
    )
