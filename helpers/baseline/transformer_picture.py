"""A picture of a GPT-style transformer with blanks to fill from a word list, and an explanation for each wrong word."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import pairwise

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from helpers.diagrams import INK, arrow, box
from helpers.display import tell
from helpers.plots import COLOURS, describe, show

# What each word of the list does: told when the word stands in the wrong place.
ROLES = {
    "add": "`add` sums two arrays of the same shape, number by number. It has no weights of its own",
    "attention": "`attention` lets each position gather information from itself and from the positions before it",
    "dropout": "`dropout` sets random numbers to 0 while a model is trained, so that it does not learn by heart",
    "feed-forward": "`feed-forward` is a small network that works on each position by itself, blind to the others",
    "layer norm": "`layer norm` rescales each position's numbers to mean 0 and variance 1, then stretches and shifts",
    "loss": "`loss` compares predictions with the true next token. It is used for training and is no part of the model",
    "output layer": "`output layer` turns each position's vector into one score (a logit) for each token there is",
    "pooling": "`pooling` merges the vectors of many positions into one. A language model keeps them apart",
    "position index": "`position index` is the number of the place in the text: 0, 1, 2, …",
    "softmax": "`softmax` turns scores of any size into probabilities that sum to 1",
    "token embedding": "`token embedding` is a table with one learnt vector for each word of the vocabulary",
}
WORDS = tuple(ROLES)

# What each blank must do, without naming the word.
NEEDS = {
    "A": "At A, token numbers such as 318 come in, and a vector must come out for each of them",
    "B": "At B, the table of positions is asked where in the text each token stands. Say what goes into it",
    "C": "At C, two arrays of shape [T, width] come in, what the tokens are and where they stand, and one goes out",
    "D": "D matters in training only, and in evaluation it does nothing at all",
    "E": "At E, nothing is mixed between positions: the numbers are brought to a common scale before the next step",
    "F": "F is the only place in the whole model where a position can learn anything from another one",
    "G": "At G, two arrows meet: what the step before has computed, and a copy of what went into the block",
    "H": "At H, each position is worked on alone, by most of the block's weights",
    "I": "At I, a vector of the model's width comes in, and as many numbers as the vocabulary has words go out",
    "J": "At J, the numbers that come in may be negative or large, and those that go out are between 0 and 1",
}
LETTERS = tuple(NEEDS)

# Confusions that deserve an answer of their own, by blank and word.
CONFUSIONS = {
    "A position index": "That is the other input, at B. A starts from what the token is, not from where it stands.",
    "B token embedding": "That says what the token is. Without B, “dog bites man” and “man bites dog” would look alike.",
    "F feed-forward": "That works on each position alone. With it alone, the model could never use an earlier word.",
    "H attention": "Attention is the other big step of the block, and comes first.",
    "I softmax": "The softmax comes one step later: first there must be one score for each word.",
    "J output layer": "The scores are there already. What is missing is to make probabilities of them.",
    "I token embedding": "Nearly: GPT-2 uses the same weights there, but in the other direction, from vectors to scores.",
    "C attention": "Attention weighs positions against each other. Here both vectors belong to the same position.",
    "D layer norm": "A layer norm works in evaluation as well.",
    "E dropout": "Dropout removes numbers at random. Here they are rescaled, in training and in evaluation.",
    "J loss": "The loss would come after J, and only in training.",
}

_SALT = "steering-course-transformer"
_RIGHT = {
    "A": "28ed9f65c5f3ae72",
    "B": "e88341e3ffca08bf",
    "C": "e0c981fd2ad700c2",
    "D": "c90cbaaeb2e28880",
    "E": "89c1ee4649bda7d3",
    "F": "6853c72c34262533",
    "G": "aed895b16708672e",
    "H": "8cba45dfe62a004e",
    "I": "182553d14fce0640",
    "J": "6a92976e1a49db3c",
}

BLANK = (None, ..., "", "?")
GREY = "#e8e8e8"
ALT = (
    "Diagram of a GPT-style transformer, read from bottom to top. The tokens go through blank A, blank B goes through "
    "a table of positions; blank C joins the two, then comes blank D. The result enters a repeated block: blank E, "
    "blank F, blank G, where an arrow from the block's input joins, then a layer norm, blank H and an addition with a "
    "second side arrow. Above the blocks: a last layer norm, blank I, which gives logits, and blank J, which gives the "
    "probabilities of the next token."
)


def _digest(letter: str, word: str) -> str:
    return hashlib.sha256(f"{_SALT}:{letter}:{word}".encode()).hexdigest()[:16]


def is_right(letter: str, word: object) -> bool:
    """Whether `word` belongs in the blank `letter`."""
    return isinstance(word, str) and _digest(letter, _tidy(word)) == _RIGHT[letter]


def _tidy(word: str) -> str:
    return " ".join(word.lower().split())


def feedback(letter: str, word: object) -> str:
    """One line of feedback for one blank: right, or why not."""
    if word in BLANK:
        return f"{letter}: still blank. {NEEDS[letter]}."
    if not isinstance(word, str) or _tidy(word) not in ROLES:
        return f"{letter}: {word!r} is not in the word list."
    word = _tidy(word)
    if is_right(letter, word):
        return f"{letter}: {word}. Right."
    reason = CONFUSIONS.get(f"{letter} {word}", f"{NEEDS[letter]}.")
    return f"{letter}: not {word}. {ROLES[word]}. {reason}"


def check_words(labels: object) -> int:
    """Print what is right and why the rest is not, draw the picture with the words in it, and return the number right.

    Args:
        labels: letter → word. A word may be used more than once, and not every word is needed.
    """
    if not isinstance(labels, Mapping):
        print("Fill in the dictionary first: a word of the list for each letter from A to J.")
        return 0
    unknown = sorted(str(key) for key in labels if key not in LETTERS)
    if unknown:
        print(f"There is no blank called {', '.join(unknown)}; the blanks are {', '.join(LETTERS)}.")
    for letter in LETTERS:
        tell(feedback(letter, labels.get(letter)))
    number = sum(is_right(letter, labels.get(letter)) for letter in LETTERS)
    print(f"\n{number} of {len(LETTERS)} blanks are right.")
    show(draw(labels))
    return number


# --- the drawing

_CENTRE, _WIDE, _HIGH = 4.6, 3.0, 0.46


def _blank(axes: Axes, x: float, y: float, letter: str, labels: Mapping[str, object], wide: float = _WIDE) -> None:
    word = labels.get(letter)
    if not isinstance(word, str) or word in BLANK:
        box(axes, x, y, f"{letter}:  ? ? ?", "#fff7d6", width=wide, height=_HIGH)
    elif is_right(letter, word):
        box(axes, x, y, f"{letter}:  {word}  ✓", "#d8ebf7", width=wide, height=_HIGH, edge=COLOURS["blue"])
    else:
        box(axes, x, y, f"{letter}:  {word}  ✗", "#fbe3d6", width=wide, height=_HIGH, edge=COLOURS["vermilion"])


def _side_arrow(axes: Axes, low: float, high: float) -> None:
    right = _CENTRE + _WIDE / 2 + 0.45
    axes.plot([_CENTRE, right, right], [low, low, high], color=INK, lw=1.2, solid_joinstyle="round")
    arrow(axes, (right, high), (_CENTRE + _WIDE / 2 + 0.03, high))
    axes.text(right + 0.12, (low + high) / 2, "a copy\npasses by", fontsize=8, va="center", color=INK)


def draw(labels: object = None) -> Figure:
    """Draw the picture; blanks that are filled in get a colour and a sign (blue ✓ right, orange ✗ not)."""
    labels = labels if isinstance(labels, Mapping) else {}
    figure, axes = plt.subplots(figsize=(7.4, 9.2), layout="constrained")
    axes.set_xlim(0, 10)
    axes.set_ylim(-0.4, 12.4)
    axes.axis("off")
    axes.set_title("How a GPT-style transformer predicts the next token (read from bottom to top)", fontsize=11)
    half = _HIGH / 2 + 0.03

    axes.text(_CENTRE, -0.15, "token ids, shape [T]", ha="center", fontsize=9)
    axes.text(1.35, -0.15, "places in the text", ha="center", fontsize=9)
    _blank(axes, _CENTRE, 0.6, "A", labels)
    _blank(axes, 1.35, 0.6, "B", labels, 2.3)
    box(axes, 1.35, 1.55, "table of positions", GREY, width=2.3, height=_HIGH)
    _blank(axes, _CENTRE, 1.55, "C", labels)
    _blank(axes, _CENTRE, 2.5, "D", labels)
    arrow(axes, (_CENTRE, 0.0), (_CENTRE, 0.6 - half))
    arrow(axes, (1.35, 0.0), (1.35, 0.6 - half))
    arrow(axes, (1.35, 0.6 + half), (1.35, 1.55 - half))
    arrow(axes, (2.53, 1.55), (_CENTRE - _WIDE / 2 - 0.03, 1.55))

    frame = FancyBboxPatch(
        (2.7, 3.15), 5.4, 5.5, boxstyle="round,pad=0.05,rounding_size=0.2", fc="#f6f6f6", ec="#999999"
    )
    axes.add_patch(frame)
    axes.text(2.45, 5.9, "one block,\nrepeated\nseveral times", ha="right", va="center", fontsize=9)
    for y, letter in [(4.05, "E"), (4.9, "F"), (5.75, "G"), (7.45, "H"), (10.15, "I"), (11.25, "J")]:
        _blank(axes, _CENTRE, y, letter, labels)
    for y, text in [(6.6, "layer norm"), (8.3, "add"), (9.3, "layer norm")]:
        box(axes, _CENTRE, y, text, GREY, width=_WIDE, height=_HIGH)
    heights = [0.6, 1.55, 2.5, 4.05, 4.9, 5.75, 6.6, 7.45, 8.3, 9.3, 10.15, 11.25]
    for low, high in pairwise(heights):
        arrow(axes, (_CENTRE, low + half), (_CENTRE, high - half))
    arrow(axes, (_CENTRE, 11.25 + half), (_CENTRE, 11.95))
    _side_arrow(axes, 3.42, 5.75)
    _side_arrow(axes, 6.18, 8.3)
    axes.text(_CENTRE + 0.15, 10.7, "logits, shape [T, V]", fontsize=9, va="center")
    axes.text(_CENTRE, 12.05, "probabilities of the next token, shape [T, V]", ha="center", fontsize=9)
    return describe(figure, ALT)
