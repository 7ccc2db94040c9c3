"""Questions with one right answer for each entry: what a public test says of the form, and which answers are right."""

from __future__ import annotations

import re
from typing import Any

import pytest

from helpers.checks import check_answers, check_choices

CHOICES = {"a": "AB", "number": None}


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (None, "not written yet"),
        (["A", 1.0], "return a dict with the entries 'a', 'number', not a list"),
        ({"a": "A"}, "the answer to 'number' is missing"),
        ({"a": "C", "number": 1}, "the answer to 'a' is one of 'A', 'B'; yours is none of them"),
        ({"a": "A", "number": "1"}, "the answer to 'number' is a plain number, not a str"),
        ({"a": "A", "number": True}, "the answer to 'number' is a plain number, not a bool"),
    ],
)
def test_what_an_answer_lacks_in_form_is_told(answers: Any, told: str) -> None:
    with pytest.raises(AssertionError, match=f"^f.*{re.escape(told)}"):
        check_choices(answers, CHOICES, name="f")


def test_answers_are_right_in_any_case_and_up_to_one_in_a_hundred() -> None:
    right: dict[str, str | float] = {"a": "A", "number": -0.5}
    answers: Any
    for answers in ({"a": " a ", "number": -0.5}, {"a": "A", "number": -0.504}):
        check_choices(answers, CHOICES, name="f")
        check_answers(answers, right)
    for answers in (
        {"a": "B", "number": -0.5},
        {"a": "A", "number": -0.52},
        {"a": "A", "number": 0.5},
        {},
        None,
        ["A"],
    ):
        with pytest.raises(AssertionError, match=r"^$"):
            check_answers(answers, right)
