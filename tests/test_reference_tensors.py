"""The committed reference tensors are what the float64 references give."""

from __future__ import annotations

import pytest
from safetensors.torch import load_file

from autograder.reference.__main__ import FOLDER, same, tensors_of
from helpers.parts import PARTS


@pytest.mark.parametrize("part", PARTS)
def test_reference_tensors_are_in_step(part):
    """A changed reference or case needs `python -m autograder.reference` again."""
    assert same(tensors_of(part), load_file(FOLDER / f"part{part}.safetensors"))
