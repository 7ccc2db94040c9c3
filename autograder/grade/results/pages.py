"""Pages of HTML that work offline and in print, from a package's templates. Everything in them is escaped."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from autograder.grade.limits import MEBIBYTE
from autograder.grade.markdown import markdown_html

OWN = "autograder.grade.results"
INK = "#010203"  # what a figure draws in this colour takes the colour of the page's text


SCRIPTS = ("marking.js",)  # all that any page may run, by the file's name


@functools.cache
def templates(package: str) -> jinja2.Environment:
    """A package's templates, which may build on the ones here, with escaping on."""
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name) for name in (package, OWN)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    scripts = {name: Path(__file__).with_name("templates").joinpath(name).read_text("utf-8") for name in SCRIPTS}
    made.globals |= {"scripts": {name: Markup(text) for name, text in scripts.items()}}
    made.globals |= {"hashes": {name: script_hash(text) for name, text in scripts.items()}}
    made.filters |= {"points": points, "mebibytes": lambda size: f"{(size or 0) / MEBIBYTE:.0f} MB"}
    return made


def script_hash(text: str) -> Markup:
    """What a page's policy says of the one script that it may run."""
    return Markup(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'")


def points(value: float | None) -> str:
    """A number of points, or a dash where there is none."""
    return "–" if value is None else f"{value:g}"


def render(template: str, package: str = OWN, **values: Any) -> str:
    """Fill a template of a package."""
    return templates(package).get_template(template).render(**values)


def to_html(text: str) -> Markup:
    """The course's own Markdown as HTML."""
    return Markup(markdown_html(text))


def svg(figure: Any, description: str) -> Markup:
    """A matplotlib figure as an inline SVG with a description for screen readers."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "course", "svg.fonttype": "none"}):
        figure.savefig(
            buffer, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight", transparent=True
        )
    text = buffer.getvalue().replace(INK, "currentColor")
    label = Markup('<svg role="img" aria-label="{}" ').format(description)
    return Markup(text[text.index("<svg") :].replace("<svg ", "\N{NULL}", 1)).replace(Markup("\N{NULL}"), label)
