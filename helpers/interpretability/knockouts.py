"""Part 5's panel: heads to knock out by a click."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from helpers.widgets import grid, panel

from .circuits import Head
from .ioi import accuracy_with_interval, in_words, share_with_interval

Measure = Callable[[list[Head]], tuple[Tensor, Tensor]]  # heads knocked out -> logit differences [N], P(IO) [N]


def knockout_panel(measure: Measure, heads: Sequence[Head], still: Sequence[Sequence[Head]] = ()) -> None:
    """Tick heads to knock them out, and see what is left, with 95 % intervals; without widgets `still` is printed."""
    names = {f"{layer}.{head}": (layer, head) for layer, head in heads}
    whole, _ = measure([])
    layers = [
        [name for name, (own, _) in names.items() if own == layer] for layer in sorted({head[0] for head in heads})
    ]

    def draw(knock_out: Sequence[str]) -> None:
        left, p = measure([names[name] for name in knock_out])
        share = in_words(share_with_interval(left, whole))
        print(
            f"without {', '.join(knock_out) or 'none'}: logit difference {left.mean():.2f}, the whole model's times {share}; "
            f"IO before S in {in_words(accuracy_with_interval(left > 0))} of the prompts, P(IO) {p.mean():.2f}"
        )

    shown = [{"knock_out": tuple(f"{layer}.{head}" for layer, head in some)} for some in still]
    panel(draw, {"knock out": grid(layers)}, still=[{}, *shown])
