"""Controls for notebooks. What they show is shown without widgets as well.

They are the browser's own fields and lists, which have names for screen readers and obey the keyboard.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Control:
    """A field of a panel.

    Attributes:
        value: what it holds first.
        make: from ipywidgets and the field's name to what is shown, the widgets to watch, and a function that reads the value.
    """

    value: Any
    make: Callable[[Any, str], tuple[Any, Sequence[Any], Callable[[], Any]]]


def simple(kind: str, value: Any, options: Mapping[str, Any]) -> Control:
    """A control that is one widget of ipywidgets, with a label of its own."""

    def make(ipywidgets: Any, name: str) -> tuple[Any, Sequence[Any], Callable[[], Any]]:
        look = {"value": value, "description": name, "style": {"description_width": "initial"}}
        widget = getattr(ipywidgets, kind)(**look, **options)
        return widget, [widget], lambda: widget.value

    return Control(value, make)


def number(value: float, low: float, high: float, step: float) -> Control:
    """A field for a number, obeying the arrow keys."""
    return simple("BoundedFloatText", value, {"min": low, "max": high, "step": step})


def text(value: str) -> Control:
    """A field for a text; what is written counts once Enter is pressed or the field is left."""
    return simple("Text", value, {"continuous_update": False, "layout": {"width": "95%"}})


def grid(rows: Sequence[Sequence[str]]) -> Control:
    """Boxes to tick, in rows; the value is the tuple of the ticked names. Nothing is ticked at first."""

    def make(ipywidgets: Any, name: str) -> tuple[Any, Sequence[Any], Callable[[], Any]]:
        slim = {"indent": False, "layout": {"width": "6em"}}
        boxes = [[ipywidgets.Checkbox(value=False, description=label, **slim) for label in row] for row in rows]
        every = [box for row in boxes for box in row]
        shown = ipywidgets.VBox([ipywidgets.Label(name), *(ipywidgets.HBox(row) for row in boxes)])
        return shown, every, lambda: tuple(box.description for box in every if box.value)

    return Control((), make)


def panel(
    draw: Callable[..., None], controls: Mapping[str, Control], still: Sequence[Mapping[str, Any]] = ({},)
) -> None:
    """Show controls, and below them what `draw` shows for their values, drawn anew whenever one changes.

    The controls are fields to write in and boxes to tick: ipywidgets' sliders tell a screen reader no name, and JupyterLab
    takes the arrow keys away from lists.

    Args:
        draw: takes the controls' values under their names, blanks written as underscores.
        controls: by the name that stands beside each.
        still: what is drawn where there are no widgets: settings, each of which may leave controls at their first values.
    """
    names = {name: name.replace(" ", "_") for name in controls}
    first = {names[name]: control.value for name, control in controls.items()}
    if not widgets_available():
        for setting in still:
            draw(**{**first, **setting})
        return
    import ipywidgets
    from IPython.display import display

    output = ipywidgets.Output()
    made = {name: control.make(ipywidgets, name) for name, control in controls.items()}

    def redraw(change: Any = None) -> None:
        output.clear_output(wait=True)
        with output:
            draw(**{names[name]: read() for name, (_, _, read) in made.items()})

    for _, watched, _ in made.values():
        for widget in watched:
            widget.observe(redraw, names="value")
    display(ipywidgets.VBox([*(shown for shown, _, _ in made.values()), output]))
    redraw()


def frontier_choice(
    points: Sequence[Mapping[str, Any]],
    page: Callable[[Mapping[str, Any]], Page],
    figure: Callable[..., Any],
) -> None:
    """Show the trained policies by number, from low KL to high: the frontier plot, and a page for the chosen one.

    Without widgets, all policies are shown one below the other.

    Args:
        points: points of `helpers.runs.load_points`.
        page: makes what is shown for a point.
        figure: draws the plot from the points and, where one is chosen, `highlight=`, the name of one.
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

    print("; ".join(f"{place} {point['name']} (KL {point['kl']:.1f})" for place, point in enumerate(ordered, 1)))

    def draw(policy_number: float) -> None:
        point = ordered[int(policy_number) - 1]
        plots.show(figure(ordered, highlight=point["name"]))
        show_page(page(point))

    panel(draw, {"policy number": number(1, 1, len(ordered), 1)})
