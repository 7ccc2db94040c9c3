"""Mutants of a right answer: every small edit of its source that an operator of `operators` makes, each once.

mutmut, cosmic-ray and mutatest change the files of a project and run its whole test suite for each mutant; here many
sources of one function are judged in one process, by the tests of a question.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

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


class Edit(NamedTuple):
    """What takes the place of a field of a node in the syntax tree."""

    operator: str
    line: int
    parent: ast.AST
    field: str
    value: object


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


def mutants_of(
    function: str, sources: Iterable[tuple[str, str]], tensors: Iterable[str], every: int = 1
) -> list[Mutant]:
    """The mutants of several right answers to one exercise, each source once, in a fixed order.

    Args:
        function: the exercise.
        sources: title and source of each right answer.
        tensors: the parameters that are given tensors.
        every: one edit in so many is made.
    """
    found: dict[str, Mutant] = {}
    seeds = {title: normal_form(source) for title, source in sources}
    own = {ast.unparse(tree) for tree in seeds.values()}
    edits = ((title, tree, edit) for title, tree in seeds.items() for edit in _edits(tree, frozenset(tensors)))
    for title, tree, edit in itertools.islice(edits, 0, None, every):
        text = _written(tree, edit)
        if text and text not in own and text not in found:
            found[text] = Mutant(function, title, edit.operator, edit.line, text)
    return list(found.values())


def _edits(tree: ast.Module, tensors: frozenset[str]) -> Iterator[Edit]:
    """Every edit of an answer."""
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        scope = _scope(function, tensors)
        for operator, inserted in beginnings(scope):
            yield Edit(operator, function.lineno, function, "body", [*inserted, *function.body])
        if function in tree.body:
            decorated = [ast.parse("torch.no_grad()", mode="eval").body, *function.decorator_list]
            yield Edit("no_grad added", function.lineno, function, "decorator_list", decorated)
        for parent in _inside(function):
            yield from _edits_below(parent, scope)


def _inside(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function in the order of the text; inner functions and what is raised are left out."""
    waiting: list[ast.AST] = [function]
    while waiting:
        node = waiting.pop()
        yield node
        inner = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.FunctionDef | ast.Raise)]
        waiting.extend(reversed(inner))


def _edits_below(parent: ast.AST, scope: Scope) -> Iterator[Edit]:
    for field, value in ast.iter_fields(parent):
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            line = getattr(child, "lineno", getattr(parent, "lineno", 0))
            before, after = children[:index], children[index + 1 :]
            if isinstance(child, ast.stmt):
                for operator, block in edited_statements(child, scope):
                    yield Edit(operator, line, parent, field, [*before, *block, *after])
            elif isinstance(child, ast.AST):
                for operator, other in itertools.chain.from_iterable(edit(child, scope) for edit in EXPRESSIONS):
                    yield Edit(
                        operator, line, parent, field, [*before, other, *after] if isinstance(value, list) else other
                    )


def _written(tree: ast.Module, edit: Edit) -> str | None:
    """The tree's text with an edit; None if that is no Python (a slice outside of an index, say)."""
    before = getattr(edit.parent, edit.field)
    setattr(edit.parent, edit.field, edit.value)
    try:
        text = ast.unparse(ast.fix_missing_locations(tree))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "'int' object is not subscriptable"
            compile(text, "<mutant>", "exec")
    except (SyntaxError, ValueError, AttributeError, IndexError, TypeError):
        return None
    finally:
        setattr(edit.parent, edit.field, before)
    return text


def _scope(function: ast.FunctionDef, tensors: frozenset[str]) -> Scope:
    parameters = [argument.arg for argument in function.args.args]
    stored = [node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    given = frozenset(parameters)
    return Scope(given & tensors, given - tensors, tuple(dict.fromkeys([*parameters, *stored])))
