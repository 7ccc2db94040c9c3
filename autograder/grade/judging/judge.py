"""Grade one submission: run the masters' tests, out here, on stand-ins for the student's functions in the sandbox.

What the student's side did, and what fails in a test that the course's own solution passes with the same inputs, costs the
student the point. A test that fails for the solution too, or that says `JudgeError`, is an error of the judge's and no mark
(`autograder.testing.is_judges_fault` decides about exceptions): on an unlucky seed nobody loses points.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import hmac
import inspect
import random
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from autograder import masters, testing
from autograder.grade.jobs import Job, questions_of
from autograder.grade.limits import Limits
from autograder.grade.result import LoadReport, QuestionResult, SubmissionResult, Usage
from autograder.grade.sandbox.choice import Walls
from autograder.grade.sandbox.parent import NoSandboxError, SandboxBrokenError
from autograder.masters import Question, TestCase
from autograder.reference.spec import JudgeError, seeded
from autograder.testing import TestResult

from .conversation import Conversation
from .faults import StudentError
from .measured import measure
from .standins import StandIn, make_env
from .trusted import trusted_env

MESSAGE_KEPT = 1500
NOT_CONFIRMED = "This test passes with the inputs of the notebook, but not with others: "
WARNING = "The judge itself failed here; this gives no mark. The instructor has to look: "


def question_seed(secret: str, question: str) -> int:
    """The seed of a question's random inputs: 48 bits that nobody can tell from another question's."""
    digest = hmac.new(bytes.fromhex(secret), question.encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:6], "big")


def seed_everything(seed: int) -> None:
    """Seed the generators that a test may draw from."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def grade(sandbox: Walls, job: Job, limits: Limits | None = None) -> SubmissionResult:
    """Grade one submission.

    Raises:
        SandboxBrokenError, NoSandboxError: the sandbox failed, so there is no result at all.
    """
    began = time.monotonic()
    questions = questions_of(job.part, job.only)
    wanted = [q.function for q in masters.load_questions(job.part) if q.function]
    talk = Conversation(sandbox, job.cells, wanted, job.files, limits)
    env = make_env(talk, wanted)
    cells = LoadReport()  # of the first process alone: a later one may have been told of inputs
    try:
        try:
            cells = talk.open()
        except StudentError as fault:
            cells = LoadReport(fault=str(fault))
        graded = judge_questions(questions, env, job.seed)
    finally:
        talk.close()
    return SubmissionResult(
        student=job.student,
        part=job.part,
        possible=sum(question.possible for question in graded),
        questions=graded,
        cells=cells,
        usage=Usage(
            seconds=round(time.monotonic() - began, 3),
            cpu_seconds=round(talk.spent.cpu_seconds, 3),
            memory=talk.spent.memory,
            processes=talk.spent.children,
        ),
        protection=sandbox.protection,
        measured=_measured(env),
    )


def _measured(env: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Reward and KL of the policies that were trained on the way, by function."""
    found = {name: measure(function.records) for name, function in env.items()}
    return {name: measures for name, measures in found.items() if measures is not None}


def judge_questions(questions: Sequence[Question], env: dict[str, Any], secret: str) -> tuple[QuestionResult, ...]:
    """Run the tests of these questions: all public ones, then all hidden ones.

    The student's code lives from test to test. What it says in a public test is quoted; once it has seen the first hidden
    input, nothing of it is. Public tests without points are for the notebook: they show early what hidden ones judge.
    """
    results: dict[tuple[str, str], TestResult] = {}
    for hidden in (False, True):
        for question in questions:
            seed = question_seed(secret, question.name)
            for test in question.tests:
                place = (question.name, test.name)
                if test.hidden == hidden and test.points:
                    results[place] = judge_test(question, test, env, seed)
                elif hidden and test.confirm and results[place].passed:
                    results[place] = confirmed(question, test, results[place], env, seed)
    return tuple(
        QuestionResult(
            q.name, q.function, q.points, tuple(results[q.name, test.name] for test in q.tests if test.points)
        )
        for q in questions
    )


def confirmed(question: Question, test: TestCase, passed: TestResult, env: dict[str, Any], seed: int) -> TestResult:
    """The result of a public test that has passed, after hidden cases have been tried: it stays or is taken back."""
    case = masters.hidden_test(test.name, question.function or "", test.confirm, test.points)
    result = judge_test(question, dataclasses.replace(case, success_message=test.success_message), env, seed)
    message = result.message if result.passed or result.error else f"{NOT_CONFIRMED}{result.message}"
    return dataclasses.replace(result, hidden=False, message=message, seconds=passed.seconds + result.seconds)


def judge_test(question: Question, test: TestCase, env: dict[str, Any], seed: int) -> TestResult:
    """Run one test on stand-ins."""
    began = time.monotonic()
    for value in env.values():
        if isinstance(value, StandIn):
            value.hidden = test.hidden
    raised = _try(question, test, env, seed)
    seconds = round(time.monotonic() - began, 4)
    fault = _student_error(raised)
    error = False
    if raised is not None:
        traced = None if fault is None else fault.kind != "raised" or not fault.outside
        try:
            error = testing.is_judges_fault(raised, traced, lambda: _fails_anyway(question, test, seed))
            if not error and fault is None and isinstance(raised, AssertionError):
                error = _fails_anyway(question, test, seed)
        except JudgeError as failure:
            raised, error = failure, True
    return TestResult(
        name=test.name,
        hidden=test.hidden,
        possible=test.points,
        passed=raised is None,
        message=clean(_message(question, test, raised, fault, error)),
        error=error,
        detail=clean(fault.private) if fault is not None else "",
        seconds=seconds,
        title=test.title,
    )


@functools.lru_cache(maxsize=1024)
def _fails_anyway(question: Question, test: TestCase, seed: int) -> bool:
    """Whether a test fails for the course's own solution too: it is broken, or what this seed draws is unlucky.

    The answer is kept for the class, which has one seed: a training step takes seconds.

    Raises:
        JudgeError: the solution does not run.
    """
    return _try(question, test, trusted_env(question.part), seed) is not None


def _message(
    question: Question, test: TestCase, raised: Exception | None, fault: StudentError | None, error: bool
) -> str:
    """What is said about a test: to the student, or after an error to the instructor."""
    if raised is None:
        return test.success_message
    if error:
        return f"{WARNING}{type(raised).__name__}: {raised}"
    if isinstance(raised, AssertionError) and (fault is None or (fault.kind == "raised" and not fault.outside)):
        return testing.failure_text(raised, test)
    if fault is not None:
        return str(fault)
    detail = "" if test.hidden else f": {raised}"
    return f"the test could not work with what {question.function} returned ({type(raised).__name__}{detail})"


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
        with seeded(seed):
            function(**arguments)
    except SyntaxError as error:
        return JudgeError(f"the test {test.name} does not compile: {error}")
    except (NoSandboxError, SandboxBrokenError):
        raise
    except Exception as error:
        return error
    return None


def _student_error(error: BaseException | None) -> StudentError | None:
    """The student's error behind an exception, if there is one."""
    seen: set[int] = set()
    current = error
    while current is not None and id(current) not in seen:
        if isinstance(current, StudentError):
            return current
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return None


def clean(message: str) -> str:
    """A message as one text of bounded length without control characters."""
    text = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in message)
    return text if len(text) <= MESSAGE_KEPT else text[:MESSAGE_KEPT] + " …"
