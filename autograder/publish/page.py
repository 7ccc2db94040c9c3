"""A page that needs nothing else: formulas by KaTeX, code in colours, style and fonts inside; and the same page as a PDF."""

from __future__ import annotations

import base64
import functools
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer, get_lexer_by_name
from pygments.util import ClassNotFound

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

HERE = Path(__file__).parent
KATEX = HERE / "katex"
FONTS = re.compile(r"src:url\(fonts/([\w-]+\.woff2)\)[^;}]*")
DRAW = """for (const place of document.querySelectorAll(".math")) {
  const display = place.tagName === "DIV";
  katex.render(place.textContent, place, {displayMode: display, throwOnError: false, output: OUTPUT});
}"""
COMPUTER_ONLY = ("course-setup", "course-submit")  # cells that find the course's files or hand in: no matter for paper
PRINT_SECONDS = 180
MARGINS = {"top": "19mm", "bottom": "17mm", "left": "12mm", "right": "12mm"}
BAND = (
    '<div style="width:100%;margin:0 12mm;font:7.5pt sans-serif;color:#555;display:flex;justify-content:space-between">'
    "<span>{left}</span><span>{right}</span></div>"
)
NUMBER = '<span class="pageNumber"></span> / <span class="totalPages"></span>'


class PrintError(ValueError):
    """A page cannot be printed."""


@dataclass(frozen=True)
class Sheet:
    """How a page is put on paper.

    Args:
        size: "A4" or "Letter"; None where the page's own style says it.
        left, right: what stands at the top of every sheet; with both empty there is neither header nor page number.
        across: the long side lies below.
    """

    size: str | None = "A4"
    left: str = ""
    right: str = ""
    across: bool = False


# --- Markdown -------------------------------------------------------------------------------------------------------


@functools.cache
def markdown() -> MarkdownIt:
    """A renderer of the course's own Markdown (HTML in it counts): formulas become elements of the class `math`."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.amsmath import amsmath_plugin
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    renderer = MarkdownIt("commonmark", {"html": True, "highlight": _highlight_fence}).enable(
        ["table", "strikethrough"]
    )
    renderer.use(dollarmath_plugin, allow_labels=False, allow_digits=False, double_inline=True, renderer=_as_text)
    renderer.use(amsmath_plugin, renderer=lambda text: html.escape(text, quote=False))
    return renderer


def _as_text(formula: str, _: object) -> str:
    return html.escape(formula.strip(), quote=False)


def _highlight_fence(code: str, language: str, _: str) -> str:
    try:
        lexer = get_lexer_by_name(language or "text")
    except ClassNotFound:
        lexer = get_lexer_by_name("text")
    return code_lines(highlight(code, lexer, HtmlFormatter(nowrap=True)))


def code_html(source: str, **_: object) -> str:
    """A code cell in colours; a line that is too long goes on below, further in than it began."""
    return f"<pre><code>{code_lines(highlight(source, PythonLexer(), HtmlFormatter(nowrap=True)))}</code></pre>"


def code_lines(coloured: str) -> str:
    """Each line of coloured code as an element that knows its own indentation."""
    lines = coloured.rstrip("\n").split("\n")
    plain = [html.unescape(re.sub(r"<[^>]*>", "", line)) for line in lines]
    return "".join(
        f'<span class="line" style="--in:{len(text) - len(text.lstrip())}">{line or " "}\n</span>'
        for line, text in zip(lines, plain, strict=True)
    )


# --- the page -------------------------------------------------------------------------------------------------------


def page_html(title: str, body: str, styles: Sequence[str], script: str = "") -> str:
    """One self-contained page: nothing is fetched from elsewhere.

    Args:
        title: the page's title, as plain text.
        body: its content, with formulas as `markdown` leaves them.
        styles: names of files in `styles/`, in order.
        script: what runs once the formulas are drawn.
    """
    css = "\n".join((HERE / "styles" / f"{name}.css").read_text(encoding="utf-8") for name in styles)
    colours = HtmlFormatter(style="default").get_style_defs("code")
    draw = DRAW.replace("OUTPUT", '"htmlAndMathml"')
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_katex_style()}</style>\n<style>{colours}\n{css}</style></head>\n"
        f"<body><main>\n{without_scripts(body)}\n</main>\n<script>{_katex_script()}</script>\n<script>{draw}\n{script}</script></body></html>\n"
    )


def without_scripts(body: str) -> str:
    """HTML without scripts, and without styles and fonts that lie elsewhere: outputs of cells may bring them."""
    body = re.sub(r"<script\b.*?</script>", "", body, flags=re.DOTALL | re.IGNORECASE)
    return re.sub(r"<link[^>]+https?:[^>]*>", "", body, flags=re.IGNORECASE)


@functools.cache
def _katex_script() -> str:
    return (KATEX / "katex.min.js").read_text(encoding="utf-8")


@functools.cache
def _katex_style() -> str:
    """KaTeX's style with its fonts inside."""

    def embed(match: re.Match[str]) -> str:
        data = base64.b64encode((KATEX / "fonts" / match[1]).read_bytes()).decode()
        return f'src:url(data:font/woff2;base64,{data}) format("woff2")'

    return FONTS.sub(embed, (KATEX / "katex.min.css").read_text(encoding="utf-8"))


# --- the PDF --------------------------------------------------------------------------------------------------------


def to_pdf(page: Path, target: Path, browser: str, sheet: Sheet | None = None) -> None:
    """Print a page to a tagged PDF with bookmarks, with a headless Chromium.

    Folds are printed open. The PDF holds each formula once, as it is seen.

    Raises:
        PrintError: if the browser fails, or if a formula cannot be read.
    """
    from playwright.sync_api import Error, sync_playwright

    sheet = sheet or Sheet()
    target.unlink(missing_ok=True)
    framed = bool(sheet.left or sheet.right)
    margins = MARGINS if framed else dict.fromkeys(MARGINS, "7mm")
    on_paper: dict[str, Any] = {"format": sheet.size, "margin": margins, "landscape": sheet.across}
    settings = on_paper if sheet.size else {"prefer_css_page_size": True}
    header = BAND.format(left=html.escape(sheet.left), right=html.escape(sheet.right))
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=browser, args=["--no-sandbox", "--disable-dev-shm-usage"]
            )
            view = chromium.new_page()
            view.set_default_timeout(PRINT_SECONDS * 1000)
            view.goto(page.resolve().as_uri())
            wrong = view.eval_on_selector_all(".katex-error", "found => found.map(e => e.textContent + ': ' + e.title)")
            if wrong:
                raise PrintError(f"{page.name}: formulas that cannot be read: {'; '.join(wrong)}")
            view.eval_on_selector_all("details", "found => found.forEach(e => e.open = true)")
            view.eval_on_selector_all(".katex-mathml", "found => found.forEach(e => e.remove())")
            view.pdf(
                path=target, tagged=True, outline=True, print_background=True, display_header_footer=framed,
                header_template=header, footer_template=BAND.format(left="", right=NUMBER), **settings,
            )  # fmt: skip
    except Error as error:
        raise PrintError(f"{browser} made no PDF of {page.name}: {str(error)[:500]}") from error
