"""Reading masters, and running a question's tests in process."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

from autograder import chosen, masters, testing

SAMPLE = Path(__file__).with_name("sample_master.py")


@pytest.fixture
def questions() -> list[masters.Question]:
    return masters.load_questions_from(SAMPLE, 1)


def define(source: str) -> dict[str, object]:
    env: dict[str, object] = {"torch": torch}
    exec(compile(source, "<student>", "exec"), env)
    return env


def test_questions_are_read_in_order(questions):
    code, written = questions
    assert (code.name, code.points, code.function, code.manual) == ("q1_1", 3.0, "double", False)
    assert [(t.name, t.points, t.hidden) for t in code.tests] == [
        ("test_small", 1.0, False),
        ("test_hidden_shape", 2.0, True),
    ]
    assert code.tests[0].success_message == "Two numbers are doubled."
    assert code.solution.startswith("def double(values):")
    assert "SOLUTION" not in code.solution
    assert "return values * 2" in code.solution
    assert written.manual
    assert written.points == 2
    assert written.rubric == (
        "1 point: RUBRIC-CANARY names the factor",
        "1 point: says why, in a line that goes on below",
    )
    assert written.sample_answer == "SAMPLE-ANSWER-CANARY: because doubling multiplies by two."
    assert written.prompt == "**Question 1.A.** Why two?"


def test_a_table_of_hidden_tests_is_read():
    cell = masters.Cell("code", "# Random values.\n# Borders.", metadata={"hidden": {"values dtypes": 1, "edges": 0.5}})
    values, edges = masters.read_tests(cell, "double")
    assert values.source == (
        "def test_hidden_values(double):\n    from autograder.reference.verify import verify\n\n"
        '    verify(double, "double", "values", "dtypes")\n'
    )
    assert (values.name, values.points, values.hidden) == ("test_hidden_values", 1.0, True)
    assert (edges.name, edges.points, edges.failure_message) == ("test_hidden_edges", 0.5, "Borders.")


@pytest.mark.parametrize(
    ("source", "metadata", "message"),
    [
        ("# Borders.", {"hidden": {"values": 1, "edges": 1}}, "one comment an entry or none"),
        ("assert True", {"hidden": {"values": 1}}, "holds no code"),
        ("def test_it(double): pass", {"points": 1, "hidden": True, "confirm": "values"}, "needs no `confirm`"),
        ("", {"hidden": {"values": 1}, "success": "right"}, "no more on its line"),
        ("", {"hidden": {"values": "1"}}, "an entry reads"),
        ("", {"hidden": {" ": 1}}, "an entry reads"),
        ("", {"hidden": True}, "needs `points=` and a number"),
        ("value = 1", {"points": 1}, "exactly one function"),
        ("def test_x(double):\n    pass\n\ntest_x(double)", {"points": 1}, "exactly one function"),
    ],
)
def test_a_bad_test_cell_is_named(source, metadata, message):
    cell = masters.Cell("code", source, where="01_x.py, line 7, question q1_1", metadata=metadata)
    with pytest.raises(masters.MasterError, match=f"01_x.py, line 7, question q1_1: .*{message}"):
        masters.read_tests(cell, "double")


def test_the_solution_gets_all_points(questions):
    results = testing.run_tests(questions[0], define(questions[0].solution))
    assert [r.points for r in results] == [1.0, 2.0]
    assert all(r.passed and not r.error for r in results)


def test_a_blank_gets_none(questions):
    results = testing.run_tests(questions[0], define("def double(values):\n    ...\n"))
    assert not any(r.points for r in results)
    assert results[0].message == "the function returned None"
    assert not any(r.error for r in results)


def test_a_missing_function_is_passed_as_none_and_gets_none(questions):
    results = testing.run_tests(questions[0], {})
    assert not any(r.passed for r in results)
    assert not any(r.error for r in results)


def test_an_exception_in_the_students_code_is_the_students(questions):
    env = define("def double(values):\n    return values + undefined_name\n")
    result = testing.run_tests(questions[0], env)[0]
    assert not result.passed
    assert not result.error
    assert "NameError" in result.message
    assert "`double`" in result.message


def test_sys_exit_is_a_failed_test(questions):
    env = define("def double(values):\n    raise SystemExit(0)\n")
    assert not any(r.passed for r in testing.run_tests(questions[0], env))


@pytest.mark.parametrize(
    "source",
    ["def test_x(double):\n    import no_such_module\n", "def test_x(double):\n    undefined_in_the_test\n"],
)
def test_a_broken_test_is_the_judges_fault(source):
    test = masters.TestCase("test_x", 1.0, False, source)
    result = testing.run_test("q1_1", test, define("def double(values):\n    return values\n"))
    assert result.error
    assert not result.passed


def test_env_is_the_whole_dict():
    test = masters.TestCase("test_x", 1.0, False, "def test_x(env):\n    assert env['answer'] == 7\n")
    assert testing.run_test("q1_1", test, {"answer": 7}).passed


def edit(tmp_path: Path, old: str, new: str) -> Path:
    text = SAMPLE.read_text()
    assert old in text
    path = tmp_path / "broken.py"
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("def double(values):", "def double(values)", "line 16, question q1_1: the code does not parse"),
        (
            "def double(values):",
            "def triple(x):\n    return x\n\ndef double(values):",
            "must define one function, not triple",
        ),
        ("def test_hidden_shape(double)", "def test_small(double)", "two tests have one name, test_small"),
        ('[markdown] q="q1_1"', "[markdown]", "a test is a code cell after a question's answer"),
        ("# %% points=1", '# %% success="right"', "a test needs `points` or `hidden` beside success"),
        ("# %% points=2 hidden=true", '# %% points="2" hidden=true', "needs `points=` and a number"),
        ("# %% points=1", "# %% point=1", "unknown on a cell's line: point"),
        ("# %% points=1", "# %% a test", "unknown on a cell's line: title"),
        ("# %% points=1", "# %% [raw] points=1", "code and markdown cells only"),
        ('q="q1_1"', 'q="q1_1" points=3', "`optional`, and nothing else"),
        ('q="w1_1"', 'q="q1_1"', "question q1_1: two questions have this name"),
        ("# %%\ndef double", '# %% tags=["x"] points=1\ndef double', "is its answer, without"),
        ("# %%\ndef double", "# %% [markdown]\n# def double", "has no tests, every other has some"),
        ("# %% points=1", "# %%\nlimit = 3\n\n# %% points=1", "a test is a code cell after a question's answer"),
        ("# **Rubric**", "# Rubric", "ends with a line `..Rubric..` and a list"),
        (
            "# SAMPLE-ANSWER-CANARY: because doubling multiplies by two.",
            "#",
            "ends with a line `..Rubric..` and a list",
        ),
        ("# - 1 point: says why", "# - says why", "each line of the rubric reads"),
    ],
)
def test_a_broken_master_is_named(tmp_path, old, new, message):
    with pytest.raises(masters.MasterError, match=message):
        masters.load_questions_from(edit(tmp_path, old, new), 1)


def test_a_question_at_the_end_needs_an_answer(tmp_path):
    path = edit(tmp_path, "# %% [markdown]\n# The end.", '# %% [markdown] q="w1_2"\n# Why?')
    with pytest.raises(masters.MasterError, match="question w1_2: the question has no answer"):
        masters.read_cells(path)


def test_the_title_is_the_first_heading(tmp_path):
    assert masters.read_title(SAMPLE) == "Part 1 · A sample master"
    with pytest.raises(masters.MasterError, match="must begin with the title"):
        masters.read_title(edit(tmp_path, "# # Part 1 · A sample master", "# Used by tests"))


def test_every_master_in_the_repository_parses():
    for part in masters.existing_parts():
        assert masters.load_questions(part)
        assert masters.read_title(masters.master_path(part)).startswith(f"Part {part} · ")


@pytest.mark.parametrize("part", masters.existing_parts())
def test_imports_stand_in_the_first_code_cell(part):
    """A later one is written where a library may be missing: TRL's and gymnasium's, inside their `if`, and one helper."""
    first, *others = [
        ast.parse(cell.source)
        for cell in masters.read_cells(masters.master_path(part))
        if cell.kind == "code" and cell.role != "test"
    ]
    assert any(isinstance(node, ast.ImportFrom) for node in first.body)
    for tree in others:
        late = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert all(line.startswith("from helpers.dpo.trl_beside ") for line in late), late


def test_points_of_the_settings_keep_the_shares_of_tests_and_rubric(monkeypatch, tmp_path):
    """An instructor's points reach every form by way of the questions: nothing else knows the masters' own."""
    before = {question.name: question for question in masters.load_questions(2)}
    settings = tmp_path / "course.toml"
    monkeypatch.setattr(chosen, "SETTINGS", settings)
    settings.write_text("[points]\nq2_3 = 6\nw2_1 = 0\n", encoding="utf-8")
    after = {question.name: question for question in masters.load_questions(2)}
    changed = after["q2_3"]
    assert changed.points == 6
    assert sum(test.points for test in changed.tests) == pytest.approx(6, abs=1e-9), "full marks must be reachable"
    shares = [test.points / changed.points for test in changed.tests]
    assert shares == pytest.approx([test.points / before["q2_3"].points for test in before["q2_3"].tests], abs=2e-3)
    assert after["w2_1"].points == 0
    assert after["w2_1"].optional
    assert all(line.startswith("0 points: ") for line in after["w2_1"].rubric)
    others = set(before) - {"q2_3", "w2_1"}
    assert all(after[name] == before[name] for name in others)
    settings.write_text("[points]\nw2_1 = 5\n", encoding="utf-8")
    worth = [float(line.split()[0]) for line in {q.name: q for q in masters.load_questions(2)}["w2_1"].rubric]
    assert sum(worth) == pytest.approx(5, abs=1e-9)


@pytest.mark.parametrize(
    ("parts", "total"), [([1, 1, 1], 1), ([1, 1, 1], 2), ([3, 1, 1, 1, 1], 1), ([0.5, 0, 2], 7), ([2], 0)]
)
def test_shares_add_up_however_they_are_rounded(parts, total):
    got = chosen.shared(parts, total)
    assert sum(got) == pytest.approx(total, abs=1e-9)
    assert got == pytest.approx([total * part / sum(parts) for part in parts], abs=0.025)
