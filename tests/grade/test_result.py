"""A result crosses from a worker into the database and back unchanged, and says the same in the form it always had there."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autograder import masters
from autograder.grade import runner, schedule
from autograder.grade.jobs import Job
from autograder.grade.limits import Limits
from autograder.grade.result import SubmissionResult
from autograder.grade.results import outputs
from autograder.grade.results.store import Store
from autograder.grade.schedule import Plan
from tests.grade.fake import judge_quickly
from tests.grade.samples import SECRET, notebook


def a_test(name: str, points: float | None, **more: Any) -> dict[str, Any]:
    """A test as the database has always held it."""
    return {
        "name": name, "hidden": False, "passed": points == 2.0, "error": points is None, "points": points, "possible": 2.0,
        "message": "said", "detail": "the input was 17", "seconds": 0.01,
    } | more  # fmt: skip


QUESTION = {"name": "q2_1", "function": "token_log_probs", "points": 2.0, "possible": 4.0}
GRADED = {
    "student": "ada", "part": 2, "status": "graded", "points": 2.0, "possible": 4.0,
    "questions": [QUESTION | {"tests": [a_test("a", 2.0), a_test("b", 0.0, hidden=True)]}],
    "cells": {
        "defined": {"token_log_probs": True}, "ran": 4, "left_out": 1, "fault": None,
        "errors": [{"cell": 1, "line": None, "type": "ZeroDivisionError", "message": "division by zero"}],
    },
    "usage": {"seconds": 0.3, "cpu_seconds": 0.1, "memory": 412286976, "processes": 1},
    "protection": {
        "sandboxed": True, "bubblewrap": True, "seccomp": True, "cgroup": "v1", "versions": {"torch": "2.13"}, "users": False,
    },
    "measured": {"reinforce_step": {"kl": 0.1, "reward": 0.5}},
}  # fmt: skip
TRIPPED = GRADED | {
    "status": "error", "points": None,
    "questions": [QUESTION | {"points": None, "tests": [a_test("a", 2.0), a_test("b", None)]}],
}  # fmt: skip
NOT_JUDGED = {
    "student": "bob", "part": 2, "status": "error", "points": None, "possible": 31.0, "questions": [],
    "cells": {"defined": {}, "errors": [], "ran": 0, "left_out": 0, "fault": None}, "usage": {}, "protection": {},
    "error": {"kind": "worker", "message": "two workers died"},
}  # fmt: skip


@pytest.mark.parametrize("table", [GRADED, TRIPPED, NOT_JUDGED], ids=["graded", "a test broke", "not judged"])
def test_a_database_of_before_reads_and_writes_the_same(table: dict[str, Any]) -> None:
    result = SubmissionResult.from_json(table)
    assert (result.status, result.points, result.possible) == (table["status"], table["points"], table["possible"])
    with_titles = [
        q | {"tests": [test | {"title": ""} for test in q["tests"]]} for q in table["questions"]
    ]  # newer than it
    assert json.loads(json.dumps(result.to_json())) == table | {"questions": with_titles}
    assert pickle.loads(pickle.dumps(result)) == result, "Dask sends it so"


def test_what_an_earlier_version_lacks_does_no_harm() -> None:
    protection: Any = GRADED["protection"]
    earlier = GRADED | {"protection": {name: value for name, value in protection.items() if name != "users"}}
    assert SubmissionResult.from_json(earlier) == SubmissionResult.from_json(GRADED)


def test_what_a_later_version_adds_does_no_harm() -> None:
    usage: Any = GRADED["usage"]
    later = GRADED | {"usage": usage | {"joules": 3}, "room": "B"}
    assert SubmissionResult.from_json(later) == SubmissionResult.from_json(GRADED)


def test_the_judges_failure_says_so_in_the_form_of_the_database() -> None:
    result = schedule.broken(Job("bob", 2, (), SECRET), "two workers died", "worker")
    possible = sum(question.points for question in masters.load_questions(2) if not question.manual)
    assert json.loads(json.dumps(result.to_json())) == NOT_JUDGED | {"possible": possible}


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, Path]:
    """A class of one whose submission could not be judged."""
    (tmp_path / "ada.ipynb").write_bytes(notebook("def token_log_probs(logits, ids): ..."))
    monkeypatch.setattr(schedule, "on_worker", lambda job, limits, trust: schedule.broken(job, "tripped"))
    store = runner.open_store(tmp_path / "out")
    assert [r.status for _, r in runner.work(store, runner.take_in(store, tmp_path), Plan(workers=0))] == ["error"]
    return store, tmp_path


def test_regrading_a_question_does_not_make_up_for_the_rest(
    one: tuple[Store, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, source = one
    monkeypatch.setattr(schedule, "on_worker", judge_quickly)
    ((_, result),) = runner.work(store, runner.jobs_for_questions(store, ["q2_1"]), Plan(workers=0), why="regrade")
    assert result.status == "error"
    assert outputs.sheet(store)[0].total is None
    assert len(runner.take_in(store, source)) == 1, "what was never judged as a whole counts as done"


def test_a_regrading_without_the_sandbox_is_stamped(monkeypatch: pytest.MonkeyPatch) -> None:
    safe = judge_quickly(Job("ada", 2, (), SECRET), Limits(), False)
    assert safe.protection is not None
    bare = replace(safe, protection=replace(safe.protection, sandboxed=False))
    assert runner._merged(safe, safe).protection == safe.protection
    assert not runner._merged(safe, bare).protection.sandboxed
    assert not runner._merged(bare, safe).protection.sandboxed
