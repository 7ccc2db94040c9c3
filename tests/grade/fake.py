"""Judging without a sandbox and without tests, for what is about running and resuming: a part of a second for nothing."""

from __future__ import annotations

import os
import time

from autograder.grade import workers
from autograder.grade.jobs import Job
from autograder.grade.limits import Limits
from autograder.grade.result import LoadReport, Protection, QuestionResult, SubmissionResult, Usage
from autograder.testing import TestResult


def pretend(other: dict[str, str]) -> None:
    """Make this worker process one of another commit or version."""
    found = workers.identity() | other
    workers.identity = lambda: found  # type: ignore[assignment]


def judge_quickly(job: Job, limits: Limits, trust: bool, *, passed: bool | None = None) -> SubmissionResult:
    """A result that follows from the seed, if not given; a student called `killer…` takes the worker process with it."""
    if job.student.startswith("killer"):
        os._exit(9)
    time.sleep(0.02)
    test = TestResult("test_it", False, 4.0, int(job.seed[:4], 16) % 2 == 0 if passed is None else passed, "")
    return SubmissionResult(
        job.student,
        job.part,
        possible=4.0,
        questions=(QuestionResult("q2_1", "token_log_probs", 4.0, (test,)),),
        cells=LoadReport(ran=1),
        usage=Usage(seconds=0.02, cpu_seconds=0.02, memory=1 << 20, processes=1),
        protection=Protection(sandboxed=True),
    )
