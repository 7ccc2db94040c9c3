"""The report page of a run: a table of the parts, and the plots of the executed notebooks, in one file that needs nothing."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from autograder import masters
from autograder.grade.results.pages import render
from helpers.parts import ROOT

from .check import Marks, count_points
from .run import Execution

REPORT = ROOT / "build" / "report.html"
IMAGE = re.compile(r"<img\b[^>]*?src=\"(data:image/[^\"]+)\"[^>]*>", re.IGNORECASE | re.DOTALL)
ALT = re.compile(r'\balt="([^"]*)"')


class Picture(NamedTuple):
    """A picture in a notebook's outputs: the heading above it, the alternative text, the data URL."""

    heading: str
    alt: str
    source: str


@dataclass(frozen=True)
class Row:
    """One part in the table."""

    part: int
    title: str
    questions: int
    automatic: float
    manual: float
    run: Execution | None
    marks: list[Marks]

    @property
    def good(self) -> bool:
        """Whether the part's run did not fail and no grader gave the wrong points; what was not done is no fault."""
        return (self.run is None or self.run.ok) and all(marks.ok for marks in self.marks)

    def figures(self) -> list[Picture]:
        """The pictures of the executed notebook."""
        return figures_of(nbformat.read(self.run.notebook, as_version=4)) if self.run else []


def make_rows(runs: dict[int, Execution], marks: dict[int, list[Marks]]) -> list[Row]:
    """The table's rows, for the parts that exist."""
    rows = []
    for part in masters.existing_parts():
        title = masters.read_title(masters.master_path(part))
        rows.append(Row(part, title, *count_points(part), runs.get(part), marks.get(part, [])))
    return rows


def headline_text(run: Execution, limit: int) -> str:
    """The first headline figures of a run in one line."""
    shown = list(run.headlines.items())[:limit]
    return "; ".join(
        f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}" for name, value in shown
    )


def figures_of(notebook: NotebookNode) -> list[Picture]:
    """The pictures in a notebook's outputs."""
    found, heading = [], ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            headings = [line for line in cell.source.splitlines() if line.startswith("#")]
            heading = headings[-1].lstrip("# ").strip() if headings else heading
            continue
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                found.append(Picture(heading, heading, f"data:image/png;base64,{data['image/png'].strip()}"))
            for match in IMAGE.finditer("".join(data.get("text/html", ""))):
                alt = ALT.search(match.group(0))
                found.append(Picture(heading, html.unescape(alt.group(1)) if alt else heading, match.group(1)))
    return found


def write_report(rows: list[Row], path: Path = REPORT) -> Path:
    """Write the page; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render("solutions.html.j2", package="autograder.rehearse", rows=rows), encoding="utf-8")
    return path
