"""What a mutant changes: tables of small edits of one expression, one statement or one whole function.

An edit is written as Python text in which `X` (and `Y`) stand for the pieces that are kept: `X.detach()`.
"""

from __future__ import annotations

import ast
import copy
import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Scope:
    """What the operators know of the function around a node."""

    tensors: frozenset[str]  # parameters that are given tensors
    numbers: frozenset[str]  # the other parameters
    names: tuple[str, ...]  # every parameter and variable


Edits = Iterator[tuple[str, ast.AST]]  # an operator's name and what takes the node's place

RENAMED = {
    "sum": "mean amax nansum", "mean": "sum amax nanmean", "std": "var", "var": "std", "exp": "expm1", "expm1": "exp",
    "log": "log1p log2", "log1p": "log", "softmax": "log_softmax softmin", "log_softmax": "softmax",
    "argmax": "argmin", "argmin": "argmax", "max": "min", "min": "max", "amax": "amin", "amin": "amax",
    "minimum": "maximum", "maximum": "minimum", "cumsum": "cumprod", "zeros_like": "ones_like", "ones_like": "zeros_like",
    "zeros": "ones", "ones": "zeros", "logsigmoid": "sigmoid softplus", "softplus": "relu", "sigmoid": "tanh",
    "square": "abs", "abs": "square neg", "logsumexp": "sum amax", "sqrt": "square", "float64": "float32",
    "float32": "float16 bfloat16", "double": "float half", "float": "double half int", "long": "int short",
    "int64": "int32", "isneginf": "isinf isnan isposinf", "isfinite": "isnan", "combinations": "permutations",
    "permutations": "combinations", "logdet": "det", "unsqueeze": "squeeze", "any": "all", "all": "any", "nan": "inf",
    "inf": "nan", "values": "indices", "indices": "values", "tril": "triu", "triu": "tril", "prod": "sum",
    "repeat_interleave": "repeat", "clone": "detach", "detach": "clone requires_grad_", "len": "sum", "floor": "ceil",
    "log_prob": "entropy", "masked_fill": "masked_scatter", "reversed": "list", "topk": "sort", "nanmean": "mean",
    "no_grad": "enable_grad", "fsum": "prod", "gather": "take", "shape": "stride", "minmax": "max", "tensor": "empty",
}  # fmt: skip
IN_PLACE = set(
    "masked_fill clamp sub add mul div exp log neg square abs squeeze unsqueeze pow sqrt sigmoid relu nan_to_num "
    "cumsum clamp_min clamp_max log1p expm1 scatter index_fill where fill flatten transpose".split()
)
COMPARED = {
    ast.Lt: (ast.LtE, ast.Gt, ast.GtE), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt, ast.NotEq),
    ast.GtE: (ast.Gt, ast.LtE), ast.Eq: (ast.NotEq, ast.GtE, ast.LtE), ast.NotEq: (ast.Eq, ast.Gt),
    ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
COMBINED = {
    ast.Add: (ast.Sub, ast.Mult), ast.Sub: (ast.Add, ast.Div), ast.Mult: (ast.Div, ast.Add), ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Div,), ast.Pow: (ast.Mult,), ast.Mod: (ast.FloorDiv,), ast.BitAnd: (ast.BitOr, ast.BitXor),
    ast.BitOr: (ast.BitAnd, ast.BitXor), ast.MatMult: (ast.Mult,),
}  # fmt: skip
OWN_PLACE = {ast.Add: "X.add_(Y)", ast.Sub: "X.sub_(Y)", ast.Mult: "X.mul_(Y)", ast.Div: "X.div_(Y)"}
WRAPPED = {  # the value of a call, or a parameter where it is read
    "detach added": ("X.detach()",),
    "cast added": ("X.float()", "X.double()", "X.half()", "X.bfloat16()", "X.long()"),
    "squeeze added": ("X.squeeze()",),
    "value bounded": ("X.nan_to_num()", "X.clamp(min=-100)", "X.clamp(max=0)"),
    "sign changed": ("-X", "X.abs()"),
}
RETURNED = {
    "result wrapped": ("[X]", "(X, X)", "float(X)", "X.item()", "X[None]", "X.numpy()", "X.tolist()"),
    "result detached": ("X.detach()", "X.clone()", "X.detach().requires_grad_()"),
    "result cast": ("X.float()", "X.double()", "X.half()", "X.bfloat16()", "X.long()", "X.to(torch.float32)", "X.cpu()"),
    "result reshaped": ("X.squeeze()", "X.squeeze(0)", "X.squeeze(-1)", "X.unsqueeze(0)", "X.unsqueeze(-1)", "X.T", "X.flip(0)",
                        "X.flatten()"),
    "result reduced": ("X.sum()", "X.mean()", "X.sum(-1)", "X.mean(-1)", "X.cumsum(0)"),
    "result bounded": ("X.nan_to_num()", "X.clamp(min=0)", "X.clamp(max=0)", "X.clamp(-100, 100)", "X.clamp(-1000, 1000)"),
    "result changed": ("-X", "X.abs()", "X * 1.001", "X + 1e-3", "0 * X", "X.round(decimals=3)", "X.sort().values", "X.exp()"),
    "result None": ("None", "..."),
}  # fmt: skip
PREPARED = {  # a line at the function's beginning, for a parameter that is given a tensor
    "input bounded": ("X = X.clamp(-100, 100)", "X = X.clamp(-1000, 1000)", "X = X.nan_to_num()", "X = X.clamp(min=0)",
                      "X = X.clamp(max=2048)", "X = X.clamp(min=1e-6)"),
    "input cast": ("X = X.float()", "X = X.double()", "X = X.half()", "X = X.bfloat16()", "X = X.int()", "X = X.long()",
                   "X = X.bool()", "X = X.bfloat16().to(X.dtype)"),
    "input changed": ("X = X.abs()", "X = -X", "X = X.flip(0)", "X = X.sort().values", "X = X - X.mean()", "X = X[:1]",
                      "X = X[1:]", "X = X[:8]"),
    "input detached": ("X = X.detach()", "X = X.clone()", "X = X.detach().requires_grad_()", "X = X.cpu()"),
    "input reshaped": ("X = X.squeeze()", "X = X.squeeze(0)", "X = X.squeeze(-1)", "X = X[None]",
                       "if X.shape[0] == 1: X = X.squeeze(0)", "if X.shape[-1] == 1: X = X.squeeze(-1)"),
    "input changed in place": ("with torch.no_grad(): X.nan_to_num_()", "with torch.no_grad(): X.clamp_(-100, 100)",
                               "with torch.no_grad(): X.mul_(2)", "X.data.add_(1)", "with torch.no_grad(): X.double().mul_(2)"),
    "early return": ("return X", "if X.shape[0] == 1: return X", "return torch.zeros_like(X)",
                     "if not bool(X.any()): return X", "if not bool(X.any()): return torch.tensor(0.0)"),
}  # fmt: skip
TUNED = {  # the same, for a parameter that is given something else
    "number rounded": ("X = int(X)", "X = round(X)"),
    "number changed": ("X = abs(X)", "X = -X", "X = X + 1", "X = X - 1", "X = min(X, 1)", "X = max(X, 1)", "X = 2 * X", "X = 0"),
    "list changed": ("X.sort()", "X.reverse()", "X = X[:1]", "X = X[1:]", "X = X[::-1]", "X = sorted(set(X))", "X.clear()"),
}  # fmt: skip
BEGINNINGS = {"seed set": ("torch.manual_seed(0)",), "generator forgotten": ("generator = None",)}


@functools.cache
def _template(text: str) -> ast.Module:
    return ast.parse(text)


def copied(node: Any) -> Any:
    """A deep copy of a tree's fields, and of nothing else that hangs on its nodes.

    `ast.Load()` is one object for all trees of a process, and libraries hang the parent of the node that they saw last on
    it (`executing` does, for every traceback that IPython draws): `copy.deepcopy` would copy that foreign tree each time.
    """
    if isinstance(node, list):
        return [copied(item) for item in node]
    if not isinstance(node, ast.AST):
        return node
    return ast.copy_location(type(node)(**{name: copied(value) for name, value in ast.iter_fields(node)}), node)


class _Fill(ast.NodeTransformer):
    def __init__(self, pieces: dict[str, ast.expr]) -> None:
        self.pieces = pieces

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copied(self.pieces[node.id]) if node.id in self.pieces else node


def statements(text: str, **pieces: ast.expr) -> list[ast.stmt]:
    """The statements of a template, with its pieces filled in."""
    return _Fill(pieces).visit(copied(_template(text))).body


def expression(text: str, **pieces: ast.expr) -> ast.expr:
    """The expression of a template, with its pieces filled in."""
    (statement,) = statements(text, **pieces)
    assert isinstance(statement, ast.Expr)
    return statement.value


def _filled(table: dict[str, tuple[str, ...]], node: ast.expr) -> Edits:
    for operator, templates in table.items():
        for template in templates:
            yield operator, expression(template, X=node)


def _changed(node: ast.AST, **fields: object) -> ast.AST:
    """A shallow copy of a node with other fields."""
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def _without(items: Iterable[ast.AST], index: int) -> list[ast.AST]:
    return [item for number, item in enumerate(items) if number != index]


# --- expressions


def constants(node: ast.AST, scope: Scope) -> Edits:
    """Numbers moved, doubled, negated; truth values turned round; texts replaced."""
    if not isinstance(node, ast.Constant) or node.value is None or node.value is ...:
        return
    value = node.value
    if isinstance(value, bool):
        yield "truth value turned round", ast.Constant(not value)
    elif isinstance(value, str):
        others = {"nan": ("0", "inf"), "inf": ("-inf", "nan"), "-inf": ("inf", "-1e9", "nan")}
        for text in others.get(value, (f"{value}_",)):
            yield "text replaced", ast.Constant(text)
    elif isinstance(value, int | float):
        for number in (value + 1, value - 1):
            yield "constant ±1", ast.Constant(number)
        yield "constant 0", ast.Constant(0)
        yield "constant doubled", ast.Constant(2 * value)
        yield "constant negated", ast.Constant(-value)
        if isinstance(value, float):
            for factor in (1.02, 0.1, 1e-3):
                yield "constant scaled", ast.Constant(factor * value)


def arithmetic(node: ast.AST, scope: Scope) -> Edits:
    """Another operator, one side alone, the sides exchanged, the left side overwritten."""
    if isinstance(node, ast.BinOp):
        for other in COMBINED.get(type(node.op), ()):
            yield "other operator", _changed(node, op=other())
        yield "one side alone", node.left
        yield "one side alone", node.right
        yield "sides exchanged", _changed(node, left=node.right, right=node.left)
        if type(node.op) in OWN_PLACE:
            yield "in place", expression(OWN_PLACE[type(node.op)], X=node.left, Y=node.right)
    elif isinstance(node, ast.UnaryOp):
        yield "sign or `not` dropped", node.operand
    elif isinstance(node, ast.BoolOp):
        yield "`and` for `or`", _changed(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        for value in node.values:
            yield "one side alone", value


def comparisons(node: ast.AST, scope: Scope) -> Edits:
    """Another comparison; masks turned round or without effect."""
    if isinstance(node, ast.Compare):
        for index, old in enumerate(node.ops):
            for other in COMPARED[type(old)]:
                ops = [*node.ops[:index], other(), *node.ops[index + 1 :]]
                yield "other comparison", _changed(node, ops=ops)
    elif isinstance(node, ast.IfExp):
        yield "branch always", node.body
        yield "branch never", node.orelse
        yield "branches exchanged", _changed(node, body=node.orelse, orelse=node.body)
    if isinstance(node, ast.Name) and "mask" in node.id:
        yield "mask turned round", expression("~X", X=node)
        yield "mask dropped", expression("torch.ones_like(X)", X=node)
        yield "mask as numbers", expression("X.float()", X=node)


def calls(node: ast.AST, scope: Scope) -> Edits:
    """A call dropped, an argument dropped or exchanged, another method, the same in place."""
    if isinstance(node, ast.Attribute):
        for other in RENAMED.get(node.attr, "").split():
            yield "other method", _changed(node, attr=other)
    if not isinstance(node, ast.Call):
        return
    func = node.func
    if isinstance(func, ast.Name):
        for other in RENAMED.get(func.id, "").split():
            yield "other function", _changed(node, func=ast.Name(other, ast.Load()))
    if isinstance(func, ast.Attribute):
        if not (isinstance(func.value, ast.Name) and func.value.id in ("torch", "F", "math", "np", "itertools")):
            yield "call dropped", func.value
        if func.attr in IN_PLACE:
            yield "in place", _changed(node, func=_changed(func, attr=f"{func.attr}_"))
    for index, argument in enumerate(node.args):
        yield "argument alone", argument.value if isinstance(argument, ast.Starred) else argument
        yield "argument dropped", _changed(node, args=_without(node.args, index))
        if index:
            args = [*node.args[: index - 1], argument, node.args[index - 1], *node.args[index + 1 :]]
            yield "arguments exchanged", _changed(node, args=args)
    for index, keyword in enumerate(node.keywords):
        yield "keyword dropped", _changed(node, keywords=_without(node.keywords, index))
        yield "argument alone", keyword.value


def indices(node: ast.AST, scope: Scope) -> Edits:
    """An index dropped, a slice without a bound, an end cut off."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        yield "index dropped", node.value
    if isinstance(node, ast.Slice):
        for bound, cut in (("lower", 1), ("upper", -1)):
            yield "slice moved", _changed(node, **{bound: None if getattr(node, bound) else ast.Constant(cut)})
    if isinstance(node, ast.Tuple):
        for index, item in enumerate(node.elts):
            if not isinstance(item, ast.Slice):
                yield "index replaced", _changed(node, elts=[*node.elts[:index], ast.Slice(), *node.elts[index + 1 :]])
            yield "item dropped", _changed(node, elts=_without(node.elts, index))
        if len(node.elts) > 1:
            yield "items exchanged", _changed(node, elts=node.elts[::-1])
    if isinstance(node, ast.comprehension):
        for index in range(len(node.ifs)):
            yield "condition dropped", _changed(node, ifs=_without(node.ifs, index))


def names(node: ast.AST, scope: Scope) -> Edits:
    """Another variable in the place of one."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in scope.names:
        for other in scope.names:
            yield "other variable", ast.Name(other, ast.Load())


def wrappings(node: ast.AST, scope: Scope) -> Edits:
    """A method called on the value of a call, or on a parameter where it is read."""
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    read = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in scope.tensors
    if called or read:
        assert isinstance(node, ast.expr)
        yield from _filled(WRAPPED, node)


EXPRESSIONS: tuple[Callable[[ast.AST, Scope], Edits], ...] = (
    constants, arithmetic, comparisons, calls, indices, names, wrappings
)  # fmt: skip


# --- statements: each edit is the list of statements that takes the place of one


def edited_statements(node: ast.stmt, scope: Scope) -> Iterator[tuple[str, list[ast.stmt]]]:
    """A statement deleted, a branch or a loop changed, a result wrapped."""
    if not isinstance(node, ast.Return | ast.FunctionDef | ast.Import | ast.ImportFrom):
        yield "statement deleted", [ast.Pass()]
    if isinstance(node, ast.Return) and node.value is not None:
        for operator, value in _filled(RETURNED, node.value):
            yield operator, [ast.Return(value)]  # type: ignore[arg-type]
    elif isinstance(node, ast.If):
        yield "branch always", node.body
        yield "branch never", node.orelse or [ast.Pass()]
        yield "branches exchanged", [_changed(node, test=ast.UnaryOp(ast.Not(), node.test))]  # type: ignore[list-item]
    elif isinstance(node, ast.While):
        yield "condition always", [_changed(node, test=ast.Constant(True))]  # type: ignore[list-item]
    elif isinstance(node, ast.For):
        yield "loop once", [_changed(node, body=[*node.body, ast.Break()])]  # type: ignore[list-item]
        for template in ("list(X)[1:]", "list(X)[:-1]", "list(X)[::-1]"):
            yield "loop cut or reversed", [_changed(node, iter=expression(template, X=node.iter))]  # type: ignore[list-item]
    elif isinstance(node, ast.With):
        yield "context dropped", node.body
    elif isinstance(node, ast.Break | ast.Continue):
        yield "`break` for `continue`", [ast.Continue() if isinstance(node, ast.Break) else ast.Break()]
    elif isinstance(node, ast.Raise):
        yield "other error", statements("raise TypeError('other')")
    yield from _edited_assignments(node)


def _edited_assignments(node: ast.stmt) -> Iterator[tuple[str, list[ast.stmt]]]:
    if isinstance(node, ast.AugAssign):
        for other in COMBINED.get(type(node.op), ()):
            yield "other operator", [_changed(node, op=other())]  # type: ignore[list-item]
        yield "assigned, not added", [ast.Assign([node.target], node.value)]
    if isinstance(node, ast.Assign | ast.AugAssign):
        block = statements("with torch.no_grad(): pass")
        block[0].body = [node]  # type: ignore[attr-defined]
        yield "no_grad added", block
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and len(node.targets) == 1:
        target, left = node.targets[0], node.value.left
        if isinstance(target, ast.Name) and isinstance(left, ast.Name):
            changed = ast.AugAssign(ast.Name(left.id, ast.Store()), node.value.op, node.value.right)
            yield "in place", [changed, *([ast.Assign([target], left)] if left.id != target.id else [])]


def beginnings(scope: Scope) -> Iterator[tuple[str, list[ast.stmt]]]:
    """Lines put before a function's first one."""
    for group, table in ((scope.tensors, PREPARED), (scope.numbers, TUNED)):
        for name in sorted(group):
            for operator, templates in table.items():
                for template in templates:
                    inserted = statements(template, X=ast.Name(name, ast.Load()))
                    for part in ast.walk(ast.Module(inserted, [])):
                        if isinstance(part, ast.Assign):
                            part.targets = [ast.Name(name, ast.Store())]
                    yield operator, inserted
    for operator, templates in BEGINNINGS.items():
        for template in templates:
            yield operator, statements(template)
