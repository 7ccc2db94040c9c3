"""Functions carried over from an earlier part's notebook: the definitions run, nothing else does."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from helpers.notebook.carry import MissingFunctionError, load_functions
from helpers.notebook.public_check import load_tests

GOOD = [
    "%matplotlib inline\n!pip install something\nimport math\nimport torch.nn.functional as F",
    "SCALE = 2.0\nEXPENSIVE = open('/this/file/does/not/exist')",
    "raise RuntimeError('a training cell must not run')",
    "def helper(x):\n    return SCALE * x",
    "def wanted(x: 'float') -> float:\n    '''Doc.'''\n    return math.sqrt(helper(x))\nprint('must not run')",
    "def other(x):\n    return F.relu(x)",
    "def other(x):\n    return 'the second definition'",
    "this is not python",
]
TEST = """from otter.test_files import test_case

OK_FORMAT = False

name = "q2_1"
points = None

@test_case(points=1, hidden=False)
def test_value(wanted):
    assert wanted(8) == {value}, "the square root of twice the number"

@test_case(points=1, hidden=False)
def test_of_something_else(wanted, unknown):
    assert False, "must not be run: it needs a function that was not asked for"
"""


def write(folder, cells, name="02_reinforce.ipynb"):
    document = {"cells": [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]}
    (folder / name).write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_only_what_is_needed_is_executed(here, capsys):
    write(here, GOOD)
    functions = load_functions("02_reinforce", ["wanted", "other"])
    wanted, other = functions
    assert wanted(8) == 4.0
    assert other(1) == "the second definition"
    assert functions.wanted is wanted
    assert "must not run" not in capsys.readouterr().out


def test_tests_of_exercises_and_of_questions_come_in_order(here):
    """Exercises have numbers, questions letters; they lie side by side, and a part is carried on from all the same."""
    for name in ("q2_A", "q2_10", "q2_9", "q3_1"):
        (here / f"{name}.py").write_text(TEST.format(value=4.0), encoding="utf-8")
    assert list(load_tests(here, 2)) == ["q2_9", "q2_10", "q2_A"]


def test_failing_public_tests_are_told(here, capsys):
    write(here, GOOD)
    (here / "tests").mkdir()
    (here / "tests" / "q2_1.py").write_text(TEST.format(value=4.0), encoding="utf-8")
    load_functions("02_reinforce", ["wanted"])
    assert "WARNING" not in capsys.readouterr().out
    (here / "tests" / "q2_1.py").write_text(TEST.format(value=5.0), encoding="utf-8")
    load_functions("02_reinforce", ["wanted"])
    printed = capsys.readouterr().out
    assert "WARNING: your wanted does not pass" in printed
    assert "the square root of twice the number" in printed
    assert "must not be run" not in printed


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["x = 1"], "does not define wanted"),
        (["def wanted(x):\n    '''Doc.'''\n    ..."], "not written yet"),
        (["x = 1", "def wanted(x)\n    return 1"], "does not define wanted; cell 2, line 1: SyntaxError"),
        (["wanted = nothing_of_that_name.f"], "does not define wanted; cell 1, line 1: NameError"),
    ],
)
def test_what_is_wrong_and_what_to_do_are_said(here, cells, reason):
    write(here, cells)
    with pytest.raises(MissingFunctionError, match=reason) as caught:
        load_functions("02_reinforce", ["wanted"])
    assert "Part 2" in str(caught.value)
    assert "paste your functions" in str(caught.value)


@pytest.mark.parametrize(
    "cells",
    [
        ['MINUS = float("-inf")\ndef wanted(x): return x if x > MINUS else None'],
        ["import torch\nDTYPE = torch.float32\ndef wanted(x): return torch.tensor(x, dtype=DTYPE).item()"],
        ["import functools\ndef general(x, y): return x\nwanted = functools.partial(general, y=1)"],
        ["if True:\n    def wanted(x): return x"],
        ["def wanted(x): return x\ntorch.gather?"],
        ["def wanted(x): return x\nfiles = !ls"],
        ["%%time\ndef wanted(x): return x"],
        ["def wanted(x):\n    ...", "import functools\nwanted = functools.partial(lambda x, y: x, y=1)"],
    ],
)
def test_what_the_grader_takes_is_taken(here, cells):
    write(here, cells)
    assert load_functions("02_reinforce", ["wanted"]).wanted(8.0) == 8.0


def test_what_fails_on_the_way_is_told_and_the_functions_are_used_as_in_the_grader(here, capsys):
    write(here, ["scratch(", "import nothing_of_that_name as n\ndef wanted(x): return n.f(x) if x < 0 else x"])
    assert load_functions("02_reinforce", ["wanted"]).wanted(1) == 1
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if "WARNING" in line]
    assert "cell 2, line 1: ModuleNotFoundError" in warning


def test_a_file_that_is_no_notebook_is_named(here):
    (here / "02_reinforce.ipynb").write_text("<html>", encoding="utf-8")
    with pytest.raises(MissingFunctionError, match="this is no notebook"):
        load_functions("02_reinforce", ["wanted"])


def test_no_notebook_at_all(here):
    with pytest.raises(MissingFunctionError, match=r"no file 02_reinforce.ipynb"):
        load_functions("02_reinforce", ["wanted"])


def test_the_solution_notebook_stands_in_for_an_unfinished_one(here):
    write(here, ["def wanted(x):\n    ..."])
    solutions = here.parent / "solutions"
    solutions.mkdir()
    write(solutions, ["def wanted(x):\n    return 'from the solution'"])
    assert load_functions("02_reinforce", ["wanted"]).wanted(1) == "from the solution"
    write(here, ["def wanted(x):\n    return 'my own'"])
    assert load_functions("02_reinforce", ["wanted"]).wanted(1) == "my own"


def test_functions_pasted_into_this_notebook_count(here, monkeypatch):
    shell = SimpleNamespace(user_ns={"wanted": lambda x: "pasted"})
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    assert load_functions("02_reinforce", ["wanted"]).wanted(1) == "pasted"
