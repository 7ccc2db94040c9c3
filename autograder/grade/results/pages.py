"""Pages of HTML that work offline and in print, from a package's templates. Everything in them is escaped."""

from __future__ import annotations

import functools
import io
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from autograder.grade.limits import MEBIBYTE

OWN = "autograder.grade.results"


@functools.cache
def templates(package: str) -> jinja2.Environment:
    """A package's templates, which may build on the ones here, with escaping on."""
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name) for name in (package, OWN)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    made.filters |= {"points": points, "mebibytes": lambda size: f"{(size or 0) / MEBIBYTE:.0f} MB"}
    return made


def points(value: float | None) -> str:
    """A number of points, or a dash where there is none."""
    return "–" if value is None else f"{value:g}"


def render(template: str, package: str = OWN, **values: Any) -> str:
    """Fill a template of a package."""
    return templates(package).get_template(template).render(**values)


def to_html(text: str) -> Markup:
    """Markdown as HTML; HTML in it is shown as text, links and pictures are not followed."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "autolink", "link"])
    return Markup(renderer.render(text))


def svg(figure: Any, description: str) -> Markup:
    """A matplotlib figure as an inline SVG with a description for screen readers."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "course", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    text = buffer.getvalue()
    label = Markup('<svg role="img" aria-label="{}" ').format(description)
    return Markup(text[text.index("<svg") :].replace("<svg ", "\N{NULL}", 1)).replace(Markup("\N{NULL}"), label)
