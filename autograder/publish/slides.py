"""`course print --slides`: a part as slides, chosen from the notebook by rule: nothing is written twice.

A section gives how it begins, the begin of its paragraphs that start in bold and of its lists' entries, its formulas with the
sentence before, its tables, the head of each function to write, and the figures of the last `course run`.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from markdown_it.token import Token
from nbformat import NotebookNode

from autograder.publish.page import COMPUTER_ONLY, code_html, markdown, page_html
from autograder.publish.settings import load_course

ROOM = 15.5  # lines of a slide
FIGURE = 11.5  # lines that a figure takes; it shrinks with the letters
LETTERS = 74  # of a line
BEGIN = 230  # letters of a paragraph: further sentences only up to here
NOT_SHOWN = ("-sample", "-rubric", "-check")  # cells of a question that are no matter for a lecture
SKIPPED = (
    "**Sanity check",
    "**Set-up",
    "**Hint",
    "**A small example",
    "**Words used",
    "**Sizes",
)  # to be read in the notebook
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z*`$(])")
IMAGE = re.compile(r"<img\b[^>]*\bsrc=[\"']data:image/[^>]*>")
COMMENT = re.compile(r"# (?:\d+\. )?(.+)")
FIT = """for (const slide of document.querySelectorAll(".slide")) {
  for (let size = 100; slide.scrollHeight > slide.clientHeight && size > 40; size -= 4) slide.style.fontSize = size / 4 + "px";
}"""


@dataclass(frozen=True)
class Item:
    """What stands on a slide: HTML, about how many lines it takes, and whether it means nothing without what follows."""

    section: str
    body: str
    lines: float
    leads: bool = False


def slides_html(notebook: NotebookNode, title: str) -> str:
    """All slides of a part as one page, a sheet of 16:9 each.

    Args:
        notebook: with solutions, and with figures if it was run.
        title: of the part.
    """
    slides = [
        f'<section class="slide first"><h1>{html.escape(title)}</h1><p>{html.escape(load_course().title)}</p></section>'
    ]
    for section, items in groupby(items_of(notebook), key=lambda item: item.section):
        for bodies in in_slides(list(items)):
            slides.append(f'<section class="slide"><h2>{section}</h2>\n{bodies}\n</section>')
    return page_html(f"{title}: slides", "\n".join(slides), ["slides"], FIT)


def in_slides(items: Sequence[Item]) -> Iterator[str]:
    """The items of one section, cut into slides that are not too full."""
    bodies: list[str] = []
    used = 0.0
    for together in _together(items):
        lines = sum(item.lines for item in together)
        if bodies and used + lines > ROOM:
            yield "\n".join(bodies)
            bodies, used = [], 0.0
        bodies += [item.body for item in together]
        used += lines
    if bodies:
        yield "\n".join(bodies)


def _together(items: Sequence[Item]) -> Iterator[list[Item]]:
    """What must stand on one slide. A heading under which nothing is shown is left out."""
    waiting: list[Item] = []
    for item in items:
        if item.leads and item.body.startswith("<h3"):
            waiting = []
        waiting.append(item)
        if not item.leads:
            yield waiting
            waiting = []


def items_of(notebook: NotebookNode) -> Iterator[Item]:
    """What of a notebook stands on slides, in its order."""
    section = "What this part is about"
    for cell in notebook.cells:
        if cell.id.startswith(COMPUTER_ONLY) or cell.id.endswith(NOT_SHOWN):
            continue
        if cell.cell_type == "code":
            yield from _of_code(cell, section)
            continue
        question = cell.id.endswith("-text")
        for heading, body, lines, leads in _of_text(cell.source, question=question):
            section = heading or section
            if body:
                yield Item(section, body, lines, leads)


def _of_code(cell: NotebookNode, section: str) -> Iterator[Item]:
    if cell.id.endswith("-answer"):
        head = next(line for line in cell.source.splitlines() if line.startswith("def "))
        yield Item(section, f'<div class="head">{code_html(head)}</div>', 1.5)
        return
    said = COMMENT.match(cell.source)
    caption = f"<figcaption>{markdown().renderInline(said[1])}</figcaption>" if said else ""
    for output in cell.outputs:
        for image in IMAGE.findall(output.get("data", {}).get("text/html", "")):
            yield Item(section, f"<figure>{image}{caption}</figure>", FIGURE)
            caption = ""


def _of_text(source: str, *, question: bool) -> Iterator[tuple[str, str, float, bool]]:
    """(a new section's name, HTML, lines, whether it leads on) for each thing to show; folds are left out."""
    text = re.sub(r"<details>.*?</details>", "", source, flags=re.DOTALL)
    tokens = markdown().parse(text)
    first, before, at = False, "", 0
    while at < len(tokens):
        token = tokens[at]
        end = _end_of(tokens, at)
        if token.type == "heading_open":
            words = markdown().renderInline(tokens[at + 1].content)
            if token.tag == "h2":
                yield words, "", 0.0, False
                first = True
            elif token.tag == "h3":
                yield "", f"<h3>{words}</h3>", 1.5, True
                first = True
        elif token.type == "paragraph_open":
            before = " ".join(tokens[at + 1].content.split())
            follows = end < len(tokens) and tokens[end].type in ("math_block", "amsmath")
            said = ""
            if (first or before.startswith("**")) and not before.startswith(SKIPPED):
                said = before if before.startswith(("**Predict", "**Question", "**Written")) else _begin(before)
            if follows and (last := SENTENCE.split(before)[-1]) not in said:
                said = f"{said} {'…' if said else ''} {_unpaired(last)}{last}".strip()
            if said:
                yield "", *_line("p", said), follows or said.startswith("**Exercise")
            first = False
        elif token.type in ("math_block", "amsmath"):
            yield "", markdown().renderer.render(tokens[at:end], markdown().options, {}), 3.2, False
        elif token.type == "table_open":
            rows = sum(inner.type == "tr_open" for inner in tokens[at:end])
            yield "", markdown().renderer.render(tokens[at:end], markdown().options, {}), rows * 1.2, False
        elif token.type == "fence" and token.content.count("\n") <= ROOM and not question:
            yield (
                "",
                markdown().renderer.render([token], markdown().options, {}),
                token.content.count("\n") + 0.8,
                False,
            )
        elif token.type in ("bullet_list_open", "ordered_list_open") and not question:
            yield from _of_list(tokens[at:end], token.type.startswith("ordered"))
        at = end


def _of_list(tokens: Sequence[Token], numbered: bool) -> Iterator[tuple[str, str, float, bool]]:
    for number, token in enumerate((token for token in tokens if token.type == "inline" and token.level == 3), 1):
        text, lines = _line("li", _begin(" ".join(token.content.split())))
        yield "", f'<ol start="{number}">{text}</ol>' if numbered else f"<ul>{text}</ul>", lines, False


def _begin(text: str) -> str:
    """A paragraph's first sentence, and further ones as long as they are short."""
    sentences = SENTENCE.split(text)
    kept = " ".join(s for n, s in enumerate(sentences) if n == 0 or len(" ".join(sentences[: n + 1])) <= BEGIN)
    return kept + _unpaired(kept)


def _unpaired(text: str) -> str:
    """The marks of italic and bold that a cut has left without their other half."""
    bare = re.sub(r"`[^`]*`|\$[^$]*\$|\\\*|π\*", "", text)
    strong = bare.count("**")
    return "*" * ((bare.count("*") - 2 * strong) % 2) + "**" * (strong % 2)


def _line(tag: str, text: str) -> tuple[str, float]:
    body = markdown().renderInline(text)
    return f"<{tag}>{body}</{tag}>", math.ceil(len(re.sub(r"<[^>]*>", "", body)) / LETTERS) + 0.4


def _end_of(tokens: Sequence[Token], at: int) -> int:
    """Where the block that begins here is over."""
    if tokens[at].nesting != 1:
        return at + 1
    level = tokens[at].level
    return next(n for n in range(at + 1, len(tokens)) if tokens[n].level == level and tokens[n].nesting == -1) + 1
