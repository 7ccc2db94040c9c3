"""Answers that are alike: found whatever their number and disguise; what everybody must write accuses nobody."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from autograder.grade.results import similarity
from tests.grade.samples import blank, code, solution

GIVEN = "import torch\n\ndef decayed_sum(values, rate):\n    ...\n\ndef doubled(values):\n    ...\n"
LEAKED = """
import torch

def decayed_sum(values, rate):
    # walk from the end, so that each step needs the one after it
    remembered = torch.zeros_like(values[0])
    collected = []
    for position in range(len(values) - 1, -1, -1):
        remembered = values[position] + rate * remembered
        if remembered.abs() > 1e6:
            remembered = remembered.clamp(-1e6, 1e6)
        collected.insert(0, remembered / (1 + rate ** position))
    return torch.stack(collected) - sum(collected) / max(1, len(collected))
"""
RENAMED = (
    LEAKED.replace("remembered", "acc").replace("collected", "out").replace("position", "i").replace("# walk", "# go")
)
REORDERED = LEAKED.replace(
    "    remembered = torch.zeros_like(values[0])\n    collected = []\n",
    "    collected = []\n    remembered = torch.zeros_like(values[0])\n",
).replace("\n    #", "\n\n    # other words, and another layout than before\n    #")
ONE_LINE = "def doubled(values):\n    return 2 * values.sum(dim=-1).unsqueeze(0)\n"
FUNCTIONS = {"decayed_sum": "q1", "doubled": "q2"}


def own_work(number: int) -> str:
    """A function that nobody else writes."""
    draw = random.Random(number)
    lines = [
        f"    {draw.choice('abc')}{number}_{n} = {draw.random():.9f} * values[{draw.randrange(9**9)}]"
        for n in range(30)
    ]
    return "def decayed_sum(values, rate):\n" + "\n".join(lines)


def groups(sources: Sequence[str]) -> list[tuple[str, ...]]:
    """The groups among students 0, 1, 2 … who hand these in."""
    cells = {str(number): code(GIVEN, source) for number, source in enumerate(sources)}
    made = similarity.compare_code(cells, FUNCTIONS, GIVEN, "", len(cells))
    return [group.students for group in made.groups]


@pytest.mark.parametrize("count", [2, 5, 15, 30, 60])
def test_one_leaked_solution_is_one_group_whatever_its_size(count):
    sources = [(LEAKED, RENAMED, REORDERED)[n % 3] for n in range(count)] + [own_work(n) for n in range(60 - count)]
    assert groups(sources) == [tuple(str(n) for n in range(count))]


def test_the_sample_solution_is_found_and_named_as_such():
    sample = "\n".join(cell["source"] for cell in solution(2))
    students = {str(n): solution(2) if n < 15 else (*blank(2), *code(own_work(n))) for n in range(60)}
    given = "\n".join(cell["source"] for cell in blank(2))
    made = similarity.compare_code(students, {"token_log_probs": "q2_1"}, given, sample, 60)
    assert [(len(group.students), group.index, group.as_solution) for group in made.groups] == [(15, 1.0, True)]


def test_what_everybody_must_write_accuses_nobody():
    assert groups([ONE_LINE] * 30 + [own_work(n) for n in range(30)]) == [], "a line that half the class writes"
    assert groups([ONE_LINE] * 5 + [own_work(n) for n in range(55)]) == [], "a line that five write"
    assert groups([""] * 60) == [], "the untouched notebook"


def test_the_same_comments_and_names_weigh_more():
    short = "def doubled(values):\n    # {0}\n    {1} = values.sum(dim=-1)\n    return 2 * {1}.unsqueeze(0)\n"
    same = (
        short.format("twice what the rows add up to", "howmuch")
        + "# with one more axis in front\n# as my sister says\n# nobody else says it so\n# not at all\n# really and truly\n"
    )
    others = [short.format("summed over rows", "total"), short.format("adding up the last axis", "s")]
    rest = [own_work(n) for n in range(58)]
    assert groups([same, same, *rest]) == [("0", "1")]
    assert groups([*others, *rest]) == []


def test_a_copied_answer_is_found_in_a_notebook_of_ones_own():
    more = "\n".join(f"    remembered = remembered * {n} + rate // {n} - values[{n}] @ collected" for n in range(3, 20))
    copied = LEAKED.replace("    return", f"{more}\n    return")
    sources = [
        copied + "".join(own_work(10 * n + k).replace("decayed_sum", "trial") + "\n" for k in range(3))
        for n in range(3)
    ]
    assert groups([*sources, *(own_work(n) for n in range(50, 90))]) == [("0", "1", "2")]


def test_written_answers_are_compared_as_words():
    answer = (
        "The baseline moves every reward by the same amount, so better and worse completions differ exactly as before; what "
        "changes is the noise, since the numbers that are multiplied with the scores become smaller, and their mean is zero."
    )
    others = {str(n): str(random.Random(n).sample(range(10**6), 40)) for n in range(5, 40)}
    texts = {str(n): answer + (" Thanks!" if n else " And that is all there is.") for n in range(5)} | others
    made = similarity.compare_texts("w1", texts, "Why a baseline?", "", 40)
    assert [group.students for group in made.groups] == [("0", "1", "2", "3", "4")]
    short = {str(n): "It gets better because of the gradient." for n in range(30)} | others
    assert similarity.compare_texts("w1", short, "", "", 40).groups == ()


def test_how_many_were_compared_is_told_truly():
    cells = {"a": code(GIVEN, LEAKED), "b": code(GIVEN), "c": code(GIVEN, own_work(1))}
    assert similarity.compare_code(cells, FUNCTIONS, GIVEN, "", 3).compared == 2


@pytest.mark.parametrize("piece", ["'\\", '"""', "'''", "(", "'", "\\\n", "a.", "0x", "f'"])
def test_no_code_is_scanned_again_and_again(piece):
    times = similarity.LONGEST // len(piece)  # what takes the square of its length does not end
    assert similarity.lines_of(piece * times + "end")


def test_layout_says_nothing():
    wide = "f(a, b, c)\nx = [1, 2]\n"
    tall = "f(\n    a,  # first\n    b,\n    c,\n)\nx = [\n    1,\n    2,\n]\n"
    plain = [[line.tokens for line in similarity.lines_of(text) if not line.comment] for text in (wide, tall)]
    assert plain[0] == plain[1]
