"""Run a question's tests on names in this process: for trusted code (solutions, the variants of `tests/`)."""

from __future__ import annotations

import functools
import inspect
import textwrap
import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass

from helpers.parts import ROOT

from .masters import Question, TestCase


@dataclass
class TestResult:
    """What one test case gave. `error` is the judge's own fault: the instructor must look, nobody passes by it."""

    name: str
    points: float
    possible: float
    hidden: bool
    passed: bool
    message: str
    error: bool

    __test__ = False


def run_tests(question: Question, env: dict[str, object]) -> list[TestResult]:
    """Run a question's tests in this process, on names looked up in `env` as otter does.

    An argument called `env` gets the whole dict, a name that is missing gets None. This is for trusted code only
    (solutions, the variants of `tests/`): the code under test runs in the process that judges it.
    """
    return [run_test(question.name, test, env) for test in question.tests]


def run_test(question_name: str, test: TestCase, env: dict[str, object]) -> TestResult:
    """Run one test case on the names in `env`."""
    filename = f"<{question_name}/{test.name}>"

    def result(passed: bool, message: str, error: bool = False) -> TestResult:
        return TestResult(test.name, test.points if passed else 0.0, test.points, test.hidden, passed, message, error)

    try:
        function = compile_test(test, filename)
    except Exception as fault:
        return result(False, f"the test itself does not load: {type(fault).__name__}: {fault}", error=True)
    names = inspect.signature(function).parameters
    arguments = {name: env if name == "env" else env.get(name) for name in names}
    try:
        function(**arguments)
    except AssertionError as failure:
        return result(False, str(failure) or test.failure_message or f"an assertion in {test.name} failed")
    except (Exception, SystemExit) as fault:
        return result(False, _describe(fault, env), error=_judges_fault(fault, filename, env))
    return result(True, test.success_message)


def compile_test(test: TestCase, filename: str = "<test>") -> Callable[..., None]:
    """The test's function, defined in a namespace of its own."""
    namespace: dict[str, object] = {"__name__": "course_test"}
    exec(_compiled(test.source, filename), namespace)
    return namespace[test.name]  # type: ignore[return-value]


@functools.lru_cache(maxsize=1024)
def _compiled(source: str, filename: str) -> types.CodeType:
    return compile(source, filename, "exec")


def _student_files(env: dict[str, object]) -> set[str]:
    """The file names that the code of the names in `env` was compiled under, the project's own files left out."""
    own = (str(ROOT / "autograder"), str(ROOT / "helpers"))
    files = {value.__code__.co_filename for value in env.values() if inspect.isfunction(value)}
    return {name for name in files if not name.startswith(own) and "site-packages" not in name}


def _judges_fault(fault: BaseException, test_file: str, env: dict[str, object]) -> bool:
    """Whether an exception that is no failed assertion comes from the judge's own code, as far as can be told.

    It is the student's if any of the student's frames is on the stack, or if the test tripped over what it was given
    (None has no shape, say). It is the judge's if it was raised in `autograder` (`verify` says so by its own
    `JudgeError`), or if the test lacks a name or a module.
    """
    if type(fault).__name__ == "JudgeError":
        return True
    frames = [frame.filename for frame in traceback.extract_tb(fault.__traceback__)]
    if set(frames) & _student_files(env):
        return False
    if frames[-1].startswith(str(ROOT / "autograder")) and frames[-1] != __file__:
        return True
    return isinstance(fault, ImportError) or (isinstance(fault, NameError) and frames[-1] == test_file)


def _describe(fault: BaseException, env: dict[str, object]) -> str:
    """One line saying what was raised, and where in the student's code."""
    students = _student_files(env)
    places = [frame for frame in traceback.extract_tb(fault.__traceback__) if frame.filename in students]
    text = f"{type(fault).__name__}: {textwrap.shorten(str(fault), 600)}" if str(fault) else type(fault).__name__
    if not places:
        return text
    return f"{text} (raised in `{places[-1].name}`, line {places[-1].lineno} of its cell)"
