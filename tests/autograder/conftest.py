"""The sample master, built once a session in all its forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.publish.settings import Course
from helpers.parts import ROOT

SAMPLE = Path(__file__).with_name("sample_master.py")
COURSE = Course("A test", "https://example.org/students/course", "v9.9")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every form of the sample master, as part 1."""
    from autograder.publish import build

    folder = tmp_path_factory.mktemp("built")
    build(masters_at={1: SAMPLE}, destination=folder, course=COURSE)
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT
