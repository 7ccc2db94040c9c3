"""The report page of a run: a table of the parts, and the plots of the executed notebooks, in one file that needs nothing."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder import masters
from helpers.parts import ROOT

from .check import Marks, count_points
from .run import Run

REPORT = ROOT / "build" / "report.html"
IMAGE = re.compile(r"<img\b[^>]*?src=\"(data:image/[^\"]+)\"[^>]*>", re.IGNORECASE | re.DOTALL)
ALT = re.compile(r'\balt="([^"]*)"')

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1c1c1c; }
table { border-collapse: collapse; width: 100%; } th, td { padding: .3rem .6rem; border-bottom: 1px solid #ccc; }
th { text-align: left; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0 2rem; } figure img { max-width: 100%; border: 1px solid #ddd; } figcaption { color: #444; }
.bad { color: #a63d00; font-weight: bold; } .good { color: #0b6e4f; } pre { white-space: pre-wrap; background: #f6f6f6; }
"""


@dataclass(frozen=True)
class Row:
    """One part in the table."""

    part: int
    title: str
    questions: int
    automatic: float
    manual: float
    run: Run | None
    marks: list[Marks]


def make_rows(runs: dict[int, Run], marks: dict[int, list[Marks]]) -> list[Row]:
    """The table's rows, for the parts that exist."""
    rows = []
    for part in masters.existing_parts():
        title = masters.read_title(masters.master_path(part))
        rows.append(Row(part, title, *count_points(part), runs.get(part), marks.get(part, [])))
    return rows


def headline_text(run: Run | None, limit: int = 99) -> str:
    """The headline figures of a run in one line."""
    if run is None:
        return "not run"
    shown = list(run.headlines.items())[:limit]
    return "; ".join(
        f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}" for name, value in shown
    )


def marks_text(marks: list[Marks]) -> str:
    """What the graders gave: solution and blank."""
    return "; ".join(f"{m.grader}: {m.solution:g}/{m.possible:g}, blank {m.blank:g}" for m in marks) or "not checked"


def figures_of(notebook: NotebookNode) -> list[tuple[str, str, str]]:
    """The pictures in a notebook's outputs: (the heading above, the alternative text, the data URL)."""
    found, heading = [], ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("#"):
                    heading = line.lstrip("# ").strip()
            continue
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                found.append((heading, heading, f"data:image/png;base64,{data['image/png'].strip()}"))
            for match in IMAGE.finditer("".join(data.get("text/html", ""))):
                alt = ALT.search(match.group(0))
                found.append((heading, html.unescape(alt.group(1)) if alt else heading, match.group(1)))
    return found


def write_report(rows: list[Row], path: Path = REPORT) -> Path:
    """Write the page; returns its path."""
    head = "<tr><th>Part</th><th>Questions</th><th>Points (by hand)</th><th>Seconds</th><th>Graders</th><th>Figures</th></tr>"
    lines = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>",
        f"<title>Report of the course's solutions</title><style>{STYLE}</style></head><body>",
        "<h1>Report of the course's solutions</h1>",
        "<p>What running every solution notebook gave, and what the graders gave to the solutions and to the untouched "
        "student notebooks.</p>",
        f"<table>{head}{''.join(map(table_row, rows))}</table>",
    ]
    for row in rows:
        lines.append(f"<h2 id='part{row.part}'>{html.escape(row.title)}</h2>")
        if row.run is None:
            lines.append("<p>Not run.</p>")
            continue
        if row.run.error:
            lines.append(f"<p class='bad'>The run failed:</p><pre>{html.escape(row.run.error)}</pre>")
        if row.run.fast:
            lines.append("<p>Run with small sizes (<code>--fast</code>): the figures say only that it runs.</p>")
        lines += [f"<pre class='bad'>{html.escape(problem)}</pre>" for marks in row.marks for problem in marks.problems]
        for heading, alt, source in figures_of(nbformat.read(row.run.notebook, as_version=4)):
            picture = f"<img src='{source}' alt='{html.escape(alt, quote=True)}'>"
            lines.append(f"<figure>{picture}<figcaption>{html.escape(heading)}</figcaption></figure>")
    lines.append("</body></html>")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def table_row(row: Row) -> str:
    """One part as a row of the page's table."""
    good = all(marks.ok for marks in row.marks) and (row.run is None or row.run.ok)
    seconds = f"{row.run.seconds:.0f}" if row.run else "–"
    figures = "".join(
        f"<li>{html.escape(n)}: {html.escape(str(v))}</li>" for n, v in (row.run.headlines if row.run else {}).items()
    )
    cells = [
        f"<td><a href='#part{row.part}'>{row.part}</a></td>",
        f"<td class='number'>{row.questions}</td>",
        f"<td class='number'>{row.automatic + row.manual:g} ({row.manual:g})</td>",
        f"<td class='number'>{seconds}</td>",
        f"<td class='{'good' if good else 'bad'}'>{html.escape(marks_text(row.marks))}</td>",
        f"<td><ul>{figures}</ul></td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"
