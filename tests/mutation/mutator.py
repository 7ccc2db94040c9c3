"""Mutants of a right answer: every small edit of its source that an operator of `operators` makes, each once.

mutmut, cosmic-ray and mutatest change the files of a project and run its whole test suite for each mutant; here many
sources of one function are judged in one process, by the tests of a question.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .operators import EXPRESSIONS, Scope, beginnings, edited_statements


@dataclass(frozen=True)
class Mutant:
    """One changed answer."""

    function: str
    seed: str  # the right answer it is made from
    operator: str
    line: int
    source: str

    @property
    def key(self) -> str:
        """What it is known by in the checkpoint of a run."""
        return hashlib.sha256(f"{self.function}\n{self.source}".encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """Seed, operator and line, for people."""
        return f"{self.function}, {self.seed}: {self.operator}, line {self.line}"


def normal_form(source: str) -> ast.Module:
    """The source's syntax tree without docstrings and annotations: what tells one answer from another."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
    return tree


def mutants_of(function: str, sources: Iterable[tuple[str, str]], tensors: Iterable[str]) -> list[Mutant]:
    """The mutants of several right answers to one exercise, each source once, in a fixed order.

    Args:
        function: the exercise.
        sources: title and source of each right answer.
        tensors: the parameters that are given tensors.
    """
    found: dict[str, Mutant] = {}
    seeds = {title: normal_form(source) for title, source in sources}
    own = {ast.unparse(tree) for tree in seeds.values()}
    for title, tree in seeds.items():
        for operator, line, text in _edited(tree, frozenset(tensors)):
            if text not in own and text not in found:
                found[text] = Mutant(function, title, operator, line, text)
    return list(found.values())


def _edited(tree: ast.Module, tensors: frozenset[str]) -> Iterator[tuple[str, int, str]]:
    """Operator, line and source of each edit; the tree is as before after each of them."""
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        scope = _scope(function, tensors)
        for operator, inserted in beginnings(scope):
            yield from _written(tree, function, "body", [*inserted, *function.body], operator, function.lineno)
        if function in tree.body:
            decorated = [ast.parse("torch.no_grad()", mode="eval").body, *function.decorator_list]
            yield from _written(tree, function, "decorator_list", decorated, "no_grad added", function.lineno)
        for parent in _inside(function):
            yield from _edits_below(tree, parent, scope)


def _inside(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function in the order of the text; inner functions and what is raised are left out."""
    waiting: list[ast.AST] = [function]
    while waiting:
        node = waiting.pop()
        yield node
        inner = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.FunctionDef | ast.Raise)]
        waiting.extend(reversed(inner))


def _edits_below(tree: ast.Module, parent: ast.AST, scope: Scope) -> Iterator[tuple[str, int, str]]:
    for field, value in ast.iter_fields(parent):
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST):
                continue
            line = getattr(child, "lineno", getattr(parent, "lineno", 0))

            def put(new: list[Any], listed: bool = isinstance(value, list), index: int = index) -> Any:
                return [*children[:index], *new, *children[index + 1 :]] if listed else new[0]

            if isinstance(child, ast.stmt):
                for operator, block in edited_statements(child, scope):
                    yield from _written(tree, parent, field, put(block), operator, line)
            else:
                for edit in EXPRESSIONS:
                    for operator, other in edit(child, scope):
                        yield from _written(tree, parent, field, put([other]), operator, line)


def _written(tree: ast.Module, parent: ast.AST, field: str, value: object, operator: str, line: int) -> Any:
    """The tree's text while `parent.field` is `value`; none if that is no Python (a slice outside of an index, say)."""
    before = getattr(parent, field)
    setattr(parent, field, value)
    try:
        text = ast.unparse(ast.fix_missing_locations(tree))
        compile(text, "<mutant>", "exec")
    except (SyntaxError, ValueError, AttributeError, IndexError, TypeError):
        text = ""
    finally:
        setattr(parent, field, before)
    if text:
        yield operator, line, text


def _scope(function: ast.FunctionDef, tensors: frozenset[str]) -> Scope:
    parameters = [argument.arg for argument in function.args.args]
    stored = [node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    given = frozenset(parameters)
    return Scope(given & tensors, given - tensors, tuple(dict.fromkeys([*parameters, *stored])))
