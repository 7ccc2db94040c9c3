"""Which of a notebook's statements are run for grading: those that the graded functions need, and no others.

The rule, for every statement at the top level of a code cell, in the notebook's order:

1. A statement is taken if it binds a graded function's name, or a name that a taken statement looks up (directly or
   inside a function), and so on until nothing is added. So imports, helper functions, constants and set-up are found
   wherever they stand, in whatever order, in merged, split, moved or copied cells; training, plots, prints,
   `input()`, `exit()` and sanity checks are left out, because nothing graded looks their names up.
2. A statement that changes a taken variable (`TABLE["a"] = 1`, `names.append(x)`, `model.eval()`) is taken as well.
3. In a cell tagged `training` only imports, definitions and plain constants are taken.
4. `from x import *` is taken, because what it binds cannot be known.
5. If a graded name is bound nowhere, but a cell speaks of it next to `exec`, `globals` or `setattr`, that cell is
   taken as a whole.

Names are read from the compiled byte code, so a local variable never pulls in a global of the same name.
"""

from __future__ import annotations
import __future__ as future

import ast
import dis
import functools
import linecache
import re
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

try:
    from IPython.core.inputtransformer2 import TransformerManager

    AS_JUPYTER: Callable[[str], str] | None = TransformerManager().transform_cell
except ImportError:  # a Python without Jupyter: the patterns below know what is common
    AS_JUPYTER = None

LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS", "LOAD_CLASSDEREF", "DELETE_NAME", "DELETE_GLOBAL"}
RUN_BODY = ("time", "timeit", "capture", "prun", "memit", "mprun")  # cell magics whose body is ordinary code
RUN_LINE = ("time", "prun")  # line magics that run the rest of their line where the notebook's names are
AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # as a notebook does
INNER_BINDING = re.compile(r":=|\bglobal\b")
LATE_BINDING = re.compile(r"\b(exec|globals|setattr|locals|vars)\b")
MAGIC_LINE = re.compile(r"^(\s*)(?:[%!?].*|[\w.]+\?{1,2}\s*|\?{1,2}[\w.]+\s*)$")
MAGIC_START = re.compile(r"^\s*(?:[%!]|[\w, ]+=\s*[%!])")
MAGIC_VALUE = re.compile(r"^(\s*[\w, ]+=\s*)[%!].*$")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
INNER_SCOPES = (*FUNCTIONS, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
TARGETS = (ast.Name, ast.Tuple, ast.List, ast.Starred)  # the only expressions that bind names, where no `:=` is
BINDING = (*FUNCTIONS, ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping)  # they name what they bind
UNREADABLE = (SyntaxError, ValueError, MemoryError, RuntimeError, OverflowError)  # what parsing and compiling raise


@dataclass
class Statement:
    """A statement at the top level of a cell, with the names it binds and changes."""

    cell: int
    node: ast.stmt
    binds: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    definition: bool = False
    star: bool = False
    training: bool = False

    @functools.cached_property
    def code(self) -> types.CodeType:
        """Its byte code, made only where it is needed, as making it takes time.

        Raises:
            SyntaxError, ValueError, MemoryError, RecursionError, OverflowError: it parses, but does not compile.
        """
        return compile(ast.Module([self.node], []), f"cell {self.cell}", "exec", flags=AWAIT, dont_inherit=True)

    def needs(self, of: set[str]) -> set[str]:
        """Those of some names that it looks up, directly or inside a function."""
        spoken = {name for part in _with_inner(self.code) for name in (*part.co_names, *part.co_freevars)}
        return names_in(self.code)[1] & of if spoken & of else set()  # most need no closer look, which takes time


@dataclass
class Selection:
    """What to run: statements in order, the cells' cleaned sources, compile flags, and cells that do not parse."""

    statements: list[Statement]
    sources: dict[int, str]
    flags: int
    errors: list[dict[str, object]]
    left_out: int

    def code_of(self, statement: Statement) -> types.CodeType:
        """A chosen statement, compiled with the notebook's flags; tracebacks name its cell."""
        module = ast.Module(body=[statement.node], type_ignores=[])
        return compile(module, f"cell {statement.cell}", "exec", flags=self.flags | AWAIT, dont_inherit=True)

    def keep_lines(self) -> None:
        """Let tracebacks show the cells' lines."""
        for number, source in self.sources.items():
            linecache.cache[f"cell {number}"] = (len(source), None, source.splitlines(True), f"cell {number}")


def read(source: str, name: str) -> tuple[str, ast.Module] | None:
    """Return a cell's Python code without what only IPython understands, parsed, or None if the cell is not Python.

    Raises:
        SyntaxError, ValueError, MemoryError, RecursionError: it cannot be parsed.
    """
    source = source.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "").replace("\x00", "")
    while source.lstrip().startswith("%%"):  # one may stand below another
        first, _, body = source.lstrip().partition("\n")
        if not body or first[2:].partition(" ")[0].strip() not in RUN_BODY:
            return None
        source = "\n" * source[: len(source) - len(body)].count("\n") + body  # the lines keep their numbers
    try:
        return source, ast.parse(source, name)
    except UNREADABLE:
        return _without_magics(_joined(source), name)


def _joined(source: str) -> str:
    """A cell with magics and shell lines that go on over several lines made one line each, and the lines' numbers kept."""
    lines: list[str] = []
    waiting = deque(source.split("\n"))
    while waiting:
        line, skipped = waiting.popleft(), 0
        while MAGIC_START.match(line) and line.endswith("\\") and waiting:
            line, skipped = f"{line[:-1]} {waiting.popleft()}", skipped + 1
        lines += [line, *[""] * skipped]
    return "\n".join(lines)


def _without_magics(source: str, name: str) -> tuple[str, ast.Module]:
    """A cell as IPython reads it, parsed, with what only IPython can do replaced by nothing.

    Raises:
        SyntaxError, ValueError, MemoryError, RecursionError: it cannot be parsed.
    """
    if AS_JUPYTER is None:
        lines = [MAGIC_VALUE.sub(r"\1None", MAGIC_LINE.sub(r"\1pass", line)) for line in source.split("\n")]
        source = "\n".join(lines)
        return source, ast.parse(source, name)
    source = "\n" * (len(source) - len(source.lstrip("\n"))) + AS_JUPYTER(
        source
    )  # which drops empty lines at the start
    return source, ast.fix_missing_locations(_Plain().visit(ast.parse(source, name)))


class _Plain(ast.NodeTransformer):
    """Replaces calls of IPython by nothing, and those that run code by the code."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        """A line magic that stands by itself."""
        if (text := _runs(node.value)) is not None:
            body = ast.parse(text).body
            return [ast.increment_lineno(statement, node.lineno - 1) for statement in body] or ast.Pass()
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A magic or shell command inside a statement."""
        if (text := _runs(node)) is not None:
            return ast.copy_location(ast.parse(text, mode="eval").body, node)
        if _ipython_method(node):
            return ast.copy_location(ast.Constant(None), node)
        return self.generic_visit(node)


def _ipython_method(node: ast.AST) -> str:
    """The method of `get_ipython()` that an expression calls; an empty text for every other expression."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call):
        whose = node.func.value.func
        return node.func.attr if isinstance(whose, ast.Name) and whose.id == "get_ipython" else ""
    return ""


def _runs(node: ast.AST) -> str | None:
    """The code that a line magic would run, or None if it is none of those that do."""
    if not isinstance(node, ast.Call) or _ipython_method(node) != "run_line_magic":
        return None
    name, text = [str(argument.value) for argument in node.args if isinstance(argument, ast.Constant)][:2]
    return re.sub(r"^(?:-\S+\s+)+", "", text) if name in RUN_LINE else None


def select(cells: Sequence[dict[str, object]], wanted: Iterable[str]) -> Selection:
    """Choose the statements to run.

    Args:
        cells: the notebook's code cells: `number`, `source` and `tags`.
        wanted: the names of the graded functions.
    """
    statements: list[Statement] = []
    sources: dict[int, str] = {}
    trees: dict[int, ast.Module] = {}
    errors: list[dict[str, object]] = []
    flags = 0
    for cell in cells:
        number = int(cell["number"])  # type: ignore[call-overload]
        try:
            parsed = read(str(cell["source"]), f"cell {number}")
            if parsed is None:
                continue
            source, tree = parsed
            plain = INNER_BINDING.search(source) is None
            training = "training" in cell["tags"]  # type: ignore[operator]
            found = [_statement(number, node, training, plain) for node in tree.body]
        except UNREADABLE as error:
            errors.append(_described(number, error))
            continue
        sources[number] = source
        trees[number] = tree
        statements += found
        if any(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in tree.body):
            flags |= future.annotations.compiler_flag

    @functools.cache
    def compiles(number: int) -> bool:
        try:
            compile(trees[number], f"cell {number}", "exec", flags=AWAIT, dont_inherit=True)
        except UNREADABLE as error:
            errors.append(_described(number, error))
            return False
        return True

    chosen = _closure(statements, set(wanted), sources, compiles)
    return Selection(chosen, sources, flags, errors, len(statements) - len(chosen))


def _described(cell: int, error: BaseException) -> dict[str, object]:
    if isinstance(error, SyntaxError):
        return {"cell": cell, "line": error.lineno, "type": "SyntaxError", "message": str(error.msg)[:300]}
    message = "the code of this cell is nested too deep to be read"
    return {"cell": cell, "line": None, "type": type(error).__name__, "message": message}


def _statement(cell: int, node: ast.stmt, training: bool, plain: bool) -> Statement:
    result = Statement(cell, node, training=training)
    result.binds = _plain_binds(node) if plain else names_in(result.code)[0]
    result.definition = isinstance(
        node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
    )
    if isinstance(node, ast.Assign | ast.AnnAssign) and _is_constant(node.value):
        result.definition = True
    result.star = isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    result.changes = _changed(node)
    return result


def _plain_binds(node: ast.stmt) -> set[str]:
    """The names that a statement binds, read from its syntax, in a cell where neither `:=` nor `global` occurs."""
    binds: set[str] = set()
    waiting: list[ast.AST] = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Import | ast.ImportFrom):
            binds |= {alias.asname or alias.name.split(".")[0] for alias in part.names} - {"*"}
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            binds.add(part.id)
        elif isinstance(part, BINDING):
            binds |= {getattr(part, name) for name in ("name", "rest") if getattr(part, name, None)}
        if isinstance(part, ast.AnnAssign) and part.value is None:
            continue  # a bare annotation binds nothing
        if not isinstance(part, INNER_SCOPES) and (isinstance(part, TARGETS) or not isinstance(part, ast.expr)):
            waiting += ast.iter_child_nodes(part)
    return binds


def _with_inner(code: types.CodeType) -> Iterator[types.CodeType]:
    """A piece of byte code and all that lies in it: its functions, their functions, and so on."""
    waiting = [code]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += [constant for constant in found.co_consts if isinstance(constant, types.CodeType)]


def names_in(code: types.CodeType) -> tuple[set[str], set[str]]:
    """The names that the byte code of a top-level statement binds, and those that it looks up."""
    binds: set[str] = set()
    needs: set[str] = set()
    for part in _with_inner(code):
        for instruction in dis.get_instructions(part):
            if instruction.opname in LOADS:
                needs.add(instruction.argval)
            elif instruction.opname == "STORE_GLOBAL" or (part is code and instruction.opname == "STORE_NAME"):
                binds.add(instruction.argval)
    return binds, needs


def _is_constant(value: ast.expr | None) -> bool:
    plain = (ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.UnaryOp, ast.BinOp)
    extra = (ast.operator, ast.unaryop, ast.expr_context, ast.Lambda, ast.arguments)
    if isinstance(value, ast.Lambda):
        return True
    return value is not None and all(isinstance(part, (*plain, *extra)) for part in ast.walk(value))


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def _changed(node: ast.stmt) -> set[str]:
    """The variables that a statement changes without binding them."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = [t for t in node.targets if isinstance(t, ast.Attribute | ast.Subscript)]
    elif isinstance(node, ast.AugAssign) and not isinstance(node.target, ast.Name):
        targets = [node.target]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        targets = [node.value.func]
    elif isinstance(node, ast.For):
        return {name for part in node.body for name in _changed(part)}
    return {name for name in (_root(target) for target in targets) if name}


def _closure(
    statements: list[Statement], wanted: set[str], sources: dict[int, str], compiles: Callable[[int], bool]
) -> list[Statement]:
    """The statements to run. A cell that parses but does not compile is left out as a whole, as in a notebook."""
    usable = [s for s in statements if s.definition or not s.training]
    bound = {name for s in usable for name in s.binds}
    whole = {
        number
        for number, source in sources.items()
        if LATE_BINDING.search(source) and any(name not in bound and name in source for name in wanted)
    }
    modules = {n for s in usable if isinstance(s.node, ast.Import | ast.ImportFrom) for n in s.binds}
    chosen: set[int] = set()
    names = set(wanted)
    while True:
        added = {
            index
            for index, s in enumerate(usable)
            if index not in chosen
            and (s.star or s.cell in whole or s.binds & names or (s.changes - modules) & names & bound)
        }
        if not added:
            return [usable[index] for index in sorted(chosen)]
        broken = {usable[index].cell for index in added if not compiles(usable[index].cell)}
        if broken:
            rest = [s for s in statements if s.cell not in broken]
            return _closure(rest, wanted, {n: text for n, text in sources.items() if n not in broken}, compiles)
        chosen |= added
        for index in added:
            names |= usable[index].needs(bound - names)
