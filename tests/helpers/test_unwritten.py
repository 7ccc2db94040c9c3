"""What waits for an exercise that is not written is left out with one sentence; nothing else is touched, and no error hidden."""

from __future__ import annotations

import json

import pytest
from IPython.core.interactiveshell import InteractiveShell

from helpers.notebook import grader, start, unwritten
from helpers.notebook.carry import CATCH_UP, load_functions
from helpers.raised import described

STUB = 'def top_k_filter(logits, k):\n    """Keep the k largest."""\n    ...'
NEXT_STUB = "def sample_next_token(logits):\n    ..."
WRITTEN = "def top_k_filter(logits, k):\n    return [logits, k]"
TESTS = """from otter.test_files import test_case

OK_FORMAT = False

name = "q1_2"
points = None

@test_case(points=1, hidden=False)
def test_value(top_k_filter):
    \"\"\"It gives back what it got.\"\"\"
    assert top_k_filter(1, 2) == [1, 2], "it does not"
"""


class Notebook:
    """A notebook that runs cells, as IPython's shell does everywhere."""

    def __init__(self, capsys):
        self.shell = InteractiveShell()
        self.shell.user_ns["__name__"] = "__main__"
        self.capsys = capsys

    def run(self, *cells):
        """Run cells one after the other; returns what the last one printed and the exception it raised."""
        for cell in cells:
            self.capsys.readouterr()
            result = self.shell.run_cell(cell)
        return self.capsys.readouterr().out.strip(), result.error_before_exec or result.error_in_exec


@pytest.fixture
def notebook(capsys, monkeypatch):
    made = Notebook(capsys)
    monkeypatch.setattr("IPython.get_ipython", lambda: made.shell)
    unwritten.watch()
    yield made
    made.shell.history_manager.end_session()


WAITS = "Exercise 1.2 is not written yet: `top_k_filter`. This cell is left out until then."
REST = "Exercise 1.2 is not written yet: `top_k_filter`. The rest of this cell is left out until then."
WAY = "`y` comes from a cell that was left out."


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (["top_k_filter(1, 2)"], WAITS),
        (["print('before')\ntop_k_filter(1, 2)\nprint('after')"], f"before\n{REST}"),
        (["f = lambda x: top_k_filter(x, 1)"], WAITS),
        (["def f(x):\n    return top_k_filter(x, 1)", "def g(x):\n    return f(x)", "g(1)"], WAITS),
        (["def f(x):\n    return top_k_filter(x, 1)\n\n\nprint(f(1))"], REST),
        (["class A:\n    def f(self):\n        return top_k_filter(1, 1)", "A().f()"], WAITS),
        (["for i in range(3):\n    if i:\n        break\n    top_k_filter(i, 1)"], WAITS),
        (["try:\n    top_k_filter(1, 1)\nexcept Exception as error:\n    print(error)"], WAITS),
        (["%time top_k_filter(1, 1)"], WAITS),
        (["%%time\ntop_k_filter(1, 1)"], WAITS),
        (["y = top_k_filter(1, 2)", "print(y)"], WAY),
        (["y = top_k_filter(1, 2)", "z = y + 1", "print('z')\nz"], "`z` comes from a cell that was left out."),
        (["y = {}\ny['a'] = top_k_filter(1, 2)", "y['a']"], WAY),
        (["y = []\nfor i in range(2):\n    y.append(top_k_filter(1, 2))", "y[0]"], WAY),
        (["y = 1", "y = top_k_filter(1, 2)", "print(y)"], WAY),
        (["top_k_filter(1, 2)\ndef y(): ...", "y()"], WAY),
    ],
)  # fmt: skip
def test_what_waits_is_left_out_with_one_sentence(notebook, cells, sentence):
    printed, error = notebook.run(STUB, *cells)
    assert error is None
    assert printed.startswith(sentence) or printed.endswith(sentence) or sentence in printed
    assert "after" not in printed
    assert printed.count("left out") == 1


def test_several_exercises_are_named_in_order(notebook):
    printed, error = notebook.run(NEXT_STUB, STUB, "top_k_filter(1, 1)\nsample_next_token(2)")
    assert error is None
    assert printed.startswith("Exercises 1.2 and 1.3 are not written yet: `top_k_filter`, `sample_next_token`.")


@pytest.mark.parametrize(
    "cell",
    [
        "for y in range(2):\n    print(y)",
        "with open('/dev/null') as y:\n    print(y.name)",
        "y = 3\nprint(y)",
        "print([y for y in range(2)])",
        "print((lambda y: y)(1))",
        "def f():\n    y = 1\n    return y\nprint(f())",
        "match 3:\n    case y:\n        print(y)",
        "try:\n    1 / 0\nexcept ZeroDivisionError as y:\n    print(y)",
        "import math as y\nprint(y.pi)",
    ],
)
def test_a_name_that_is_made_anew_waits_for_nothing(notebook, cell):
    printed, error = notebook.run(STUB, "y = top_k_filter(1, 2)", cell)
    assert error is None
    assert printed
    assert "left out" not in printed


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("1 / 0", ZeroDivisionError),
        ("no_such_name", NameError),
        ("x = (", SyntaxError),
        ("None.shape", AttributeError),
        ("print(top_k_filter)\n1 / 0", None),  # what waits comes first
        ("1 / 0\nprint(top_k_filter)", ZeroDivisionError),
    ],
)
def test_every_other_error_is_raised(notebook, cell, kind):
    _, error = notebook.run(STUB, cell)
    assert type(error) is (kind or type(None))


@pytest.mark.parametrize(
    "half",
    [
        "def top_k_filter(logits, k):\n    return logits.shape",
        "def top_k_filter(logits, k):\n    kept = logits.topk(k)\n    ...",
        "def top_k_filter(logits, k):\n    raise AttributeError('mine')",
        "top_k_filter = lambda logits, k: logits.shape",
    ],
)
def test_code_of_a_students_own_raises_its_own_error(notebook, half):
    printed, error = notebook.run(STUB, half, "top_k_filter(1, 2)")
    assert isinstance(error, AttributeError)
    assert "Traceback" in printed or "AttributeError" in printed


def test_a_written_function_is_not_touched_and_what_waited_says_what_to_do(notebook):
    notebook.run(STUB, "def f(x):\n    return top_k_filter(x, 1)", "y = f(3)")
    printed, _ = notebook.run(WRITTEN, "print(y)")
    assert printed == "This cell is left out: `y` comes from a cell that waited for Exercise 1.2. Run that cell first."
    printed, error = notebook.run("y = f(3)", "print(y, top_k_filter.__dict__)")
    assert (printed, error) == ("[3, 1] {}", None)


def test_other_functions_without_a_body_stay_as_they_are(notebook):
    printed, error = notebook.run("def of_my_own():\n    ...", "print(of_my_own())")
    assert (printed, error) == ("None", None)


def test_called_from_elsewhere_it_raises_the_sentence(notebook):
    notebook.run(STUB)
    stub = notebook.shell.user_ns["top_k_filter"]
    with pytest.raises(
        unwritten.NotWrittenError, match=r"^Exercise 1.2 is not written yet: `top_k_filter`.$"
    ) as raised:
        stub(1, k=2)
    assert described(raised.value) == str(raised.value)
    assert stub.__doc__ == "Keep the k largest."


@pytest.mark.parametrize("name", unwritten.RECORDED)
def test_what_is_recorded_with_the_course_is_offered_where_the_notebook_has_it(notebook, name):
    module, line = unwritten.RECORDED[name]
    notebook.run(STUB, f"{name} = top_k_filter(1, 2)")
    assert "recorded" not in notebook.run(f"print({name})")[0]
    notebook.run(f"{module} = None")
    printed, _ = notebook.run(f"print({name})")
    assert printed.endswith(f"To go on with what is recorded with the course: `{line}`.")
    printed, _ = notebook.run(f"{name} = 'recorded'", f"print({name})")
    assert printed == "recorded"


def test_watching_twice_is_watching_once(notebook):
    unwritten.watch()
    assert len(notebook.shell.ast_transformers) == 1
    assert unwritten.watching()


def test_no_grader_leaves_anything_out(notebook, monkeypatch):
    notebook.shell.ast_transformers = []
    monkeypatch.setenv("COURSE_GRADING", "1")
    start.start(part=1)
    assert not unwritten.watching()
    monkeypatch.delenv("COURSE_GRADING")
    start.start(part=1)
    assert unwritten.watching()


@pytest.fixture
def tests_of_part_1(tmp_path):
    (tmp_path / "q1_2.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "hidden.json").write_text('{"q1_2": 3}', encoding="utf-8")
    return grader.Grader(tmp_path)


def test_a_check_says_not_written_and_runs_no_test(notebook, tests_of_part_1, monkeypatch):
    notebook.shell.user_ns["grader"] = tests_of_part_1
    with monkeypatch.context() as patched:
        patched.setattr(grader, "load_cases", lambda file: pytest.fail("a test was read"))
        printed, error = notebook.run(STUB, "found = grader.check('q1_2', globals())\nprint(found)")
    found = notebook.shell.user_ns["found"]
    assert (printed, error) == ("q1_2: Exercise 1.2 is not written yet: `top_k_filter`.", None)
    assert not found.passed
    assert "not written yet" in found._repr_html_()
    printed, _ = notebook.run(WRITTEN, "print(grader.check('q1_2', globals()))")
    assert printed == "q1_2: all 1 public test passed; 3 hidden tests run at grading."
    printed, _ = notebook.run("def top_k_filter(logits, k):\n    return None", "print(grader.check('q1_2', globals()))")
    assert "it does not" in printed


def test_a_check_names_the_exercise_that_a_function_leans_on(notebook, tests_of_part_1):
    notebook.shell.user_ns["grader"] = tests_of_part_1
    leaning = "def top_k_filter(logits, k):\n    return sample_next_token(logits)"
    printed, error = notebook.run(NEXT_STUB, leaning, "print(grader.check('q1_2', globals()))")
    assert error is None
    assert "Exercise 1.3 is not written yet: `sample_next_token`." in printed


# ------------------------------------------------------------------------------- functions of an earlier part


def write(folder, name, *cells):
    document = {"cells": [{"cell_type": "code", "source": cell, "metadata": {}} for cell in cells]}
    (folder / f"{name}.ipynb").write_text(json.dumps(document), encoding="utf-8")


LOAD = (
    "from helpers.notebook.carry import load_functions\n"
    "token_log_probs, reinforce_step = load_functions('02_reinforce', ['token_log_probs', 'reinforce_step'])"
)
LATER = "def {name}(*arguments):\n    ..."
OWN_STEP = "def reinforce_step(*arguments):\n    return token_log_probs(*arguments)"


def test_missing_functions_of_an_earlier_part_are_waited_for(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "02_reinforce", LATER.format(name="token_log_probs"), OWN_STEP)
    printed, error = notebook.run(LOAD)
    assert error is None
    assert "Exercise 2.1 is missing here. This notebook uses what you wrote in Part 2: token_log_probs." in printed
    assert "token_log_probs is not written yet" in printed
    printed, error = notebook.run("x = token_log_probs(1)")
    assert error is None
    assert printed.startswith("Exercise 2.1 is missing in the notebook of an earlier part: `token_log_probs`.")
    printed, _ = notebook.run("print(x)")
    assert "waits for Exercise 2.1" in printed
    printed, error = notebook.run("reinforce_step(1)")  # their own, and it leans on the missing one
    assert isinstance(error, unwritten.NotWrittenError)
    printed, error = notebook.run(LOAD)  # a stand-in is no function of this notebook's cells
    assert "Exercise 2.1 is missing here" in printed


def test_what_the_student_has_not_comes_from_the_functions_handed_out(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "02_reinforce", LATER.format(name="token_log_probs"), OWN_STEP)
    write(tmp_path, f"02_reinforce{CATCH_UP}", *[
        f"def {name}(*arguments):\n    return 'handed out'" for name in ("token_log_probs", "reinforce_step")
    ])  # fmt: skip
    functions = load_functions("02_reinforce", ["token_log_probs", "reinforce_step"], tests=False)
    assert functions.token_log_probs(1) == "handed out"
    assert functions.reinforce_step.__code__.co_names == ("token_log_probs",)  # their own
    assert functions.reinforce_step(1) == "handed out"
    write(tmp_path, "02_reinforce", "def token_log_probs(*arguments):\n    return 'mine'", OWN_STEP)
    assert load_functions("02_reinforce", ["reinforce_step"], tests=False).reinforce_step() == "mine"


def test_what_a_function_leans_on_is_handed_out_too(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "02_reinforce", LATER.format(name="token_log_probs"), OWN_STEP)
    write(tmp_path, f"02_reinforce{CATCH_UP}", "def token_log_probs(*arguments):\n    return 'handed out'")
    assert load_functions("02_reinforce", ["reinforce_step"], tests=False).reinforce_step() == "handed out"
