"""Markdown as HTML, formulas included. What students wrote is rendered in the reader's process, the course's own text here."""

from __future__ import annotations

import functools
import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the reader starts without it
    from markdown_it import MarkdownIt

SHIFT = 3  # a heading in an answer stands below the heading of the answer


def markdown_html(text: str, pictures: bool = False) -> str:
    """Markdown as HTML with formulas as MathML; HTML in it is shown as text, links are not followed.

    Args:
        text: Markdown with formulas between dollar signs, as in a notebook.
        pictures: whether pictures that the text itself holds (`data:image/…`) are shown.
    """
    return _renderer(pictures).render(text)


@functools.cache
def _renderer(pictures: bool) -> MarkdownIt:
    from markdown_it import MarkdownIt
    from mdit_py_plugins.amsmath import amsmath_plugin
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    renderer = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["autolink", "link"])
    renderer.use(dollarmath_plugin, allow_labels=False, allow_digits=False, double_inline=True, renderer=_formula)
    renderer.use(amsmath_plugin, renderer=lambda text: _formula(text, {"display_mode": True}))
    renderer.core.ruler.push("headings", _lower_headings)
    if pictures:
        renderer.validateLink = lambda url: url.startswith("data:image/")  # type: ignore[method-assign]
    else:
        renderer.disable("image")
    return renderer


def _formula(text: str, options: dict[str, Any]) -> str:
    """A formula as MathML, or as it was typed if it cannot be read."""
    from autograder.formulas import mathml

    display = bool(options["display_mode"])
    try:
        return mathml(text, "block" if display else "inline")
    except ValueError:
        return f"<code>{html.escape(' '.join(text.split()))}</code>"


def _lower_headings(state: Any) -> None:
    tokens: Sequence[Any] = state.tokens
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + SHIFT)}"
