"""Controls for notebooks. What they show is shown without widgets as well.

They are the browser's own fields and lists, which have names for screen readers and obey the keyboard.
"""

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


def redraw_on_change(control: Any, draw: Callable[[Any], None], caption: str = "") -> None:
    """Show an `ipywidgets` control, and below it what `draw` shows for its value, drawn anew whenever it changes.

    Take a list or a field: ipywidgets' sliders tell a screen reader no name.
    """
    import ipywidgets
    from IPython.display import display

    output = ipywidgets.Output()

    def redraw(value: Any) -> None:
        output.clear_output(wait=True)
        with output:
            draw(value)

    control.observe(lambda change: redraw(change["new"]), names="value")
    display(ipywidgets.VBox([*([ipywidgets.Label(caption)] if caption else []), control, output]))
    redraw(control.value)


def frontier_choice(
    points: Sequence[Mapping[str, Any]],
    page: Callable[[Mapping[str, Any]], Page],
    figure: Callable[..., Any],
) -> None:
    """Show a list of the trained policies, from low KL to high, with the frontier plot and a page for the chosen one.

    Without widgets, all policies are shown one below the other.

    Args:
        points: points of `helpers.runs.load_points`.
        page: makes what is shown for a point.
        figure: draws the plot from the points and, where there is a list, `highlight=`, the name of one.
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

    choice = ipywidgets.Dropdown(
        options=[(f"{point['name']} (KL {point['kl']:.1f})", index) for index, point in enumerate(ordered)],
        description="policy",
        layout=ipywidgets.Layout(width="min(90%, 30em)"),
    )
    redraw_on_change(choice, draw)
