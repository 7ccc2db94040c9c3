"""Every solution takes the seed of its run from `run_seed`, so that `course claims` sees more than one run."""

from __future__ import annotations

import re

import pytest

from autograder import masters

FIXED = re.compile(r"\bseed_everything\(\d+\)")


@pytest.mark.parametrize("part", masters.existing_parts())
def test_no_solution_seeds_its_run_with_a_number(part: int) -> None:
    text = masters.master_path(part).read_text(encoding="utf-8")
    assert "run_seed(" in text
    assert not FIXED.findall(text)
