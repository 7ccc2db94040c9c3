"""Text with coloured tokens, and tables of samples, as HTML with a plain-text form beside it."""

from __future__ import annotations

import html
import math
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

# letters in a line of output in JupyterLab's window on a small laptop; a longer one is broken inside a word
WIDTH = 104
BLUE, ORANGE = (0, 114, 178), (230, 159, 0)  # ends of the scale, from the palette of `plots`
INVISIBLE = {"\n": "⏎", "\t": "⇥", "": "∅"}
LETTERS = "color: black; border-radius: 2px"
TABLE = "border-collapse: collapse; text-align: left; width: 100%"
CELL = "border: 1px solid #8884; padding: 0.4em; vertical-align: top; text-align: left; white-space: pre-wrap"


def tell(text: str) -> None:
    """Print a text in lines that a notebook need not break, above a progress bar if one is shown."""
    tqdm.write(textwrap.fill(text, WIDTH, subsequent_indent="  "), file=sys.stdout)


@dataclass(frozen=True)
class Page:
    """Something a notebook shows as HTML, and anything else as plain text."""

    html: str
    text: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}

    def __str__(self) -> str:
        return self.text


def show_page(page: Page) -> None:
    """Show a page: as HTML in a notebook, as plain text elsewhere."""
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        print(page.text)
    else:
        display(page)


def token_page(
    tokens: Sequence[str],
    values: Sequence[float],
    *,
    title: str = "",
    label: str = "value",
    low: float | None = None,
    high: float | None = None,
    centre: float | None = None,
) -> Page:
    """Return a text whose tokens are coloured by a number each.

    Low values are orange, high ones blue, the middle white. Pointing at a token shows its number. The plain text
    lists tokens and numbers, so nothing is told by colour alone.

    Args:
        tokens: the tokens as text, spaces included.
        values: one number per token; NaN is left uncoloured.
        title: a line above the text.
        label: what the numbers are, for the legend; without it there is no legend.
        low, high: ends of the colour scale; the least and the greatest value without them.
        centre: the value that is white; halfway between the ends without it.
    """
    tokens, numbers = list(tokens), [float(value) for value in values]
    if len(tokens) != len(numbers):
        raise ValueError(f"{len(tokens)} tokens but {len(numbers)} values")
    finite = [value for value in numbers if math.isfinite(value)]
    low = min(finite, default=0.0) if low is None else low
    high = max(finite, default=1.0) if high is None else high
    centre = (low + high) / 2 if centre is None else centre
    spans = "".join(_span(token, value, low, centre, high) for token, value in zip(tokens, numbers, strict=True))
    legend = "".join(
        f'<span style="{LETTERS}; background: {_colour(value, low, centre, high)}; padding: 0 0.6em">{value:.3g}</span>'
        for value in (low, centre, high)
    )
    heading = f"<div><b>{html.escape(title)}</b></div>" if title else ""
    page = f'<div style="line-height: 1.9">{heading}<div style="font-family: monospace">{spans}</div>' + (
        f"<div><small>{html.escape(label)}: {legend}</small></div></div>" if label else "</div>"
    )
    width = max((len(_visible(token)) for token in tokens), default=0)
    lines = [f"{_visible(token):<{width}}  {value:.3f}" for token, value in zip(tokens, numbers, strict=True)]
    return Page(page, "\n".join([*([title] if title else []), f"{'token':<{width}}  {label}", *lines]))


def show_tokens(tokens: Sequence[str], values: Sequence[float], **options: Any) -> None:
    """Show a text whose tokens are coloured by a number each; the options are those of `token_page`."""
    show_page(token_page(tokens, values, **options))


def samples_page(
    columns: Mapping[str, Sequence[str]],
    *,
    prompts: Sequence[str] | None = None,
    rewards: Mapping[str, Sequence[float]] | None = None,
    title: str = "",
    limit: int | None = None,
) -> Page:
    """Return a table with completions side by side: a row per prompt, a column per policy.

    Args:
        columns: from a policy's name to its completions, all in the order of `prompts`.
        prompts: the prompts, for a first column.
        rewards: from a policy's name to its completions' rewards, put beneath each text.
        limit: show that many rows only.
    """
    sizes = {name: len(texts) for name, texts in columns.items()} | ({"prompts": len(prompts)} if prompts else {})
    if len(set(sizes.values())) > 1:
        raise ValueError(f"the columns differ in length: {sizes}")
    count = min(next(iter(sizes.values()), 0), limit if limit is not None else 10**9)
    names = (["prompt"] if prompts else []) + list(columns)
    head = "".join(f'<th scope="col" style="{CELL}">{html.escape(name)}</th>' for name in names)
    rows, lines = [], [title] if title else []
    for index in range(count):
        cells = (
            [f'<th scope="row" style="{CELL}; font-weight: normal">{html.escape(prompts[index])}</th>']
            if prompts
            else []
        )
        lines.append(f"{index + 1}. {_one_line(prompts[index]) if prompts else ''}".rstrip())
        for name, texts in columns.items():
            score = float(rewards[name][index]) if rewards and name in rewards else None
            note = f"<div><small>reward {score:.3f}</small></div>" if score is not None else ""
            cells.append(f'<td style="{CELL}">{html.escape(texts[index])}{note}</td>')
            shown = f" [{score:.3f}]" if score is not None else ""
            lines.append(f"   {name}{shown}: {_one_line(texts[index])}")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    caption = f"<caption style='text-align: left'><b>{html.escape(title)}</b></caption>" if title else ""
    table = f'<table style="{TABLE}">{caption}<thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return Page(table, "\n".join(lines))


def show_samples(columns: Mapping[str, Sequence[str]], **options: Any) -> None:
    """Show completions side by side; the options are those of `samples_page`."""
    show_page(samples_page(columns, **options))


def _one_line(text: str) -> str:
    """Return the text on one line, its line breaks made visible."""
    return text.replace("\r", "").replace("\n", " ⏎ ").strip()


def _visible(token: str) -> str:
    """Return a token with blanks and line breaks made visible."""
    if token in INVISIBLE:
        return INVISIBLE[token]
    return token.replace("\n", "⏎").replace(" ", "·")


def _span(token: str, value: float, low: float, centre: float, high: float) -> str:
    """Return a token's HTML: escaped, coloured, its number in the tooltip and for screen readers."""
    text = html.escape(token).replace("\n", "⏎<br>").replace(" ", "&nbsp;") or "∅"
    if not math.isfinite(value):
        return f"<span>{text}</span><wbr>"
    colour = _colour(value, low, centre, high)
    return f'<span title="{value:.3f}" style="{LETTERS}; background: {colour}">{text}</span><wbr>'


def _colour(value: float, low: float, centre: float, high: float) -> str:
    """Return the CSS colour of a value: orange at `low`, white at `centre`, blue at `high`."""
    end, edge = (BLUE, high) if value >= centre else (ORANGE, low)
    share = 0.0 if edge == centre else min(1.0, abs(value - centre) / abs(edge - centre))
    strength = 0.75 * share  # never so dark that black letters become hard to read
    red, green, blue = (round(255 + (part - 255) * strength) for part in end)
    return f"rgb({red}, {green}, {blue})"
