"""Work that is in the running notebook and not in its file: functions that ran otherwise, and a file older than the cells.

Functions are compared by their syntax, so that comments, blanks and line breaks count for nothing.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .notebook_file import age
from .places import exercise_part, how_to_save, text_of
from .selection import FUNCTIONS, RUN_BODY, UNREADABLE, read
from .unwritten import is_stub, numbers

CELL_MAGIC = "run_cell_magic"
CLOCK = "__course_last_cell__"  # the attribute of IPython's shell that says when the last cell ended
SLACK = 2.0  # seconds that a file may be older than the last cell: disks count in whole seconds


def shell() -> Any:
    """The running IPython shell, or None."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    return get_ipython()


def keep_time() -> None:
    """From now on, note when a cell ends; nothing happens outside a notebook."""
    running = shell()
    if running is None or hasattr(running, CLOCK):
        return
    setattr(running, CLOCK, 0.0)
    running.events.register("post_run_cell", lambda *_: setattr(running, CLOCK, time.time()))


def unsaved_work(running: Any, content: dict[str, Any], part: int, path: Path | None = None) -> list[str]:
    """What ran in this notebook and stands otherwise in its file, and whether the file is older than the last cell.

    Args:
        running: IPython's shell.
        content: the notebook as it is in the file.
        part: its number.
        path: the file, for its age.
    """
    step = how_to_save(part)
    found = [f"{name}: the file differs from the cell you ran. {step}" for name in differing(running, content, part)]
    if not found and older_than_the_last_cell(running, content, path):
        found.append(
            "the file is older than the last cell you ran: what you wrote since it was saved, written answers too, is not "
            f"in it. {step}"
        )
    return found


def differing(running: Any, content: dict[str, Any], part: int) -> list[str]:
    """The names whose last definition that ran stands nowhere in the file: exercises, other functions, what they use."""
    ran = dict(_bindings(_history(running)))
    there: dict[str, set[str]] = {}
    sources = [text_of(cell) for cell in content.get("cells", []) if cell.get("cell_type") == "code"]
    for name, node in _bindings(sources):
        there.setdefault(name, set()).add(ast.dump(node))
    functions = {name for name, node in ran.items() if isinstance(node, FUNCTIONS)}
    exercises = {name for name in numbers() if part == exercise_part(name)}
    asked = _needed(ran, exercises | (functions & there.keys()))
    return [
        name
        for name in ran
        if name in asked and not is_stub(ran[name]) and ast.dump(ran[name]) not in there.get(name, ())
    ]


def defined(running: Any, part: int) -> list[str]:
    """The part's exercises that were written and run in this notebook."""
    ran = dict(_bindings(_history(running)))
    return [name for name in numbers() if part == exercise_part(name) and name in ran and not is_stub(ran[name])]


def older_than_the_last_cell(running: Any, content: dict[str, Any], path: Path | None) -> bool:
    """Whether the file was saved before the last cell ended: by the clock where it is kept, else by the cells' numbers."""
    ended = float(getattr(running, CLOCK, 0.0))
    if ended and path is not None:
        return age(path) < ended - SLACK
    counts = [cell.get("execution_count") for cell in content.get("cells", [])]
    saved = max((count for count in counts if isinstance(count, int)), default=0)
    now = getattr(running, "execution_count", None)
    return isinstance(now, int) and saved < now - 1


def _history(running: Any) -> list[str]:
    """The cells that ran, as they were typed where IPython kept that."""
    typed = getattr(getattr(running, "history_manager", None), "input_hist_raw", None)
    return [str(source) for source in typed or running.user_ns.get("In", [])]


def _bindings(sources: Iterable[str]) -> list[tuple[str, ast.stmt]]:
    """What cells define at their top level, in order: functions, classes, and names that are assigned."""
    found: list[tuple[str, ast.stmt]] = []
    for source in sources:
        for node in _statements(source):
            if isinstance(node, FUNCTIONS):
                found.append((node.name, node))
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found += [(target.id, node) for target in targets if isinstance(target, ast.Name)]
    return found


def _statements(source: str) -> list[ast.stmt]:
    """A cell's statements, those in `if`, `with` and `try` too; a cell magic that runs its body is opened."""
    try:
        parsed = read(source, "<cell>")
    except UNREADABLE:
        return []
    found: list[ast.stmt] = []
    waiting = list(reversed(parsed[1].body if parsed else []))
    while waiting:
        node = waiting.pop()
        found += _statements(body) if (body := _magic_body(source, node)) else [node]
        inner = [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.stmt)]
        waiting += [] if isinstance(node, FUNCTIONS) else reversed(inner)
    return found


def _magic_body(source: str, node: ast.stmt) -> str:
    """The body of `get_ipython().run_cell_magic(name, line, body)`, as IPython writes `%%time`; else an empty text."""
    if CELL_MAGIC not in source:
        return ""
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == CELL_MAGIC:
            texts = [str(argument.value) for argument in call.args if isinstance(argument, ast.Constant)]
            if len(texts) == 3 and texts[0] in RUN_BODY and call.lineno == node.lineno:
                return texts[2]
    return ""


def _needed(ran: dict[str, ast.stmt], names: set[str]) -> set[str]:
    """Some names, and all that their definitions speak of, and so on."""
    found: set[str] = set()
    waiting = [name for name in names if name in ran]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            spoken = {node.id for node in ast.walk(ran[name]) if isinstance(node, ast.Name)}
            waiting += [other for other in spoken if other in ran and isinstance(ran[name], FUNCTIONS)]
    return found
