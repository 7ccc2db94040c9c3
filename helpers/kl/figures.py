"""The figures of Part 3: directions of the KL divergence, its estimators, and training runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from helpers.plots import (
    COLOURS,
    MARKERS,
    UNITS,
    band_around,
    colour_of,
    curve,
    describe,
    figure,
    name_points,
    smooth,
)

from .possible import BEST_OF_N, BOUNDS, OPTIMUM
from .sweep import SweepRun

TITLES = {
    "kl": "KL to the reference (exact)",
    "k1": "KL to the reference (k1)",
    "reward": "Reward",
    "length": "Length",
    "repetition": "Repetition",
    "alpha": "α",
    "objective": "J = reward − α·KL of the batch",
    "entropy": "Entropy of the policy",
    "clip_fraction": "Clip fraction in the second epoch",
    "ratio_shift": "Mean |ρ − 1| in the second epoch",
}
LABELS = {
    **UNITS,
    "kl": "nats per completion",
    "k1": "nats per completion",
    "alpha": "α, weight of the penalty",
    "objective": "J, in units of the reward",
    "entropy": "nats per completion",
    "clip_fraction": "share of tokens",
    "ratio_shift": "|ρ − 1|, mean over tokens",
}
BOUND_LOOKS: dict[str, dict[str, Any]] = {
    OPTIMUM: {"color": "0.35", "linestyle": "-"},
    BEST_OF_N: {"color": "0.35", "linestyle": (0, (4, 2))},
}
# A method looks the same in every figure of the course, whatever stands beside it; the same policies have two names.
METHODS = (
    "fixed α",
    "reference",
    "PPO, 2 epochs",
    "GRPO, 2 epochs",
    "annealed α",
    "controlled α",
    "larger steps",
    "DPO",
)
ALSO = {"REINFORCE + KL, fixed α": "fixed α", "untuned": "reference"}
KL_TICKS = (0, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # of an axis that is linear up to 10 and logarithmic above


def look_of(method: str, others: Sequence[str] = ()) -> dict[str, Any]:
    """Colour and marker of a method's points; one that is not in `METHODS` comes after them, by its place in `others`."""
    known = [*METHODS, *(name for name in others if ALSO.get(name, name) not in METHODS)]
    number = known.index(ALSO.get(method, method))
    turn, place = divmod(number, len(MARKERS))
    return {"color": colour_of(number), "marker": MARKERS[(place + 2 * turn) % len(MARKERS)]}


def plot_directions(points: Sequence[float], target: Sequence[float], fits: Mapping[str, Sequence[float]]) -> Figure:
    """Draw a reference with two bumps and, beside each other, the best fit of each direction of the divergence.

    Args:
        points: places on the horizontal axis.
        target: the reference's probability at each.
        fits: from the direction's name to the fitted policy's probabilities.
    """
    told = []
    with figure(1, len(fits), sharey=True, size=(9.0, 3.4)) as (fig, panels):
        for axes, (number, (name, fit)) in zip(panels, enumerate(fits.items()), strict=True):
            axes.fill_between(points, target, color="0.85", label="reference π_ref")
            axes.plot(points, fit, linewidth=2, label="policy π that fits best", **curve(number))
            axes.set(title=name, xlabel="value of the sample", ylabel="probability" if number == 0 else "")
            axes.legend(fontsize=8, loc="upper right")
            axes.set_ylim(0, 1.35 * max(max(target), max(max(f) for f in fits.values())))
            peak = points[int(np.argmax(fit))]
            spread = np.sqrt(np.average((np.asarray(points) - np.average(points, weights=fit)) ** 2, weights=fit))
            told.append(f"{name}: the fitted policy peaks at {peak:.1f} and has standard deviation {spread:.1f}")
    alt = "Two panels with a reference of two bumps, at −2 and 2, and a bell curve fitted to it."
    return describe(fig, f"{alt} {'; '.join(told)}.")


def plot_estimators(
    samples: Mapping[str, Sequence[float]], exact: float, summary: Mapping[str, Mapping[str, tuple[float, float]]]
) -> Figure:
    """Draw what the three estimators say of single tokens, their bias and their spread.

    Args:
        samples: from an estimator's name to its values on sampled tokens.
        exact: mean exact KL of the same positions.
        summary: from a policy's name to {estimator: (relative bias, relative standard deviation)}.
    """
    names = list(samples)
    with figure(1, 3, width_ratios=(1.3, 1, 1), size=(12.5, 3.8)) as (fig, (left, middle, right)):
        edges = np.linspace(-3, 3, 49)
        for number, name in enumerate(names):
            values = np.clip(np.asarray(samples[name]), edges[0], edges[-1])
            left.hist(values, bins=edges, histtype="step", linewidth=1.8, label=name, **curve(number))
        left.axvline(exact, color="black", linewidth=1.2, linestyle=":", label=f"exact KL, mean {exact:.2f}")
        left.set(
            title="Single tokens",
            xlabel="estimate (nats; ±3 and beyond at the edge)",
            ylabel="number of tokens",
            yscale="log",
        )
        left.legend(fontsize=8, loc="upper left")
        places = np.arange(len(summary))
        for axes, which, title in ((middle, 0, "Bias"), (right, 1, "Standard deviation of one token")):
            for number, name in enumerate(names):
                heights = [values[name][which] for values in summary.values()]
                bars = axes.bar(places + (number - 1) * 0.27, heights, 0.25, label=name, color=colour_of(number))
                axes.bar_label(bars, fmt="%.2f" if which == 0 else "%.1f", fontsize=6.5, padding=2)
            axes.set(title=title, xticks=places, xticklabels=list(summary), ylabel="in units of the exact KL")
            axes.margins(y=0.15)
        middle.axhline(0, color="black", linewidth=0.8)
        right.set_yscale("log")
        middle.legend(fontsize=8)
    told = "; ".join(
        f"{policy}, {name}: bias {bias:+.2f}, standard deviation {spread:.2f}"
        for policy, values in summary.items()
        for name, (bias, spread) in values.items()
    )
    return describe(
        fig,
        "Three panels. Histogram of the three estimates on single tokens: k1 has values on both sides of 0, k2 and k3 "
        f"none below it. Bars of bias and standard deviation in units of the exact KL: {told}.",
    )


def plot_kl(run: SweepRun, title: str) -> Figure:
    """Draw a run's KL to the reference: the exact one as dots where it was computed, the estimate k1 as a line."""
    (dots, exact), (steps, estimate) = run.history.measured("kl"), run.history.measured("k1")
    with figure() as (fig, axes):
        axes.plot(steps, estimate, label="estimated by k1 from the batch", **curve(1))
        axes.plot(dots, exact, marker="o", linestyle="", color=colour_of(0), label="exact")
        axes.set(title=title, xlabel="training step", ylabel=UNITS["kl"])
        axes.legend()
    return describe(
        fig,
        f"Line plot of the KL over training steps. Exact: {exact[0]:.3g} at step {dots[0]:.0f}, {exact[len(exact) // 2]:.3g} "
        f"at step {dots[len(dots) // 2]:.0f}, {exact[-1]:.3g} at step {dots[-1]:.0f}. "
        f"Estimate: {estimate[0]:.3g} to {estimate[-1]:.3g}.",
    )


def plot_sweep(
    runs: Mapping[str, SweepRun],
    columns: Sequence[str] = ("reward", "kl", "length", "repetition"),
    *,
    title: str = "",
    window: int = 10,
) -> Figure:
    """Draw recorded columns of several runs, a panel for each column: running means over `window` steps."""
    rows = (len(columns) + 1) // 2
    told = []
    with figure(rows, 2 if len(columns) > 1 else 1, squeeze=False, size=(10.0, 3.3 * rows)) as (fig, grid):
        for axes, column in zip(grid.flat, columns, strict=False):
            largest, smallest = 0.0, np.inf
            for number, (name, run) in enumerate(runs.items()):
                places, values = run.history.measured(column)
                if not values:
                    continue
                mean, deviation = smooth(values, max(1, round(window * len(values) / len(run.records))))
                band = {"alpha": 0.1, "linewidth": 0, "color": colour_of(number)}
                axes.plot(places, mean, label=name, **curve(number))
                axes.fill_between(places, *band_around(values, mean, deviation), **band)
                told.append(f"{column} of {name}: {mean[0]:.2g} to {mean[-1]:.2g}")
                largest, smallest = max(largest, float(mean.max())), min(smallest, float(mean.min()))
            axes.set(title=TITLES.get(column, column), xlabel="training step", ylabel=LABELS.get(column, column))
            if column == "alpha" and smallest > 0:
                axes.set_yscale("log")  # a price: what counts is its factor
            if column in ("kl", "k1") and largest > 20:
                axes.set_yscale("symlog", linthresh=10)  # logarithmic above 10 nats: the runs differ a hundredfold
                axes.set_yticks([tick for tick in KL_TICKS if tick <= 1.2 * largest])
                axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        for axes in list(grid.flat)[len(columns) :]:
            axes.set_visible(False)
        grid.flat[0].legend(fontsize=8)
        if title:
            fig.suptitle(title)
    return describe(fig, f"Line plots over training steps, running means of {window} steps. " + "; ".join(told) + ".")


def plot_opinions_by_kl(runs: Mapping[str, SweepRun], title: str = "Two opinions of the same texts") -> Figure:
    """Draw each run's score under the reward model it was trained on and under the second one, over its KL."""
    chosen = sorted(runs.values(), key=lambda run: run.scores["kl"])
    kinds = (("reward", "first reward model (trained on)"), ("second_reward", "second reward model (never trained on)"))
    told = []
    with figure(size=(7.5, 4.2)) as (fig, axes):
        for number, (key, label) in enumerate(kinds):
            values = [run.scores.get(key, float("nan")) for run in chosen]
            places = [run.scores["kl"] for run in chosen]
            axes.plot(places, values, marker=MARKERS[number], label=label, **curve(number))
            half = [run.scores.get("half_width", 0.0) if key == "reward" else 0.0 for run in chosen]
            told += [
                f"{run.name}, {label}: {value:.2f}" + (f" ± {wide:.2f}" if wide else "")
                for run, value, wide in zip(chosen, values, half, strict=True)
            ]
        up = [run.scores.get("half_width", 0.0) for run in chosen]
        axes.errorbar(places, [run.scores["reward"] for run in chosen], yerr=up, fmt="none", capsize=2, elinewidth=1)
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xticks([tick for tick in (0.5, 1, *KL_TICKS) if tick <= 1.2 * max(places, default=1)])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set(title=title, xlabel=UNITS["kl"], ylabel="mean P(positive)")
        axes.margins(y=0.12)
        axes.legend(loc="lower right", fontsize=9)
        first = [{"name": run.name, "kl": run.scores["kl"], "reward": run.scores["reward"]} for run in chosen]
        seconds = [(x, y) for x, y in zip(places, values, strict=True) if y == y]
        name_points(axes, first, seconds)
    return describe(fig, "Two lines over KL. " + "; ".join(told) + ".")


def plot_frontier(
    points: Sequence[Mapping[str, Any]],
    possible: Sequence[Mapping[str, Any]] = (),
    *,
    title: str = "Reward against distance from the reference",
    highlight: str | None = None,
) -> Figure:
    """Draw trained policies by their KL and their reward, and beside them what is possible; 95 % intervals as bars.

    Args:
        points: dicts with `name`, `kl`, `reward` and, for the bars, `half_width` and `kl_half_width`; each `method`
            gets a colour and a marker. Those whose method is a bound are left out: `possible` has them.
        possible: points of the optimum and of best-of-n, drawn as lines with the interval as a band.
        highlight: the name of a point to ring.
    """
    trained = [point for point in points if point.get("method") not in BOUNDS]
    with figure(size=(8.5, 5.0)) as (fig, axes):
        for method, look in BOUND_LOOKS.items():
            line = sorted((p for p in possible if p.get("method") == method), key=lambda point: point["kl"])
            if not line:
                continue
            x, y, spread = (np.array([p.get(key, 0.0) for p in line]) for key in ("kl", "reward", "half_width"))
            axes.plot(x, y, linewidth=1.8, label=f"{method} (possible)", **look)
            axes.fill_between(x, y - spread, y + spread, color="0.35", alpha=0.15, linewidth=0)
            if trained and (far := max(point["kl"] for point in trained)) > x[-1]:  # what was possible stays possible
                axes.plot([x[-1], far], [y[-1], y[-1]], linewidth=1, color="0.35", linestyle=":")
            if method == BEST_OF_N:
                axes.plot(x, y, marker="x", linestyle="", color="0.35")
        methods = list(dict.fromkeys(str(point.get("method", "")) for point in trained))
        for name in methods:
            chosen = [point for point in trained if str(point.get("method", "")) == name]
            along, up = ([point.get(key, 0.0) for point in chosen] for key in ("kl_half_width", "half_width"))
            places, heights = ([point[key] for point in chosen] for key in ("kl", "reward"))
            bars = {"yerr": up, "xerr": along, "capsize": 2, "elinewidth": 1, "linestyle": ""}
            axes.errorbar(places, heights, label=name or None, **bars, **look_of(name, methods))
        for point in trained:
            if point["name"] == highlight:
                ring = {"s": 260, "facecolor": "none", "edgecolor": COLOURS["black"], "linewidth": 2}
                axes.scatter(point["kl"], point["reward"], **ring)
        axes.set_xscale("symlog", linthresh=0.1, linscale=0.3)
        axes.set_xlim(left=-0.02)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set(title=title, xlabel=UNITS["kl"], ylabel=f"mean {UNITS['reward']}")
        if axes.get_legend_handles_labels()[0]:
            fig.legend(loc="outside lower center", ncols=4, fontsize=9)
        name_points(axes, [*trained, *(p for p in possible if p.get("method") == BEST_OF_N and p["kl"] > 0)])
    told = "; ".join(f"{p['name']}: KL {p['kl']:.3g}, reward {p['reward']:.3f}" for p in [*possible, *trained])
    ringed = f" A ring marks {highlight}." if highlight in {point["name"] for point in trained} else ""
    return describe(
        fig, f"Mean reward by KL to the reference: lines of what is possible, and trained policies. {told}.{ringed}"
    )


def plot_clip(ratios: Sequence[float], curves: Mapping[str, Sequence[float]], clip: float) -> Figure:
    """Draw PPO's loss of one token over its probability ratio, with the borders of the clip range."""
    with figure(size=(7.0, 3.4)) as (fig, axes):
        for number, (name, losses) in enumerate(curves.items()):
            axes.plot(ratios, losses, label=name, **curve(number))
        axes.axvspan(1 - clip, 1 + clip, color="0.92", label=f"clip range, {1 - clip:.1f} to {1 + clip:.1f}")
        axes.set(title="PPO's loss of one token", xlabel="ratio ρ of new to old probability", ylabel="loss")
        axes.legend()
    told = "; ".join(f"{name}: from {losses[0]:.2f} to {losses[-1]:.2f}" for name, losses in curves.items())
    return describe(
        fig,
        f"Two lines of the loss over the ratio, from {ratios[0]:.1f} to {ratios[-1]:.1f}: {told}. The line of the good "
        "completion falls and is flat to the right of the clip range; that of the bad one is flat to its left and rises.",
    )
