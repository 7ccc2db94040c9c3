"""Right answers keep every point, wrong ones lose the same as in the notebook, blank ones get none.

Of the wrong ones a fixed sample; `EVERY_VARIANT=1 pytest tests/grade/test_honest.py` tries all.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable

import pytest

from autograder import masters
from autograder.grade.intake import notebook
from autograder.grade.intake.apart import course
from autograder.grade.result import SubmissionResult
from helpers.notebook.selection import select
from helpers.parts import PARTS
from tests.grade.samples import blank, solution, with_answer
from tests.test_variants import VARIANTS, Variant, exercises, run_variant

pytestmark = pytest.mark.sandbox
STEPS = ("reinforce_step", "dpo_step")  # their tests take seconds, not milliseconds
Grade = Callable[..., SubmissionResult]


def failures(result: SubmissionResult) -> str:
    """What did not pass, for the message."""
    return "\n".join(
        f"{q.name} {t.name}: {t.message}" for q in result.questions for t in q.tests if not t.passed
    ) + str(result.cells)


def quick(part: int) -> list[str]:
    """The questions of a part without the training steps."""
    return [q.name for q in masters.load_questions(part) if not q.manual and q.function not in STEPS]


@pytest.mark.parametrize("part", masters.existing_parts())
def test_of_the_samples_is_run_what_is_run_of_the_notebook(part: int) -> None:
    """A sample that has lost its cells' tags runs a training cell for every answer that the tests judge."""
    handed_in = notebook.read((masters.SOLUTIONS / f"{PARTS[part]}.ipynb").read_bytes(), course())["code"]
    wanted = [question.function for question in masters.load_questions(part) if question.function]
    runs = [[ast.unparse(s.node) for s in select(cells, wanted).statements] for cells in (solution(part), handed_in)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("part", masters.existing_parts())
def test_solution_gets_every_point(grade: Grade, part: int) -> None:
    result = grade(solution(part), part, quick(part))
    assert result.status == "graded", failures(result)
    assert result.points == result.possible > 0, failures(result)


@pytest.mark.slow
@pytest.mark.parametrize(("part", "question"), [(2, "q2_7"), (4, "q4_6")])
def test_solution_of_a_step_gets_every_point(grade: Grade, part: int, question: str) -> None:
    result = grade(solution(part), part, [question])
    assert result.status == "graded", failures(result)
    assert result.points == result.possible > 0, failures(result)


@pytest.mark.parametrize("part", masters.existing_parts())
def test_blank_gets_nothing(grade: Grade, part: int) -> None:
    result = grade(blank(part), part)
    assert result.status == "graded", failures(result)
    assert result.points == 0, [t for q in result.questions for t in q.tests if t.passed]


# right steps that go through the whole of it: half a minute each
THROUGHOUT = re.compile("plain|with the helper|micro-batches")
# of a step's wrong answers, and of another function's; `tests/test_variants.py` judges all
ONE_IN = {True: 8, False: 3}


def chosen(first: int = 0, sparser: int = 1) -> list[Variant]:
    """Right answers and a fixed sample of the wrong ones, from the `first` on; with EVERY_VARIANT=1 in the environment all.

    With `sparser` one in so many of that sample.

    The step's right answers are those that go through the whole of it.
    """
    known = [variant for variant in VARIANTS if variant.function in exercises()]
    if os.environ.get("EVERY_VARIANT") == "1":
        return known
    result = []
    for function in dict.fromkeys(variant.function for variant in known):
        mine, is_step = [variant for variant in known if variant.function == function], function in STEPS
        result += [v for v in mine if v.right and (not is_step or THROUGHOUT.search(v.title))]
        result += [v for v in mine if not v.right][first :: sparser * ONE_IN[is_step]]
    return result


@pytest.mark.parametrize("function", sorted({v.function for v in chosen() if v.function not in STEPS}))
def test_variants_get_the_notebooks_verdict(grade: Grade, function: str) -> None:
    compare(grade, function)


@pytest.mark.slow
@pytest.mark.parametrize("function", STEPS)
def test_variants_of_steps_get_the_notebooks_verdict(grade: Grade, function: str) -> None:
    compare(grade, function)


DRAWING = {"sample_next_token"}  # its results depend on random draws


def compare(grade: Grade, function: str) -> None:
    """Each variant of a function must get the same verdict here as in the notebook, and a right one the same tests.

    Single tests of a wrong variant may differ where they depend on chance: a sampler's draws are others in the sandbox. And a
    public test of a wrong step may pass in the notebook alone: here hidden cases must confirm it.
    """
    question, _ = exercises()[function]
    for variant in (v for v in chosen() if v.function == function):
        here = {
            r.name: r.passed for r in run_variant(variant) if r.possible
        }  # tests without points stay in the notebook
        result = grade(with_answer(question.part, variant.source), question.part, [question.name])
        assert result.status == "graded", f"{variant.name}: {failures(result)}"
        there = {t.name: t.passed for t in result.questions[0].tests}
        assert all(there.values()) == all(here.values()), f"{variant.name}: {failures(result)}"
        unconfirmed = {
            test.name for test in question.tests if test.confirm and not variant.right and not there[test.name]
        }
        if function not in DRAWING:
            seen = {name: there[name] for name in here}  # a right step may have been trained with in the sandbox alone
            assert seen == here | dict.fromkeys(unconfirmed & here.keys(), False), f"{variant.name}: {failures(result)}"
        assert (result.points == result.possible) == variant.right, f"{variant.name}: {failures(result)}"
