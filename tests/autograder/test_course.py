"""The course as it is committed: the built files against the masters, and what students get of every part."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest

from autograder import masters
from autograder.publish.pipeline import check_master
from helpers.parts import PARTS, ROOT

EXERCISES = {
    1: "top_k_filter sample_next_token completion_mask mean_with_confidence forecast_log_loss",
    2: "token_log_probs compute_reinforce_loss leave_one_out_advantages gaussian_log_prob gaussian_score "
    "discounted_returns reinforce_step",
    3: "kl_divergence kl_estimates kl_shaped_rewards anneal_alpha adapt_alpha ppo_clip_loss group_advantages",
    4: "sequence_log_prob compute_dpo_loss dpo_gradient_weight preference_accuracy make_preference_pairs dpo_step",
    5: "exact_shapley_values logit_difference io_probability ablate_heads patching_effect faithfulness",
}
each_part = pytest.mark.parametrize("part", PARTS)


def student(part: int) -> Path:
    return ROOT / "notebooks" / f"{PARTS[part]}.ipynb"


def code_cells(path: Path) -> list[str]:
    return [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def functions(source: str) -> list[ast.FunctionDef]:
    lines = ["pass" if line.lstrip()[:1] in "%!" and line.strip() else line for line in source.splitlines()]
    return [node for node in ast.parse("\n".join(lines)).body if isinstance(node, ast.FunctionDef)]


def body(function: ast.FunctionDef) -> str:
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    return ast.dump(ast.Module(body=statements, type_ignores=[]))


@each_part
def test_the_master_keeps_the_rules(part):
    check_master(masters.master_path(part), part)


@each_part
def test_every_exercise_of_the_contract_is_there(part):
    found = {q.function for q in masters.load_questions(part) if q.function}
    assert set(EXERCISES[part].split()) <= found


@each_part
def test_every_exercise_has_a_hidden_test_and_stands_alone_in_the_students_notebook(part):
    cells = code_cells(student(part))
    for question in masters.load_questions(part):
        if not question.function:
            continue
        if question.function in EXERCISES[part].split():
            assert any(test.hidden for test in question.tests), question.name
        holding = [source for source in cells if question.function in [f.name for f in functions(source)]]
        assert len(holding) == 1, question.function
        assert [f.name for f in functions(holding[0])] == [question.function]


@each_part
def test_the_students_notebook_and_public_tests_hold_no_solution_and_no_hidden_test(part):
    texts = [student(part).read_text(encoding="utf-8")]
    texts += [f.read_text(encoding="utf-8") for f in (ROOT / "notebooks" / "tests").glob(f"*{part}_*.py")]
    defined = {f.name: body(f) for source in code_cells(student(part)) for f in functions(source)}
    for question in masters.load_questions(part):
        for test in question.tests:
            if test.hidden:
                assert not [t for t in texts if re.search(rf"\b{test.name}\b", t)], test.name
        if question.function:
            solution = next(f for f in functions(question.solution) if f.name == question.function)
            assert defined[question.function] != body(solution), question.function
        for paragraph in question.sample_answer.split("\n\n"):
            if len(paragraph) > 60:
                assert json.dumps(paragraph.splitlines()[0], ensure_ascii=False)[1:-1] not in texts[0], question.name
        for entry in question.rubric:
            assert entry.partition(": ")[2] not in texts[0], question.name


@each_part
def test_no_module_of_the_helpers_defines_an_exercise(part):
    names = set(EXERCISES[part].split())
    for file in (ROOT / "helpers").rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert not names & defined, file


def test_no_helper_imports_the_autograder():
    for file in (ROOT / "helpers").rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        modules = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and not n.level]
        modules += [alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names]
        assert not [m for m in modules if m.split(".")[0] == "autograder"], file


@pytest.mark.slow
@pytest.mark.xdist_group("build")
def test_what_is_committed_is_what_the_masters_give():
    from autograder.publish import check_committed

    assert check_committed() == []
