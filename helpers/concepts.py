"""The drawn idea of a part: one step of REINFORCE, the KL leash, and coalitions of words."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from matplotlib.figure import Figure

from .diagrams import arrow, box, boxes
from .plots import COLOURS, describe, figure


def draw_step() -> Figure:
    """One step of REINFORCE as a circle: write, judge, compare, push."""
    with figure(size=(9.2, 3.3), grid=False) as (fig, axes):
        boxes(
            axes,
            [
                (1.0, 2.0, 1.9, "policy\nwrites completions", "blue"),
                (4.2, 2.0, 2.0, "reward model\ngives each a reward", "orange"),
                (7.6, 2.0, 2.3, "advantage:\nreward − baseline", "orange"),
            ],
        )
        outcomes = [
            (4.3, 0.9, 4.4, "above 0: make this completion's tokens more probable", "green"),
            (4.3, 0.15, 4.4, "below 0: make them less probable", "vermilion"),
        ]
        boxes(axes, outcomes, height=0.5)
        arrow(axes, (2.0, 2.0), (3.15, 2.0))
        arrow(axes, (5.25, 2.0), (6.4, 2.0))
        arrow(axes, (7.3, 1.58), (6.55, 0.95))
        arrow(axes, (7.8, 1.58), (6.55, 0.2))
        arrow(axes, (2.05, 0.95), (1.3, 1.58))
        arrow(axes, (2.05, 0.2), (0.8, 1.58))
        axes.text(1.0, 2.55, "with new weights, from new prompts, again and again", fontsize=8, ha="left")
        axes.set(xlim=(-0.1, 9.0), ylim=(-0.25, 2.8), title="One step of REINFORCE")
        axes.axis("off")
    return describe(
        fig,
        "Diagram of a circle. The policy writes completions; the reward model gives each a reward; the reward minus a "
        "baseline is the advantage. Above 0 the completion's tokens are made more probable, below 0 less probable. The changed "
        "policy writes again.",
    )


def draw_leash() -> Figure:
    """Two models read what the policy wrote; their difference is taken off the reward, times α."""
    with figure(size=(9.2, 3.4), grid=False) as (fig, axes):
        boxes(
            axes,
            [
                (0.9, 1.2, 1.7, "completion\nof the policy", "blue"),
                (4.0, 2.4, 2.5, "reward model:\nhow positive is it?", "orange"),
                (4.0, 1.2, 2.5, "policy:\nits log-prob, log π", "blue"),
                (4.0, 0.0, 2.5, "reference, frozen:\nits log-prob, log π_ref", "sky"),
                (7.2, 0.6, 1.9, "log-ratio\nlog π − log π_ref", "purple"),
                (9.9, 1.6, 1.9, "reward\n− α · log-ratio", "green"),
            ],
        )
        for end in (2.3, 1.2, 0.1):
            arrow(axes, (1.8, 1.2), (2.7, end))
        arrow(axes, (5.3, 2.35), (8.9, 1.75))
        arrow(axes, (5.3, 1.1), (6.2, 0.75))
        arrow(axes, (5.3, 0.1), (6.2, 0.45))
        arrow(axes, (8.2, 0.75), (8.9, 1.4), "× α")
        axes.set(
            xlim=(-0.1, 11.0),
            ylim=(-0.6, 3.0),
            title="The leash: what the reference would not have written costs reward",
        )
        axes.axis("off")
    return describe(
        fig,
        "Diagram. A completion of the policy is read by the reward model, by the policy and by the frozen reference. The "
        "difference of the two log-probs is the log-ratio. The reward minus α times the log-ratio is what is trained for.",
    )


def draw_coalitions(worth: Mapping[frozenset[str], float], players: tuple[str, str, str]) -> Figure:
    """All coalitions of three players, from nobody to everyone, with what each earns; each edge is an arrival.

    Args:
        worth: of each of the eight coalitions.
        players: their names; the arrivals of the last one are drawn thick.
    """
    places: dict[frozenset[str], tuple[float, float]] = {}
    for size in range(4):
        group = [frozenset(members) for members in itertools.combinations(players, size)]
        for number, members in enumerate(group):
            places[members] = (3.1 * size, 1.3 * ((len(group) - 1) / 2 - number))
    with figure(size=(9.2, 3.9), grid=False) as (fig, axes):
        for members, (x, y) in places.items():
            for player in players:
                if player in members:
                    continue
                end, change = places[members | {player}], worth[members | {player}] - worth[members]
                strong = player == players[-1]
                colour = COLOURS["blue" if change > 0 else "vermilion"] if strong else "#BBBBBB"
                arrow(axes, (x + 0.85, y), (end[0] - 0.85, end[1]), color=colour, lw=2.2 if strong else 0.9)
                if strong:
                    middle = (x + 0.62 * (end[0] - x), y + 0.62 * (end[1] - y) + 0.1)
                    axes.text(*middle, f"{change:+g}", color=colour, ha="center", va="bottom", weight="bold")
        for members, (x, y) in places.items():
            text = " ".join(player for player in players if player in members) or "(none)"
            box(axes, x, y, f"{text}\n{worth[members]:g}", "white", width=1.6, height=0.75, size=9)
        axes.set(xlim=(-1.0, 10.3), ylim=(-1.9, 1.9), title=f"Who is there, and what “{players[-1]}” adds on arriving")
        axes.axis("off")
    told = "; ".join(
        f"{' '.join(p for p in players if p in members) or 'none'} {value:+g}" for members, value in worth.items()
    )
    return describe(
        fig,
        f"The eight coalitions of three words as a net from none to all, with their scores: {told}. Arrows are arrivals.",
    )
