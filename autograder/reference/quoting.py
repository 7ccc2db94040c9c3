"""What a hidden test may repeat of what a student's code chose: names out of short tables, and nothing else.

Whatever a message quotes (the name of a class, a shape, a number, a line), the student's code can choose, and so write a
hidden input into it. A name of these tables tells a few bits at most.
"""

from __future__ import annotations

from collections.abc import Iterable

NEARLY = 100  # errors that are at most so many times the allowed one are told apart
TYPES = frozenset(
    "NoneType ellipsis bool int float complex str list tuple dict set Tensor ndarray float32 float64 int64 "
    "function generator".split()
)
ERRORS = (
    "ArithmeticError AssertionError AttributeError ImportError IndexError KeyError LookupError MemoryError NameError "
    "NotImplementedError OSError OverflowError RecursionError RuntimeError StopIteration TypeError UnboundLocalError "
    "ValueError ZeroDivisionError"
).split()


def a_type(name: object) -> str:
    """A type by its name, with its article; one that nobody knows is "an object of a type of your own"."""
    if not isinstance(name, str) or name not in TYPES:
        return "an object of a type of your own"
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def a_value(value: object) -> str:
    """The type of a value, as `a_type` says it."""
    return a_type(type(value).__name__)


def an_error(kinds: Iterable[object]) -> str:
    """The first well-known name among the kinds that an exception belongs to, the nearest first."""
    return next((kind for kind in kinds if isinstance(kind, str) and kind in ERRORS), "an exception of your own")


def raised(error: BaseException) -> str:
    """What an exception is called, as `an_error` says it."""
    return an_error(kind.__name__ for kind in type(error).__mro__)


def nearly(error: float, allowed: float) -> str:
    """The end of a message: whether an error is so small that the cause may be the precision of the computation."""
    return "; nearly right: is a step computed in too low a precision?" if error <= NEARLY * allowed else ""
