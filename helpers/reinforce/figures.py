"""The figures of Part 2: what a trajectory, a shift by one and a rollout look like, and what training did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Patch, Rectangle
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from helpers.diagrams import arrow, box
from helpers.evaluation import NORMAL_975
from helpers.generation import Rollout
from helpers.plots import COLOURS, MARKERS, UNITS, band_around, colour_of, curve, describe, figure, smooth
from helpers.runs import History

LABELS = {**UNITS, "surprise": "surprise (nats per generated token)"}
WINDOW = 10  # steps in a running mean
PALE = {"prompt": "#DDDDDD", "completion": "#A6CEE3", "padding": "#FFFFFF", "end": "#F4C99B"}


def draw_trajectory(prompt: str, completion: Sequence[str], reward: float) -> Figure:
    """Draw the states, actions and rewards of one completion, from the prompt to the reward."""
    states = [prompt]
    for token in completion[:-1]:
        states.append(f"{states[-1]} {token}")
    with figure(size=(9.5, 3.6), grid=False) as (fig, axes):
        axes.set_axis_off()
        step = 2.6
        for number, (state, action) in enumerate(zip(states, completion, strict=True)):
            x = step * number
            words = state.split()
            middle = (len(words) + 1) // 2
            text = state if len(words) < 4 else " ".join(words[:middle]) + "\n" + " ".join(words[middle:])
            box(axes, x, 2, text, PALE["prompt"], width=2.0, height=0.8)
            box(axes, x, 0.4, action, PALE["end" if action.startswith("<") else "completion"], width=1.4)
            arrow(axes, (x, 1.55), (x, 0.72))
            axes.text(x + 0.08, 1.15, "policy draws", fontsize=8, color="#333333")
            last = number == len(states) - 1
            axes.text(x, -0.2, f"reward {reward:.2f}" if last else "reward 0", ha="center", fontsize=9,
                      weight="bold" if last else "normal")  # fmt: skip
            if not last:
                arrow(axes, (x + 0.75, 0.6), (x + step - 0.6, 1.55))
        axes.text(-1.25, 2, "state", ha="right", va="center", weight="bold")
        axes.text(-1.25, 0.4, "action", ha="right", va="center", weight="bold")
        axes.set(
            xlim=(-2.3, step * len(states) - 1.2),
            ylim=(-0.5, 2.6),
            title="One trajectory: each action is added to the text",
        )
    told = "; ".join(f"state '{s}', action '{a}'" for s, a in zip(states, completion, strict=True))
    return describe(
        fig, f"Diagram of a trajectory of text. {told}. All rewards are 0 but the last, which is {reward:.2f}."
    )


def draw_shift(tokens: Sequence[str]) -> Figure:
    """Draw which row of logits predicts which token: arrows one place to the right, the last row predicts nothing."""
    with figure(size=(8.0, 2.7), grid=False) as (fig, axes):
        axes.set_axis_off()
        for place, token in enumerate(tokens):
            x = 1.8 * place
            last = place == len(tokens) - 1
            box(axes, x, 1.2, f"logits[:, {place}]", PALE["padding" if last else "completion"], width=1.3)
            box(axes, x, 0, token, PALE["prompt"], width=1.3)
            axes.text(x, -0.45, f"ids[:, {place}]", ha="center", fontsize=8)
            if not last:
                arrow(axes, (x + 0.3, 0.92), (x + 1.5, 0.3))
        x = 1.8 * (len(tokens) - 1)
        arrow(axes, (x + 0.3, 0.92), (x + 1.2, 0.42))
        axes.text(x + 1.25, 0.3, "not in\nthe text", fontsize=8, va="center")
        axes.text(-0.75, 0, "no logits\nfor this one →", fontsize=8, ha="right", va="center")
        axes.set(
            xlim=(-1.9, x + 2.0), ylim=(-0.7, 1.6), title="Logits at a position predict the token one place further on"
        )
    return describe(fig, "Diagram: an arrow leads from the logits at each position to the token at the next one. No logits "
                    "predict the first token, and the last ones predict a token that is not there.")  # fmt: skip


def plot_running_estimate(samples: Float[Tensor, " N"], truth: float, label: str) -> Figure:
    """Draw the mean of the first N samples by N, with its 95 % band, and the true value."""
    values = samples.double().numpy()
    count = np.arange(1, len(values) + 1)
    mean = values.cumsum() / count
    variance = np.maximum((values**2).cumsum() / count - mean**2, 0)
    half = NORMAL_975 * np.sqrt(variance / count)
    with figure() as (fig, axes):
        shown = count >= 5
        axes.plot(count[shown], mean[shown], label=label)
        axes.fill_between(count[shown], (mean - half)[shown], (mean + half)[shown], alpha=0.2, label="95 % interval")
        axes.axhline(truth, color=COLOURS["black"], linestyle=":", label=f"exact gradient ({truth:g})")
        axes.set(xscale="log", xlabel="number of samples N", ylabel="estimate of the gradient (per unit of θ)",
                 title="The estimate settles as samples are added")  # fmt: skip
        axes.legend()
    return describe(fig, f"Line plot: the estimate after {len(values)} samples is {mean[-1]:.3f}, the exact gradient {truth:g}; "
                    "the 95 % band narrows as one over the square root of the number of samples.")  # fmt: skip


def plot_baseline_experiment(estimates: Mapping[str, Float[Tensor, "N D"]], truth: Float[Tensor, " D"]) -> Figure:
    """Draw gradient estimates with different baselines: their means against the exact gradient, and their variances."""
    names = list(estimates)
    with figure(1, 2, width_ratios=(1.6, 1), size=(10.0, 4.0)) as (fig, (left, right)):
        place = np.arange(len(truth))
        for number, name in enumerate(names):
            values = estimates[name].double()
            half = NORMAL_975 * values.std(dim=0) / len(values) ** 0.5
            left.errorbar(place + 0.18 * (number - 1), values.mean(dim=0), yerr=half, linestyle="none", capsize=4,
                          marker=MARKERS[number], color=colour_of(number), label=name)  # fmt: skip
        for spot, value in zip(place, truth.tolist(), strict=True):
            left.hlines(value, spot - 0.35, spot + 0.35, color=COLOURS["black"], linestyle=":",
                        label="exact gradient" if spot == 0 else None)  # fmt: skip
        left.set_xticks(place, [f"logit of word {i + 1}" for i in place])
        left.set(title="Mean of the estimates (95 % intervals)", ylabel="gradient of the expected reward")
        left.legend()
        variances = [float(estimates[name].double().var(dim=0).sum()) for name in names]
        bars = right.bar(names, variances, color=[colour_of(i) for i in range(len(names))], width=0.6)
        right.bar_label(bars, fmt="%.4f", padding=3)
        right.set(title="Variance of one estimate", ylabel="variance, summed over the logits")
        right.margins(y=0.15)
    told = ", ".join(f"{name} {value:.4f}" for name, value in zip(names, variances, strict=True))
    return describe(
        fig, f"Left: the means of all kinds of estimate lie on the exact gradient. Right, variance: {told}."
    )


def plot_gaussian_score(
    covariance: Float[Tensor, "2 2"], actions: Float[Tensor, "N 2"], scores: Float[Tensor, "N 2"]
) -> Figure:
    """Draw a two-dimensional Gaussian around 0, some actions, and the score of each as an arrow that begins at the action."""
    values, vectors = np.linalg.eigh(covariance.double().numpy())
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    with figure(size=(6.2, 5.2)) as (fig, axes):
        for spread in (1, 2):
            size = 2 * spread * np.sqrt(values[::-1])
            axes.add_patch(Ellipse((0, 0), *size, angle=angle, fill=False, color=COLOURS["blue"], linewidth=1.2,
                                   label="1 and 2 standard deviations" if spread == 1 else None))  # fmt: skip
        x, y = actions.double().numpy().T
        u, v = scores.double().numpy().T
        axes.quiver(x, y, u, v, angles="xy", scale_units="xy", scale=4, color=COLOURS["vermilion"], width=0.005,
                    label="score (length ÷ 4)")  # fmt: skip
        axes.plot(x, y, "o", color=COLOURS["black"], markersize=4, label="action")
        axes.plot(0, 0, "P", color=COLOURS["blue"], markersize=9, label="mean μ")
        axes.set(xlabel="first number of the action", ylabel="second number of the action", aspect="equal",
                 title="The score of each action, drawn at the action:\nmove μ this way to make that action likelier",
                 xlim=(-4, 4), ylim=(-3.4, 3.4))  # fmt: skip
        axes.legend(loc="lower right", fontsize=8)
    return describe(fig, "Ellipses of a tilted Gaussian, actions drawn from it as dots, and at each an arrow: the score. They "
                    "point away from the mean, and are longest across the narrow direction of the Gaussian.")  # fmt: skip


def draw_rollout(rollout: Rollout, tokenizer: PreTrainedTokenizerBase) -> Figure:
    """Draw a batch as a grid of tokens, coloured by what they are: prompt, completion, its end-of-text token, padding."""
    ids = rollout.ids.cpu()
    real, generated = rollout.attention_mask.cpu(), rollout.completion_mask.cpu()
    rows, columns = ids.shape
    with figure(size=(0.44 * columns + 1.0, 0.42 * rows + 1.5), grid=False) as (fig, axes):
        for row in range(rows):
            for column in range(columns):
                token = int(ids[row, column])
                kind = "completion" if generated[row, column] else ("prompt" if real[row, column] else "padding")
                if kind == "completion" and token == tokenizer.eos_token_id:
                    kind = "end"
                text = {"end": "eos", "padding": "·"}.get(kind) or tokenizer.decode([token]).strip()
                axes.add_patch(Rectangle((column, row), 1, 1, facecolor=PALE[kind], edgecolor="#BBBBBB", linewidth=0.5))
                shown = text if len(text) < 8 else text[:6] + "…"  # a word that is cut says so
                axes.text(column + 0.5, row + 0.5, shown.replace("$", r"\$"), ha="center", va="center",
                          fontsize=9 if len(text) < 4 else 7 if len(text) < 6 else 6)  # fmt: skip
        axes.axvline(rollout.prompt_length, color=COLOURS["black"], linewidth=2)
        axes.set(xlim=(0, columns), ylim=(rows, 0), xlabel="position (column of ids)", ylabel="text of the batch",
                 title=f"A rollout: the completions begin at column {rollout.prompt_length}")  # fmt: skip
        axes.set_xticks(np.arange(0, columns, 2) + 0.5, np.arange(0, columns, 2))
        axes.set_yticks(np.arange(rows) + 0.5, np.arange(rows))
        names = {"prompt": "prompt", "completion": "completion", "end": "end-of-text (part of the completion)",
                 "padding": "padding"}  # fmt: skip
        handles = [Patch(facecolor=PALE[kind], edgecolor="#888888", label=name) for kind, name in names.items()]
        axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.16 - 0.35 / rows), ncols=4, fontsize=9)
    return describe(fig, f"Grid of {rows} texts by {columns} positions. Prompts are padded on the left and end at column "
                    f"{rollout.prompt_length - 1}; completions begin at column {rollout.prompt_length}; what follows an "
                    "end-of-text token is padding.")  # fmt: skip


def _draw_column(axes: Axes, history: History, column: str, colour: str) -> float:
    """Draw one column of a history: its values as dots, their running mean as a line, their spread as a band."""
    steps = np.asarray(history["step"])
    values = np.asarray(history[column])
    mean, deviation = smooth(values, WINDOW)
    axes.plot(steps, values, ".", color=colour, alpha=0.35, markersize=4)
    axes.plot(steps, mean, color=colour, linewidth=2, label=f"mean of the last {WINDOW} steps")
    band = {"color": colour, "alpha": 0.15, "linewidth": 0, "label": "± one standard deviation"}
    axes.fill_between(steps, *band_around(values, mean, deviation), **band)
    return float(mean[-1])


def plot_training(
    history: History,
    column: str,
    *,
    title: str,
    target: float | None = None,
) -> Figure:
    """Draw a column of one training run: each step's value as a dot, the running mean as a line, the spread as a band."""
    with figure() as (fig, axes):
        last = _draw_column(axes, history, column, COLOURS["blue"])
        if target is not None:
            axes.axhline(target, color=COLOURS["black"], linestyle=":", label=f"target ({target:g})")
        axes.set(title=title, xlabel="training step", ylabel=LABELS.get(column, column))
        axes.legend(loc="lower right")
    first = history[column][0]
    return describe(fig, f"Line plot of {LABELS.get(column, column)} by training step: {first:.3g} at the first step, "
                    f"{last:.3g} on average over the last {WINDOW}.")  # fmt: skip


def plot_side_effects(history: History) -> Figure:
    """Draw repetition and length during training, side by side."""
    told = []
    with figure(1, 2, size=(10.0, 3.8)) as (fig, panels):
        for axes, column, colour in zip(panels, ("repetition", "length"), ("orange", "green"), strict=True):
            last = _draw_column(axes, history, column, COLOURS[colour])
            axes.set(title=f"{column.capitalize()} during training", xlabel="training step", ylabel=LABELS[column])
            axes.set_ylim(bottom=0)
            axes.legend(fontsize=8)
            told.append(f"{column} goes from {history[column][0]:.3g} to {last:.3g}")
    return describe(fig, "Two line plots by training step: " + "; ".join(told) + ".")


def plot_opinions_by_step(opinions: Mapping[str, pd.Series]) -> Figure:
    """Draw what several reward models think of the same samples, by training step (the index of each series)."""
    told = []
    with figure() as (fig, axes):
        for number, (name, values) in enumerate(opinions.items()):
            axes.plot(values.index, values.to_numpy(), marker=MARKERS[number], label=name, **curve(number))
            told.append(f"{name}: from {values.iloc[0]:.2f} to {values.iloc[-1]:.2f}, highest {values.max():.2f}")
        axes.set(
            title="Two reward models on the same samples",
            xlabel="training step",
            ylabel="mean P(positive)",
            ylim=(0, 1.05),
        )
        axes.legend(loc="lower right")
    return describe(fig, "Line plot of mean P(positive) by training step. " + "; ".join(told) + ".")


def plot_letter_runs(runs: Mapping[str, History], chance: float) -> Figure:
    """Draw reward and gradient of runs with a small policy, side by side; `chance` is the reward of drawing blindly."""
    told = []
    with figure(1, 2, size=(10.0, 3.8)) as (fig, (left, right)):
        for number, (name, history) in enumerate(runs.items()):
            left.plot(history["step"], history["reward"], label=name, **curve(number))
            right.plot(history["step"], history["gradient"], label=name, **curve(number))
            told.append(f"{name}: reward from {history['reward'][0]:.2f} to {history.mean('reward', last=WINDOW):.2f}, "
                        f"gradient from {history['gradient'][0]:.2g} to {history['gradient'][-1]:.2g}")  # fmt: skip
        left.axhline(chance, color=COLOURS["black"], linestyle=":", label=f"drawing blindly ({chance:g})")
        left.set(title="Mean reward of a batch", xlabel="training step", ylabel="reward", ylim=(-0.03, 1.03))
        right.set(title="Gradient that the optimizer was given", xlabel="training step", ylabel="norm (0 is not drawn)")
        right.set_yscale("log", nonpositive="mask")  # what fades and what stays differ by powers of ten
        left.legend(fontsize=8)
        right.legend(fontsize=8)
    return describe(fig, "Two line plots by training step. " + "; ".join(told) + ".")


def plot_shrinking(history: History, columns: Mapping[str, str], first: int = WINDOW) -> Figure:
    """Draw columns of a run as parts of their mean over the first steps, on one logarithmic axis.

    Args:
        history: the run.
        columns: what each column is called.
        first: how many steps the mean is taken over.
    """
    told = []
    with figure() as (fig, axes):
        for number, (column, name) in enumerate(columns.items()):
            values = np.asarray(history[column])
            parts = values / values[:first].mean().clip(min=1e-30)
            axes.plot(history["step"], parts, ".", color=colour_of(number), alpha=0.3, markersize=4)
            mean, _ = smooth(parts, WINDOW)
            axes.plot(history["step"], mean, label=name, **curve(number))
            told.append(f"{name} ends at {mean[-1]:.2g}")
        axes.axhline(1, color=COLOURS["black"], linestyle=":", linewidth=1)
        axes.set(title=f"What shrinks, and how far (1: mean of the first {first} steps)", yscale="log",
                 xlabel="training step", ylabel="in parts of its first mean")  # fmt: skip
        axes.legend(loc="lower left")
    return describe(fig, f"Line plot on a logarithmic axis, mean of {WINDOW} steps, as parts of the mean over the first "
                    f"{first}: {'; '.join(told)}.")  # fmt: skip


def plot_seeds(
    curves: Mapping[str, Sequence[float]],
    *,
    title: str,
    best: float | None = None,
) -> Figure:
    """Draw one curve a seed, and their mean."""
    table = np.asarray(list(curves.values()))
    with figure() as (fig, axes):
        for number, (name, values) in enumerate(curves.items()):
            axes.plot(values, linewidth=1, label=name, **curve(number))
        axes.plot(table.mean(axis=0), color=COLOURS["black"], linewidth=2.5, label="mean of the seeds")
        if best is not None:
            axes.axhline(best, color=COLOURS["black"], linestyle=":", linewidth=1, label=f"highest possible ({best:g})")
        axes.set(title=title, xlabel="iteration (batch of episodes)", ylabel="mean reward of an episode")
        axes.legend()
    ends = ", ".join(f"{name} {values[-1]:.0f}" for name, values in curves.items())
    mean = table.mean(axis=0)
    told = f"Mean over the seeds: {mean[0]:.0f} at first, {mean[-1]:.0f} at last. At the end: {ends}."
    return describe(fig, f"Line plot of the mean reward of an episode by iteration. {told}")


def plot_step_parts(seconds: Mapping[str, float]) -> Figure:
    """Draw how long each part of a training step took, as horizontal bars from the first part down, with their shares."""
    whole = sum(seconds.values())
    labels = [f"{value:.2f} s, {value / whole:.0%}" for value in seconds.values()]
    with figure(size=(7.5, 3.4)) as (fig, axes):
        bars = axes.barh(list(seconds), list(seconds.values()), color=COLOURS["blue"])
        axes.bar_label(bars, labels, padding=4, fontsize=9)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.2)
        axes.set(title=f"Where the {whole:.2f} s of a training step go", xlabel="seconds (median of some steps)")
    told = "; ".join(f"{name}: {label}" for name, label in zip(seconds, labels, strict=True))
    return describe(fig, f"Bar chart of the parts of a training step. {told}.")
