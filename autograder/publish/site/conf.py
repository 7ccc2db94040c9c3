"""Sphinx's configuration of the site, with which `course site` calls it.

Everything a page needs lies beside it: formulas are MathML, so there is no script for them, and no summary below a search
result, which a page opened from a folder may not read.
"""

from __future__ import annotations

from importlib import metadata, resources
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

from autograder.formulas import mathml
from autograder.publish.settings import load_course

FONT = resources.files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf"  # few systems have a font for formulas
LONG = 45  # signs of a formula in a line: on a telephone it may have to be scrolled

project = load_course().title
release = version = metadata.version("steering-language-models")
extensions = ["myst_nb", "sphinx.ext.githubpages"]
templates_path = ["templates"]
suppress_warnings = [
    "myst.header"
]  # a notebook may go from its title to a heading of the third level: Sphinx nests them

nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, Any] = {}  # no script from elsewhere; `course run` makes no widgets
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_dmath_double_inline = True
myst_heading_anchors = 4  # links such as students.md#handing-in
myst_heading_slug_func = "autograder.publish.site.staging.anchor"

html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["static", str(FONT)]
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_css_files = ["course.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "footer_start": ["course-version"],
    "footer_end": [],
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "back_to_top_button": False,
}


def formula(self: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML; one that the converter does not know is a warning, which `course site` reports."""
    block = isinstance(node, nodes.math_block)
    try:
        text = mathml(node.astext(), "block" if block else "inline")
    except ValueError as error:
        logging.getLogger(__name__).warning("%s: %s", error, node.astext(), location=node)
        text = f"<code>{self.encode(node.astext())}</code>"
    if block:
        text = f'<div class="formula" tabindex="0">{text}</div>'
    elif len(node.astext()) > LONG:
        text = f'<span class="long-formula" tabindex="0">{text}</span>'
    self.body.append(text)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx: the way formulas are written."""
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
