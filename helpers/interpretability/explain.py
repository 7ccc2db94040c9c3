"""Part 5's view of `shap`: scores as plain functions of text, explanations, and pictures that need no JavaScript.

The `shap` library (Lundberg & Lee 2017, arXiv 1705.07874) estimates Shapley values. It needs two things: a function
from a list of texts to numbers, and a *masker*, which says how a text looks when some of its tokens are left out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers import display, plots
from helpers.devices import in_float64
from helpers.models import RewardModel

Score = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Explained:
    """One text and what its tokens contribute to a score: `base + sum(values) == score`.

    Attributes:
        tokens: the tokens as they stand in the text, blanks included.
        values: one contribution for each token.
        base: the score with every token masked.
        score: the score of the whole text.
    """

    tokens: list[str]
    values: np.ndarray
    base: float
    score: float

    @property
    def text(self) -> str:
        """The text again."""
        return "".join(self.tokens).strip()


def log_odds(reward_model: RewardModel) -> Score:
    """The reward model's verdict as log-odds, ln(p / (1 − p)): 0 at p = 0.5, and without the squeeze near 0 and 1.

    Contributions add up better on this scale: a word that takes p from 0.98 to 0.99 and one that takes it from 0.5 to
    0.67 both add about 0.7.
    """

    def score(texts: Sequence[str]) -> np.ndarray:
        p = in_float64(reward_model([str(text) for text in texts])).cpu().clamp(1e-6, 1 - 1e-6)
        return torch.logit(p).numpy()

    return score


def probability(odds: float) -> float:
    """The probability with these log-odds."""
    return float(torch.sigmoid(torch.tensor(odds, dtype=torch.float64)))


def masked_text(tokens: Sequence[str], kept: frozenset[int], mask: str) -> str:
    """The text with every token outside `kept` replaced by `mask` (or left out, where `mask` is empty)."""
    pieces = [token if number in kept else f" {mask} " if mask else " " for number, token in enumerate(tokens)]
    return " ".join("".join(pieces).split())


def split_text(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    """The text cut at the borders of the tokenizer's tokens; joined, the pieces are the text again.

    A word stays whole: a part of it would be another token if the rest were masked ("ed" in place of "##ed").
    """
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    inside = [start for start, _ in offsets[1:] if not text[start - 1 : start + 1].isalnum()]
    starts = [0, *inside, len(text)]
    return [text[begin:end] for begin, end in itertools.pairwise(starts)]


def explain(
    score: Score,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    evaluations: int = 500,
    kind: str = "partition",
) -> list[Explained]:
    """Estimate each token's contribution to the score of each text, with `shap` and the tokenizer as masker.

    Args:
        score: from a list of texts to one number each.
        tokenizer: of the model that is explained; its mask token stands for what is left out.
        evaluations: how many masked versions of a text may be scored at most; more is slower and more precise.
        kind: "partition" (neighbouring tokens are first treated as groups: fewer evaluations; these are *Owen* values,
            a relative of Shapley's), "permutation" (random orders of arrival: an estimate of Shapley's values) or "exact"
            (all coalitions; `evaluations` must then be at least 2 to the power of the number of tokens).
    """
    import shap

    state = np.random.get_state()
    np.random.seed(0)  # shap draws its random orders from NumPy's global generator
    masker = shap.maskers.Text(tokenizer)
    if kind != "partition":
        masker.clustering = None  # else shap draws only orders in which neighbours arrive together: again Owen values
    explainer = shap.Explainer(score, masker, algorithm=kind, seed=0)
    try:
        result = explainer(list(texts), max_evals=evaluations, batch_size=64, silent=True)
    finally:
        np.random.set_state(state)  # the caller's draws go on as if nothing had been drawn here
    found = []
    for row in range(len(texts)):
        pieces = [str(piece) for piece in result.data[row]]
        values = np.asarray(result.values[row], dtype=float)
        base = float(np.ravel(result.base_values[row])[0])
        keep = [number for number, piece in enumerate(pieces) if piece != ""]  # special tokens at the ends are empty
        found.append(Explained([pieces[n] for n in keep], values[keep], base, float(base + values.sum())))
    return found


def text_plot(item: Explained) -> display.Page:
    """`shap`'s interactive text plot, with a list of tokens and numbers where HTML is not shown.

    The plot is HTML with a little JavaScript of its own, no download. A notebook that was opened and not yet run is not
    trusted, and JupyterLab then takes the drawing out of it: run the cell again. Red pushes the score up and blue down; this is
    shap's choice of colours. Beside it always show `draw_tokens`, which is a picture and works everywhere.
    """
    import shap

    explanation = shap.Explanation(
        values=item.values, base_values=item.base, data=np.array(item.tokens, dtype=object), output_names=None
    )
    page = shap.plots.text(explanation, display=False)
    page = re.sub(r"np\.float64\(([^()]*)\)", r"\1", page)  # shap 0.51 writes colours so, and no browser reads it
    width = max(len(token.strip()) for token in item.tokens)
    lines = [f"{token.strip():<{width}}  {value:+.2f}" for token, value in zip(item.tokens, item.values, strict=True)]
    head = f"base {item.base:+.2f}, sum of contributions {item.values.sum():+.2f}, score {item.score:+.2f}"
    return display.Page(f'<div style="background: white; color: black">{page}</div>', "\n".join([head, *lines]))


def _cells(axes: Axes, item: Explained, scale: float, row: float, per_line: float) -> int:
    """Draw one text as boxes with numbers from height `row` downwards; returns the number of lines it took."""
    renderer = axes.figure.canvas.get_renderer()
    inverse = axes.transData.inverted()
    x, line = 0.0, 0
    for token, value in zip(item.tokens, item.values, strict=True):
        word = token.strip() or "·"
        share = float(np.clip(value / scale, -1, 1)) if scale else 0.0
        end = np.array([0, 114, 178] if share > 0 else [230, 159, 0]) / 255
        colour = 1 + (end - 1) * 0.75 * abs(share)
        box = {"boxstyle": "round,pad=0.25", "facecolor": colour, "edgecolor": "#999999", "linewidth": 0.5}
        text = axes.text(x, row - line, word, fontsize=11, va="center", ha="left", bbox=box)
        extent = text.get_window_extent(renderer)
        right = max(inverse.transform((extent.x1, 0))[0], x + 5.0)  # room for the number below
        if right > per_line and x > 0:
            line, width = line + 1, right - x
            text.set_position((0.0, row - line))
            x, right = 0.0, width
        number = {"fontsize": 7.5, "va": "center", "ha": "center", "color": "#333333"}
        axes.text((x + right) / 2, row - line - 0.42, f"{value:+.2f}", **number)
        x = right + 1.7
    return line + 1


def draw_tokens(items: Mapping[str, Explained], *, title: str, unit: str = "log-odds of positive") -> Figure:
    """Draw texts as coloured boxes, the contribution beneath each token: a picture, so it also works in print.

    Blue boxes raise the score and orange ones lower it; all texts of the figure share one scale.
    """
    scale = max((float(np.abs(item.values).max()) for item in items.values()), default=1.0)
    rows = sum(2 + len(item.text) // 70 for item in items.values())
    with plt.rc_context(plots.STYLE | {"figure.constrained_layout.use": False}):
        fig = plt.figure(figsize=(8.0, 0.56 * rows + 0.6))
        axes = fig.add_axes((0.01, 0.01, 0.98, 0.98 - 0.45 / fig.get_figheight()))
        axes.axis("off")
        axes.set(xlim=(0, 100), ylim=(-rows - 0.2, 0.4))
        fig.suptitle(title, fontsize=12, x=0.015, y=0.995, ha="left", va="top")
        height = 0.0
        for name, item in items.items():
            head = f"{name}:  base {item.base:+.2f}, score {item.score:+.2f}  (P = {probability(item.score):.2f})"
            axes.text(0, height, head, fontsize=9, va="center", fontweight="bold")
            height -= 1 + 0.95 * _cells(axes, item, scale, height - 0.85, 97.0)
        axes.set_ylim(height + 0.3, 0.4)
    told = "; ".join(
        f"{name}: "
        + ", ".join(f"{token.strip()} {value:+.2f}" for token, value in zip(item.tokens, item.values, strict=True))
        for name, item in items.items()
    )
    return plots.describe(fig, f"{title}. Contributions in {unit}. {told}.")


def next_token_log_odds(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, word: str
) -> Callable[[Sequence[str]], Float[Tensor, " N"]]:
    """A score of prompts: the log-odds with which the policy continues the prompt by `word` (its first token).

    One prompt at a time, so no padding is needed. An empty prompt is scored after the end-of-text token.
    """
    target = tokenizer(" " + word.strip(), add_special_tokens=False)["input_ids"][0]

    @torch.no_grad()
    def score(prompts: Sequence[str]) -> Tensor:
        found = []
        for prompt in prompts:
            ids = tokenizer(prompt, add_special_tokens=False)["input_ids"] or [tokenizer.eos_token_id]
            batch = torch.tensor([ids], device=policy.device)
            logits = policy(batch, attention_mask=torch.ones_like(batch), use_cache=False).logits[0, -1]
            log_p = in_float64(logits).log_softmax(dim=-1)[target]
            found.append((log_p - torch.log1p(-log_p.exp().clamp(max=1 - 1e-12))).cpu())
        return torch.stack(found)

    return score
