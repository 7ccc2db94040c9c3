"""`course print`: every part as a printable page and, where there is a browser, as a PDF; offline and without LaTeX."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from autograder import formulas, masters
from autograder.rehearse.doctor import find_chromium
from autograder.rehearse.run import executed_path
from helpers.parts import ANSWER_PLACEHOLDER, PARTS, ROOT

PAGES = ROOT / "build" / "print"
KINDS = ("student", "solution")
PDF_SECONDS = 180
FENCE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
INLINE = re.compile(r"(?<![\\$\w])\$(?![\s$])([^$]*?[^\s$\\])\$(?![\d$])", re.DOTALL)

STYLE = """<style>
@page { size: A4; margin: 16mm; }
@media print { .jp-Cell { break-inside: auto; } h1, h2, h3 { break-after: avoid; } figure, img { break-inside: avoid; } }
body { max-width: 60rem; margin: auto; } img { max-width: 100%; } pre { white-space: pre-wrap !important; }
.written-answer { border: 1px solid #999; min-height: 9rem; margin: .5rem 0; padding: .3rem; color: #666; }
math[display=block] { margin: .6rem 0; }
</style>"""


@dataclass(frozen=True)
class PrintedPart:
    """What was written for one part: the page, and the PDF if there was a browser."""

    part: int
    kind: str
    html: Path
    pdf: Path | None


def with_mathml(text: str) -> str:
    """Markdown with its formulas as MathML, which a browser shows without a script. Code stays as it is.

    A formula that cannot be converted stays readable: it is shown as code.
    """
    parts = FENCE.split(text)
    return "".join(part if index % 2 else _formulas(part) for index, part in enumerate(parts))


def _formulas(text: str) -> str:
    text = DISPLAY.sub(lambda match: f"\n\n{_mathml(match.group(1), 'block')}\n\n", text)
    return INLINE.sub(lambda match: _mathml(match.group(1), "inline"), text)


def _mathml(formula: str, display: str) -> str:
    try:
        return formulas.mathml(formula, display)
    except ValueError:  # the page must still be made
        return f"`{' '.join(formula.split())}`"


def prepare(notebook: NotebookNode, kind: str) -> NotebookNode:
    """A notebook for printing: formulas as MathML, and a box to write in where a student's answer goes."""
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        if kind == "student" and cell.source.strip().startswith(ANSWER_PLACEHOLDER):
            cell.source = '<div class="written-answer">Your answer</div>'
        else:
            cell.source = with_mathml(cell.source)
    notebook.cells = [cell for cell in notebook.cells if not cell.id.startswith("course-submit")]
    return notebook


def to_html(notebook: NotebookNode, title: str) -> str:
    """One self-contained page: no script, style or font from elsewhere."""
    exporter = HTMLExporter(
        template_name="lab", embed_images=True, exclude_input_prompt=True, exclude_output_prompt=True
    )
    exporter.mathjax_url = ""
    exporter.require_js_url = ""
    exporter.jquery_url = ""
    exporter.mermaid_js_url = ""
    exporter.widget_renderer_url = ""
    body, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    body = re.sub(r"<script\b.*?</script>", "", body, flags=re.DOTALL | re.IGNORECASE)
    body = re.sub(r"<link[^>]+https?:[^>]*>", "", body, flags=re.IGNORECASE)
    return body.replace("</head>", f"{STYLE}</head>", 1)


def to_pdf(page: Path, target: Path, browser: str) -> None:
    """Print a page to PDF with a headless Chromium.

    Raises:
        RuntimeError: if the browser does not make the file.
    """
    target.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={profile}",
            "--no-pdf-header-footer",
            f"--print-to-pdf={target}",
            page.resolve().as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PDF_SECONDS)
    if not target.exists():
        raise RuntimeError(f"{browser} made no PDF of {page.name}: {done.stderr.strip()[-500:]}")


def print_part(part: int, kind: str, folder: Path = PAGES, *, pdf: bool = True) -> PrintedPart:
    """Write a part's page, for students or with solutions.

    The solution's page shows the outputs of the last `course run` if there was one.

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
    title = masters.read_title(masters.master_path(part))
    text = to_html(prepare(nbformat.read(source, as_version=4), kind), title)
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{name}-{kind}.html"
    page.write_text(text, encoding="utf-8")
    browser = find_chromium() if pdf else None
    target = page.with_suffix(".pdf") if browser else None
    if browser and target:
        to_pdf(page, target, browser)
    return PrintedPart(part, kind, page, target)
