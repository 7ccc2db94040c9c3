"""Grade one submission: run the masters' tests, out here, on stand-ins for the student's functions in the sandbox.

Whose fault a failure is, is decided so: an assertion that fails, anything the student's side did, and any other exception
that the same test does *not* raise for the course's own solution is the student's (a lost point). A test that breaks for
the solution too, or that says ``JudgeError``, is the judge's: an error and no mark.
"""

from __future__ import annotations

import hashlib
import hmac
import inspect
import os
import random
import time
from typing import Any

import numpy as np
import torch

from autograder import masters, testing
from autograder.grade.jobs import Job, questions_of
from autograder.grade.limits import Limits
from autograder.grade.sandbox.bubblewrap import NoSandbox, Sandbox, SandboxBroken
from autograder.masters import Question, TestCase
from autograder.reference.verify import SEED_VARIABLE, JudgeError

from .conversation import Conversation, StudentFault
from .measured import measure
from .standins import StandIn, make_env
from .trusted import trusted_env

MESSAGE_KEPT = 1500
WARNING = "The judge itself failed here; this gives no mark. The instructor has to look: "


def question_seed(secret: str, question: str) -> int:
    """The seed of a question's random inputs: 48 bits that nobody can tell from another question's."""
    digest = hmac.new(bytes.fromhex(secret), question.encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:6], "big")


def seed_everything(seed: int) -> None:
    """Seed what a test may draw from: the judge's generators, and ``verify`` by its environment variable."""
    os.environ[SEED_VARIABLE] = str(seed)
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def grade(sandbox: Sandbox, job: Job, limits: Limits | None = None) -> dict[str, Any]:
    """Grade one submission.

    Returns:
        Plain data: ``student``, ``part``, ``status`` (``graded`` or ``error``), ``points`` (None after a judge's error),
        ``possible``, ``questions`` with their ``tests``, ``cells`` (what ran and which cells raised), ``usage``,
        ``protection``.

    Raises:
        SandboxBroken, NoSandbox: the sandbox failed, so there is no result at all.
    """
    began = time.monotonic()
    questions = questions_of(job.part, job.only)
    wanted = [q.function for q in masters.load_questions(job.part) if q.function]
    talk = Conversation(sandbox, job.cells, wanted, job.files, limits)
    env = make_env(talk, wanted)
    load_fault = None
    try:
        try:
            talk.open()
        except StudentFault as fault:
            load_fault = str(fault)
        graded = [_grade_question(question, env, job, talk) for question in questions]
    finally:
        talk.close()
    broken = any(test["error"] for question in graded for test in question["tests"])
    return {
        "student": job.student,
        "part": job.part,
        "status": "error" if broken else "graded",
        "points": None if broken else sum(question["points"] for question in graded),
        "possible": sum(question["possible"] for question in graded),
        "questions": graded,
        "cells": (talk.loaded or {"defined": {}, "errors": [], "ran": 0, "left_out": 0}) | {"fault": load_fault},
        "usage": {
            "seconds": round(time.monotonic() - began, 3),
            "cpu_seconds": round(talk.usage.cpu_seconds, 3),
            "memory": talk.usage.memory,
            "processes": talk.usage.children,
        },
        "protection": sandbox.protection,
        "measured": _measured(env),
    }


def _measured(env: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Reward and KL of the policies that were trained on the way, by function."""
    found = {name: measure(function.records) for name, function in env.items()}
    return {name: measures for name, measures in found.items() if measures is not None}


def _grade_question(question: Question, env: dict[str, Any], job: Job, talk: Conversation) -> dict[str, Any]:
    tests = []
    seed = question_seed(job.seed, question.name)
    for test in question.tests:
        began = time.monotonic()
        passed, message, error, detail = run_test(question, test, env, seed)
        tests.append(
            {
                "name": test.name,
                "hidden": test.hidden,
                "passed": passed,
                "error": error,
                "points": None if error else test.points if passed else 0.0,
                "possible": test.points,
                "message": (WARNING if error else "") + clean(message),
                "detail": clean(detail),
                "seconds": round(time.monotonic() - began, 4),
            }
        )
    broken = any(test["error"] for test in tests)
    return {
        "name": question.name,
        "function": question.function,
        "points": None if broken else sum(test["points"] for test in tests),
        "possible": question.points,
        "tests": tests,
    }


def run_test(question: Question, test: TestCase, env: dict[str, Any], seed: int) -> tuple[bool, str, bool, str]:
    """Run one test on stand-ins.

    Returns:
        Whether it passed; the message; whether the judge itself failed; and what the student's exception said, which is
        for the instructor only (in a hidden test it may quote the input).
    """
    for value in env.values():
        if isinstance(value, StandIn):
            value.hidden = test.hidden
    outcome = _try(question, test, env, seed)
    if outcome is None:
        return True, test.success_message, False, ""
    fault = _student_fault(outcome)
    message, error = _verdict(question, test, outcome, fault, seed)
    return False, message, error, fault.private if fault is not None else ""


def _verdict(
    question: Question, test: TestCase, outcome: Exception, fault: StudentFault | None, seed: int
) -> tuple[str, bool]:
    """The message about a test that did not pass, and whether the judge itself failed."""
    if isinstance(outcome, JudgeError):
        return f"{type(outcome).__name__}: {outcome}", True
    if fault is not None and fault.kind != "raised":
        return str(fault), False
    suspicious = fault is not None and fault.outside
    if isinstance(outcome, AssertionError) and not suspicious:
        return str(outcome) or test.failure_message or f"the test {test.name} failed", False
    if fault is not None and not suspicious:
        return str(fault), False
    try:
        for_solution = _try(question, test, trusted_env(question.part), seed)
    except JudgeError as error:
        return str(error), True
    if for_solution is not None and not isinstance(for_solution, AssertionError):
        return f"{type(outcome).__name__}: {outcome}", True
    if fault is not None:
        return str(fault), False
    detail = "" if test.hidden else f": {outcome}"
    kind = type(outcome).__name__
    return f"the test could not work with what {question.function} returned ({kind}{detail})", False


def _try(question: Question, test: TestCase, env: dict[str, Any], seed: int) -> Exception | None:
    """Run a test; return what it raised."""
    try:
        function = testing.compile_test(test, f"<{question.name}/{test.name}>")
        arguments = {}
        for name in inspect.signature(function).parameters:
            if name != "env" and name not in env:
                raise JudgeError(f"the test {test.name} asks for `{name}`, which is no graded function")
            arguments[name] = env if name == "env" else env[name]
        seed_everything(seed)
        function(**arguments)
    except SyntaxError as error:
        return JudgeError(f"the test {test.name} does not compile: {error}")
    except (NoSandbox, SandboxBroken, MemoryError):
        raise
    except Exception as error:
        return error
    return None


def _student_fault(error: BaseException) -> StudentFault | None:
    """The student's fault behind an exception, if there is one."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, StudentFault):
            return current
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return None


def clean(message: str) -> str:
    """A message as one text of bounded length without control characters."""
    text = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in message)
    return text if len(text) <= MESSAGE_KEPT else text[:MESSAGE_KEPT] + " …"
