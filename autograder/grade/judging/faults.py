"""What the student's side did wrong, and how an exception that the child reports becomes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autograder.grade.text import printable
from autograder.reference.quoting import an_error
from helpers.raised import explained


class StudentError(Exception):
    """Something the student's side did wrong. The message is safe to show: nothing in it is the student's to choose.

    Attributes:
        kind: `raised`, `timeout`, `died`, `memory`, `protocol`, `missing` or `given up`.
        private: the same in full, with what the student's code chose (names, lines, texts, numbers), which may quote a
            hidden test's input: for public tests and for the instructor only.
        outside: an exception that no line of the student's was on the way of; it may be the judge's own.
        kinds: the built-in exceptions that the student's exception belongs to.
        described: what a public test says of it (see `helpers.raised`).
    """

    outside = False
    kinds: tuple[str, ...] = ()
    described = ""

    def __init__(self, kind: str, message: str, private: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.private = private


def raised(what: str, error: Mapping[str, Any]) -> StudentError:
    """The fault for an exception that a function raised, as the child told of it."""
    kinds = tuple(str(k)[:80] for k in error["kinds"][:50]) if isinstance(error.get("kinds"), list) else ()
    kind = "".join(c for c in str(error.get("type"))[:80] if c.isalnum() or c in "_.")
    place, where, line = error.get("place"), "", ""
    if isinstance(place, dict) and None not in (as_number(place.get("cell")), as_number(place.get("line"))):
        where = f" (line {place['line']} of code cell {place['cell']})"
        line = printable(str(place.get("text", ""))[:200])
    told = printable(str(error.get("message", ""))[:1000])
    described = f"{kind}{where}: {told}{explained(f'{kind}: {told}', line)}"
    fault = StudentError("raised", f"{what} raised {an_error(kinds)}", f"{what} raised {described}")
    fault.kinds, fault.outside, fault.described = kinds, not where, described
    return fault


def as_number(value: Any) -> int | None:
    """A number that the child told, if it is a whole one of a plausible size."""
    return value if type(value) is int and -1 < value < 10**9 else None
