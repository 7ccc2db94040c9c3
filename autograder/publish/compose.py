"""From a master to the two notebooks that other tools take over: `otter assign`'s input and nbgrader's source."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Sequence
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

from autograder import masters, testing
from autograder.masters import Cell, Question, TestCase
from helpers.parts import PARTS

from . import cells
from .effort import minutes_by_section, titled, with_minutes
from .left_out import needing_what_is_left_out
from .normalise import assign_ids
from .settings import GRADING_PYTHON, Course, grading_requirements

TRAINING = "training"
SKIPPED_BY_OTTER = "otter_ignore"
SKIPPED_BY_NBGRADER = "skip-execution"  # what nbclient, and so nbgrader's autograder, leaves out by default


def assignment_config(part: int) -> dict:
    """otter assign's configuration, the same for every part but for the name."""
    return {
        "name": PARTS[part],
        "init_cell": False,
        "export_cell": False,
        "check_all_cell": False,
        "show_question_points": False,  # they stand behind its title
        "strip_solutions_from_all_cells": True,  # a solution between markers is one wherever it stands
        "run_tests": False,
        "tests": {"files": True, "ok_format": False},
        "autograder_files": ["helpers", "autograder"],
        "requirements": grading_requirements(),
        "python_version": GRADING_PYTHON,
        "generate": {"pdf": False, "show_hidden": False, "logo": False},
    }


def raw_cell(text: str, config: dict | None = None) -> NotebookNode:
    """One of otter's raw cells: a marker, and the configuration below it."""
    lines = "\n" + yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=1000).rstrip() if config else ""
    return nbformat.v4.new_raw_cell(f"# {text}{lines}")


def short(points: float) -> float:
    """Points as otter shall show them: 4, not 4.0."""
    return int(points) if points == int(points) else points


def node_of(cell: Cell) -> NotebookNode:
    """A master's cell as a notebook cell, ids not yet assigned.

    The cells of a question are called after it, so their ids are the same in every form of the notebook.
    """
    make = nbformat.v4.new_code_cell if cell.kind == "code" else nbformat.v4.new_markdown_cell
    metadata: dict = {"tags": list(cell.tags)} if cell.tags else {}
    if cell.question:
        role = "sample" if cell.role == "answer" and cell.kind == "markdown" else cell.role
        metadata["course_id"] = f"{cell.question}-{role}"
    return make(cell.source, metadata=nbformat.from_dict(metadata))


def nodes_of(cells: Sequence[Cell], questions: dict[str, Question]) -> list[NotebookNode]:
    """A master's cells as notebook cells, with points, difficulty and times where they belong."""
    nodes = [node_of(cell) for cell in cells]
    for cell, node in zip(cells, nodes, strict=True):
        if cell.role == "text":
            node.source = titled(node.source, questions[cell.question or ""])
    nodes[0].source = with_minutes(nodes[0].source, minutes_by_section(cells, questions))
    return nodes


def otter_test(test: TestCase) -> NotebookNode:
    """A test case as otter assign reads it: its configuration in a string, then the function."""
    messages = {"success_message": test.success_message, "failure_message": test.failure_message}
    config = {"points": short(test.points), "hidden": test.hidden} | {k: text for k, text in messages.items() if text}
    lines = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in config.items())
    return nbformat.v4.new_code_cell(f'""" # BEGIN TEST CONFIG\n{lines}\n""" # END TEST CONFIG\n{test.source}')


def otter_master(path: Path, part: int, course: Course) -> NotebookNode:
    """The notebook that `otter assign` takes: our configuration, the master with otter's markers, set-up and submission."""
    questions = {question.name: question for question in masters.load_questions_from(path, part)}
    body = []
    read = masters.read_cells(path)
    for cell, node in zip(read, nodes_of(read, questions), strict=True):
        if TRAINING in cell.tags:
            node.metadata.tags = [*cell.tags, SKIPPED_BY_OTTER]
        if cell.role is None:
            body.append(node)
            continue
        question = questions[cell.question or ""]
        if cell.role == "text":
            config = {"name": question.name, "points": short(question.points), "manual": question.manual}
            body += [raw_cell("BEGIN QUESTION", config), node]
        elif cell.role == "answer":
            node.source = question.sample_answer or node.source
            body += [raw_cell("BEGIN SOLUTION"), node, raw_cell("END SOLUTION")]
            if question.tests:
                body += [raw_cell("BEGIN TESTS"), *map(otter_test, question.tests), raw_cell("END TESTS")]
            body.append(raw_cell("END QUESTION"))
    assign_ids(body, path.stem[:2])
    setup, submit = cells.setup_cells(part, course), cells.submit_cells(part)
    assign_ids([*setup, *submit], "course")
    config_cell = raw_cell("ASSIGNMENT CONFIG", assignment_config(part))
    config_cell["id"] = "course-config"
    notebook = nbformat.v4.new_notebook(cells=[config_cell, *with_setup(body, setup), *submit])
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": {"name": "python3", "language": "python", "display_name": "P"}}
    )
    return notebook


def with_setup(body: list[NotebookNode], setup: list[NotebookNode]) -> list[NotebookNode]:
    """The cells, with the set-up before the first one of code."""
    first = next((n for n, node in enumerate(body) if node.cell_type == "code"), len(body))
    return [*body[:first], *setup, *body[first:]]


# ----------------------------------------------------------------------------------------------- nbgrader


def nbgrader_source(path: Path, part: int, course: Course) -> NotebookNode:
    """nbgrader's source notebook: solutions and hidden tests between its markers, one grade cell per test case."""
    questions = {question.name: question for question in masters.load_questions_from(path, part)}
    read = [cell for cell in masters.read_cells(path) if cell.role != "test"]
    nodes = nodes_of(read, questions)
    assign_ids(nodes, path.stem[:2])
    body: list[NotebookNode] = []
    for cell, node in zip(read, nodes, strict=True):
        if TRAINING in cell.tags:
            node.metadata.tags = [*cell.tags, SKIPPED_BY_NBGRADER]
        if cell.kind == "code" and (cell.role == "answer" or masters.has_solution(cell.source)):
            node = solution_cell(node)
        question = questions[cell.question or ""] if cell.role == "answer" else None
        if question and question.manual:
            body += written_cells(question)
            continue
        body.append(node)
        body += [grade_cell(question, test) for test in question.tests] if question else []
    for node in needing_what_is_left_out(body, SKIPPED_BY_NBGRADER):
        node.metadata["tags"] = [*node.metadata.get("tags", []), SKIPPED_BY_NBGRADER]
    setup, submit = cells.setup_cells(part, course), cells.nbgrader_submit_cells()
    assign_ids([*setup, *submit], "course")
    return nbformat.v4.new_notebook(cells=[*with_setup(body, setup), *submit])


def grader_metadata(grade_id: str, *, grade: bool, solution: bool, locked: bool, points: float | None = None) -> dict:
    """A cell's nbgrader metadata, schema version 3."""
    metadata: dict = {
        "schema_version": 3,
        "grade_id": grade_id,
        "grade": grade,
        "solution": solution,
        "locked": locked,
        "task": False,
    }
    if points is not None:
        metadata["points"] = points
    return {"nbgrader": metadata}


def solution_cell(node: NotebookNode) -> NotebookNode:
    """A code cell with nbgrader's solution markers; nbgrader puts the stub `...` in their place."""
    marker = re.compile(r"^(\s*)# (BEGIN|END) SOLUTION( NO PROMPT)?\s*$", re.MULTILINE)
    node.source = marker.sub(r"\1### \2 SOLUTION", node.source)
    node.metadata.update(grader_metadata(node.id, grade=False, solution=True, locked=False))
    return node


CALL = """import contextlib
import sys

with contextlib.redirect_stderr(sys.stdout):  # nbgrader takes a warning for a failure
    {call}"""


def grade_cell(question: Question, test: TestCase) -> NotebookNode:
    """One test case as a grade cell: the test, and its call on the names it asks for."""
    parameters = inspect.signature(testing.compile_test(test)).parameters
    arguments = ", ".join("env=globals()" if name == "env" else name for name in parameters)
    number = question.tests.index(test) + 1
    points = f"{test.points:g} {'point' if test.points == 1 else 'points'}"
    kind = "hidden test: it stands here when your work is graded" if test.hidden else "public test"
    body = f"{test.source.rstrip()}\n\n\n{CALL.format(call=f'{test.name}({arguments})')}"
    if test.hidden:
        body = f"### BEGIN HIDDEN TESTS\n{body}\n### END HIDDEN TESTS"
    name = f"{question.name}-test-{number}"
    return nbformat.v4.new_code_cell(
        f"# {question.name}, test {number} of {len(question.tests)}, {points} ({kind})\n{body}",
        id=name,
        metadata=grader_metadata(name, grade=True, solution=False, locked=True, points=test.points),
    )


def written_cells(question: Question) -> list[NotebookNode]:
    """A written question's answer cell, graded by hand; sample answer and rubric stand in the source only."""
    source = f"### BEGIN SOLUTION\n{question.sample_answer}\n\n{rubric_text(question)}\n### END SOLUTION"
    name = f"{question.name}-answer"
    metadata = grader_metadata(name, grade=True, solution=True, locked=False, points=question.points)
    return [nbformat.v4.new_markdown_cell(source, id=name, metadata=metadata)]


def rubric_text(question: Question) -> str:
    """A written question's rubric as a markdown list."""
    return "\n".join([f"**Rubric** ({question.points:g} points)", "", *(f"- {line}" for line in question.rubric)])
