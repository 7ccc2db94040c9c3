"""What public tests tell a student: every named mistake can be told, most wrong answers get theirs, titles are sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from autograder import masters, testing
from autograder.grade.judging.trusted import trusted_env
from autograder.masters import Question, TestCase
from helpers import checks
from helpers.differences import numbers
from tests.test_variants import VARIANTS, Variant, environment, exercises

LEAST_NAMED = 0.95  # of the wrong answers
SENTENCE = re.compile(r"[A-Z][^\n\"]{9,110}[^\s.]\.")
UNNAMED = (checks.UNKNOWN, checks.ORDINARY)


def public_tests() -> Iterator[tuple[Question, TestCase]]:
    """Every public test of the course, with its question."""
    for part in masters.existing_parts():
        for question in masters.load_questions(part):
            yield from ((question, test) for test in question.tests if not test.hidden)


def told(variant: Variant) -> Iterator[str]:
    """The messages of the public tests that an answer fails, each test run when it is asked for."""
    space = environment(variant)
    for test in exercises()[variant.function][0].tests:
        if not test.hidden:
            result = testing.run_test(variant.function, test, space)
            yield from [] if result.passed else [result.message]


def names(message: str, variant: Variant) -> bool:
    """Whether a message names the mistake: with the variant's own piece, which is more than the function's name."""
    piece = (variant.told or "").strip().lower()
    empty = not piece or piece in variant.function or any(text in message for text in UNNAMED)
    return not empty and piece in message.lower()


@pytest.mark.slow
@pytest.mark.xdist_group("named mistakes")
def test_wrong_answers_are_named() -> None:
    wrong = [variant for variant in VARIANTS if not variant.right]
    unnamed = [variant.name for variant in wrong if not any(names(message, variant) for message in told(variant))]
    share = 1 - len(unnamed) / len(wrong)
    assert share >= LEAST_NAMED, f"a public test names {share:.1%} of {len(wrong)} mistakes; unnamed: {unnamed}"


@pytest.mark.parametrize("part", masters.existing_parts())
def test_every_named_mistake_can_be_told(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is hidden by an earlier one of its table, and none is the right answer."""
    dead: list[str] = []
    compare = checks.check

    def recording(got: Any, expected: Any, mistakes: Any = None, **named: Any) -> None:
        compare(got, expected, mistakes, **named)
        rtol, atol = named.get("rtol", checks.RTOL), named.get("atol", checks.ATOL)
        earlier: list[Any] = [expected]
        for message, value in (mistakes or {}).items():
            if not callable(value) and any(hides(other, value, rtol, atol) for other in earlier):
                dead.append(f"{named.get('name')}: {message}")
            earlier.append(value)

    monkeypatch.setattr(checks, "check", recording)
    space = trusted_env(part)
    for question, test in public_tests():
        if question.part == part:
            result = testing.run_test(question.name, test, space)
            assert result.passed, result.message
    assert not dead


def hides(earlier: Any, value: Any, rtol: float, atol: float) -> bool:
    """Whether an earlier entry of a table is told in place of one with this value."""
    if callable(earlier):
        shown = numbers(value)
        return shown is not None and bool(torch.as_tensor(earlier(shown)).any())
    return checks.close(value, earlier, rtol, atol)


def test_titles_are_sentences() -> None:
    wrong = [(q.name, t.name, t.title) for q, t in public_tests() if not SENTENCE.fullmatch(t.title)]
    assert not wrong
    titles = [(question.name, test.title) for question, test in public_tests()]
    assert len(set(titles)) == len(titles)
