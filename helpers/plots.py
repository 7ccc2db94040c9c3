"""Plots in one style: colours that colour-blind readers can tell apart, titles, units, and alternative text."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from .evaluation import NORMAL_975
from .runs import History

# Okabe & Ito's palette ("Color Universal Design", 2008), black first for the reference.
COLOURS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "yellow": "#F0E442",
    "black": "#000000",
}
ORDER = ("blue", "orange", "green", "vermilion", "purple", "sky", "black")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))  # colour is never the only difference
UNITS = {
    "reward": "reward, P(positive)",
    "kl": "KL to the reference (nats per completion)",
    "length": "length (generated tokens)",
    "loss": "loss",
    "repetition": "repeated bigrams (share)",
    "accuracy": "pair accuracy (share)",
}
BINS = 20  # of a histogram
STYLE = {
    "figure.figsize": (7.0, 4.0),
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "axes.prop_cycle": cycler(color=[COLOURS[name] for name in ORDER]),
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    "axes.titlesize": 12,
    "legend.frameon": False,
    "svg.hashsalt": "course",
}


@contextmanager
def figure(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float] | None = None, grid: bool = True, **options: Any
) -> Iterator[tuple[Figure, Any]]:
    """Draw in the course's style: `with figure(1, 2) as (fig, (left, right)):`.

    Args:
        rows, columns: of axes in the figure.
        size: width and height in inches; that of `STYLE` without it.
        grid: draw grid lines; diagrams have none.
        options: more of what `plt.subplots` takes.
    """
    style = STYLE | {"axes.grid": grid} | ({"figure.figsize": size} if size else {})
    with plt.rc_context(style):
        yield plt.subplots(rows, columns, **options)


def colour_of(number: int) -> str:
    """Return the colour of the curve with this number, from 0; after the last colour comes the first again."""
    return COLOURS[ORDER[number % len(ORDER)]]


def curve(number: int) -> dict[str, Any]:
    """Return colour and line style of the curve with this number, as keyword arguments for `plot`."""
    return {"color": colour_of(number), "linestyle": LINES[number % len(LINES)]}


def describe(fig: Figure, text: str) -> Figure:
    """Give a figure its alternative text: what a reader who cannot see it should know. `show` hands it on."""
    fig.alt = text
    return fig


class AltImage:
    """A figure for a notebook's output: an image with alternative text, and plain PNG for readers without HTML."""

    def __init__(self, png: bytes, alt: str) -> None:
        self.png = png
        self.alt = alt

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        data = base64.b64encode(self.png).decode()
        text = html.escape(self.alt, quote=True)
        image = f'<img src="data:image/png;base64,{data}" alt="{text}" style="max-width: 100%; background: white">'
        return {"text/html": image, "image/png": data, "text/plain": f"[figure: {self.alt}]"}


def show(fig: Figure, alt: str | None = None) -> None:
    """Show a figure in the notebook as an image with alternative text, and close it.

    Args:
        alt: the alternative text; without it, what `describe` set, or else the axes' titles and labels.
    """
    text = alt or getattr(fig, "alt", None) or _fallback_alt(fig)
    buffer = io.BytesIO()
    fig.savefig(
        buffer, format="png", metadata={"Software": None, "Description": text.encode("ascii", "ignore").decode()}
    )
    plt.close(fig)
    from IPython.display import display

    display(AltImage(buffer.getvalue(), text))


def _fallback_alt(fig: Figure) -> str:
    """Build an alternative text from titles and axis labels."""
    parts = [f"{axes.get_title()}: {axes.get_ylabel()} over {axes.get_xlabel()}" for axes in fig.axes]
    return "Plot. " + "; ".join(parts)


def smooth(values: Sequence[float] | np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the running mean and the running standard deviation of the last `window` values.

    At the beginning the window holds the values there are; a single value has standard deviation 0. NaNs are left out.
    """
    import pandas as pd

    if window < 1:
        raise ValueError("window must be at least 1")
    rolling = pd.Series(np.asarray(values, dtype=float)).rolling(window, min_periods=1)
    return rolling.mean().to_numpy(), rolling.std(ddof=0).fillna(0).to_numpy()


def band_around(
    values: Sequence[float] | np.ndarray, mean: np.ndarray, deviation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the band mean ± deviation; where no value lies below 0 (a share, a length), the band does not either."""
    low = mean - deviation
    negative = (np.asarray(values, dtype=float) < 0).any()  # NaNs are not
    return (low if negative else np.maximum(low, 0)), mean + deviation


def plot_history(
    histories: History | Mapping[str, History | Sequence[float]],
    column: str = "reward",
    *,
    title: str | None = None,
    ylabel: str | None = None,
    window: int = 10,
) -> Figure:
    """Draw one recorded column of one or more runs: running mean as a line, one standard deviation as a band.

    Args:
        histories: a history, or a dict from a run's name to its history (or to its list of values).
        column: what to draw, such as `"reward"` or `"kl"`.
        window: number of steps in the running mean; 1 draws the values as they are.
    """
    runs = {column: histories} if isinstance(histories, History) else dict(histories)
    label = ylabel or UNITS.get(column, column)
    told = []
    with figure() as (fig, axes):
        for number, (name, run) in enumerate(runs.items()):
            values = run[column] if isinstance(run, History) else list(run)
            steps = run["step"] if isinstance(run, History) else list(range(len(values)))
            mean, deviation = smooth(values, window)
            axes.plot(steps, mean, label=name, **curve(number))
            if window > 1:
                band = {"color": colour_of(number), "alpha": 0.15, "linewidth": 0}
                axes.fill_between(steps, *band_around(values, mean, deviation), **band)
            if len(mean):
                told.append(f"{name} goes from {mean[0]:.3g} to {mean[-1]:.3g}")
        over = f", mean of {window} steps" if window > 1 else ""
        axes.set(title=title or f"{column.capitalize()} during training{over}", xlabel="training step", ylabel=label)
        if len(runs) > 1:
            axes.legend()
    return describe(fig, f"Line plot of {label} by training step. {'; '.join(told)}.")


def plot_histogram(
    values: Sequence[float], *, title: str, xlabel: str, limits: tuple[float, float] | None = None
) -> Figure:
    """Draw the distribution of values, with their mean as a dashed line; `limits` are the ends of the bins."""
    group = np.asarray(values, dtype=float)
    low, high = limits or (group.min(), group.max())
    with figure() as (fig, axes):
        edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
        axes.hist(group, bins=edges, color=COLOURS["blue"], edgecolor="white")
        label = f"mean {group.mean():.3f}"
        axes.axvline(group.mean(), color=COLOURS["blue"], linestyle="--", linewidth=1.5, label=label)
        axes.set(title=title, xlabel=xlabel, ylabel="number of completions")
        fig.legend(loc="outside lower center", ncols=2)
    told = f"{len(group)} values, mean {group.mean():.3g}, median {np.median(group):.3g}"
    return describe(fig, f"Histogram of {xlabel}. {told}.")


def plot_calibration(
    probabilities: Sequence[float],
    outcomes: Sequence[float],
    *,
    bins: int = 5,
    title: str | None = None,
) -> Figure:
    """Draw stated probabilities against how often the thing came true, with the diagonal of perfect calibration.

    Each point stands for the forecasts of one bin; its size and number say how many they are. The vertical line is
    the 95 % interval of the share (Wilson 1927), which stays between 0 and 1 for few tasks as well.
    """
    stated = np.asarray(probabilities, dtype=float)
    true = np.asarray(outcomes, dtype=float)
    if stated.shape != true.shape or stated.ndim != 1:
        raise ValueError("probabilities and outcomes must be two lists of the same length")
    which = np.minimum((stated * bins).astype(int), bins - 1)
    told: list[str] = []
    with figure(size=(5.0, 5.0)) as (fig, axes):
        axes.plot([0, 1], [0, 1], color=COLOURS["black"], linestyle=":", label="perfect calibration")
        for number in range(bins):
            chosen = which == number
            if not chosen.any():
                continue
            x, y, count = stated[chosen].mean(), true[chosen].mean(), int(chosen.sum())
            label = "your forecasts (number of tasks, 95 % interval)" if not told else None
            axes.vlines(x, *_share_interval(true[chosen].sum(), count), color=COLOURS["blue"], alpha=0.6)
            axes.scatter(x, y, s=60 + 25 * count, color=COLOURS["blue"], edgecolor="white", zorder=3, label=label)
            axes.annotate(str(count), (x, y), ha="center", va="center", color="white", fontsize=9, zorder=4)
            told.append(f"stated {x:.2f}, true {y:.2f} of {count}")
        axes.set(
            title=title or "Calibration of the forecasts",
            xlabel="stated probability (mean of the bin)",
            ylabel="share of tasks that the model solved",
            xlim=(-0.05, 1.05),
            ylim=(-0.08, 1.08),
        )
        fig.legend(loc="outside lower center", markerscale=0.6)
    return describe(fig, f"Calibration plot. {'; '.join(told)}.")


def _share_interval(hits: float, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    z, share = NORMAL_975, hits / count
    centre = share + z * z / (2 * count)
    spread = z * float(np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)))
    return (centre - spread) / (1 + z * z / count), (centre + spread) / (1 + z * z / count)


def name_points(axes: Axes, points: Sequence[Mapping[str, Any]], others: Sequence[tuple[float, float]] = ()) -> None:
    """Write each point's name beside it, where neither another name nor another point stands if there is such a place.

    `others` are points without a name, which are kept free as well. A name that a line runs through stands on white.
    """
    spots = [((5, -11), "left"), ((5, 4), "left"), ((-6, 4), "right"), ((-6, -11), "right")]
    spots += [((5, -22), "left"), ((5, 14), "left")]
    axes.figure.canvas.draw()  # else the places are those of an empty plot
    ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.3}
    seen = [axes.transData.transform(place) for place in [*((p["kl"], p["reward"]) for p in points), *others]]
    markers = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in seen]
    names: list[Bbox] = []
    for point in points:
        for shift, align in [*spots, spots[0]]:  # the first spot again, if none was free
            text = axes.annotate(
                point["name"], (point["kl"], point["reward"]), shift,
                textcoords="offset points", ha=align, fontsize=8, bbox=ground,
            )  # fmt: skip
            box = text.get_window_extent()
            wide = box.padded(8, 1)  # two names side by side would read as one
            if not any(box.overlaps(marker) for marker in markers) and not any(wide.overlaps(name) for name in names):
                break
            text.set_visible(False)
        text.set_visible(True)
        names.append(box)


def plot_bars(
    values: Mapping[str, float],
    *,
    title: str,
    ylabel: str,
    errors: Mapping[str, float] | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw one bar per name with its value on top and, where given, an error bar."""
    with figure() as (fig, axes):
        heights = list(values.values())
        spread = [errors.get(name, 0.0) for name in values] if errors else None
        colours = [colour_of(number) for number in range(len(heights))]
        bars = axes.bar(list(values), heights, yerr=spread, color=colours, capsize=4, width=0.6)
        axes.bar_label(bars, fmt="%.3g", padding=3)
        axes.set(title=title, ylabel=ylabel)
        if limits:
            axes.set_ylim(*limits)
        axes.margins(y=0.12)
    told = "; ".join(f"{name}: {value:.3g}" for name, value in values.items())
    return describe(fig, f"Bar chart of {ylabel}. {told}.")
