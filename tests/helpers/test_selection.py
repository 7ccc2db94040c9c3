"""Which statements are run for grading, whatever students did to their notebooks."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from autograder import masters
from helpers.notebook import selection
from tests.grade.samples import code, master_cells


def chosen(*sources: str, wanted: tuple[str, ...] = ("f",), tags: tuple[str, ...] = ()) -> list[str]:
    """The statements that would be run."""
    found = selection.select(code(*sources, tags=tags), wanted)
    return [ast.unparse(statement.node) for statement in found.statements]


def run(*sources: str, wanted: tuple[str, ...] = ("f",)) -> dict[str, Any]:
    """The namespace after the chosen statements."""
    space: dict[str, Any] = {}
    for statement in chosen(*sources, wanted=wanted):
        exec(statement, space)
    return space


def test_only_what_the_function_needs() -> None:
    found = chosen(
        "import math, os\nimport torch",
        "history = train(policy)\nprint(history)",
        "SCALE = 2\nunused = expensive()",
        "def helper(x): return math.sqrt(x) * SCALE",
        "def f(x): return helper(x)",
        "input('name?')\nexit()\nassert f(1) == 2",
    )
    assert found == [
        "import math, os",
        "SCALE = 2",
        "def helper(x):\n    return math.sqrt(x) * SCALE",
        "def f(x):\n    return helper(x)",
    ]


def test_order_does_not_matter_and_the_last_definition_counts() -> None:
    space = run("def f(x): return g(x)", "def g(x): return x", "def g(x): return 2 * x")
    assert space["f"](3) == 6


def test_locals_do_not_pull_in_globals() -> None:
    found = chosen("history = train()", "def f():\n    history = 1\n    return [x for x in [history]]", "x = launch()")
    assert found == ["def f():\n    history = 1\n    return [x for x in [history]]"]


def test_decorators_defaults_lambdas_classes_and_conditions() -> None:
    space = run(
        "from functools import lru_cache as cache\nD = 4",
        "class Base: factor = 3\nclass Tool(Base):\n    def go(self, x): return self.factor * x",
        "try:\n    import nothing_like_this\nexcept ImportError:\n    nothing_like_this = None",
        "if nothing_like_this is None:\n    @cache\n    def f(x, d=D): return Tool().go(x) + d + (lambda: E)()",
        "E = 5",
    )
    assert space["f"](1) == 12


def test_changes_to_what_is_needed_are_run() -> None:
    space = run(
        "T = {}\nnames = []", "T['a'] = 1\nnames.append(2)\nother = []\nother.append(3)", "def f(): return T, names"
    )
    assert space["f"]() == ({"a": 1}, [2])
    assert "other" not in space


def test_training_cells() -> None:
    source = "model = load()\nK = 3\ndef g(): return K\nmodel.fit()"
    assert chosen(source, "def f(): return model, g()", tags=("training",)) == [
        "K = 3",
        "def g():\n    return K",
        "def f():\n    return (model, g())",
    ]


def test_magics() -> None:
    body = "def f(x):\n    %timeit x\n    y = !ls\n    return x\n"
    space = run("%%time\n!pip install x\nimport math\nmath?\n?math\n" + body, "%%bash\nrm -rf /\n")
    assert space["f"](1) == 1
    assert run('def f(): return """\n%kept\n!kept\n"""')["f"]() == "\n%kept\n!kept\n"


def test_definitions_through_exec_and_globals() -> None:
    assert run("exec('def f(x): return x')")["f"](1) == 1
    assert run("globals()['f'] = lambda x: 2 * x")["f"](1) == 2
    assert chosen("from math import *", "def f(x): return sin(x)")[0] == "from math import *"


def test_a_cell_that_does_not_parse_costs_only_itself() -> None:
    found = selection.select(code("def broken(:", "def f(): return 1"), ["f"])
    assert len(found.statements) == 1
    assert found.errors[0]["cell"] == 1
    assert found.errors[0]["type"] == "SyntaxError"


def test_a_cell_that_does_not_compile_costs_itself_and_only_where_it_is_needed() -> None:
    """It parses, but no line of it would run in a notebook either."""
    needed = selection.select(code("a = 1", "def f(): return a\nreturn", "def f(): return 2 * a"), ["f"])
    assert [statement.cell for statement in needed.statements] == [1, 3]
    assert [(error["cell"], error["type"]) for error in needed.errors] == [(2, "SyntaxError")]
    assert selection.select(code("return 1", "def f(): return 1"), ["f"]).errors == []


@pytest.mark.parametrize(
    "source", ["x = " + "(" * 5000 + ")" * 5000, "x = " + "-" * 100_000 + "1", "\x00\x01\x02", "\ufeffx = 1"]
)
def test_odd_code_is_read_or_reported(source: str) -> None:
    assert chosen(source, "def f(): return 1") == ["def f():\n    return 1"]


ODD = """
a, (b, *c), d[0], e.f = g = h
class Inner(Base): x = 1; y: int = 2
x: int
del a
async def wait(): return [n for n in range(3)]
import os.path, numpy as np
from math import pi as number, tau
values = [n for n in values if n]
print(lambda z: z)
x += 1
counts[0] += 1
for i, (j, *k) in []:
    def inside(): local = 1
    l = [m for m in k]
else:
    n = 1
while x: from math import e
with open(f) as o, p as (q, r): s: int = 3
if x:
    t: int
elif y: u = 1
try: v = 1
except ValueError as error: w = 1
finally: import os as system
match x:
    case [1, *rest] if rest: pass
    case {"a": captured, **others}: pass
    case Point(x=px) | Point(y=px) as point: pass
    case _: pass
@decorated(lambda inner: inner)
def decorated_one(default=[n for n in x]): pass
raise ValueError
"""


@pytest.mark.parametrize("part", masters.existing_parts())
def test_what_a_statement_binds_is_what_its_byte_code_binds(part: int) -> None:
    """`_plain_binds` reads the syntax, which is quick; the byte code has the last word."""
    found = 0
    for source in (ODD, *(cell["source"] for cell in master_cells(part))):
        for node in ast.parse(source).body if ":=" not in source else ():
            code = compile(ast.Module(body=[node], type_ignores=[]), "cell", "exec")
            assert selection._plain_binds(node) == selection.names_in(code)[0], ast.unparse(node)
            found += 1
    assert found > 50


@pytest.mark.parametrize(
    "line", ["print(graded := len)", "f = [graded := n for n in 'a']", "def g():\n    global graded\n    graded = 1"]
)
def test_a_binding_that_hides_in_a_simple_statement_is_found(line: str) -> None:
    found = selection.select(code("x = 1", line), ["graded"])
    assert [statement.cell for statement in found.statements] == [2]


WITH_MAGICS = {
    "a shell line over two lines": "!pip install -q \\\n  torch\n",
    "a magic over two lines": "%config InlineBackend.figure_format = \\\n  'svg'\n",
    "a shell value over two lines": "files = !ls | \\\n  grep x\n",
    "a timed statement": "%time K = 1\n",
    "a timed value": "K = %time 1\n",
    "help": "torch?\n?torch\ntorch.ones??\n",
    "automatic brackets": "/print 3\n",
    "two exclamation marks": "!!ls\n",
    "in a block": "if True:\n    !ls \\\n      -l\n    %matplotlib inline\n",
    "a whole cell's magic": "%%time\n!ls\n",
    "awaiting": "await asyncio.sleep(0)\n",
}


@pytest.mark.parametrize("start", WITH_MAGICS.values(), ids=WITH_MAGICS)
@pytest.mark.parametrize("jupyter", [True, False])
def test_cells_are_read_as_jupyterlab_reads_them(start: str, jupyter: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not jupyter:
        monkeypatch.setattr(selection, "AS_JUPYTER", None)
        if start.startswith(("%time K", "/")):
            return  # what only IPython can tell
    found = selection.select(code(start + "def f(x): return x"), ("f",))
    assert not found.errors
    (statement,) = [s for s in found.statements if "f" in s.binds]
    assert statement.node.lineno == start.count("\n") + 1, "messages would name another line"


def test_indented_and_prompted_cells() -> None:
    assert run("  K = 1\n  def f(x): return x + K")["f"](1) == 2
    assert run(">>> def f(x):\n...     return x")["f"](1) == 1
    assert run("%time K = 3", "def f(x): return K")["f"](1) == 3


def test_what_no_one_can_read_names_cell_and_line() -> None:
    (error,) = selection.select(code("x = 1", "!ls\ndef f(:"), ("f",)).errors
    assert (error["cell"], error["line"], error["type"]) == (2, 2, "SyntaxError")
