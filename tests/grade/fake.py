"""Judging without a sandbox and without tests, for what is about running and resuming: a part of a second for nothing."""

from __future__ import annotations

import os
import time
from typing import Any

from autograder.grade.jobs import Job
from autograder.grade.limits import Limits


def judge_quickly(job: Job, limits: Limits, trust: bool) -> dict[str, Any]:
    """A result that follows from the seed; a student called ``killer…`` takes the worker process with it."""
    if job.student.startswith("killer"):
        os._exit(9)
    time.sleep(0.02)
    points = int(job.seed[:4], 16) % 5
    test = {
        "name": "test_it", "hidden": False, "passed": points > 2, "error": False, "points": float(points), "possible": 4.0,
        "message": "", "seconds": 0.0,
    }  # fmt: skip
    question = {
        "name": "q2_1",
        "function": "token_log_probs",
        "points": float(points),
        "possible": 4.0,
        "tests": [test],
    }
    return {
        "student": job.student,
        "part": job.part,
        "status": "graded",
        "points": float(points),
        "possible": 4.0,
        "questions": [question],
        "cells": {"defined": {}, "errors": [], "ran": 1, "left_out": 0, "fault": None},
        "usage": {"seconds": 0.02, "cpu_seconds": 0.02, "memory": 1 << 20, "processes": 1},
        "protection": {"sandboxed": True},
        "measured": {},
    }
