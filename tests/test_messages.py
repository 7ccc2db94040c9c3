"""What public tests tell a student: every named mistake can be told, titles are sentences (see also `test_variants`)."""

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

SENTENCE = re.compile(r"[A-Z][^\n\"]{9,110}[^\s.]\.")


def public_tests() -> Iterator[tuple[Question, TestCase]]:
    """Every public test of the course, with its question."""
    for part in masters.existing_parts():
        for question in masters.load_questions(part):
            yield from ((question, test) for test in question.tests if not test.hidden)


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
