"""Written answers are found wherever people write them, and the marker is told where that was."""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import Any

import pytest

from autograder import masters
from autograder.grade.intake import answers
from autograder.grade.intake.apart import course, to_html
from autograder.grade.intake.notebook import read
from helpers.parts import PARTS

BUILT = json.loads((masters.SOLUTIONS.parent / "notebooks" / f"{PARTS[2]}.ipynb").read_text(encoding="utf-8"))
TEXT = "The gradient of the log-prob is weighted by the reward; **that** is the whole trick."
OTHER = "And the baseline does not change its expectation, only its variance."
ODD = "The grader found this"
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(300)).decode()


def cell(text: str, kind: str = "markdown", **more: Any) -> dict[str, Any]:
    """A cell of a student's own."""
    return {"cell_type": kind, "metadata": {}, "source": text, **more}


def handed_in(change: Any, part: dict[str, Any] | None = None) -> dict[str, str]:
    """The answers in the handed-out notebook after a student's change: it takes the cells and the answer cell's place."""
    content = copy.deepcopy(part or BUILT)
    cells = content["cells"]
    at = next(i for i, c in enumerate(cells) if c.get("id") == "w2_1-answer")
    change(cells, at)
    return read(json.dumps(content).encode(), course())["written"]


def without_ids(cells: list[dict[str, Any]]) -> None:
    """As programs write it that know no ids."""
    for one in cells:
        one.pop("id", None)
        one["metadata"] = {}


@pytest.mark.parametrize("part", PARTS)
def test_the_notebook_as_handed_out_has_no_answer(part: int) -> None:
    content = json.loads((masters.SOLUTIONS.parent / "notebooks" / f"{PARTS[part]}.ipynb").read_text(encoding="utf-8"))
    for ids in (True, False):
        if not ids:
            without_ids(content["cells"])
        written = read(json.dumps(content).encode(), course())["written"]
        assert written
        assert not any(written.values()), written


def in_place(cells: list[dict[str, Any]], at: int) -> None:
    cells[at]["source"] = TEXT


def below_the_placeholder(cells: list[dict[str, Any]], at: int) -> None:
    cells[at]["source"] = [
        cells[at]["source"][0] if isinstance(cells[at]["source"], list) else cells[at]["source"],
        "\n\n",
        TEXT,
    ]


def without_any_ids(cells: list[dict[str, Any]], at: int) -> None:
    in_place(cells, at)
    without_ids(cells)


@pytest.mark.parametrize("change", [in_place, below_the_placeholder, without_any_ids])
def test_in_its_place(change: Any) -> None:
    written = handed_in(change)
    assert written.pop("w2_1") == TEXT
    assert not any(written.values())


def below(cells: list[dict[str, Any]], at: int) -> None:
    cells.insert(at + 1, cell(TEXT))


def between(cells: list[dict[str, Any]], at: int) -> None:
    cells.insert(at, cell(TEXT))


def above(cells: list[dict[str, Any]], at: int) -> None:
    cells.insert(at - 1, cell(TEXT))


def in_the_prompt(cells: list[dict[str, Any]], at: int) -> None:
    cells[at - 1]["source"] = "".join(cells[at - 1]["source"]) + "\n\n" + TEXT


def turned_into_code(cells: list[dict[str, Any]], at: int) -> None:
    cells[at] |= {"cell_type": "code", "source": TEXT}


def turned_into_raw(cells: list[dict[str, Any]], at: int) -> None:
    cells[at] |= {"cell_type": "raw", "source": TEXT}


def as_a_comment(cells: list[dict[str, Any]], at: int) -> None:
    cells.insert(at + 1, cell(f"# {TEXT}", "code"))


def as_a_text_in_code(cells: list[dict[str, Any]], at: int) -> None:
    cells.insert(at + 1, cell(f'"""{TEXT}"""', "code"))


def a_new_cell_for_the_old(cells: list[dict[str, Any]], at: int) -> None:
    cells[at] = cell(TEXT)


def at_the_end(cells: list[dict[str, Any]], at: int) -> None:
    cells.append(cell(f"## My answer to 2.A\n\n{TEXT}"))


def below_and_without_ids(cells: list[dict[str, Any]], at: int) -> None:
    cells.insert(at + 1, cell(TEXT))
    without_ids(cells)


def code_and_without_ids(cells: list[dict[str, Any]], at: int) -> None:
    turned_into_code(cells, at)
    without_ids(cells)


def all_question_cells_deleted(cells: list[dict[str, Any]], at: int) -> None:
    del cells[at - 1 : at + 1]
    cells.insert(3, cell(TEXT))


@pytest.mark.parametrize(
    "change",
    [
        below, between, above, in_the_prompt, turned_into_code, turned_into_raw, as_a_comment, as_a_text_in_code,
        a_new_cell_for_the_old, at_the_end, below_and_without_ids, code_and_without_ids, all_question_cells_deleted,
    ],
)  # fmt: skip
def test_anywhere_else_it_is_found(change: Any) -> None:
    assert TEXT in handed_in(change)["w2_1"]


@pytest.mark.parametrize("change", [below, above, as_a_comment, at_the_end])
def test_the_marker_is_told_where(change: Any) -> None:
    assert handed_in(change)["w2_1"].startswith(f"_({ODD}")


def test_an_answer_in_two_cells_is_whole() -> None:
    def split(cells: list[dict[str, Any]], at: int) -> None:
        cells[at]["source"] = TEXT
        cells.insert(at + 1, cell(OTHER))
        cells.insert(at + 2, cell("A third part.", "raw"))

    written = handed_in(split)
    assert all(text in written["w2_1"] for text in (TEXT, OTHER, "A third part."))
    assert not written["w2_2"]


def test_one_answer_is_not_anothers() -> None:
    def both(cells: list[dict[str, Any]], at: int) -> None:
        cells.insert(at + 1, cell(TEXT))
        second = next(i for i, c in enumerate(cells) if c.get("id") == "w2_2-answer")
        cells.insert(second + 1, cell(OTHER))

    written = handed_in(both)
    assert TEXT in written["w2_1"]
    assert OTHER not in written["w2_1"]
    assert OTHER in written["w2_2"]
    assert TEXT not in written["w2_2"]


@pytest.mark.parametrize("pasted", ["attached", "in the text"])
def test_pictures_are_shown(pasted: str) -> None:
    def change(cells: list[dict[str, Any]], at: int) -> None:
        if pasted == "attached":
            cells[at]["source"] = f"{TEXT}\n\n![mine](attachment:image.png) ![gone](attachment:gone.png)"
            cells[at]["attachments"] = {"image.png": {"image/png": PICTURE}}
        else:
            cells[at]["source"] = f"{TEXT}\n\n![mine](data:image/png;base64,{PICTURE})"

    page = to_html(handed_in(change)["w2_1"])
    assert f'<img src="data:image/png;base64,{PICTURE}" alt="mine"' in page
    assert page.count("<img") == 1


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("image/svg+xml", "PHN2Zz4="), ("text/html", "PGI+"), ("image/png", "not base64!"), ("image/png", "PGI+"),
        ("image/png", base64.b64encode(b"\x89PNG" + bytes(2 << 20)).decode()), ("image/png", {"a": 1}), ("image/png", [1, None]),
    ],
    ids=["svg", "page", "no base64", "no picture", "too large", "table", "list"],  # a name of megabytes fills the environment
)  # fmt: skip
def test_what_is_no_picture_is_not(kind: str, content: Any) -> None:
    def change(cells: list[dict[str, Any]], at: int) -> None:
        cells[at]["source"] = (
            f"{TEXT} ![a](attachment:x) ![b](https://example.org/x.png) <img src=x> ![c](javascript:x)"
        )
        cells[at]["attachments"] = {"x": {kind: content}}

    written = handed_in(change)["w2_1"]
    assert "[a picture," in written
    page = to_html(written)
    assert "<img" not in page
    assert "<a " not in page


def test_long_answers_and_many_pictures_are_bounded() -> None:
    def change(cells: list[dict[str, Any]], at: int) -> None:
        cells[at]["source"] = "x" * 100_000 + f" ![a](data:image/png;base64,{PICTURE})" * 50

    written = handed_in(change)["w2_1"]
    assert len(written) < answers.LONGEST + 200
    assert "101,625 characters" in written


def test_markdown_that_takes_too_long_is_shown_as_text() -> None:
    assert "&lt;b&gt;" in to_html("<b>" + "*a_" * 6000 + "[" * 3000)
    assert to_html("**a**") == "<p><strong>a</strong></p>\n", "the next is rendered as ever"


def test_nbgraders_ids(tmp_path: Path) -> None:
    def change(cells: list[dict[str, Any]], at: int) -> None:
        without_ids(cells)
        cells[at] = cell(TEXT, metadata={"nbgrader": {"grade_id": "w2_1-answer", "solution": True}})

    assert handed_in(change)["w2_1"] == TEXT
