"""Printed pages: formulas as they were meant, in the page and on paper; code that fits; room to answer; figures kept together."""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from autograder.publish import paper
from autograder.publish.page import PrintError, Sheet, markdown, page_html, to_pdf
from autograder.rehearse.doctor import find_chromium
from helpers.parts import ANSWER_PLACEHOLDER, PARTS

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
BAR = "  0%|          | 0/9 [00:00<?, ?it/s]\r 55%|#####     | 5/9 [00:01<00:01, 4.8it/s]"
LONG = f"values = [{', '.join(f'number_{n:02}' for n in range(9))}]"[:120].ljust(120, "]")


def sample() -> nbformat.NotebookNode:
    """A small notebook with one of everything that a formula or a page can hold."""
    code = new_code_cell(LONG + "\nshow()")
    code.outputs = [
        new_output("stream", name="stderr", text=BAR),
        new_output("stream", name="stdout", text="step 1\rstep 2\nall: 100%|###| 9/9 [00:01]\n"),
        new_output("display_data", data={"text/markdown": "output $\\frac{P}{Q}$"}),
        new_output("display_data", data={"text/latex": "$$\\frac{R}{S}$$"}),
        new_output("display_data", data={paper.WIDGET: {"model_id": "1"}, "text/plain": "Slider(value=1)"}),
        new_output("display_data", data={"text/html": f'<img src="data:image/png;base64,{PIXEL}" alt="a dot">'}),
    ]
    answer, more = new_markdown_cell(ANSWER_PLACEHOLDER), new_markdown_cell(ANSWER_PLACEHOLDER)
    answer.id, more.id = "w9_1-answer", "w9_2-answer"
    return new_notebook(
        cells=[
            new_markdown_cell("# Title\n\nInline $\\frac{1}{B}$ and $x^7$, $a^*$ and $b^*$."),
            new_markdown_cell("It costs $5 and $6.\n\n`$y$` stays."),
            new_markdown_cell("| word | formula |\n| --- | --- |\n| cell | $\\pi_\\theta(a \\mid s)$ |\n\n- item $\\frac{C}{D}$"),
            new_markdown_cell(
                "## Section\n\n$$\\sum_{k=3}^{K} \\frac{E}{F}$$\n\n\\begin{align}u &= \\text{mask}_{b} \\\\ v &= 2\\end{align}"
            ),
            new_markdown_cell("$$\\begin{pmatrix} G & H \\\\ M & N \\end{pmatrix}$$"),
            new_markdown_cell("<details><summary>Answer</summary>\n\nfolded $\\frac{T}{U}$\n\n</details>"),
            code,
            answer,
            more,
        ]
    )  # fmt: skip


def formulas_in(page: str) -> list[str]:
    return [" ".join(unescape(found).split()) for found in re.findall(r'class="math[^"]*">([^<]*)<', page)]


def test_every_formula_of_a_page_is_whole() -> None:
    """An earlier converter closed each inline tag apart, so that `1/B` was printed as `1B`."""
    page = paper.to_html(paper.prepare(sample(), "student"), "Title")
    assert formulas_in(page) == [
        r"\frac{1}{B}", "x^7", "a^*", "b^*", r"\pi_\theta(a \mid s)", r"\frac{C}{D}", r"\sum_{k=3}^{K} \frac{E}{F}",
        r"\begin{align}u &= \text{mask}_{b} \\ v &= 2\end{align}", r"\begin{pmatrix} G & H \\ M & N \end{pmatrix}",
        r"\frac{T}{U}", r"\frac{P}{Q}", r"\frac{R}{S}",
    ]  # fmt: skip
    assert "costs $5 and $6" in page
    assert "<code>$y$</code>" in page


@pytest.mark.parametrize("kind", paper.KINDS)
@pytest.mark.parametrize("part", PARTS)
def test_every_formula_of_the_course_is_read_as_one(part: int, kind: str) -> None:
    """All that stands between dollar signs in a notebook, sample answers and rubrics included; and no dollar sign is left."""
    path = paper.ROOT / {"student": "notebooks", "solution": "solutions"}[kind] / f"{PARTS[part]}.ipynb"
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    written = [re.sub(r"^```.*?^```|`[^`]*`", "", text, flags=re.MULTILINE | re.DOTALL) for text in cells]
    found = [markdown().render(text) for text in cells]
    counts = [len(re.findall(r"\$\$.+?\$\$|\$[^$]+?\$", text, re.DOTALL)) for text in written]
    assert [len(formulas_in(page)) for page in found] == counts
    assert sum(counts) > 20
    assert "$" not in re.sub(r"<(code|pre)\b.*?</\1>|<[^>]*>", "", "".join(found), flags=re.DOTALL)


def test_a_page_fetches_nothing() -> None:
    page = paper.to_html(paper.prepare(sample(), "student"), "Title")
    assert not re.search(r"<(script|link|img)[^>]+https?:|url\((?!data:)", page.replace("http://www.w3.org", ""))


def test_of_the_outputs_only_what_paper_can_show_is_printed() -> None:
    """Of 52 pages of Part 2 with solutions, nine were progress bars."""
    (code,) = (c for c in paper.prepare(sample(), "student").cells if c.cell_type == "code")
    assert [o.output_type for o in code.outputs] == ["stream", *["display_data"] * 3]
    assert code.outputs[0].text == "step 2\n"


def test_the_more_points_the_more_room() -> None:
    page = paper.to_html(paper.prepare(sample(), "student", {"w9_1": 2.0, "w9_2": 4.0}), "Title")
    two, four = (float(height) for height in re.findall(r'class="written-answer" style="min-height:(\d+)mm', page))
    assert four == 2 * two
    assert "written-answer" not in paper.to_html(paper.prepare(sample(), "solution"), "T").split("<body>")[1]


# --- on paper -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    """A word on a sheet; lengths in points, from the top left."""

    sheet: int
    text: str
    left: float
    top: float
    right: float
    bottom: float


def words_of(pdf: Path) -> list[Word]:
    found = subprocess.run(["pdftotext", "-bbox", pdf, "-"], capture_output=True, text=True, check=True).stdout
    root = ElementTree.fromstring(re.sub(r'<!DOCTYPE.*?>|xmlns="[^"]*"', "", found, flags=re.DOTALL))
    return [
        Word(number, word.text or "", *(float(word.attrib[name]) for name in ("xMin", "yMin", "xMax", "yMax")))
        for number, page in enumerate(root.iter("page"))
        for word in page.iter("word")
    ]


@pytest.fixture(scope="module", params=["A4", "Letter"])
def printed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("print")
    text = paper.to_html(paper.prepare(sample(), "student", {"w9_1": 2.0, "w9_2": 4.0}), "Title")
    page = paper.write_page(folder / "page.html", text)
    to_pdf(page, folder / "page.pdf", find_chromium() or "", Sheet(request.param, "The course", "The part"))
    return folder / "page.pdf"


@pytest.mark.browser
@pytest.mark.poppler
def test_fractions_and_raised_letters_stand_where_they_belong(printed: Path) -> None:
    """Read back from the PDF: a numerator is above its denominator, an exponent above its base, in every kind of place."""
    words = words_of(printed)

    def heights(text: str) -> list[float]:
        return [(word.top + word.bottom) / 2 for word in words if word.text.strip("​,.") == text]

    for above, below in ["1B", "CD", "EF", "TU", "PQ", "RS", "GM", "HN", ("K", "k=3")]:
        assert any(2 < low - high < 30 for high in heights(above) for low in heights(below)), (above, below, words)
    (seven,) = heights("7") or heights("x7")
    assert any(1 < base - seven < 8 for base in heights("x")), "the exponent"


@pytest.mark.browser
@pytest.mark.poppler
def test_a_sheet_has_its_header_number_bookmarks_and_size(printed: Path, request: pytest.FixtureRequest) -> None:
    facts = subprocess.run(["pdfinfo", printed], capture_output=True, text=True, check=True).stdout
    size = request.node.callspec.params["printed"]
    assert re.search(r"Tagged:\s+yes", facts)
    assert {"A4": "595.", "Letter": "612 x 792"}[size] in facts
    assert re.search(rb"/Title \(Section\)[^>]*/Parent", printed.read_bytes()), "a bookmark"
    first = " ".join(word.text for word in words_of(printed) if word.sheet == 0)
    assert "The course The part" in first
    assert re.search(r"1 / \d", first)
    assert "folded" in first, "a fold is printed open"
    assert "55%" not in first


@pytest.mark.browser
@pytest.mark.poppler
def test_a_line_of_120_characters_is_not_broken(printed: Path) -> None:
    words = words_of(printed)
    (begin,) = (word for word in words if word.text == "values")
    line = "".join(word.text for word in words if abs(word.top - begin.top) < 1 and word.sheet == begin.sheet)
    assert line == LONG.replace(" ", "")


@pytest.mark.browser
@pytest.mark.poppler
def test_a_formula_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    page = paper.write_page(tmp_path / "page.html", page_html("T", markdown().render("$\\frac{$"), ["print"]))
    with pytest.raises(PrintError, match="formulas that cannot be read"):
        to_pdf(page, tmp_path / "page.pdf", find_chromium() or "")


@pytest.mark.browser
@pytest.mark.poppler
def test_an_exercises_heading_is_never_the_last_line_of_a_sheet(tmp_path: Path) -> None:
    """It stands on the sheet of what is to be written, wherever sheets happen to end."""
    cells = []
    for number in range(60):
        cells.append(new_markdown_cell("\n\n".join(f"filler {line}" for line in range(1 + number % 7))))
        cells.append(new_markdown_cell(f"**Exercise{number}** (3 points)\n\nWrite{number} a function."))
        cells[-1].id = f"q9_{number}-text"
    page = paper.write_page(
        tmp_path / "page.html", paper.to_html(paper.prepare(new_notebook(cells=cells), "student"), "T")
    )
    to_pdf(page, tmp_path / "page.pdf", find_chromium() or "", Sheet("A4", "C", "P"))
    sheets = {word.text: word.sheet for word in words_of(tmp_path / "page.pdf")}
    assert sheets["Exercise59"] > 5
    assert [n for n in range(60) if sheets[f"Exercise{n}"] != sheets[f"Write{n}"]] == []
