"""What an instructor chooses in `course.toml`: optional sections left out of every form, and the preset."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder import chosen, masters
from autograder.chosen import NOT_HERE, Chosen, optional_sections
from autograder.masters import Cell
from autograder.publish.compose import nodes_of, otter_master
from autograder.publish.settings import Course
from helpers.notebook.selection import names_in
from helpers.parts import PARTS

COURSE = Course("A course", "https://github.com/x/y", "v1")


def cells(part: int) -> list[Cell]:
    return masters.read_all_cells(masters.master_path(part))


def sections(part: int) -> list[str]:
    return optional_sections([cell.source for cell in cells(part) if cell.kind == "markdown"])


EVERY = [(part, section) for part in PARTS for section in sections(part)]


def choose(monkeypatch: pytest.MonkeyPatch, folder: Path, line: str) -> None:
    (folder / "course.toml").write_text(f"[course]\n{line}\n", encoding="utf-8")
    monkeypatch.setattr(chosen, "SETTINGS", folder / "course.toml")


@pytest.mark.parametrize(("part", "section"), EVERY)
def test_nothing_needs_an_optional_section(part: int, section: str) -> None:
    """A name that only a left-out section defines is looked up by no cell that stays."""
    every, stay = cells(part), masters.read_cells(masters.master_path(part), Chosen(leave_out=frozenset([section])))
    code = [[cell.source for cell in found if cell.kind == "code" and cell.role != "test"] for found in (every, stay)]
    assert len(code[1]) < len(code[0])
    bound = [set().union(*(names_in(compile(source, "cell", "exec"))[0] for source in found)) for found in code]
    needed = set().union(*(names_in(compile(source, "cell", "exec"))[1] for source in code[1]))
    assert not needed & (bound[0] - bound[1])


@pytest.mark.parametrize(("part", "section"), EVERY)
def test_a_left_out_section_keeps_its_heading_and_loses_the_rest(
    part: int, section: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Exercises, points, minutes and code go, in what is read and in what otter gets; the table of sections says so."""
    before = masters.load_questions(part)
    choose(monkeypatch, tmp_path, f'leave_out = ["{section}"]')
    after = masters.load_questions(part)
    read = masters.read_cells(masters.master_path(part))
    (place,) = [n for n, cell in enumerate(read) if NOT_HERE in cell.source]
    assert read[place].source.startswith(f"## {section} Optional")
    following = read[place + 1 :]
    assert not following or "\n## " in f"\n{following[0].source}", "all up to the next heading goes"
    gone = {question.name for question in before} - {question.name for question in after}
    assert gone == {cell.question for cell in cells(part)} - {cell.question for cell in read}
    assert bool(gone) == (section in ("3.8", "4.9"))
    first = nodes_of(read, {question.name: question for question in after})[0].source
    rows = [line for line in first.splitlines() if line.startswith(f"| {section} |")]
    assert rows == [f"| {section} | left out of your course | – |"], "no minutes for what is not there"
    made = otter_master(masters.master_path(part), part, COURSE)
    assert not [name for name in gone if f'name: "{name}"' in str(made.cells) or f"name: {name}" in str(made.cells)]


def test_only_optional_sections_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`load_course` refuses such a setting; a grader that reads it all the same grades every question."""
    before = masters.load_questions(2)
    choose(monkeypatch, tmp_path, 'leave_out = ["2.1", "2", "9.9"]')
    assert masters.load_questions(2) == before
    choose(monkeypatch, tmp_path, "leave_out = 3")
    assert masters.load_questions(2) == before


@pytest.mark.parametrize("part", PARTS)
def test_the_preset_is_written_into_every_notebook(part: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Once a notebook, where `auto` stood; the solution of `course.toml`'s own preset stays as it is."""
    choose(monkeypatch, tmp_path, 'preset = "tiny"')
    code = [cell.source for cell in masters.read_cells(masters.master_path(part)) if cell.kind == "code"]
    assert sum('preset = choose_preset("tiny")' in source for source in code) == 1
    assert not any('choose_preset("auto")' in source for source in code)


def test_models_of_ones_own_are_written_into_every_notebook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    choose(monkeypatch, tmp_path, 'policy = "owner/name@v1"\nlearning_rate = 3e-5')
    code = [cell.source for cell in masters.read_cells(masters.master_path(1)) if cell.kind == "code"]
    assert (
        sum('preset = choose_preset("auto", policy="owner/name@v1", learning_rate=3e-05)' in source for source in code)
        == 1
    )
