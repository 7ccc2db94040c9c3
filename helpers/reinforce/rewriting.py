"""Part 2's panel: reward and advantage of a completion that one may rewrite."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from helpers import plots
from helpers.models import RewardModel
from helpers.plots import COLOURS, describe, figure
from helpers.widgets import panel, text

Advantages = Callable[[Tensor], Tensor]  # the student's leave_one_out_advantages(rewards [B])


def draw_advantages(texts: Sequence[str], reward_model: RewardModel, advantages: Advantages, own: int = 0) -> Figure:
    """Bars of the rewards and of the advantages of some texts; that of number `own` stands out."""
    rewards = reward_model(list(texts)).float().cpu()  # [B]
    gains = advantages(rewards)  # [B]
    names = [_in_short(text) for text in texts]
    with figure(1, 2, size=(10.5, 0.42 * len(texts) + 1.3), sharey=True) as (fig, (left, right)):
        rows = range(len(texts))
        edges = [2.0 if row == own else 0.0 for row in rows]
        left.barh(rows, rewards, color=COLOURS["sky"], edgecolor="black", linewidth=edges)
        colours = [COLOURS["blue"] if gain > 0 else COLOURS["orange"] for gain in gains]
        right.barh(rows, gains, color=colours, edgecolor="black", linewidth=edges)
        right.axvline(0, color="black", linewidth=0.8)
        left.set_yticks(rows, names, fontsize=8)
        left.invert_yaxis()
        left.set(title="reward", xlabel="P(positive)", xlim=(0, 1))
        right.set(title="advantage: blue is pushed up, orange down", xlabel="reward − mean of the others", xlim=(-1, 1))
        right.set_xticks([-1, -0.5, 0, 0.5, 1])
    told = "; ".join(
        f"{text!r} reward {reward:.2f}, advantage {gain:+.2f}"
        for text, reward, gain in zip(texts, rewards.tolist(), gains.tolist(), strict=True)
    )
    return describe(fig, f"Rewards and advantages of {len(texts)} texts. {told}.")


def _in_short(text: str) -> str:
    """Beginning and end of a long text, in whole words, so that what was added to it can be seen."""
    if len(text) <= 48:
        return text
    start, end = text[:22], text[-27:]
    return f"{start.rpartition(' ')[0] or start} … {end.partition(' ')[2] or end}"


def advantage_panel(texts: Sequence[str], reward_model: RewardModel, advantages: Advantages) -> None:
    """The first of some texts can be rewritten; without widgets it is shown as it is, and with words of praise at its end."""
    others = list(texts[1:])

    def draw(your_text: str) -> None:
        plots.show(draw_advantages([your_text, *others], reward_model, advantages))

    better = texts[0] + " It is wonderful and moving."
    panel(draw, {"your text": text(texts[0])}, still=[{}, {"your_text": better}])
