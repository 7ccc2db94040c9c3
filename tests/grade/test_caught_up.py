"""`course grade --catch-up 2`: a later part's function finds what was handed out after Part 2's deadline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autograder.grade import runner
from autograder.grade.jobs import Job
from autograder.grade.judging.judge import grade
from autograder.grade.results.store import Store
from tests.grade.samples import notebook

LEANS = """
import torch
from helpers.notebook.carry import load_functions
(leave_one_out_advantages,) = load_functions("02_reinforce", ["leave_one_out_advantages"])
def best_of_n_kl(n):
    import math
    leave_one_out_advantages(torch.zeros(2))
    return math.log(n) - (n - 1) / n
"""
UNWRITTEN = notebook('def leave_one_out_advantages(rewards, group_size=None):\n    """Advantages."""\n    ...')


def job_of(folder: Path, store: Store) -> list[Job]:
    """The jobs of a class of one, whose Part 3 leans on a Part 2 in which that function is not written."""
    source = folder / "class" / "ann"
    source.mkdir(parents=True, exist_ok=True)
    (source / "02_reinforce.ipynb").write_bytes(UNWRITTEN)
    (source / "03_kl.ipynb").write_bytes(notebook(LEANS))
    return [job for job in runner.take_in(store, folder / "class", parts=[3]) if job.part == 3]


def points(sandbox: Any, job: Job) -> float:
    """What the function that leans on another part gets."""
    result = grade(sandbox, Job(job.student, job.part, job.cells, job.seed, job.files, only=("q3_5",)))
    (question,) = result.questions
    return sum(test.points or 0 for test in question.tests)


@pytest.mark.sandbox
def test_a_function_that_leans_on_one_that_was_handed_out_is_graded_with_it(sandbox: Any, tmp_path: Path) -> None:
    with runner.open_store(tmp_path / "out") as store:
        (alone,) = job_of(tmp_path, store)
        assert points(sandbox, alone) == 0
        runner.take_catch_up(store, [2])
        (helped,) = job_of(tmp_path, store)
        assert set(helped.files) == {"02_reinforce.ipynb", "02_reinforce_catch_up.ipynb"}
        assert points(sandbox, helped) == 1
        (again,) = runner.jobs_for_questions(store, ["q3_5"]) or [helped]
        assert "02_reinforce_catch_up.ipynb" in again.files


def test_no_part_gets_its_own_functions_and_what_was_judged_without_them_is_judged_again(tmp_path: Path) -> None:
    with runner.open_store(tmp_path / "out") as store:
        before = runner.what_decides(store, 3)
        runner.take_catch_up(store, [2])
        runner.take_catch_up(store, [3])
        assert json.loads(store.setting("catch up")) == [2, 3]
        assert not runner.handed_out(store, 2)
        assert set(runner.handed_out(store, 3)) == {"02_reinforce_catch_up.ipynb"}
        assert runner.what_decides(store, 3) == before + "+2"
        assert runner.what_decides(store, 2) == runner.tests_digest(2)
