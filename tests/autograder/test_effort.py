"""Points, difficulty and minutes in a notebook are the build's: they stand in the master once, and are true by that."""

from __future__ import annotations

import re

import pytest

from autograder import masters
from autograder.masters import Cell
from autograder.publish import effort
from autograder.publish.compose import nodes_of

ASKED = re.compile(r'verify\(\w+, "\w+"((?:, "\w+")+)\)')
RULES = {"edges", "dtypes", "purity", "errors", "gradients"}
TYPED = re.compile(r"^\*\*(?:Exercise|Question|Written)[^\n]*\*\* ?\([^)]*points?\b", re.MULTILINE)


@pytest.mark.parametrize("part", masters.existing_parts())
def test_every_question_says_its_points_once(part: int) -> None:
    questions = {question.name: question for question in masters.load_questions(part)}
    cells = masters.read_cells(masters.master_path(part))
    assert not [cell.question for cell in cells if cell.role == "text" and TYPED.search(cell.source)]
    for cell, node in zip(cells, nodes_of(cells, questions), strict=True):
        if cell.role == "text":
            (told,) = TYPED.findall(node.source)
            assert f"{questions[cell.question or ''].points:g} point" in told


@pytest.mark.parametrize("part", masters.existing_parts())
def test_every_exercise_says_how_hard_it_is(part: int) -> None:
    exercises = [question for question in masters.load_questions(part) if question.name[-1].isdigit()]
    assert not [q.name for q in exercises if q.function and q.level not in (1, 2, 3)]


def test_marks_by_hand_are_a_quarter_of_a_part_at_most() -> None:
    """People who teach hundreds read no more than that; Part 5 is a little above it (12 of 45.5)."""
    for part in (1, 2, 3, 4):
        questions = masters.load_questions(part)
        by_hand = sum(question.points for question in questions if question.manual)
        assert by_hand <= 0.26 * sum(question.points for question in questions), f"part {part}"


@pytest.mark.parametrize("part", masters.existing_parts())
def test_edges_carry_few_points(part: int) -> None:
    """What an exercise is about carries most of its points: hidden tests of borders and rules alone, three in ten at most."""
    for question in masters.load_questions(part):
        few = 0.0
        for test in question.tests:
            kinds = set(re.findall(r"\w+", found[1])) if (found := ASKED.search(test.source)) else set()
            # a gradient by itself, as that of a loss, may be what an exercise is about
            if test.hidden and kinds and kinds <= RULES and kinds != {"gradients"}:
                few += test.points
        assert few <= 0.3 * question.points, f"{question.name}: {few} of {question.points}"


@pytest.mark.parametrize("part", masters.existing_parts())
def test_the_table_of_a_notebook_has_all_its_sections_and_their_minutes(part: int) -> None:
    questions = {question.name: question for question in masters.load_questions(part)}
    cells = masters.read_cells(masters.master_path(part))
    sections = [found[1] for cell in cells if (found := effort.SECTION.search(cell.source))]
    table = [line for line in nodes_of(cells, questions)[0].source.splitlines() if effort.ROW.match(line)]
    assert [line.split(" | ")[0].removeprefix("| ") for line in table] == sections
    assert not [line for line in table if not re.search(r"\| \d+( \+ \d+)? \|$", line)]


def test_minutes_are_counted_as_the_rule_says() -> None:
    question = masters.Question("q9_1", 9, 4, "f", False, (), "", "", (), "", level=2)
    written = masters.Question("w9_1", 9, 3, None, True, (), "", "", (), "")
    choices = masters.Question("q9_A", 9, 2, "g", False, (), "", "", (), "")
    cells = [
        Cell("markdown", "# Part 9"),
        Cell("markdown", "## 9.1 First\n" + "word " * 449 + "<details>" + "folded " * 900 + "</details>"),
        Cell("markdown", "**Exercise 9.1.**", "q9_1", "text"),
        Cell("markdown", "sample " * 900, "w9_1", "answer"),
        Cell("markdown", "## 9.2 Second"),
        Cell("markdown", "**Question 9.A.**", "q9_A", "text"),
        Cell("markdown", "**Question 9.B.**", "w9_1", "text"),
    ]
    names = {q.name: q for q in (question, written, choices)}
    assert effort.minutes_by_section(cells, names) == {"9.1": (5, 20), "9.2": (5, 40)}
    assert effort.titled("**Exercise 9.1 · `f`.** Do it.", question) == "**Exercise 9.1 · `f`** (4 points, ●●○). Do it."
