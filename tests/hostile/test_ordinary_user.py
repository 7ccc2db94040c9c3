"""The whole hostile suite once more as most instructors run the grader: an ordinary user without control groups."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.parts import ROOT
from tests.hostile.ordinary import as_ordinary_user

SUITE = sorted(path.name for path in Path(__file__).parent.glob("test_*.py") if path.name != Path(__file__).name)


@pytest.mark.sandbox
@pytest.mark.slow
def test_everything_again_as_an_ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is left out, nothing is skipped, and the run is by nobody in particular with nothing of its own."""
    tests = [f"tests/hostile/{name}" for name in SUITE]
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=", *tests]
    run = subprocess.run(as_ordinary_user(line), cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    last = run.stdout.strip().splitlines()[-1]
    assert "passed" in last
    assert "skipped" not in last


def test_the_ordinary_user_is_one() -> None:
    asks = (
        "import os; from autograder.grade.limits import Limits; from autograder.grade.sandbox.cgroups import Group; "
        "print(os.getuid() != 0, os.getgroups(), Group.make(Limits()).kind)"
    )
    run = subprocess.run(as_ordinary_user([sys.executable, "-c", asks]), cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.split() == ["True", "[]", "none"], run.stderr
