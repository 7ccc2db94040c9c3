"""What waits for an exercise that is not written yet is left out with one sentence, so that "Run all" goes to the end.

A function that still is as it was handed out raises `NotWrittenError` when it is called. Before a cell is run, its
statements are read in order: from the first one on that uses such a function, or a name that a cell left out would have
made, the cell is left out, and a sentence in its place says which exercise it waits for. Everything else runs as it
stands, and what it raises is shown as ever. No grader does this: there, the notebook runs as it is.

IPython calls `Watch` with every cell's syntax tree, as one of its `ast_transformers`.
"""

from __future__ import annotations

import ast
import dis
import functools
import json
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .selection import AWAIT, FUNCTIONS, LOADS, names_in

EXERCISES = Path(__file__).with_name(
    "exercises.json"
)  # function → the number of its exercise; `course build` writes it
MARK, CARRIED = (
    "__not_written__",
    "carried",
)  # the attribute of a function that is not written; its value for an earlier part's
ABSENT = object()
UNFINISHED = object()  # in place of a value that the cell itself had begun to make
FILLS = ("append", "extend", "insert", "update", "add", "setdefault")  # methods that fill a list, a dict or a set
RECORDED = {  # what the course has recorded, for who has no run of their own: result → (what a notebook imports, its line)
    "history": ("finished", "policy, history = finished.recorded_run(reference, preset)"),
    "runs": ("sweep", "runs = sweep.recorded_runs()"),
    "scores_by_beta": (
        "recording",
        "policies, histories, scores_by_beta, rows = recording.recorded_trainings(reference, preset)",
    ),
}


class NotWrittenError(RuntimeError):
    """A function was called that is not written yet; the message says which exercise it is."""

    @property
    def described(self) -> str:
        """What a test says of it: no more than the sentence."""
        return str(self)


@functools.cache
def numbers() -> dict[str, str]:
    """The exercises' numbers, by function."""
    return json.loads(EXERCISES.read_text(encoding="utf-8")) if EXERCISES.is_file() else {}


def function_of(question: str) -> str:
    """The function that a question such as `q2_1` asks for; empty if there is none."""
    number = question.removeprefix("q").replace("_", ".")
    return next((name for name, found in numbers().items() if found == number), "")


def named(functions: Iterable[str]) -> str:
    """Exercises by number: "Exercise 2.1", "Exercises 2.1 and 2.3"; by name where one has none, being without points."""
    chosen = set(functions)
    numbered = chosen <= set(numbers())
    *first, last = sorted({str(numbers()[name]) if numbered else f"`{name}`" for name in chosen}, key=_in_order)
    listed = f"{', '.join(first)}{' and ' if first else ''}{last}"
    if not numbered:
        return listed
    kind = "Question" if last[-1].isupper() else "Exercise"  # questions have letters
    return f"{kind}{'s' if first else ''} {listed}"


def sentence(functions: Iterable[str], *, carried: bool = False) -> str:
    """One sentence for functions that are not written yet, or not `carried` over from an earlier part."""
    chosen = sorted(functions, key=lambda name: _in_order(str(numbers().get(name, name))))
    state = "missing in the notebook of an earlier part" if carried else "not written yet"
    told = f"{named(chosen)} {'is' if len(chosen) == 1 else 'are'} {state}"
    return f"{told}: {', '.join(f'`{name}`' for name in chosen)}." if set(chosen) <= set(numbers()) else f"{told}."


def _in_order(number: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in number.split(".")]


def is_stub(node: ast.AST) -> bool:
    """Whether this defines a function whose body is only a docstring, `...` or `pass`, as it was handed out."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and all(
        isinstance(part, ast.Pass) or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
        for part in node.body
    )


def not_written(function: Callable[..., Any], *, carried: bool = False) -> Callable[..., Any]:
    """A function with the same name and signature that raises `NotWrittenError`."""

    @functools.wraps(function)
    def waiting(*arguments: Any, **options: Any) -> Any:
        raise NotWrittenError(sentence([function.__name__], carried=carried))

    setattr(waiting, MARK, CARRIED if carried else True)
    return waiting


def stand_in(name: str) -> Callable[..., Any]:
    """In place of a function of an earlier part that is not to be had."""

    def waiting(*arguments: Any, **options: Any) -> Any: ...

    waiting.__name__ = waiting.__qualname__ = name
    return not_written(waiting, carried=True)


def is_unwritten(value: Any) -> bool:
    """Whether this is what stands for a function that is not written yet."""
    return isinstance(value, types.FunctionType) and MARK in value.__dict__


def say(text: str) -> None:
    """Print the sentence of a cell that is left out."""
    print(text)


def watch() -> None:
    """From now on, leave out what waits for an exercise; nothing happens outside a notebook."""
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if shell is None:
        return
    others = [found for found in shell.ast_transformers if type(found).__name__ != Watch.__name__]
    shell.ast_transformers = [*others, Watch(shell.user_ns)]


def watching() -> bool:
    """Whether this notebook leaves out what waits for an exercise."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return any(type(found).__name__ == Watch.__name__ for found in getattr(get_ipython(), "ast_transformers", ()))


@dataclass
class Needed:
    """What some statements wait for."""

    functions: set[str] = field(default_factory=set)  # exercises that are not written
    results: dict[str, frozenset[str]] = field(default_factory=dict)  # names that were not made → what they wait for

    def __bool__(self) -> bool:
        return bool(self.functions or self.results)


class Watch(ast.NodeTransformer):
    """Cuts a cell off where it needs an exercise that is not written yet, or the result of a cell that did."""

    def __init__(self, space: dict[str, Any]) -> None:
        self.space = space
        # names that a cell left out would have made or changed → their value then, and the exercises they wait for
        self.waiting: dict[str, tuple[Any, frozenset[str]]] = {}

    def visit_Module(self, module: ast.Module) -> ast.Module:
        """A cell: called by IPython before it is run."""
        made: dict[str, ast.stmt | None] = {}  # what this cell has made so far; functions with their definition
        for place, statement in enumerate(module.body):
            if is_stub(statement) and statement.name in numbers():  # type: ignore[attr-defined]
                statement.decorator_list.insert(0, _expression("not_written"))  # type: ignore[attr-defined]
            elif needed := self._needed(statement, made):
                return self._cut(module, place, needed, made)
            for name in _binds(statement) | _fills(statement):
                made[name] = statement if isinstance(statement, FUNCTIONS) else None
                self.waiting.pop(name, None)
        return module

    def _cut(self, module: ast.Module, place: int, needed: Needed, made: dict[str, ast.stmt | None]) -> ast.Module:
        """The cell without its statements from `place` on, and with the sentence that says why."""
        rest, before = module.body[place:], set(made)
        for statement in rest:
            more = self._needed(statement, made)
            needed.functions |= more.functions
            needed.results = {**more.results, **needed.results}
            made |= dict.fromkeys(_binds(statement), statement if isinstance(statement, FUNCTIONS) else None)
        text = self._sentence(needed, "The rest of this cell" if place else "This cell")
        for_what = frozenset(needed.functions).union(*needed.results.values())
        for statement in rest:
            for name in _binds(statement) | _fills(statement):
                begun = name in before
                self.waiting[name] = (UNFINISHED if begun else self.space.get(name, ABSENT), for_what)
        told = ast.Expr(ast.Call(_expression("say"), [ast.Constant(text)], []))
        module.body = [*module.body[:place], ast.fix_missing_locations(ast.copy_location(told, rest[0]))]
        return module

    def _sentence(self, needed: Needed, what: str) -> str:
        if needed.functions:
            carried = {name for name in needed.functions if getattr(self.space.get(name), MARK, None) == CARRIED}
            told = [sentence(own) for own in [needed.functions - carried] if own]
            told += [sentence(carried, carried=True)] if carried else []
            return f"{' '.join(told)} {what} is left out until then."
        names = ", ".join(f"`{name}`" for name in sorted(needed.results))
        exercises = set().union(*needed.results.values())
        later = sorted(name for name in exercises if is_unwritten(self.space.get(name)))
        several = len(needed.results) > 1
        come = f"{names} {'come from cells' if several else 'comes from a cell'} that"
        if not later:
            again = f"Run {'those cells' if several else 'that cell'} first."
            return f"{what} is left out: {come} waited for {named(exercises)}. {again}"
        are = "are" if len(later) > 1 else "is"
        were = "were" if several else "was"
        text = f"{what} waits for {named(later)}, which {are} not there yet: {come} {were} left out."
        found = [RECORDED[name] for name in sorted(needed.results) if name in RECORDED]
        ways = [f"`{line}`" for module, line in found if module in self.space]
        return f"{text} To go on with what is recorded with the course: {', '.join(ways)}." if ways else text

    def _needed(self, statement: ast.stmt, made: dict[str, ast.stmt | None]) -> Needed:
        """What a statement waits for."""
        needed = Needed()
        seen: set[str] = set()
        asked = list(_uses(statement, set()))
        while asked:
            name = asked.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in made:
                definition = made[name]
                if definition is not None and is_stub(definition) and name in numbers():
                    needed.functions.add(name)
                elif definition is not None:
                    asked += names_in(_compiled(definition))[1]
                continue
            value, exercises = self.waiting.get(name, (ABSENT, frozenset()))
            now = self.space.get(name, ABSENT)
            if exercises and (now is value or value is UNFINISHED):
                needed.results[name] = exercises
            elif is_unwritten(now):
                needed.functions.add(name)
            else:
                asked += [name for code in self._own_code(now) for name in names_in(code)[1]]
        return needed

    def _own_code(self, value: Any) -> list[types.CodeType]:
        """The code of a function, or of a class's methods, that was defined in the notebook."""
        inside = vars(value).values() if isinstance(value, type) and value.__module__ == "__main__" else [value]
        functions = [found for found in inside if isinstance(found, types.FunctionType)]
        return [function.__code__ for function in functions if function.__globals__ is self.space]


def _expression(name: str) -> ast.expr:
    """An expression for a function of this module that needs no import in the notebook."""
    return ast.parse(f"__import__({__name__!r}, fromlist=['{name}']).{name}", mode="eval").body


def _compiled(node: ast.stmt) -> types.CodeType:
    """A statement's byte code; that of nothing where it cannot stand alone, such as `break`."""
    try:
        return compile(ast.Module([node], []), "<cell>", "exec", flags=AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError):
        return compile("", "<cell>", "exec")


def _binds(statement: ast.stmt) -> set[str]:
    """The names that a top-level statement makes."""
    return names_in(_compiled(statement))[0]


def _fills(statement: ast.stmt) -> set[str]:
    """The names of tables and lists that a statement puts something into: `table["a"] = 1`, `names.append(x)`."""
    found = set()
    for node in ast.walk(statement):
        target: ast.AST | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            target = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FILLS:
            target = node.func.value
        while isinstance(target, ast.Subscript | ast.Attribute):
            target = target.value
        if isinstance(target, ast.Name):
            found.add(target.id)
    return set() if isinstance(statement, FUNCTIONS) else found


def _uses(node: ast.AST, made: set[str]) -> Iterator[str]:
    """The names that are looked up when a statement runs and that it has not made itself by then; adds to `made`.

    What a function looks up counts when it is called, so its definition uses its decorators and defaults only.
    """
    if isinstance(node, FUNCTIONS):
        yield from (found.argval for found in dis.get_instructions(_compiled(node)) if found.opname in LOADS)
        made.add(node.name)
    elif isinstance(node, ast.expr):
        if isinstance(getattr(node, "ctx", None), ast.Store):
            made |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        else:
            yield from _new(ast.Expr(node), made)
    elif isinstance(node, ast.stmt) and not any(isinstance(part, ast.stmt) for part in _below(node)):
        yield from _new(node, made)
    else:
        parts = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.For | ast.AsyncFor):
            parts[:2] = parts[1::-1]  # what is gone through comes before the name it is given
        for name in ("name", "rest"):  # of an exception, of a pattern
            if isinstance(found := getattr(node, name, None), str):
                made.add(found)
        for part in parts:
            yield from _uses(part, made)


def _new(statement: ast.stmt, made: set[str]) -> Iterator[str]:
    binds, needs = names_in(_compiled(ast.fix_missing_locations(statement)))
    yield from needs - made
    made |= binds


def _below(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below a statement, down to its expressions."""
    for part in ast.iter_child_nodes(node):
        if not isinstance(part, ast.expr):
            yield part
            yield from _below(part)
