"""From a master to the two notebooks that other tools take over: `otter assign`'s input and nbgrader's source."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import jupytext
import nbformat
import yaml
from nbformat import NotebookNode

from autograder import masters, testing
from autograder.masters import Cell, Question, TestCase
from helpers.parts import PARTS

from . import cells
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
        "show_question_points": True,
        "strip_solutions_from_all_cells": True,  # a solution between markers is one wherever it stands
        "run_tests": False,
        "tests": {"files": True, "ok_format": False},
        "autograder_files": ["helpers", "autograder"],
        "requirements": grading_requirements(),
        "python_version": GRADING_PYTHON,
        "generate": {"pdf": False, "show_hidden": False, "logo": False},
    }


def raw_cell(title: str, config: dict) -> str:
    """The text of one of otter's raw cells."""
    return f"# {title}\n" + yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=1000).rstrip()


def read_master(path: Path) -> list[tuple[Cell, NotebookNode]]:
    """A master's cells, each as a notebook cell beside its place in the block structure, with ids assigned.

    The cell of an exercise is called after its question, so its id is the same in every form of the notebook.
    """
    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    structure = masters.read_cells(path)
    counts: dict[tuple[str, str], int] = {}
    for cell, node in zip(structure, notebook.cells, strict=True):
        node.metadata = nbformat.from_dict({"tags": list(cell.tags)} if cell.tags else {})
        node.source = node.source.strip("\n")
        if cell.question and not cell.boundary and cell.block[-1] in ("solution", "question"):
            role = {"solution": "answer", "question": "text"}[cell.block[-1]]
            role = role if cell.kind == "code" or role == "text" else "sample"
            key = (cell.question, role)
            counts[key] = counts.get(key, 0) + 1
            suffix = "" if counts[key] == 1 else f"-{counts[key]}"
            node.metadata.course_id = f"{cell.question}-{role}{suffix}"
    assign_ids(notebook.cells, path.stem[:2])
    return list(zip(structure, notebook.cells, strict=True))


def otter_master(path: Path, part: int, course: Course) -> NotebookNode:
    """The notebook that `otter assign` takes: the master, our configuration, the set-up and submission cells."""
    setup, submit = cells.setup_cells(part, course), cells.submit_cells(part)
    assign_ids([*setup, *submit], "course")
    config = nbformat.v4.new_raw_cell(raw_cell("ASSIGNMENT CONFIG", assignment_config(part)), id="course-config")
    body = [config]
    placed = False
    for cell, node in read_master(path):
        if cell.boundary == "config":
            continue
        if cell.boundary == "begin question":
            question = yaml.safe_load(cell.source)
            kept = {
                key: value for key, value in question.items() if key in ("name", "points", "manual", "all_or_nothing")
            }
            node.source = raw_cell("BEGIN QUESTION", kept)
        if TRAINING in cell.tags:
            node.metadata.tags = [*cell.tags, SKIPPED_BY_OTTER]
        if cell.kind == "code" and not placed:
            body += setup
            placed = True
        body.append(node)
    notebook = nbformat.v4.new_notebook(cells=[*body, *submit])
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": {"name": "python3", "language": "python", "display_name": "P"}}
    )
    return notebook


# ----------------------------------------------------------------------------------------------- nbgrader


def nbgrader_source(path: Path, part: int, course: Course) -> NotebookNode:
    """nbgrader's source notebook: solutions and hidden tests between its markers, one grade cell per test case."""
    questions = {question.name: question for question in masters.load_questions_from(path, part)}
    body: list[NotebookNode] = []
    placed = False
    for cell, node in read_master(path):
        if cell.boundary == "end question":
            question = questions[cell.question or ""]
            body += written_cells(question) if question.manual else [grade_cell(question, t) for t in question.tests]
        if cell.boundary:
            continue
        if cell.kind == "code" and not placed:
            setup = cells.setup_cells(part, course)
            assign_ids(setup, "course")
            body += setup
            placed = True
        if cell.block[-1:] == ("tests",) or (cell.block[-1:] == ("solution",) and cell.kind == "markdown"):
            continue
        if cell.kind == "code" and (cell.block[-1:] == ("solution",) or masters.has_solution(cell.source)):
            node = solution_cell(node)
        else:
            node.source = without_ignored(node.source)
        if TRAINING in cell.tags:
            node.metadata.tags = [*cell.tags, SKIPPED_BY_NBGRADER]
        body.append(node)
    submit = cells.nbgrader_submit_cells()
    assign_ids(submit, "course")
    return nbformat.v4.new_notebook(cells=[*body, *submit])


def without_ignored(source: str) -> str:
    """A cell's source without the lines marked `# IGNORE`."""
    return "\n".join(line for line in source.splitlines() if not line.rstrip().endswith("# IGNORE"))


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
    lines = []
    for line in without_ignored(node.source).splitlines():
        if match := re.match(r"(\s*)# (BEGIN|END) SOLUTION( NO PROMPT)?\s*$", line):
            lines.append(f"{match.group(1)}### {match.group(2)} SOLUTION")
        elif match := re.match(r"(\s*)(.*?)\s*# SOLUTION( NO PROMPT)?\s*$", line):
            lines += [
                f"{match.group(1)}### BEGIN SOLUTION",
                match.group(1) + match.group(2),
                f"{match.group(1)}### END SOLUTION",
            ]
        else:
            lines.append(line)
    node.source = "\n".join(lines)
    node.metadata.update(grader_metadata(node.id, grade=False, solution=True, locked=False))
    return node


def grade_cell(question: Question, test: TestCase) -> NotebookNode:
    """One test case as a grade cell: the test, and its call on the names it asks for."""
    parameters = inspect.signature(testing.compile_test(test)).parameters
    arguments = ", ".join("env=globals()" if name == "env" else name for name in parameters)
    number = question.tests.index(test) + 1
    points = f"{test.points:g} {'point' if test.points == 1 else 'points'}"
    kind = "hidden test: it stands here when your work is graded" if test.hidden else "public test"
    body = f"{test.source.rstrip()}\n\n\n{test.name}({arguments})"
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
    lines = [f"**Rubric** ({question.points:g} points)", ""]
    for entry in question.rubric:
        if isinstance(entry, dict) and "text" in entry:
            lines.append(f"- {entry.get('points', 0):g}: {entry['text']}")
        elif isinstance(entry, dict):
            lines += [f"- {points}: {text}" for points, text in entry.items()]
        else:
            lines.append(f"- {entry}")
    return "\n".join(lines)
