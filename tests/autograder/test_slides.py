"""Slides: chosen by rule, without answers, complete in their formulas and exercises; nothing runs over a slide."""

from __future__ import annotations

import re
import subprocess
from html import unescape
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import sync_playwright

from autograder import masters
from autograder.publish import paper
from autograder.publish.page import Sheet
from autograder.publish.slides import ROOM, Item, in_slides, slides_html
from autograder.rehearse.doctor import find_chromium
from helpers.parts import PARTS

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def slides_of(part: int) -> str:
    notebook = nbformat.read(paper.ROOT / "solutions" / f"{PARTS[part]}.ipynb", as_version=4)
    return slides_html(notebook, masters.read_title(masters.master_path(part))).split("<main>")[1].split("</main>")[0]


@pytest.mark.parametrize("part", PARTS)
def test_a_parts_slides_hold_its_sections_formulas_and_exercises_and_no_answer(part: int) -> None:
    notebook = nbformat.read(paper.ROOT / "notebooks" / f"{PARTS[part]}.ipynb", as_version=4)
    texts = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    text = re.sub(r"<details>.*?</details>", "", "\n\n".join(texts), flags=re.DOTALL)
    slides = slides_of(part)
    assert slides.count('<div class="math block">') == len(re.findall(r"\$\$.+?\$\$", text, re.DOTALL))
    for number in re.findall(r"^## (\d\.\d+) ", text, re.MULTILINE):
        assert f"<h2>{number} " in slides
    questions = masters.load_questions(part)
    for question in questions:
        if question.function:
            assert len(re.findall(rf'<span class="nf">{question.function}</span>', slides)) == 1
    assert "Rubric" not in slides
    assert "Sample answer" not in slides
    assert "<details" not in slides
    said = "".join(unescape(re.sub(r"<[^>]*>", "", slides)).split())
    answers = [" ".join(question.solution.splitlines()[-3:]) for question in questions if question.function]
    assert not [line for line in answers if "".join(line.split()) in said]
    assert 15 < slides.count('<section class="slide') < 70
    prose = re.findall(r"<(?:p|li)>(.*?)</(?:p|li)>", slides, re.DOTALL)
    plain = [re.sub(r"<code>.*?</code>|<span class=.math.*?</span>|<[^>]*>|π\*", "", said) for said in prose]
    assert plain
    assert not [said for said in plain if "*" in said], "the other half of this mark was cut off"


def test_a_heading_with_nothing_below_is_left_out_and_what_belongs_together_stays() -> None:
    long = Item("s", "<p>long</p>", ROOM - 1)
    head, lead, formula = (
        Item("s", "<h3>a</h3>", 1, True),
        Item("s", "<p>so</p>", 1, True),
        Item("s", "<div>x</div>", 1),
    )
    assert list(in_slides([long, head, lead, formula])) == ["<p>long</p>", "<h3>a</h3>\n<p>so</p>\n<div>x</div>"]
    assert list(in_slides([head, Item("s", "<h3>b</h3>", 1, True), formula])) == ["<h3>b</h3>\n<div>x</div>"]


@pytest.mark.browser
@pytest.mark.poppler
def test_nothing_runs_over_a_slide(tmp_path: Path) -> None:
    """The letters of a slide that is too full become smaller."""
    rows = "\n".join(f"| {n} | {'word ' * 20} |" for n in range(16))
    figure = new_code_cell("# A picture.")
    figure.outputs = [
        new_output("display_data", data={"text/html": f'<img src="data:image/png;base64,{PIXEL}" alt="">'})
    ]
    notebook = new_notebook(
        cells=[
            new_markdown_cell(f"# T\n\n## 1.1 Full\n\n| a | b |\n| --- | --- |\n{rows}"),
            figure,
            new_markdown_cell("## 1.2 Formula\n\nIt is\n\n$$\\frac{1}{2}$$"),
        ]
    )
    page = paper.write_page(tmp_path / "slides.html", slides_html(notebook, "T"))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        view = chromium.new_page()
        view.goto(page.as_uri())
        over = view.eval_on_selector_all(".slide", "found => found.filter(e => e.scrollHeight > e.clientHeight).length")
        assert view.locator(".slide").count() == 4
        assert view.locator(".katex-error").count() == 0
        assert view.locator(".katex").count() == 1
        assert over == 0
    pdf = paper.pdf_beside(page, Sheet(None))
    facts = subprocess.run(["pdfinfo", str(pdf)], capture_output=True, text=True, check=True).stdout
    assert re.search(r"^Pages:\s+4$", facts, re.MULTILINE)
