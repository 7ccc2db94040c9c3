"""Every solution runs from top to bottom, and every test of a part agrees: full marks for the solution, none for the blank."""

from __future__ import annotations

import pytest

from autograder import masters
from autograder.rehearse import check, run

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("solutions")]
PARTS = masters.existing_parts()


@pytest.mark.parametrize("part", PARTS)
def test_the_solution_runs_from_top_to_bottom(part):
    """No cell fails, in the order in which a student runs them; small sizes, as `course run --fast` takes them."""
    found = run.run_part(part, fast=True, force=True)
    assert found.ok, found.error


@pytest.mark.parametrize("part", PARTS)
def test_the_solution_gets_full_marks_and_the_blank_notebook_none(part):
    """Public and hidden tests, on the committed notebooks."""
    (marks,) = check.check_part(part, otter=False, force=True)
    assert marks.possible > 0
    assert marks.solution == marks.possible, marks.problems
    assert marks.blank == 0
