"""Whose fault a failure is: the student's costs points, the judge's is an error and no mark, and neither is ever a pass."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from autograder import masters
from autograder.grade.jobs import Job, questions_of
from autograder.grade.judging import judge
from autograder.grade.judging.faults import StudentError
from autograder.grade.judging.standins import as_exception
from autograder.grade.result import LoadReport
from autograder.masters import TestCase
from autograder.reference.spec import grading_seed
from autograder.testing import TestResult
from tests.grade.samples import SECRET

QUESTION = next(q for q in masters.load_questions(2) if q.name == "q2_1")


def verdict(body: str, function: Any, hidden: bool = False) -> TestResult:
    """Run a test with this body on a function."""
    lines = "\n".join(f"    {line}" for line in body.split("\n"))
    test = TestCase("test_it", 1.0, hidden, f"def test_it(token_log_probs):\n    import torch\n{lines}\n")
    return judge.judge_test(QUESTION, test, {"token_log_probs": function}, 7)


def raising(fault: StudentError, hidden: bool = False) -> Any:
    """A function that fails as a stand-in does."""

    def function(*_: Any) -> None:
        raise as_exception(fault, hidden) from None

    return function


USE = "token_log_probs(torch.zeros(1, 3, 4), torch.zeros(1, 3, dtype=torch.long)).sum()"
SHAPE = f"assert {USE.removesuffix('.sum()')}.shape == (1, 2), 'no'"


def test_passing_and_failing() -> None:
    passed = verdict(SHAPE, lambda *_: torch.zeros(1, 2))
    assert (passed.passed, passed.points) == (True, 1.0)
    failed = verdict(SHAPE, lambda *_: torch.zeros(1))
    assert (failed.passed, failed.points, failed.message, failed.error, failed.detail) == (False, 0.0, "no", False, "")


def test_a_test_that_trips_over_a_result_is_the_students_loss() -> None:
    result = verdict(USE, lambda *_: None)
    assert (result.passed, result.error) == (False, False)
    assert "could not work with" in result.message


@pytest.mark.parametrize(
    "body",
    [
        "raise RuntimeError('a bug in the test')",
        "import no_such_module",
        "undefined_name",
        "from autograder.reference.spec import JudgeError\nraise JudgeError('the reference failed')",
        "from autograder.reference.verify import verify\nverify(token_log_probs, 'token_log_probs', 'no such aspect')",
        "from autograder.reference.verify import verify\nverify(token_log_probs, 'no such function', 'values')",
    ],
)
def test_a_test_that_breaks_for_the_solution_too_is_the_judges_error(body: str) -> None:
    result = verdict(body, lambda *_: None)
    assert (result.passed, result.error, result.points) == (False, True, None)
    assert "instructor" in result.message


@pytest.mark.parametrize("hidden", [False, True])
def test_where_the_solution_fails_as_well_nobody_loses_a_point(hidden: bool) -> None:
    """A class has one seed: on one that is unlucky for right answers, too, the instructor has to look."""
    unlucky = verdict(f"assert {USE} > 0, 'unlucky'", lambda *_: torch.zeros(1, 2), hidden)
    assert (unlucky.passed, unlucky.error, unlucky.points) == (False, True, None)
    assert "instructor" in unlucky.message


def test_a_test_that_does_not_compile_or_asks_for_an_unknown_name() -> None:
    for source in ("def test_it(:", "def test_it(no_such_function): pass"):
        result = judge.judge_test(QUESTION, TestCase("test_it", 1.0, False, source), {}, 7)
        assert (result.passed, result.error) == (False, True), result.message


@pytest.mark.parametrize("kind", ["timeout", "died", "memory", "protocol", "missing", "given up"])
def test_faults_of_the_students_side(kind: str) -> None:
    body = f"try:\n    {USE}\nexcept Exception as error:\n    raise AssertionError('wrapped') from error"
    for text in (USE, body):
        result = verdict(text, raising(StudentError(kind, "it broke")))
        assert (result.passed, result.message, result.error) == (False, "it broke", False)


def test_what_the_students_exception_says_is_kept_from_hidden_tests() -> None:
    fault = StudentError("raised", "f raised ValueError", "the input was 17")
    fault.kinds = ("ValueError", "Exception", "BaseException", "object")
    assert "17" in verdict(USE, raising(fault, hidden=False)).message
    result = verdict(USE, raising(fault, hidden=True), hidden=True)
    assert (result.passed, result.error) == (False, False)
    assert "17" not in result.message
    assert result.detail == "the input was 17"


def test_a_world_that_fails_without_the_student_is_looked_into() -> None:
    fault = StudentError("raised", "dpo_step raised OSError")
    fault.outside = True
    assert verdict(USE, raising(fault)).error is False, "the solution passes, so it is the student's"
    assert verdict(f"{USE}\nraise OSError('no assets')", raising(fault)).error is True


def test_waiting_for_an_exception_works_with_stand_ins() -> None:
    fault = StudentError("raised", "f raised ValueError")
    fault.kinds = ("ValueError",)
    body = f"try:\n    {USE}\nexcept ValueError:\n    return\nraise AssertionError('nothing was raised')"
    assert verdict(body, raising(fault)).passed
    fault.kinds = ("TypeError",)
    assert not verdict(body, raising(fault)).passed


def ours() -> dict[str, str]:
    """The course's own environment variables; libraries set some of theirs when they are first used."""
    return {name: value for name, value in os.environ.items() if name.startswith("COURSE_")}


@pytest.mark.parametrize("body", ["token_log_probs()", "token_log_probs()\nassert False", "token_log_probs()\n1 / 0"])
def test_a_judged_test_leaves_nothing_in_the_process(body: str) -> None:
    """What is judged next in the same process, and the project's own tests, draw the inputs that they would have drawn."""
    before, seeds = ours(), []
    verdict(body, lambda: seeds.append(grading_seed()))
    assert seeds == [7], "while the test runs, inputs are drawn with its seed"
    assert grading_seed() == 0
    assert ours() == before


def test_seeds_differ_between_questions_and_students_and_stay_the_same() -> None:
    seeds = {judge.question_seed(secret, name) for secret in (SECRET, "00" * 32) for name in ("q2_1", "q2_2")}
    assert len(seeds) == 4
    assert judge.question_seed(SECRET, "q2_1") in seeds
    assert max(seeds) < 2**48


def test_messages_are_bounded_and_printable() -> None:
    text = judge.clean("a\x1b[31m\u202e" + "x" * 100_000)
    assert len(text) < 2000
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_only_named_questions() -> None:
    assert [q.name for q in questions_of(2, ["q2_1"])] == ["q2_1"]
    with pytest.raises(KeyError, match="q9_9"):
        questions_of(2, ["q9_9"])
    assert Job("a", 2, (), SECRET).only == ()


def test_a_judges_error_leaves_the_submission_without_a_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    class Talk:
        """Stands for a conversation that never speaks."""

        def __init__(self, *_: Any) -> None:
            self.spent = SimpleNamespace(cpu_seconds=0.0, memory=0, children=1)

        def open(self) -> LoadReport:
            """Nothing ran."""
            return LoadReport()

        def close(self) -> None:
            """Nothing."""

    monkeypatch.setattr(judge, "Conversation", Talk)
    monkeypatch.setattr(judge, "_measured", lambda env: {})
    monkeypatch.setattr(judge, "_try", lambda *_: judge.JudgeError("tripped"))
    result = judge.grade(SimpleNamespace(protection=None), Job("ada", 2, (), SECRET, only=("q2_1",)))  # type: ignore[arg-type]
    assert result.status == "error"
    assert result.points is None
    assert all(test.points is None and "instructor" in test.message for test in result.questions[0].tests)
