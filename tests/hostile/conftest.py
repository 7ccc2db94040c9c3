"""The sandbox and the judge that the tests of the grader use, and a fake of judging."""

from __future__ import annotations

import pytest

from autograder.grade import schedule
from tests.grade.conftest import grade, sandbox
from tests.grade.fake import judge_quickly

__all__ = ["grade", "quick", "sandbox"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fake judging in this process."""
    monkeypatch.setattr(schedule, "on_worker", judge_quickly)
