"""What a student is told of an exception: what was raised, at which line of their code, and what that usually means."""

from __future__ import annotations

import linecache
import re
import sysconfig
import textwrap
import traceback
import types
from collections.abc import Iterator
from pathlib import Path

from .parts import ROOT

LONGEST = 600  # characters of an exception's own message
LIBRARIES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")} | {"<frozen", "<__array"}
)
PACKAGES = re.compile(
    r"[\\/](?:site|dist)-packages[\\/]"
)  # also those of a user alone, which `sysconfig` does not know
ROOTS = {ROOT, Path(__file__).parents[1]}  # where it lies, and as it is loaded: a link may lead there
OWN = tuple(str(root / folder) for root in ROOTS for folder in ("helpers", "autograder", "tests"))
UNUSABLE = "the test cannot"  # how an exception is told in which no line of the student's has a part
ARGUMENTS = r"keyword argument|positional argument"
SIZES = re.compile(r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)")
ONE_APART = (
    "two tensors do not fit entry by entry. If these are T and T - 1: log-probs have T - 1 columns, the first for token 1, "
    "so cut the first column of ids and mask, [:, 1:]. If not, a new axis, x[:, None], may be missing."
)
MEANINGS = {  # by what "Type: message" holds; the first that is found decides
    SIZES.pattern: "two tensors do not fit entry by entry. Compare their shapes; a new axis, x[:, None], may be missing.",
    r"is invalid for input of size": "view or reshape was asked for a shape with another number of entries.",
    r"shapes cannot be multiplied|Incompatible shapes|must be batches of square|at least 2 dim|[12]D tensors expected": (
        "the axes of a matrix operation do not fit: the inner sizes must agree. A transpose or a new axis may be missing."
    ),
    r"same dtype|to be the same|found dtype|but got \w+ (?:instead|for)": (
        "two tensors of different dtypes meet; convert one, x.to(y.dtype)."
    ),
    r"not implemented for '?(?:BFloat16|Half)|dtypes?: Got (?:BFloat16|Half)|precision dtypes not supported": (
        "torch has no such operation in this short dtype: compute in float32 and turn the result back."
    ),
    r"not implemented for '(?:Long|Int|Bool)|floating point|could not infer output dtype|bool tensor is not supported": (
        "integers or bools came where numbers with a fraction are needed; convert them, x.to(y.dtype)."
    ),
    r"Boolean value of Tensor with more than one": "`if`, `and` or `not` got a whole tensor; use torch.where, `&` or `~`.",
    r"cannot be converted to Scalar|only one element tensors": (
        "`.item()` and `float()` take one number: reduce the tensor first."
    ),
    r"does not require grad": "the gradient is cut off: by detach(), .item(), no_grad() or a tensor that was made anew.",
    r"leaf Variable|inplace operation": (
        "a tensor was changed in place; work on a copy (clone), or take the operation without `_`."
    ),
    r"numpy\(\) on Tensor that requires grad": "NumPy knows no gradients: stay in torch.",
    r"out of bounds|out of range": "an index or an axis lies beyond the end; they count from 0, and -1 is the last.",
    r"Size does not match at dimension": (
        "gather's index is longer than the tensor: where logits are cut, [:, :-1], ids are cut as well, [:, 1:]."
    ),
    r"same number of dimensions|dtype int64 for index|IndexError": (
        "an index has the wrong shape or dtype; gather wants int64 and as many axes as the tensor."
    ),
    r"multinomial|probability tensor contains": (
        "these are no probabilities: each must be finite and at least 0. Take a softmax over the vocabulary (dim=-1), "
        "and filter the logits before it, not the probabilities after it."
    ),
    r"only for scalar outputs": "`backward` starts from one number: the loss must be summed or averaged to a scalar.",
    r"iteration over a 0-d|cannot unpack|values to unpack": "another number of results came back than is asked for.",
    r"'(?:NoneType|ellipsis)'": ("a value is None or `...`: an exercise is not written yet, or a `return` is missing."),
    ARGUMENTS: "a function is called with other arguments than it takes; keep the names of the notebook.",
    r"NameError": "this name is not defined: is an import missing, or a cell that was not run?",
    r"has no attribute|object is not|not supported between|unsupported operand": (
        "the value is of another type than this line needs, a number or a list in place of a tensor, say."
    ),
    r"ZeroDivisionError": "the divisor is 0: a special case is to be treated first.",
}


def meaning(raised: str) -> str:
    """What an exception usually means, given as "Type: message"; empty where nothing is known."""
    sizes = SIZES.search(raised)
    if sizes and abs(int(sizes[1]) - int(sizes[2])) == 1:
        return ONE_APART
    return next((text for pattern, text in MEANINGS.items() if re.search(pattern, raised)), "")


def explained(raised: str, line: str) -> str:
    """What follows an exception's message: the line of code, and what the exception usually means.

    Args:
        raised: "Type: message".
        line: the text of the student's line; may be empty.
    """
    usual = meaning(raised)
    return (f"\n    {line.strip()}" if line.strip() else "") + (f"\n  This usually means: {usual}" if usual else "")


def described(error: BaseException) -> str:
    """An exception of a student's in words: type, message, the line of their code, and what it usually means.

    An exception that comes from the grader's sandbox has its own description, in `described`.
    """
    own = getattr(error, "described", "")
    if isinstance(own, str) and own:
        return own
    text = textwrap.shorten(str(error), LONGEST)
    raised = f"{type(error).__name__}: {text}" if text else type(error).__name__
    place = students_line(error)
    if place is None:
        what = "call the function" if re.search(ARGUMENTS, raised) else "use what came back"
        return f"{UNUSABLE} {what}: {raised}{explained(raised, '')}"
    where = f" (raised in `{place.name}`, line {place.lineno} of its cell)"
    return raised + where + explained(raised, linecache.getline(place.filename, place.lineno or 0))


def students_line(error: BaseException) -> traceback.FrameSummary | None:
    """The last line of the student's code on the way to an exception; None if there was none."""
    steps = list(traceback.walk_tb(error.__traceback__))
    around = list(_callers(steps[0][0])) if steps else []
    tests = {
        f.f_code.co_filename for f in [*around, *(frame for frame, _ in steps)] if f.f_code.co_name.startswith("test_")
    }
    for frame, line in reversed(steps):
        name = frame.f_code.co_filename
        if name not in tests and not name.startswith(OWN) and not _library(name):
            return traceback.FrameSummary(name, line, frame.f_code.co_name, lookup_line=False)
    return None


def students_assertion(error: AssertionError) -> bool:
    """Whether a failed assertion is one of the student's own code, and no test's."""
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    place = students_line(error)
    return place is not None and next((f for f in reversed(files) if not _library(f)), "") == place.filename


def _library(file: str) -> bool:
    """Whether a file is Python's or an installed package's."""
    return file.startswith(LIBRARIES) or bool(PACKAGES.search(file))


def _callers(frame: types.FrameType) -> Iterator[types.FrameType]:
    current: types.FrameType | None = frame
    while current is not None:
        yield current
        current = current.f_back
