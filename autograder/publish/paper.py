"""`course print`: every part as a printable page and, where there is a browser, as a PDF; offline and without LaTeX."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat import NotebookNode

from autograder import masters
from autograder.publish.cheat_sheet import sheet_html
from autograder.publish.page import COMPUTER_ONLY, Sheet, code_html, markdown, page_html, to_pdf
from autograder.publish.settings import load_course
from autograder.publish.slides import slides_html
from autograder.rehearse.doctor import find_chromium
from autograder.rehearse.run import executed_path
from helpers.parts import ANSWER_PLACEHOLDER, PARTS, ROOT

PAGES = ROOT / "build" / "print"
KINDS = ("student", "solution")
ROOM = 23  # mm to write in, for each point of a written question
POINTS = 2.0  # of a question that the master does not know
SHORT = 15  # lines of code that are kept on one sheet
BAR = re.compile(r"^.*\d%\|.*\n?", re.MULTILINE)  # what a progress bar leaves
WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True)
class PrintedPart:
    """What was written for one part (0: for all of them): the page, and the PDF if there was a browser."""

    part: int
    kind: str
    html: Path
    pdf: Path | None


def prepare(notebook: NotebookNode, kind: str, points: dict[str, float] | None = None) -> NotebookNode:
    """A notebook for printing: room to write where a student's answer goes, and of the outputs what can be read on paper.

    Args:
        notebook: changed in place.
        kind: "student" or "solution".
        points: of each written question, by its name: the more points, the more room.
    """
    notebook.cells = [cell for cell in notebook.cells if not cell.id.startswith(COMPUTER_ONLY)]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _only_on_a_screen(output)]
            for output in cell.outputs:
                _latex_as_markdown(output)
            CoalesceStreamsPreprocessor().preprocess_cell(cell, {}, 0)
            for output in cell.outputs:
                if "text" in output:
                    output.text = BAR.sub("", output.text)
        elif kind == "student" and cell.source.strip().startswith(ANSWER_PLACEHOLDER):
            room = ROOM * (points or {}).get(cell.id.removesuffix("-answer"), POINTS)
            cell.source = f'<div class="written-answer" style="min-height:{room:g}mm">Your answer</div>'
    return notebook


def _only_on_a_screen(output: NotebookNode) -> bool:
    """Progress bars and warnings (they are written to stderr), and widgets."""
    return output.get("name") == "stderr" or WIDGET in output.get("data", {})


def _latex_as_markdown(output: NotebookNode) -> None:
    data = output.get("data", {})
    if "text/latex" in data:
        data["text/markdown"] = data.pop("text/latex")


def to_html(notebook: NotebookNode, title: str) -> str:
    """A prepared notebook as one self-contained page."""
    exporter = HTMLExporter(
        template_name="basic",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        filters={"markdown2html": markdown().render, "highlight_code": code_html},
    )
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.count("\n") < SHORT:
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "short"]
    body, _ = exporter.from_notebook_node(notebook)
    return page_html(title, body, ["print"])


def source_of(part: int, kind: str) -> Path:
    """The notebook that is printed; with solutions it is the one with the outputs of the last `course run`, if there was one.

    Raises:
        FileNotFoundError: if the notebook is not built.
    """
    name = PARTS[part]
    sources = {
        "student": [ROOT / "notebooks" / f"{name}.ipynb"],
        "solution": [executed_path(part), ROOT / "solutions" / f"{name}.ipynb"],
    }
    source = next((path for path in sources[kind] if path.exists()), None)
    if source is None:
        raise FileNotFoundError(f"{name} is not built yet: run `course build` first")
    return source


def print_course(
    parts: Sequence[int], folder: Path | None, *, slides: bool, sheet: bool, pdf: bool, size: str
) -> Iterator[Path]:
    """Write the pages of some parts, or in their place slides, or the sheet of formulas.

    Args:
        folder: `build/print` unless it is given.

    Yields:
        each PDF when it is made; each page where there is no browser.

    Raises:
        FileNotFoundError: if a notebook is not built.
        PrintError: if a PDF cannot be made.
    """
    folder = folder or PAGES
    made: Iterator[PrintedPart]
    if slides or sheet:
        made = itertools.chain(
            (print_slides(part, folder, pdf=pdf) for part in parts if slides),
            (print_formulas(folder, pdf=pdf, size=size) for _ in range(sheet)),
        )
    else:
        made = (print_part(part, kind, folder, pdf=pdf, size=size) for part in parts for kind in KINDS)
    yield from (page.pdf or page.html for page in made)


def print_part(part: int, kind: str, folder: Path = PAGES, *, pdf: bool = True, size: str = "A4") -> PrintedPart:
    """Write a part's page, for students or with solutions.

    Args:
        size: of the PDF's sheets, "A4" or "Letter".

    Raises:
        FileNotFoundError: if the notebook is not built.
        PrintError: if the PDF cannot be made.
    """
    notebook = nbformat.read(source_of(part, kind), as_version=4)
    title = masters.read_title(masters.master_path(part))
    points = {question.name: question.points for question in masters.load_questions(part)}
    heading = title + (" · with solutions" if kind == "solution" else "")
    page = write_page(folder / f"{PARTS[part]}-{kind}.html", to_html(prepare(notebook, kind, points), heading))
    sheet = Sheet(size, load_course().title, heading)
    return PrintedPart(part, kind, page, pdf_beside(page, sheet) if pdf else None)


def print_slides(part: int, folder: Path = PAGES, *, pdf: bool = True) -> PrintedPart:
    """Write a part's slides; they have figures if the part was run.

    Raises:
        FileNotFoundError: if the notebook is not built.
        PrintError: if the PDF cannot be made.
    """
    text = slides_html(
        nbformat.read(source_of(part, "solution"), as_version=4), masters.read_title(masters.master_path(part))
    )
    page = write_page(folder / f"{PARTS[part]}-slides.html", text)
    return PrintedPart(part, "slides", page, pdf_beside(page, Sheet(None)) if pdf else None)


def print_formulas(folder: Path = PAGES, *, pdf: bool = True, size: str = "A4") -> PrintedPart:
    """Write the sheet of formulas of all parts.

    Raises:
        PrintError: if the PDF cannot be made.
    """
    page = write_page(folder / "formulas.html", sheet_html())
    return PrintedPart(0, "formulas", page, pdf_beside(page, Sheet(size, across=True)) if pdf else None)


def write_page(page: Path, text: str) -> Path:
    """Write a page; its folder is made."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")
    return page


def pdf_beside(page: Path, sheet: Sheet) -> Path | None:
    """The PDF of a page, beside it; None where there is no browser."""
    browser = find_chromium()
    if browser is None:
        return None
    target = page.with_suffix(".pdf")
    to_pdf(page, target, browser, sheet)
    return target
