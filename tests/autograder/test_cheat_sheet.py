"""The page of formulas: complete, as in the notebooks, with shapes that the references take; and it fits one sheet."""

from __future__ import annotations

import re
import subprocess
from html import unescape
from pathlib import Path

import nbformat
import pytest
import torch

from autograder import masters
from autograder.publish import cheat_sheet, paper
from autograder.publish.page import Sheet, markdown
from autograder.reference.spec import load_registry
from helpers.parts import PARTS

ROWS = cheat_sheet.rows_of(cheat_sheet.FORMULAS.read_text(encoding="utf-8"))


def plain(formula: str) -> str:
    """A formula without blanks; a table of Markdown needs other words for its bars."""
    return re.sub(r"\s", "", unescape(formula).replace(r"\Vert", r"\|").replace(r"\vert", "|"))


@pytest.mark.parametrize("part", PARTS)
def test_every_function_has_a_row_in_the_order_of_the_notebook(part: int) -> None:
    """Those without arguments are answers to questions; they have no formula."""
    questions = [question for question in masters.load_questions(part) if question.function]
    functions = [q.function for q in questions if not cheat_sheet.shapes_of(q).startswith(" →")]
    assert [name.strip("`") for name, _ in ROWS[part] if name.startswith("`")] == functions


@pytest.mark.parametrize("part", PARTS)
def test_every_formula_stands_in_the_students_notebook(part: int) -> None:
    """So the page says nothing else than the notebook, and gives nothing away."""
    notebook = nbformat.read(paper.ROOT / "notebooks" / f"{PARTS[part]}.ipynb", as_version=4)
    texts = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    known = plain(texts)
    missing = [
        formula
        for _, text in ROWS[part]
        for formula in re.findall(r'class="math[^"]*">([^<]*)<', markdown().renderInline(text))
        if plain(formula) not in known
    ]
    assert not missing


@pytest.mark.parametrize("part", PARTS)
def test_the_shapes_have_as_many_axes_as_what_the_references_are_asked(part: int) -> None:
    registry, seen = load_registry(), 0
    for question in masters.load_questions(part):
        spec = registry.get(question.function or "")
        if spec is None:
            continue
        taken = cheat_sheet.shapes_of(question).split(" → ")[0]
        axes = {name: shape.count(",") + 1 for name, shape in re.findall(r"(\w+) \[([^\]]+)\]", taken)}
        case = spec.cases(torch.Generator().manual_seed(0))[0]
        given = {name: value.ndim for name, value in case.inputs.items() if isinstance(value, torch.Tensor)}
        assert {name: given[name] for name in axes if name in given} == {n: axes[n] for n in axes if n in given}
        assert set(given) <= set(axes), question.function
        seen += len(given)
    assert seen > 4


@pytest.mark.browser
@pytest.mark.poppler
@pytest.mark.parametrize("size", ["A4", "Letter"])
def test_the_formulas_fit_one_sheet(size: str, tmp_path: Path) -> None:
    page = paper.write_page(tmp_path / "sheet.html", cheat_sheet.sheet_html())
    pdf = paper.pdf_beside(page, Sheet(size, across=True))
    facts = subprocess.run(["pdfinfo", str(pdf)], capture_output=True, text=True, check=True).stdout
    assert re.search(r"^Pages:\s+1$", facts, re.MULTILINE)


def test_a_function_that_no_exercise_asks_for_is_told(tmp_path: Path) -> None:
    page = tmp_path / "formulas.md"
    page.write_text("## Part 1\n\n| what | formula |\n| --- | --- |\n| `sotfmax` | $p$ |\n")
    with pytest.raises(ValueError, match="no exercise of Part 1 asks for `sotfmax`"):
        cheat_sheet.sheet_html(page)
