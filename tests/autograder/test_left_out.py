"""In nbgrader's form, cells that need what a training cell makes are left out with it: none is red for a right submission."""

from __future__ import annotations

import nbformat
import pytest

from autograder import masters
from autograder.publish.compose import SKIPPED_BY_NBGRADER, nbgrader_source
from autograder.publish.left_out import needing_what_is_left_out
from autograder.publish.settings import Course
from helpers.parts import PARTS

TRAINED = "earned = [1]\nshared = 2"


@pytest.mark.parametrize(
    ("sources", "left_out"),
    [
        (["plot(earned)"], [0]),
        (["total = sum(earned)", "print(total)", "print(shared + 1)"], [0, 1, 2]),
        (["earned = []", "print(earned)"], []),
        (["def show():\n    return earned", "show()", "print('other')"], [1]),
        (["for earned in range(3):\n    print(earned)"], []),
        (["print([earned for earned in range(3)])"], []),
        (["x = 1", "def train():\n    earned = 2\n    return earned\ntrain()"], []),
        (["!pip list", "%matplotlib inline\nprint(earned)"], [1]),
    ],
)
def test_a_cell_that_needs_what_is_left_out_is_left_out(sources: list[str], left_out: list[int]) -> None:
    training = nbformat.v4.new_code_cell(TRAINED, metadata={"tags": ["training", SKIPPED_BY_NBGRADER]})
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    found = needing_what_is_left_out([training, *cells], SKIPPED_BY_NBGRADER)
    assert [cell.source for cell in found] == [sources[number] for number in left_out]


def test_what_is_graded_is_never_left_out_and_an_older_value_does_not_do() -> None:
    """A name that a training cell binds anew may be of another type before: Part 5's `shares` was."""
    training = nbformat.v4.new_code_cell(TRAINED, metadata={"tags": [SKIPPED_BY_NBGRADER]})
    graded = nbformat.v4.new_code_cell("print(earned)", metadata={"nbgrader": {"grade": True}})
    assert needing_what_is_left_out([training, graded], SKIPPED_BY_NBGRADER) == []
    before, after = nbformat.v4.new_code_cell("earned = [0]"), nbformat.v4.new_code_cell("print(earned)")
    assert needing_what_is_left_out([before, training, after], SKIPPED_BY_NBGRADER) == [after]


@pytest.mark.parametrize("part", PARTS)
def test_every_part_leaves_out_what_its_training_cells_would_have_made(part: int) -> None:
    """Part 5's plot of `earned` and its table over `after` ended in a NameError on every feedback page."""
    notebook = nbgrader_source(masters.master_path(part), part, Course("A", "https://github.com/x/y", "v1"))
    skipped = [cell for cell in notebook.cells if SKIPPED_BY_NBGRADER in cell.metadata.get("tags", [])]
    assert needing_what_is_left_out(notebook.cells, SKIPPED_BY_NBGRADER) == []
    assert not [cell.id for cell in skipped if "nbgrader" in cell.metadata and cell.metadata.nbgrader.grade]
    if part == 5:
        assert [cell for cell in skipped if "earned.items()" in cell.source and "training" not in cell.metadata.tags]
