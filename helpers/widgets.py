"""Forms and sliders for notebooks. Each works without widgets as well: by plain assignments and method calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .display import Page, show


def widgets_available() -> bool:
    """True when ipywidgets is installed and a notebook front end shows this kernel's output.

    ``COURSE_WIDGETS=0`` says no; notebooks that are run as a whole (by tests, say) use that.
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


@dataclass
class ForecastForm:
    """A list of tasks, each with the probability that a reader gives to the model solving it.

    With widgets there is a slider per task. Without, set the numbers by hand: ``form.set(0.3, 0.9, …)`` or
    ``form.probabilities[2] = 0.4``.
    """

    tasks: list[str]
    probabilities: list[float]
    touched: set[int] = field(default_factory=set)

    def set(self, *probabilities: float) -> None:
        """Set all probabilities at once, in the order of the tasks.

        Raises:
            ValueError: not as many as tasks, or one is not between 0 and 1.
        """
        if len(probabilities) != len(self.tasks):
            raise ValueError(f"there are {len(self.tasks)} tasks, you gave {len(probabilities)} probabilities")
        for number, probability in enumerate(probabilities, 1):
            if not 0 <= probability <= 1:
                raise ValueError(f"probability number {number} is {probability}; it must be between 0 and 1")
        self.probabilities[:] = [float(probability) for probability in probabilities]
        self.touched = set(range(len(self.tasks)))

    @property
    def untouched(self) -> list[int]:
        """Numbers (from 1) of the tasks whose probability was never set."""
        return [number + 1 for number in range(len(self.tasks)) if number not in self.touched]

    def show(self) -> None:
        """Show the sliders, or the tasks as a list where widgets do not run."""
        if widgets_available():
            self._show_sliders()
        else:
            lines = [
                f"{n:2d}. {task}   [{p:.2f}]"
                for n, (task, p) in enumerate(zip(self.tasks, self.probabilities, strict=True), 1)
            ]
            print("State a probability for each task with form.set(...), in this order:\n" + "\n".join(lines))

    def _show_sliders(self) -> None:
        import ipywidgets
        from IPython.display import display

        rows = []
        for index, task in enumerate(self.tasks):
            slider = ipywidgets.FloatSlider(
                value=self.probabilities[index],
                min=0,
                max=1,
                step=0.01,
                description=f"task {index + 1}",
                readout_format=".2f",
                layout=ipywidgets.Layout(width="340px"),
            )
            slider.observe(lambda change, index=index: self._changed(index, change["new"]), names="value")
            text = ipywidgets.Label(task, layout=ipywidgets.Layout(width="auto", flex="1 1 auto"))
            rows.append(ipywidgets.HBox([slider, text]))
        display(ipywidgets.VBox(rows))

    def _changed(self, index: int, value: float) -> None:
        self.probabilities[index] = float(value)
        self.touched.add(index)


def forecast_form(tasks: Sequence[str], default: float = 0.5) -> ForecastForm:
    """Show a form that asks for a probability for each task, and return it; read ``form.probabilities`` afterwards."""
    form = ForecastForm(list(tasks), [default] * len(tasks))
    form.show()
    return form


@dataclass(frozen=True)
class Blank:
    """A gap in a text or picture.

    Attributes:
        label: its name in the picture, such as ``"A"``.
        question: what belongs there, in words.
        answer: the right choice.
        why_wrong: for wrong choices, why they are wrong; ``""`` is for those without a reason of their own.
        why_right: what is said with the right choice.
    """

    label: str
    question: str
    answer: str
    why_wrong: Mapping[str, str] = field(default_factory=dict)
    why_right: str = ""


@dataclass
class BlanksForm:
    """Gaps to fill from a list of words. ``form.answers["A"] = "attention"``, then ``form.check()``; or dropdowns."""

    blanks: list[Blank]
    words: list[str]
    answers: dict[str, str] = field(default_factory=dict)

    def fill(self, **answers: str) -> None:
        """Fill gaps by their labels: ``form.fill(A="attention", B="add")``.

        Raises:
            ValueError: there is no such gap, or no such word.
        """
        labels = [blank.label for blank in self.blanks]
        for label, word in answers.items():
            if label not in labels:
                raise ValueError(f"there is no gap {label!r}; the gaps are {', '.join(labels)}")
            if word not in self.words:
                raise ValueError(f"{word!r} is not in the list of words: {', '.join(self.words)}")
            self.answers[label] = word

    def results(self) -> dict[str, tuple[bool, str]]:
        """Return for each gap whether it is right, and why."""
        found = {}
        for blank in self.blanks:
            given = self.answers.get(blank.label)
            if given is None:
                found[blank.label] = (False, "not filled yet")
            elif given == blank.answer:
                found[blank.label] = (True, blank.why_right or "right")
            else:
                found[blank.label] = (False, blank.why_wrong.get(given, blank.why_wrong.get("", "not this one")))
        return found

    @property
    def right(self) -> int:
        """Number of gaps filled rightly."""
        return sum(ok for ok, _ in self.results().values())

    def check(self) -> int:
        """Say for each gap whether it is right and, if not, why; return how many are right."""
        print(self._verdict())
        return self.right

    def _verdict(self) -> str:
        lines = [
            f"{'✓' if ok else '✗'} {label}: {self.answers.get(label, '—')}: {why}"
            for label, (ok, why) in self.results().items()
        ]
        return "\n".join([*lines, f"{self.right} of {len(self.blanks)} right."])

    def show(self) -> None:
        """Show dropdowns and a button, or the list of gaps where widgets do not run."""
        if widgets_available():
            self._show_dropdowns()
            return
        print("Words: " + ", ".join(self.words))
        print("\n".join(f"{blank.label}: {blank.question}" for blank in self.blanks))
        example = self.blanks[0].label if self.blanks else "A"
        print(f'Fill in with form.fill({example}="…"), then form.check().')

    def _show_dropdowns(self) -> None:
        import ipywidgets
        from IPython.display import display

        rows = []
        for blank in self.blanks:
            choice = ipywidgets.Dropdown(
                options=["", *self.words],
                value=self.answers.get(blank.label, ""),
                description=blank.label,
                layout=ipywidgets.Layout(width="260px"),
            )
            choice.observe(lambda change, label=blank.label: self._chosen(label, change["new"]), names="value")
            rows.append(ipywidgets.HBox([choice, ipywidgets.Label(blank.question)]))
        verdict = ipywidgets.Textarea(layout=ipywidgets.Layout(width="100%", height="160px"), disabled=True)
        button = ipywidgets.Button(description="Check", button_style="primary")
        button.on_click(lambda _: setattr(verdict, "value", self._verdict()))
        display(ipywidgets.VBox([*rows, button, verdict]))

    def _chosen(self, label: str, word: str) -> None:
        if word:
            self.answers[label] = word
        else:
            self.answers.pop(label, None)


def blanks_form(blanks: Sequence[Blank], words: Sequence[str]) -> BlanksForm:
    """Show a fill-in-the-blanks form and return it; read ``form.answers`` or ``form.right`` afterwards.

    Raises:
        ValueError: an answer is not in the list of words, or two gaps have the same label.
    """
    labels = [blank.label for blank in blanks]
    if len(set(labels)) != len(labels):
        raise ValueError("two gaps have the same label")
    missing = [blank.answer for blank in blanks if blank.answer not in words]
    if missing:
        raise ValueError(f"the words lack {', '.join(missing)}")
    form = BlanksForm(list(blanks), list(words))
    form.show()
    return form


def frontier_slider(
    points: Sequence[Mapping[str, Any]],
    *,
    samples: str = "samples",
    limit: int = 5,
    page: Callable[[Mapping[str, Any]], Page] | None = None,
    log: bool = False,
) -> None:
    """Show a slider along the trained policies, from low KL to high, with the frontier plot and each one's samples.

    Without widgets, all policies are shown one below the other.

    Args:
        points: points of `helpers.training.load_points`; ``samples`` names the key with a point's sample texts.
        limit: number of samples shown for each policy.
        page: makes what is shown for a point (a `helpers.display.Page`), instead of its samples.
        log: logarithmic KL axis of the plot.
    """
    from .plots import plot_frontier
    from .plots import show as show_figure

    ordered = sorted(points, key=lambda point: point["kl"])
    if not ordered:
        print("No policy has been recorded yet: train one and call save_point first.")
        return
    make_page = page or (lambda point: _point_page(point, samples, limit))
    if not widgets_available():
        show_figure(plot_frontier(ordered, log=log))
        for point in ordered:
            show(make_page(point))
        return
    import ipywidgets
    from IPython.display import display

    names = [point["name"] for point in ordered]
    slider = ipywidgets.SelectionSlider(
        options=[(name, index) for index, name in enumerate(names)],
        description="policy",
        layout=ipywidgets.Layout(width="90%"),
        continuous_update=False,
    )
    output = ipywidgets.Output()

    def draw(index: int) -> None:
        output.clear_output(wait=True)
        with output:
            show_figure(plot_frontier(ordered, highlight=names[index], log=log))
            show(make_page(ordered[index]))

    slider.observe(lambda change: draw(change["new"]), names="value")
    display(ipywidgets.VBox([slider, output]))
    draw(0)


def _point_page(point: Mapping[str, Any], samples: str, limit: int) -> Page:
    """Return a point's figures and samples as a page."""
    from .display import samples_page

    title = f"{point['name']}: KL {point['kl']:.3g} nats, reward {point['reward']:.3f}"
    return samples_page({"samples": [str(text) for text in point.get(samples, [])]}, title=title, limit=limit)
