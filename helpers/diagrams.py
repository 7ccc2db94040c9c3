"""What diagrams are made of: boxes with a text, and arrows between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyBboxPatch

from .plots import COLOURS

INK = "#444444"


def box(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    colour: Any,
    *,
    width: float = 0.9,
    height: float = 0.5,
    edge: str = INK,
    size: float = 10,
) -> None:
    """Draw a rounded box with its middle at `(x, y)` and a text in it.

    Args:
        axes: where; sizes are in its units.
        colour: of the ground, anything that matplotlib takes as a colour.
        edge: colour of the border.
        size: of the letters, in points.
    """
    corner, style = (x - width / 2, y - height / 2), "round,pad=0.02,rounding_size=0.08"
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, fc=colour, ec=edge, lw=1.2))
    axes.text(x, y, text, ha="center", va="center", fontsize=size)


def boxes(axes: Axes, rows: Iterable[tuple[float, float, float, str, str]], height: float = 0.8) -> None:
    """Draw boxes in the course's colours: of each the middle `x` and `y`, the width, the text and the colour's name."""
    for x, y, width, text, name in rows:
        pale = tuple(1 - 0.2 * (1 - part) for part in to_rgb(COLOURS[name]))  # light enough for black letters
        box(axes, x, y, text, pale, width=width, height=height, edge=COLOURS[name], size=9)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], text: str = "", **style: Any) -> None:
    """Draw an arrow, with a text above its middle; `style` goes to matplotlib's `arrowprops`."""
    look = {"arrowstyle": "-|>", "color": INK, "lw": 1.2, **style}
    axes.annotate("", xy=end, xytext=start, arrowprops=look)
    if text:
        axes.text((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.1, text, ha="center", va="bottom", fontsize=8)
