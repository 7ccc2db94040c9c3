"""Run a question's tests on names in this process: for trusted code (solutions, the variants of `tests/`)."""

from __future__ import annotations

import functools
import inspect
import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass

from helpers.parts import ROOT
from helpers.raised import described, students_assertion

from .masters import Question, TestCase


@dataclass(frozen=True)
class TestResult:
    """What one test case gave.

    Attributes:
        possible: the points for passing it.
        message: for the student.
        error: the judge's own fault: the instructor must look, nobody passes by it, and nobody loses points.
        detail: what the student's own exception said, for the instructor only (in a hidden test it may quote the input).
        seconds: how long it took, on the clock.
        title: the name that a student sees; where it is empty, `name`.
    """

    name: str
    hidden: bool
    possible: float
    passed: bool
    message: str
    error: bool = False
    detail: str = ""
    seconds: float = 0.0
    title: str = ""

    __test__ = False

    @property
    def points(self) -> float | None:
        """The points it gives; None after an error of the judge's."""
        if self.error:
            return None
        return self.possible if self.passed else 0.0


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
        return TestResult(test.name, test.hidden, test.points, passed, message, error, title=test.title)

    try:
        function = compile_test(test, filename)
    except Exception as fault:
        return result(False, f"the test itself does not load: {type(fault).__name__}: {fault}", error=True)
    names = inspect.signature(function).parameters
    arguments = {name: env if name == "env" else env.get(name) for name in names}
    try:
        function(**arguments)
    except AssertionError as failure:
        if students_assertion(failure):  # hidden tests quote nothing of the student's
            return result(False, "your function raised an AssertionError" if test.hidden else described(failure))
        return result(False, failure_text(failure, test))
    except (Exception, SystemExit) as fault:
        frames = [frame.filename for frame in traceback.extract_tb(fault.__traceback__)]
        traced = True if set(frames) & _student_files(env) else None
        error = is_judges_fault(fault, traced, functools.partial(_is_the_tests_own, fault, frames, filename))
        return result(False, described(fault), error)
    return result(True, test.success_message)


def failure_text(failure: AssertionError, test: TestCase) -> str:
    """What a student is told when an assertion of a test fails."""
    return str(failure) or test.failure_message or f"an assertion in {test.name} failed"


def is_judges_fault(raised: BaseException, traced: bool | None, breaks_anyway: Callable[[], bool]) -> bool:
    """Whether a test that ended in an exception tells of an error of the judge's; otherwise the student loses the point.

    This is the one place that decides it; the two ways of running a test only gather the evidence.

    Args:
        raised: what ended the test. A `JudgeError` is the judge's own word.
        traced: True if it was traced to the student's side; False if it came out of a call of the student's function, but
            no line of theirs was on the way; None if the test failed by itself.
        breaks_anyway: whether the test breaks whatever it is given. Asked only if nothing else decides.
    """
    if type(raised).__name__ == "JudgeError":  # by name: to import it costs the build seconds
        return True
    if traced or (traced is None and isinstance(raised, AssertionError)):
        return False
    return breaks_anyway()


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


def _is_the_tests_own(fault: BaseException, frames: list[str], test_file: str) -> bool:
    """Whether an exception comes from the judge's code, as far as the stack can tell.

    It does if it was raised in `autograder`, or if the test lacks a name or a module; not if the test tripped over what it
    was given (None has no shape, say).
    """
    if frames[-1].startswith(str(ROOT / "autograder")) and frames[-1] != __file__:
        return True
    return isinstance(fault, ImportError) or (isinstance(fault, NameError) and frames[-1] == test_file)
