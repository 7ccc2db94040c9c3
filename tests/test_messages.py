"""What public tests tell a student: every named mistake can be told, titles are sentences (see also `test_variants`)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from autograder import masters, testing
from autograder.grade.judging.trusted import trusted_env
from autograder.masters import Question, TestCase
from helpers import checks
from helpers.differences import numbers
from helpers.parts import ROOT

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


SAID = """
import torch
from helpers.checks import check
from helpers.raised import described, students_assertion
try:
    check(torch.ones(2), torch.ones(3), {}, name="f")
except AssertionError as failure:
    print(students_assertion(failure))
import elsewhere
try:
    elsewhere.fail()
except AssertionError as failure:
    print("raised in `fail`" in described(failure))
"""


def test_what_lies_behind_a_link_or_in_a_users_own_packages_is_not_the_students(tmp_path: Path) -> None:
    """A Hub's COURSE_HOME may be a link: then each failed check was told as the student's own `assert`, with a line of ours."""
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "helpers").symlink_to(ROOT / "helpers")
    packages = tmp_path / ".local" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "elsewhere.py").write_text("def fail():\n    assert False\n", encoding="utf-8")
    paths = os.pathsep.join([str(tmp_path / "course"), str(packages)])
    done = subprocess.run(
        [sys.executable, "-c", SAID],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["False", "False"], done.stderr
