"""Part 5's view of `shap`: scores as plain functions of text, explanations, and pictures that need no JavaScript.

The `shap` library (Lundberg & Lee 2017, arXiv 1705.07874) estimates Shapley values. It needs two things: a function
from a list of texts to numbers, and a *masker*, which says how a text looks when some of its tokens are left out.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers import display, plots
from helpers.devices import in_float64
from helpers.models import RewardModel

WORD, NUMBER = 11.0, 8.5  # font sizes of `draw_tokens`, in points
PAD, GAP, LONGEST = 3.5, 7.0, 600.0  # points: inside a box, between boxes, of a line
RGB = re.compile(r"rgba?\(([\d.]+), ?([\d.]+), ?([\d.]+)(?:, ?([\d.]+))?\)")
KEY = "blue raises, orange lowers the {unit}; base + all contributions = score"
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


def cut_for_shap(tokenizer: PreTrainedTokenizerBase) -> Callable[..., dict[str, list]]:
    """`split_text` in the form in which shap's text masker asks for a tokenizer: whole words are masked, never pieces of one."""

    def cut(text: str, **options: Any) -> dict[str, list]:
        ends = list(itertools.accumulate(map(len, split_text(tokenizer, text)))) if text else []
        # shap masks by the offsets; of the ids it wants no more than that there are as many
        return {"input_ids": list(range(len(ends))), "offset_mapping": list(zip([0, *ends], ends, strict=False))}

    return cut


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

    Raises:
        ValueError: the tokenizer has no mask token.
    """
    import shap

    if tokenizer.mask_token is None:
        raise ValueError(
            "this reward model has no mask token, which stands for an absent word: this part needs a classifier of BERT's kind, "
            "such as the embedded one, choose_preset('tiny')"
        )
    state = np.random.get_state()
    np.random.seed(0)  # shap draws its random orders from NumPy's global generator
    mask = f"{tokenizer.mask_token} "  # shap puts a blank before it and none behind
    masker = shap.maskers.Text(cut_for_shap(tokenizer), mask_token=mask, collapse_mask_token=False)
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
    trusted, and JupyterLab then takes the drawing out of it: run the cell again. shap's own colours, red for up and blue for
    down, are exchanged for the course's, blue for up and orange for down. The numbers stand in a table below it, for the
    keyboard and screen readers: shap's words can only be clicked.
    """
    import shap

    explanation = shap.Explanation(
        values=item.values, base_values=item.base, data=np.array(item.tokens, dtype=object), output_names=None
    )
    page = shap.plots.text(explanation, display=False)
    page = re.sub(r"np\.float64\(([^()]*)\)", r"\1", page)  # shap 0.51 writes colours so, and no browser reads it
    page = RGB.sub(recoloured, page)
    width = max(len(token.strip()) for token in item.tokens)
    lines = [f"{token.strip():<{width}}  {value:+.2f}" for token, value in zip(item.tokens, item.values, strict=True)]
    names = "".join(f'<th scope="col">{html.escape(token.strip())}</th>' for token in item.tokens)
    numbers = "".join(f"<td>{value:+.2f}</td>" for value in item.values)
    table = (
        '<div style="overflow-x: auto" tabindex="0" role="region" aria-label="contributions">'
        f'<table><thead><tr><th scope="col">word</th>{names}</tr></thead>'
        f'<tbody><tr><th scope="row">contribution</th>{numbers}</tr></tbody></table></div>'
    )
    head = f"base {item.base:+.2f}, sum of contributions {item.values.sum():+.2f}, score {item.score:+.2f}"
    return display.Page(f'<div style="background: white; color: black">{page}{table}</div>', "\n".join([head, *lines]))


def recoloured(match: re.Match[str]) -> str:
    """A colour of shap's plot in the course's palette: red becomes blue and blue becomes orange, equally strong; greys stay."""
    red, green, blue = (float(part) for part in match.groups()[:3])
    if red > blue + 15:
        end, strength = np.array([86, 180, 233]), (255 - green) / 242
    elif blue > red + 15:
        end, strength = np.array([230, 159, 0]), (255 - red) / 225
    else:
        return match[0]
    mixed = 255 + (end - 255) * min(strength, 1)
    rest = f", {match[4]})" if match[4] else ")"
    return f"{'rgba' if match[4] else 'rgb'}({', '.join(f'{part:.0f}' for part in mixed)}{rest}"


@dataclass(frozen=True)
class PlacedToken:
    """A token's place in the drawing, in points from the left end of its line."""

    token: str
    value: float
    centre: float
    line: int


def laid_out(item: Explained, width: Callable[[str, float], float], longest: float) -> list[PlacedToken]:
    """Where each token of a text stands, with breaks before `longest` points; the number below it has room as well.

    `width` gives the width of a text in a font size, both in points.
    """
    cells, x, line = [], 0.0, 0
    for token, value in zip(item.tokens, item.values, strict=True):
        room = max(width(token.strip() or "·", WORD) + 2 * PAD, width(f"{value:+.2f}", NUMBER))
        if x + room > longest and x > 0:
            x, line = 0.0, line + 1
        cells.append(PlacedToken(token.strip() or "·", float(value), x + room / 2, line))
        x += room + GAP
    return cells


def draw_tokens(
    items: Mapping[str, Explained], *, title: str, unit: str = "log-odds of positive", chance: bool = True
) -> Figure:
    """Draw texts as coloured boxes, the contribution beneath each token: a picture, so it also works in print.

    Blue boxes raise the score and orange ones lower it; all texts of the figure share one scale. With `chance` the scores
    are log-odds, and the head of each text also has its probability.
    """
    scale = max((float(np.abs(item.values).max()) for item in items.values()), default=1.0) or 1.0
    heads = [
        f"{name}:  base {item.base:+.2f}, score {item.score:+.2f}"
        + (f"  (P = {probability(item.score):.2f})" if chance else "")
        for name, item in items.items()
    ]
    with plt.rc_context(plots.STYLE | {"figure.constrained_layout.use": False}):
        fig = plt.figure()
        renderer = fig.canvas.get_renderer()

        def width(text: str, size: float) -> float:
            drawn = fig.text(0, 0, text, fontsize=size)
            extent = drawn.get_window_extent(renderer).width * 72 / fig.dpi
            drawn.remove()
            return extent

        placed = [laid_out(item, width, LONGEST) for item in items.values()]
        across = max(
            [max(cell.centre for cell in cells) + 30 for cells in placed if cells]
            + [width(text, 9) * 1.15 for text in [*heads, KEY.format(unit=unit)]]
            + [width(title, 12)]
        )
        rows = [2 + max((cell.line for cell in cells), default=0) for cells in placed]  # the head is a row
        height = 24 + 34 * sum(rows) + 18
        fig.set_size_inches((across + 16) / 72, height / 72)
        axes = fig.add_axes((0, 0, 1, 1), xlim=(-8, across + 8), ylim=(height, 0))  # in points, from the top
        axes.axis("off")
        axes.text(0, 12, title, fontsize=12, va="center")
        top = 24.0
        for head, cells, count in zip(heads, placed, rows, strict=True):
            axes.text(0, top + 18, head, fontsize=9, va="center", fontweight="bold")
            for cell in cells:
                y = top + 44 + 34 * cell.line
                box = {"boxstyle": "round,pad=0.25", "facecolor": shade(cell.value / scale), "edgecolor": "#999999"}
                middle = {"ha": "center", "va": "center"}
                axes.text(cell.centre, y, cell.token, fontsize=WORD, bbox=box | {"linewidth": 0.5}, **middle)
                axes.text(cell.centre, y + 15, f"{cell.value:+.2f}", fontsize=NUMBER, color="#333333", **middle)
            top += 34 * count
        axes.text(0, height - 8, KEY.format(unit=unit), fontsize=8.5, va="center", color="#333333")
    told = "; ".join(
        f"{name}: "
        + ", ".join(f"{token.strip()} {value:+.2f}" for token, value in zip(item.tokens, item.values, strict=True))
        for name, item in items.items()
    )
    return plots.describe(fig, f"{title}. Contributions in {unit}. {told}.")


def shade(share: float) -> np.ndarray:
    """The colour of a contribution, as a share of the largest: white for 0, blue above, orange below."""
    end = np.array([0, 114, 178] if share > 0 else [230, 159, 0]) / 255
    return 1 + (end - 1) * 0.75 * min(abs(share), 1)


def next_word_preference(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, word: str, other: str
) -> Callable[[Sequence[str]], Float[Tensor, " N"]]:
    """A score of prompts: ln p(word) − ln p(other), for the policy's next token after the prompt (their first tokens).

    One prompt at a time, so no padding is needed.
    """
    first, second = (tokenizer(" " + w.strip(), add_special_tokens=False)["input_ids"][0] for w in (word, other))

    @torch.no_grad()
    def score(prompts: Sequence[str]) -> Tensor:
        found = []
        for prompt in prompts:
            ids = tokenizer(prompt, return_tensors="pt")["input_ids"].to(policy.device)  # [1, T]
            logits = in_float64(policy(ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0, -1])  # [V]
            found.append((logits[first] - logits[second]).cpu())
        return torch.stack(found)

    return score
