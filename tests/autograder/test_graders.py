"""The built forms under the graders that others wrote: full marks for the solution, none for the untouched notebook."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nbformat
import pytest

from autograder.publish.otter_forms import run_tool
from autograder.rehearse.check import otter_score
from autograder.rehearse.check_nbgrader import red_cells

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("build")]
NAME = "01_baseline"


@pytest.mark.parametrize(("form", "points"), [("solutions", 3.0), ("notebooks", 0.0)])
def test_otter_run(built, tmp_path, form, points):
    score, failed = otter_score(built / form / f"{NAME}.ipynb", built / "build" / "otter" / "01.zip", tmp_path)
    assert score == points
    assert bool(failed) == (points == 0)


def test_otter_takes_the_submitted_zip(built, tmp_path, monkeypatch):
    from helpers.notebook.submission import submit

    shutil.copytree(built / "notebooks" / "tests", tmp_path / "tests")
    shutil.copyfile(built / "solutions" / f"{NAME}.ipynb", tmp_path / f"{NAME}.ipynb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    made = submit(1)
    assert made.passed
    score, _ = otter_score(made.path, built / "build" / "otter" / "01.zip", tmp_path / "out")
    assert score == 3.0


@pytest.fixture(scope="module")
def graded(built, tmp_path_factory) -> Path:
    """nbgrader's whole way, with two students: ada hands in the solution, which warns as well, bob the untouched release."""
    course = tmp_path_factory.mktemp("nbgrader")
    shutil.copytree(built / "build" / "nbgrader" / "source", course / "source")
    shutil.copyfile(built / "build" / "nbgrader" / "nbgrader_config.py", course / "nbgrader_config.py")
    tool = [sys.executable, "-m", "nbgrader"]
    run_tool([*tool, "generate_assignment", NAME, "--create", "--force"], course, "generate_assignment")
    for student, form in (("ada", "source"), ("bob", "release")):
        target = course / "submitted" / student / NAME
        target.mkdir(parents=True)
        text = (built / "build" / "nbgrader" / form / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8")
        noisy = text.replace(
            "    return values * 2", "    import warnings\\n    warnings.warn('a note')\\n    return values * 2"
        )
        (target / f"{NAME}.ipynb").write_text(noisy, encoding="utf-8")
        assert (noisy != text) == (form == "source")
    forged = course / "submitted" / "bob" / NAME / "helpers" / "notebook" / "start.py"
    forged.parent.mkdir(parents=True)
    forged.write_text("raise SystemExit('not the course')", encoding="utf-8")
    run_tool([*tool, "autograde", NAME, "--create"], course, "autograde")
    return course


def test_nbgrader_makes_the_same_release(built, graded):
    ours = nbformat.read(built / "build" / "nbgrader" / "release" / NAME / f"{NAME}.ipynb", as_version=4)
    theirs = nbformat.read(graded / "release" / NAME / f"{NAME}.ipynb", as_version=4)
    assert [(c.id, c.source, c.metadata.get("nbgrader")) for c in ours.cells] == [
        (c.id, c.source, c.metadata.get("nbgrader")) for c in theirs.cells
    ]


def test_nbgrader_scores(graded):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{graded / 'gradebook.db'}") as book:
        scores = {s: book.find_submission(NAME, s).score for s in ("ada", "bob")}
        by_hand = book.find_submission(NAME, "ada").needs_manual_grade
    assert scores == {"ada": 3.0, "bob": 0.0}
    assert by_hand


def test_nbgrader_leaves_out_the_training_cell(graded):
    notebook = nbformat.read(graded / "autograded" / "ada" / NAME / f"{NAME}.ipynb", as_version=4)
    (training,) = [c for c in notebook.cells if "training" in c.metadata.get("tags", [])]
    assert training.execution_count is None


def test_nbgrader_copies_no_helpers(graded):
    """52 MB a submission, twice, are 52 GB for 100 students and five parts; a student's own helpers grade nothing."""
    names = {path.name for form in ("release", "autograded") for path in (graded / form).rglob("*")}
    assert "helpers" not in names
    assert f"{NAME}.ipynb" in names


def test_no_cell_of_a_right_submission_is_red(graded):
    """The first cell finds the helpers of the one who grades, and cells that need a training cell are left out with it."""
    assert red_cells(graded / "autograded" / "ada" / NAME / f"{NAME}.ipynb") == []
    setup = nbformat.read(graded / "autograded" / "bob" / NAME / f"{NAME}.ipynb", as_version=4)
    assert not [c for c in setup.cells if c.id == "course-setup" and any(o.output_type == "error" for o in c.outputs)]
