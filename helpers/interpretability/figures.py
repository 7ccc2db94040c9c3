"""Figures of Part 5: heat maps over heads, where heads look, and training in pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from helpers.plots import COLOURS, LINES, MARKERS, describe, figure

from .circuits import Head

HATCHES = ("", "//", "..", "xx", "\\\\")  # beside the colour, for readers who cannot tell two of them apart
DIVERGING = "PuOr_r"  # purple and orange can be told apart by colour-blind readers; white is zero


def head_maps(
    maps: Mapping[str, Float[Tensor, "L H"]], *, title: str, unit: str = "share", columns: Sequence[str] = ()
) -> Figure:
    """One heat map of layers × heads for each entry, all on one colour scale, with the number in each field.

    With `columns` the second axis has these names, of positions say, in place of the heads' numbers.
    """
    arrays = {name: np.asarray(values, dtype=float) for name, values in maps.items()}
    span = max((float(np.nanmax(np.abs(values))) for values in arrays.values()), default=1.0) or 1.0
    layers, heads = next(iter(arrays.values())).shape
    across = len(arrays) if len(arrays) < 4 else -(-len(arrays) // 2)  # more than three in two rows: readable in a page
    down = -(-len(arrays) // across)
    numbers = heads <= 12
    size = ((0.55 if numbers else 0.3) * heads + 0.9, 0.42 * layers + 1.1)
    wide = max(0.095 * len(title) + 0.6, size[0] * across + 1.0)
    with figure(down, across, size=(wide, size[1] * down + 0.5), squeeze=False) as (fig, grid):
        for axes, (name, values) in zip(grid.flat, arrays.items(), strict=False):
            image = axes.imshow(values, cmap=DIVERGING, vmin=-span, vmax=span, aspect="auto")
            for layer in range(layers if numbers else 0):
                for head in range(heads):
                    dark = abs(values[layer, head]) > 0.6 * span
                    colour = "white" if dark else "black"
                    text = f"{values[layer, head]:.2f}".replace("-0.00", "0.00")
                    axes.text(head, layer, text, ha="center", va="center", color=colour, fontsize=7)
            axes.set(xlabel="position" if columns else "head", xticks=range(heads), yticks=range(layers))
            axes.set_xticklabels(columns or [str(head) for head in range(heads)])
            axes.set_title(name, fontsize=10)
            axes.grid(False)
        for axes in grid[:, 0]:
            axes.set_ylabel("layer")
        for axes in list(grid.flat)[len(arrays) :]:
            axes.axis("off")
        fig.colorbar(image, ax=grid, label=unit, shrink=0.9)
        fig.suptitle(title, fontsize=12)
    told = "; ".join(f"{name}: {largest(values, columns)}" for name, values in arrays.items())
    return describe(fig, f"Heat maps over layers and {'positions' if columns else 'heads'}. {title}. {told}.")


def largest(values: np.ndarray, columns: Sequence[str] = ()) -> str:
    """The entries of greatest size, for an alternative text: "head 2.3 5.88", or with columns "layer 0 at S2 1.00"."""
    order = np.argsort(-np.abs(values), axis=None)[:3]
    places = [np.unravel_index(index, values.shape) for index in order]
    named = [f"layer {row} at {columns[column]}" if columns else f"head {row}.{column}" for row, column in places]
    return ", ".join(f"{name} {values[place]:.2f}" for name, place in zip(named, places, strict=True))


def head_bars(
    values: Mapping[str, Float[Tensor, "N 3"]], heads: Sequence[str], *, title: str, ylabel: str, size: float = 8.5
) -> Figure:
    """Bars side by side for each head, one for each entry, with intervals: columns are value, lower and upper end."""
    with figure(size=(size, 3.6)) as (fig, axes):
        width = 0.8 / len(values)
        for number, (name, table) in enumerate(values.items()):
            value, low, high = np.asarray(table, dtype=float).T  # [N] each
            known = np.where(high > low, 1.0, np.nan)  # a value without an interval gets no bar of error
            where = np.arange(len(heads)) + width * (number - (len(values) - 1) / 2)
            axes.bar(
                where, value, width, yerr=known * (value - low, high - value), capsize=2, color=list(COLOURS.values())[number],
                hatch=HATCHES[number], edgecolor="white", linewidth=0.5, label=name, error_kw={"linewidth": 0.8},
            )  # fmt: skip
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xticks(range(len(heads)), heads)
        axes.set(title=title, xlabel="head", ylabel=ylabel)
        if len(values) > 1:
            fig.legend(loc="outside lower center", ncols=3, fontsize=9)
    told = "; ".join(
        f"{name}: "
        + ", ".join(
            f"{head} {value:.2f}" + (f" ({low:.2f} to {high:.2f})" if high > low else "")
            for head, (value, low, high) in zip(heads, table, strict=True)
        )
        for name, table in values.items()
    )
    return describe(fig, f"Bars for each head, with intervals where there are some. {title}. {told}.")


def attention_to_names(
    attention: Mapping[str, Float[Tensor, "P N"]], heads: Sequence[Head], positions: Sequence[str]
) -> Figure:
    """For each origin a heat map: heads across, named positions down, the field is the mean attention."""
    with figure(len(attention), 1, size=(8.0, 2.5 * len(attention)), squeeze=False) as (fig, grid):
        for axes, (origin, values) in zip(grid[:, 0], attention.items(), strict=True):
            array = np.asarray(values, dtype=float)
            image = axes.imshow(array, cmap="Blues", vmin=0, vmax=1, aspect="auto")
            for row in range(array.shape[0]):
                for column in range(array.shape[1]):
                    colour = "white" if array[row, column] > 0.6 else "black"
                    label = f"{array[row, column]:.2f}"
                    axes.text(column, row, label, ha="center", va="center", color=colour, fontsize=7)
            names = [f"{layer}.{head}" for layer, head in heads]
            axes.set(xticks=range(len(heads)), xticklabels=names, yticks=range(len(positions)), yticklabels=positions)
            axes.set(xlabel="head", ylabel="to", title=f"attention from {origin}")
            axes.grid(False)
        fig.colorbar(image, ax=grid, label="attention (share)")
    told = []
    for origin, values in attention.items():
        array = np.asarray(values, dtype=float)
        for row, column in np.argwhere(array > 0.6):
            told.append(
                f"{heads[column][0]}.{heads[column][1]} from {origin} to {positions[row]} {array[row, column]:.2f}"
            )
    return describe(fig, "Mean attention of each head to the named positions. Strong: " + ", ".join(told) + ".")


def attention_arcs(words: Sequence[str], looks: Mapping[str, tuple[int, Float[Tensor, " T"]]]) -> Figure:
    """A sentence, and for each head arcs from the position it looks from to the words it looks at (width = attention)."""
    colours = [COLOURS[name] for name in ("blue", "vermilion", "green", "purple")]
    styles = ["-", "--", ":", "-."]
    with figure(size=(9.5, 2.9)) as (fig, axes):
        for number, (name, (origin, weights)) in enumerate(looks.items()):
            shown = False
            for goal, weight in enumerate(np.asarray(weights, dtype=float)[: origin + 1]):
                if weight < 0.08:
                    continue
                reach = max(abs(origin - goal), 0.6)
                middle, half = (goal + origin) / 2, max(abs(origin - goal), 0.5) / 2  # to itself: a loop above the word
                angle = np.linspace(0, np.pi, 60)
                x, y = middle + half * np.cos(angle), 0.35 + (0.16 + 0.03 * number) * reach * np.sin(angle)
                axes.plot(
                    x, y, styles[number % 4], color=colours[number % 4], linewidth=5 * weight + 0.3, alpha=0.85,
                    label=None if shown else name,
                )  # fmt: skip
                shown = True
        for place, word in enumerate(words):
            axes.text(place, 0, word, ha="center", va="center", rotation=35, fontsize=9)
        axes.set(xlim=(-0.7, len(words) - 0.3), ylim=(-0.7, None), xticks=[], yticks=[])
        axes.set_title("Where three heads look (the thicker, the more attention)")
        axes.spines[:].set_visible(False)
        axes.grid(False)
        axes.legend(loc="upper left")
    told = "; ".join(
        f"{name} looks from word {origin + 1}, {words[origin]}, most at word {goal + 1}, {words[goal]} ({float(w[goal]):.2f})"
        for name, (origin, w) in looks.items()
        for goal in [int(torch.as_tensor(w).argmax())]
    )
    return describe(fig, f"Arcs over the sentence {' '.join(words)}. {told}.")


def emergence(
    steps: Sequence[int],
    accuracy: Sequence[float],
    loss: Sequence[float],
    marks: Sequence[int],
    tracks: Mapping[str, Sequence[tuple[float, float, float]]],
) -> Figure:
    """Three panels over the training steps: accuracy, loss, and the accuracy of the kept checkpoints without some heads.

    `tracks` has for each choice of heads the accuracy at each of the `marks`, with the ends of its interval.
    """
    accuracy, loss = [float(value) for value in accuracy], [float(value) for value in loss]
    with figure(3, 1, size=(7.0, 7.2), sharex=True) as (fig, (top, middle, bottom)):
        top.plot(steps, accuracy, color="black")
        middle.plot(steps, loss, color="black")
        for mark in marks:
            for axes in (top, middle, bottom):
                axes.axvline(mark, color="#999999", linewidth=0.6, linestyle=":")
        top.set(title="How the ability came", ylabel="accuracy on test prompts", ylim=(0, 1.03))
        middle.set(title="The loss at the answer", ylabel="loss (nats)", ylim=(0, None))
        for (name, values), marker, line in zip(tracks.items(), MARKERS, LINES, strict=False):
            value, low, high = np.asarray(values, dtype=float).T  # [number of marks] each
            bars = {"yerr": (value - low, high - value), "capsize": 2, "elinewidth": 0.8}
            bottom.errorbar(marks, value, marker=marker, linestyle=line, label=name, **bars)
        bottom.set(title="Knock-outs at the kept checkpoints", xlabel="training step (square-root scale)")
        bottom.set(ylabel="accuracy", ylim=(0, 1.03))
        bottom.set_xlim(0, max(steps))  # the scale has no place for a margin below 0
        bottom.set_xscale("function", functions=(np.sqrt, np.square))
        bottom.set_xticks([0, 50, 100, 200, 400, 800, 1500])
        bottom.legend(fontsize=8)
    told = "; ".join(
        f"{name}: " + ", ".join(f"{value[0]:.2f} at {mark}" for mark, value in zip(marks, values, strict=True))
        for name, values in tracks.items()
    )
    losses = ", ".join(f"{own:.2f} at {step}" for step, own in zip(steps, loss, strict=True) if step in marks)
    return describe(
        fig,
        f"Accuracy rises from {accuracy[0]:.2f} to {accuracy[-1]:.2f}, loss by step: {losses}. Accuracy by step. {told}.",
    )
