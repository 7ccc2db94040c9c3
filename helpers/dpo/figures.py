"""Figures of Part 4. They draw numbers that the notebook's own functions computed; no formula of an exercise is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from helpers.diagrams import arrow, boxes
from helpers.plots import COLOURS, MARKERS, colour_of, curve, describe, figure, show, smooth
from helpers.runs import History
from helpers.widgets import number, panel, widgets_available

# (margins, beta) -> one number for each margin
Curve = Callable[[np.ndarray, float], Any]  # (margins, β) -> a number for each margin


def draw_two_roads() -> Figure:
    """Diagram: from preference pairs to a policy by a reward model and online RL, and directly by DPO."""
    stations = [
        (0.95, 1.0, 1.9, "preference pairs\n(chosen, rejected)", "blue"),
        (3.95, 2.0, 1.7, "reward model", "orange"),
        (7.0, 2.0, 2.0, "sample, score,\nPPO or REINFORCE\nwith a KL penalty", "orange"),
        (5.45, 0.0, 2.9, "DPO: logistic loss on\nfour log-probs per pair", "green"),
        (9.95, 1.0, 1.3, "policy", "blue"),
    ]
    with figure(size=(9.2, 3.1), grid=False) as (fig, axes):
        boxes(axes, stations, height=0.64)
        arrow(axes, (1.9, 1.15), (3.1, 1.9), "fit")
        arrow(axes, (4.8, 2.0), (6.0, 2.0), "reward")
        arrow(axes, (8.0, 1.9), (9.3, 1.15))
        arrow(axes, (1.9, 0.85), (4.0, 0.1))
        arrow(axes, (6.9, 0.1), (9.3, 0.85))
        arrow(axes, (7.7, 2.34), (6.3, 2.34), connectionstyle="arc3,rad=0.7")
        axes.text(7.0, 2.92, "again and again, with fresh samples", ha="center", fontsize=8)
        axes.set(xlim=(-0.1, 10.8), ylim=(-0.5, 3.2), title="Two roads from preferences to a policy")
        axes.axis("off")
    return describe(
        fig,
        "Diagram. Upper road: preference pairs are used to fit a reward model, whose reward drives PPO or REINFORCE "
        "with a KL penalty, which samples again and again, and gives a policy. Lower road: DPO goes from the pairs to "
        "the policy with one logistic loss on four log-probs per pair.",
    )


def plot_gaps(gaps: Sequence[float], min_gap: float) -> Figure:
    """Histogram of the reward gaps of all pairs, and how many pairs are left for each smallest gap."""
    values = np.sort(np.asarray(gaps, dtype=float))
    left = 1 - np.arange(len(values)) / len(values)
    kept = float((values > min_gap).mean())
    with figure(1, 2, size=(9.0, 3.6)) as (fig, (first, second)):
        first.hist(values, bins=20, range=(0, 1), color=COLOURS["blue"], edgecolor="white")
        first.axvline(min_gap, color=COLOURS["vermilion"], linestyle="--", label=f"min_gap = {min_gap:g}")
        first.set(title="Gap between best and worst", xlabel="gap of P(positive)", ylabel="number of pairs")
        first.margins(y=0.2)
        first.legend(loc="upper right")
        second.plot(values, left, color=COLOURS["blue"])
        second.axvline(min_gap, color=COLOURS["vermilion"], linestyle="--", label=f"{kept:.0%} of pairs are left")
        second.set(title="Pairs left", xlabel="min_gap", ylabel="share of pairs", xlim=(0, 1), ylim=(0, 1.02))
        second.legend()
    return describe(
        fig,
        f"Left: histogram of {len(values)} reward gaps, median {np.median(values):.2f}. Right: share of pairs left, "
        f"falling with min_gap; at {min_gap:g} it is {kept:.0%}.",
    )


def plot_loss_and_weight(loss: Curve, weight: Curve, betas: Sequence[float], highlight: float | None = None) -> Figure:
    """Loss and gradient weight of a pair against its margin, a curve for each β; that of `highlight` is thick."""
    margins = np.linspace(-20, 20, 161)
    with figure(1, 2, size=(9.0, 3.8)) as (fig, (left, right)):
        for number, beta in enumerate(betas):
            look = {"linewidth": 3.5 if beta == highlight else 1.6, "label": f"β = {beta:g}", **curve(number)}
            left.plot(margins, loss(margins, beta), **look)
            right.plot(margins, weight(margins, beta), **look)
        for axes in (left, right):
            axes.axvline(0, color="#888888", linewidth=0.8)
        left.plot([0], [np.log(2)], "o", color=COLOURS["black"], label="ln 2 at margin 0")
        left.set(title="Loss of one pair", xlabel="margin (nats)", ylabel="loss (nats)", ylim=(-0.1, 5))
        title = "Weight of the pair in the gradient"
        right.set(title=title, xlabel="margin (nats)", ylabel="weight", ylim=(-0.03, 1.03))
        left.legend()
    return describe(
        fig,
        "Two line plots over the margin from -20 to 20 nats, a curve for each β of "
        + ", ".join(f"{beta:g}" for beta in betas)
        + ". Left: the loss falls; at margin 0 it is ln 2 for every β, for negative margins it rises nearly as a straight "
        "line of slope minus β, for positive ones it goes to 0. Right: the weight falls from 1 to 0 and is one half at "
        "margin 0; the larger β, the steeper."
        + ("" if highlight is None else f" The thick curve is that of β = {highlight:g}."),
    )


def margin_explorer(loss: Curve, weight: Curve) -> None:
    """Show `plot_loss_and_weight` for several β and, where widgets run, a field for any other."""
    show(plot_loss_and_weight(loss, weight, (0.1, 0.25, 0.5, 1.0)))
    if not widgets_available():
        return
    print("Change β, from 0.02 to 2, with the arrow keys or by typing: the thick curve is yours.")

    def draw(β: float) -> None:
        show(plot_loss_and_weight(loss, weight, list(dict.fromkeys([0.1, 0.5, β])), highlight=β))  # each β once

    panel(draw, {"β": number(0.2, 0.02, 2.0, 0.02)})


def plot_dpo_training(history: History, *, title: str = "") -> Figure:
    """Four panels: loss, pair accuracy, implicit rewards with their margin, change of the two log-probs."""
    steps = history["step"]
    with figure(2, 2, size=(10.0, 6.6)) as (fig, ((loss, accuracy), (rewards, changes))):
        for axes, column, name in ((loss, "loss", "loss (nats)"), (accuracy, "accuracy", "share of pairs")):
            mean, _ = smooth(history[column], 10)
            axes.plot(steps, mean, color=COLOURS["blue"], label="training, mean of 10 steps")
            axes.plot(*history.measured(f"test_{column}"), "o--", color=COLOURS["vermilion"], label="test pairs")
            axes.set(xlabel="training step", ylabel=name)
        loss.axhline(np.log(2), color=COLOURS["black"], linestyle=":", linewidth=1, label="ln 2: knows nothing")
        accuracy.axhline(0.5, color=COLOURS["black"], linestyle=":", linewidth=1, label="½: a coin toss")
        loss.set_title("Loss")
        accuracy.set_title("Pair accuracy")
        for column, name, colour, line in (
            ("reward", "chosen", "blue", "o-"),
            ("reward", "rejected", "orange", "s--"),
            ("change", "chosen", "blue", "o-"),
            ("change", "rejected", "orange", "s--"),
        ):
            axes = rewards if column == "reward" else changes
            axes.plot(*history.measured(f"test_{name}_{column}"), line, color=COLOURS[colour], label=name)
        rewards.plot(*history.measured("test_margin"), "^-.", color=COLOURS["green"], label="difference")
        rewards.set(title="Implicit rewards on test pairs", xlabel="training step", ylabel="β × log-ratio (nats)")
        headline = "Change of log-probs on test pairs"
        changes.set(title=headline, xlabel="training step", ylabel="log π − log π_ref (nats)")
        for axes in (rewards, changes):
            axes.axhline(0, color="#888888", linewidth=0.8)
        for axes in (loss, accuracy, rewards, changes):
            axes.legend(fontsize=8)
        if title:
            fig.suptitle(title)
    measures = ("loss", "accuracy", "margin", "chosen_change", "rejected_change")
    ends = {name: history.measured(f"test_{name}")[1] for name in measures}
    told = ", ".join(f"{name.replace('_', ' ')} from {v[0]:.3g} to {v[-1]:.3g}" for name, v in ends.items() if v)
    return describe(fig, f"Four line plots over training steps. On test pairs: {told}.")


def plot_test_measure(
    histories: Mapping[str, History], column: str, *, title: str, ylabel: str, line: float | None = None
) -> Figure:
    """One column of several runs that was recorded every few steps, each value as a marker."""
    with figure() as (fig, axes):
        told = []
        for number, (name, history) in enumerate(histories.items()):
            steps, values = history.measured(column)
            axes.plot(steps, values, marker="o", markersize=4, label=name, **curve(number))
            told.append(f"{name}: {values[0]:.3g} to {values[-1]:.3g}")
        if line is not None:
            axes.axhline(line, color=COLOURS["black"], linestyle=":", linewidth=1)
        axes.set(title=title, xlabel="training step", ylabel=ylabel)
        axes.legend()
    return describe(fig, f"{title}. {'; '.join(told)}.")


def plot_rulers(betas: Sequence[float], losses: Mapping[str, Sequence[float]], own: Mapping[str, float]) -> Figure:
    """The test loss of policies that do not change, against the β with which it is computed.

    Args:
        betas: of the horizontal axis, rising.
        losses: by policy, one for each of `betas`.
        own: by policy, the β with which it was trained; its loss there is marked.
    """
    with figure() as (fig, axes):
        told = []
        for number, (name, values) in enumerate(losses.items()):
            look = curve(number)
            axes.plot(betas, values, label=name, **look)
            least = int(np.argmin(values))
            text = f"{name}: from {values[0]:.3f} to {values[-1]:.3f}, lowest {values[least]:.3f} at β = {betas[least]:.2g}"
            if name in own:
                height = float(np.interp(own[name], betas, values))
                axes.plot([own[name]], [height], "o", markersize=9, color=look["color"])
                text += f", {height:.3f} at its own β = {own[name]:g}"
            told.append(text)
        axes.axhline(np.log(2), color=COLOURS["black"], linestyle=":", linewidth=1, label="ln 2")
        title = "One policy, many rulers (dot: the β of its training)"
        axes.set(title=title, xlabel="β with which the loss is computed", ylabel="test loss (nats)", xscale="log")
        axes.set_ylim(0, min(1.6, 1.1 * max(max(values) for values in losses.values())))  # its turn is what counts
        axes.legend(loc="lower left")
    return describe(fig, f"Line plot of test loss against β, a line for each policy. {'; '.join(told)}.")


def plot_panels(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    *,
    title: str,
    lines: Mapping[str, float] | None = None,
    joined: bool = True,
) -> Figure:
    """A small panel for each column of a table of runs, a labelled point for each run.

    Args:
        rows: a dict for each run, with `name` and the columns.
        columns: from a column to its label with unit.
        lines: from a column to the value that an untrained policy has, drawn as a dotted line.
        joined: draw a line from run to run; it makes sense where they have an order.
    """
    names = [row["name"] for row in rows]
    places = range(len(rows))
    with figure(1, len(columns), squeeze=False, size=(max(6.5, 3.0 * len(columns)), 3.6)) as (fig, panels):
        for axes, (column, label) in zip(panels[0], columns.items(), strict=True):
            heights = [row[column] for row in rows]
            axes.plot(places, heights, color="#999999", linewidth=1 if joined else 0, zorder=1)
            for place, height in zip(places, heights, strict=True):
                marker = MARKERS[place % len(MARKERS)]
                axes.scatter(place, height, s=70, color=colour_of(place), marker=marker, zorder=2)
                above = {"xytext": (0, 8), "textcoords": "offset points", "ha": "center", "fontsize": 9}
                axes.annotate(f"{height:.3g}", (place, height), **above)
            if lines and column in lines:
                axes.axhline(lines[column], color=COLOURS["black"], linestyle=":", linewidth=1)
                axes.annotate("untrained", (0, lines[column]), xytext=(0, -11), textcoords="offset points", fontsize=8)
            axes.set_xticks(places, names, rotation=30, ha="right", rotation_mode="anchor", fontsize=8)
            axes.set_title(label, fontsize=10)
            axes.margins(x=0.25, y=0.25)
        fig.suptitle(title)
    told = "; ".join(
        f"{row['name']}: " + ", ".join(f"{label} {row[c]:.3g}" for c, label in columns.items()) for row in rows
    )
    return describe(fig, f"{title}. {told}.")


def plot_overlay(own: Sequence[float], other: Sequence[float], *, label: str) -> Figure:
    """Two loss curves over each other, and their difference beneath."""
    difference = np.abs(np.asarray(own) - np.asarray(other))
    with figure(2, 1, sharex=True, height_ratios=[3, 1], size=(7.5, 5.0)) as (fig, (upper, lower)):
        upper.plot(own, color=COLOURS["sky"], linewidth=5, label="your dpo_step")
        upper.plot(other, color=COLOURS["black"], linestyle="--", linewidth=1.3, label=label)
        upper.set(title="The same training, twice", ylabel="loss (nats)")
        upper.legend()
        lower.plot(np.maximum(difference, 1e-9), color=COLOURS["vermilion"])
        lower.set(xlabel="training step", ylabel="|difference|", yscale="log")
    return describe(
        fig,
        f"Two loss curves over {len(own)} steps, from {own[0]:.3f} to {own[-1]:.3f}, that lie on each other; "
        f"their largest difference is {difference.max():.1e}.",
    )
