"""`course check --nbgrader`: nbgrader's whole way with two students, one of whom hands in the solution, one the release."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat

from autograder.publish.otter_forms import run_tool
from helpers.parts import PARTS

FORMS = {"solution": "source", "untouched": "release"}  # what each student hands in


def grade_two(part: int, built: Path, course: Path) -> tuple[dict[str, float], list[str]]:
    """Generate the assignment, take the two notebooks as submitted, and autograde them, each step by nbgrader itself.

    The exchange copies nothing that `c.CourseDirectory.ignore` names, so the submissions are the notebooks alone.

    Args:
        part: the part's number.
        built: `build/nbgrader`, which holds both forms.
        course: an empty folder, to become nbgrader's course directory.

    Returns:
        The points of `solution` and of `untouched`, and what is wrong: cells of the solution that end in an error.
    """
    name, tool = PARTS[part], [sys.executable, "-m", "nbgrader"]
    shutil.rmtree(course, ignore_errors=True)
    (course / "source" / name).mkdir(parents=True)
    shutil.copyfile(built / "source" / name / f"{name}.ipynb", course / "source" / name / f"{name}.ipynb")
    shutil.copyfile(built / "nbgrader_config.py", course / "nbgrader_config.py")
    run_tool(
        [*tool, "generate_assignment", name, "--create", "--force"], course, f"nbgrader generate_assignment {name}"
    )
    for student, form in FORMS.items():
        for handed_in in [PARTS[n] for n in PARTS if n <= part and (built / form / PARTS[n]).exists()]:
            target = course / "submitted" / student / handed_in  # a part may take functions of an earlier one
            target.mkdir(parents=True)
            shutil.copyfile(built / form / handed_in / f"{handed_in}.ipynb", target / f"{handed_in}.ipynb")
    run_tool([*tool, "autograde", name, "--create"], course, f"nbgrader autograde {name}")
    scores = points_given(course / "gradebook.db", name, list(FORMS))
    return scores, red_cells(course / "autograded" / "solution" / name / f"{name}.ipynb")


def points_given(gradebook: Path, assignment: str, students: Sequence[str]) -> dict[str, float]:
    """The points in nbgrader's gradebook, by student."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{gradebook}") as book:
        return {student: book.find_submission(assignment, student).score for student in students}


def red_cells(autograded: Path) -> list[str]:
    """The cells of a graded notebook that ended in an error, a line each."""
    found = []
    for number, cell in enumerate(nbformat.read(autograded, as_version=4).cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                found.append(f"solution: cell {number} ends in {output.ename}: {output.evalue}"[:300])
    return found
