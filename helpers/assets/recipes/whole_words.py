"""A tokenizer of whole words: what is never a piece can never be joined wrongly.

It keeps those words of the training text that are one token of SmolLM2, so that SmolLM2 with its embeddings cut down to
the same rows speaks the same vocabulary, token by token. Single bytes are kept for what users type; no training text
holds one.
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterable
from importlib import resources

from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

END = "<|endoftext|>"
CONTEXT = 64
BYTES = 256  # ids 1 to 256
SEEN = 3  # a word of the vocabulary stands at least so often in the training text
WORD = re.compile(r"Ġ?[A-Za-z]+|'[a-z]{1,2}")
MARKS = [
    ".",
    ",",
    "!",
    "?",
    "-",
    "'",
    '"',
    ":",
    ";",
    "...",
    "Ġ-",
    'Ġ"',
    "Ġ'",
    "Ġ(",
    "(",
    ")",
    ".)",
    '."',
    ',"',
    '!"',
    '?"',
]
# Left out besides the list of better-profanity: what a small model cannot write about without hurting somebody.
UNWANTED = (
    "sex sexy sexual sexually sexuality porn nude nudity naked erotic lesbian gay homosexual rape raped nazi nazis suicide "
    "incest orgy orgasm seduction prostitute drugs cocaine heroin"
).split()
# On that list for other senses than reviews use; snippets that hold them stay.
HARMLESS = (
    "ugly stupid hell murder fat god damn woody dong drunk kill stroke tawdry dopey wang snatch jerk facial thrust strip pot "
    "doofus gai steamy weirdo junkie hitler slave moron vomit pasty slope organ pawn stoned hiv oral spunk virgin potty willies "
    "opium valium scum fubar wedgie slimy voyeur nazi nazis nazism suicide drugs gay gays lesbian homosexual prostitute"
).split()


def pieces(full: PreTrainedTokenizerFast, text: str) -> list[str]:
    """The words and marks of a text as SmolLM2's tokenizer splits it before it looks for tokens."""
    return [piece for piece, _ in full.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)]


@functools.cache
def unwanted() -> frozenset[str]:
    """Words that are not said in a classroom: the list of the package better-profanity, and `UNWANTED`."""
    listed = resources.files("better_profanity").joinpath("profanity_wordlist.txt").read_text(encoding="utf-8")
    return frozenset(listed.split("\n")) | set(UNWANTED)


def clean(word: str) -> bool:
    """Whether a word may be said in a classroom."""
    return word.lstrip("Ġ").lower() not in unwanted()


@functools.cache
def crude_words() -> frozenset[str]:
    """Unwanted words that no snippet or prompt of the course may hold."""
    return unwanted() - set(HARMLESS)


def crude(text: str) -> bool:
    """Whether a text holds a crude word, alone or as a part of one with hyphens."""
    return not crude_words().isdisjoint(re.findall(r"[a-z]+", text.lower()))


def vocabulary(full: PreTrainedTokenizerFast, texts: Iterable[str], seen: int = SEEN) -> list[str]:
    """The words and marks, most frequent first, that are whole tokens of SmolLM2 and stand `seen` times in `texts`."""
    known = full.get_vocab()
    counts = Counter(piece for text in texts for piece in pieces(full, text))
    words = [p for p, n in counts.most_common() if n >= seen and p in known and WORD.fullmatch(p) and clean(p)]
    return [mark for mark in MARKS if mark in known] + words


def make(full: PreTrainedTokenizerFast, words: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer whose tokens are the end of a text, 256 bytes and `words`."""
    source = json.loads(full.backend_tokenizer.to_str())
    names = [END, *sorted(ByteLevel.alphabet()), *(word for word in dict.fromkeys(words) if len(word) > 1)]
    source["model"] |= {"vocab": {name: i for i, name in enumerate(names)}, "merges": [], "ignore_merges": True}
    source["added_tokens"] = [entry | {"id": 0} for entry in source["added_tokens"] if entry["content"] == END]
    source["post_processor"] = None
    fast = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(source)),
        eos_token=END, bos_token=END, pad_token=END, unk_token=END,
        padding_side="left", clean_up_tokenization_spaces=False,
    )  # fmt: skip
    fast.model_max_length = CONTEXT
    return fast


def spoken(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Ids that a review may hold: the end, whole words, and the marks of one byte."""
    names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    return [i for i, name in enumerate(names) if i == 0 or i > BYTES or name in MARKS or name in ("a", "A", "I")]


def fits(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[bool]:
    """Whether each text consists of the vocabulary's words and marks."""
    allowed = set(spoken(tokenizer))
    return [set(ids) <= allowed for ids in tokenizer(texts)["input_ids"]]
