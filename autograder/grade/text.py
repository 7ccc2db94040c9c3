"""Text that came from outside, made fit for every file, page and terminal. Only the standard library: the reader uses it."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")
ORDINARY = 2000  # characters of a text
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")


def encodable(text: str) -> str:
    """The text with half surrogates, which no encoding can write, replaced by `?`."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")
    return text


def printable(text: str) -> str:
    """The text without half surrogates and without control characters, except tabs and ends of lines."""
    return CONTROLS.sub("\ufffd", encodable(text.replace("\r\n", "\n").replace("\r", "\n")))


def label(name: str) -> str:
    """A file's name as a person can read it: bytes that are no UTF-8 are read as Windows' Latin letters."""
    try:
        raw = name.encode("utf-8", "surrogateescape")
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    except UnicodeEncodeError:
        text = encodable(name)
    return "".join(c if c.isprintable() else "_" for c in text)


def composed(name: str) -> str:
    """A name as it is kept: in Unicode's composed form (NFC), in which systems other than Apple's write it, and trimmed."""
    return unicodedata.normalize("NFC", label(name)).strip()


def folded(name: str) -> str:
    """What two spellings of one name have in common: compatibility form, case folded, spaces as one."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


def remembered(function: Callable[[str], Made]) -> Callable[[str], Made]:
    """Keep what a pure function makes of a text of ordinary length: most cells of a class's notebooks are those handed out."""
    kept = functools.lru_cache(maxsize=1024)(function)  # 16 MB at most, whatever students write

    @functools.wraps(function)
    def asked(text: str) -> Made:
        return (kept if len(text) <= ORDINARY else function)(text)

    return asked
