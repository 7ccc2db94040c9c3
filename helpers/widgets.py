"""Sliders for notebooks. What they show is shown without widgets as well."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import plots
from .display import Page, show_page


def widgets_available() -> bool:
    """True when ipywidgets is installed and a notebook front end shows this kernel's output.

    `COURSE_WIDGETS=0` says no; notebooks that are run as a whole (by tests, say) use that.
    """
    if os.environ.get("COURSE_WIDGETS", "1") == "0" or os.environ.get("COURSE_FAST") == "1":
        return False
    try:
        import ipywidgets  # noqa: F401
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


def redraw_on_change(slider: Any, draw: Callable[[Any], None], caption: str = "") -> None:
    """Show an `ipywidgets` slider, and below it what `draw` shows for its value, drawn anew whenever it is moved."""
    import ipywidgets
    from IPython.display import display

    output = ipywidgets.Output()

    def redraw(value: Any) -> None:
        output.clear_output(wait=True)
        with output:
            draw(value)

    slider.observe(lambda change: redraw(change["new"]), names="value")
    display(ipywidgets.VBox([*([ipywidgets.Label(caption)] if caption else []), slider, output]))
    redraw(slider.value)


def frontier_slider(
    points: Sequence[Mapping[str, Any]],
    page: Callable[[Mapping[str, Any]], Page],
    figure: Callable[..., Any],
) -> None:
    """Show a slider along the trained policies, from low KL to high, with the frontier plot and a page for each.

    Without widgets, all policies are shown one below the other.

    Args:
        points: points of `helpers.runs.load_points`.
        page: makes what is shown for a point.
        figure: draws the plot from the points and, where there is a slider, `highlight=`, the name of one.
    """
    ordered = sorted(points, key=lambda point: point["kl"])
    if not ordered:
        print("No policy has been recorded yet: train one and call save_point first.")
        return
    if not widgets_available():
        plots.show(figure(ordered))
        for point in ordered:
            show_page(page(point))
        return
    import ipywidgets

    def draw(index: int) -> None:
        plots.show(figure(ordered, highlight=ordered[index]["name"]))
        show_page(page(ordered[index]))

    slider = ipywidgets.SelectionSlider(
        options=[(point["name"], index) for index, point in enumerate(ordered)],
        description="policy",
        layout=ipywidgets.Layout(width="90%"),
        continuous_update=False,
    )
    redraw_on_change(slider, draw)
