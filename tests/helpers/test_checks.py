"""What public tests are made of: what counts as equal to an expected result, and what is said of a wrong one."""

from __future__ import annotations

import linecache
import math
import re
import warnings
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from autograder import masters, testing
from helpers.checks import UNKNOWN, check, check_rules, close, must_raise, trying
from helpers.notebook.public_check import run_case

ROW = torch.tensor([1.0, 2.0])


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (ROW.double(), ROW),
        (ROW + 1e-6, ROW),
        ([1.0, 2.0], ROW),
        (ROW.clone().requires_grad_(True), ROW),
        (math.nan, math.nan),
        ([ROW, 3.0], (ROW, 3.0)),
        ({"k1": ROW, "more": 0}, {"k1": ROW}),
    ],
    ids=["dtype", "rounding", "list", "gradient", "nan", "a list for a tuple", "more keys"],
)
def test_equal(got: Any, expected: Any) -> None:
    assert close(got, expected)


@pytest.mark.parametrize(
    "got",
    [ROW + 1e-3, ROW[None], ROW[0], ROW + 1j, "text", None, ..., [ROW, ROW], {"k1": ROW}],
    ids=["off", "shape", "scalar", "complex", "text", "none", "not written", "list of tensors", "mapping"],
)
def test_not_equal(got: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not close(got, ROW)


def test_structures_differ() -> None:
    assert not close((ROW,), (ROW, ROW))
    assert not close(ROW, {"k1": ROW})
    assert not close({"k2": ROW}, {"k1": ROW})


# --- what a message says --------------------------------------------------------------------------------------------


def message(got: Any, expected: Any, mistakes: Any = None, **named: Any) -> str:
    """What `check` says of a wrong result."""
    with pytest.raises(AssertionError) as raised:
        check(got, expected, mistakes, name="f", **named)
    return str(raised.value)


@pytest.mark.parametrize(
    ("got", "expected", "lead"),
    [
        ([[1.0, 2.0], [3.0, 5.0]], [[1.0, 2.0], [3.0, 4.0]], "f: at [1, 1] expected 4.0, got 5.0"),
        (1.0, 0.9999, "f: expected 0.9999, got 1.0"),
        (0.30000002, 0.3, "f: expected 0.3, got 0.30000002"),
        ([-1e9], [-math.inf], "f: at [0] expected -inf, got -1e+09"),
        ([math.nan], [1e4], "f: at [0] expected 10000.0, got nan"),
        ([3], [2], "f: at [0] expected 2, got 3"),
        ([True], [False], "f: at [0] expected False, got True"),
        (
            ROW[:, None],
            ROW,
            "f: the shape is [2, 1]; it should be [2]: the numbers are right, only the shape is not: axis 1",
        ),
        (
            ROW[None, :, None],
            ROW,
            "f: the shape is [1, 2, 1]; it should be [2]: the numbers are right, only the shape is not.",
        ),
        ({"k1": ROW, "k2": ROW + 1}, {"k1": ROW, "k2": ROW}, "f: under 'k2', at [0] expected 1.0, got 2.0"),
        ((ROW, 2.0), (ROW, 3.0), "f: in the second of 2 results, expected 3.0, got 2.0"),
        ({"k1": ROW}, {"k1": ROW, "k2": ROW}, "f: the dict lacks 'k2'"),
        ([1.0, 2.0], ROW, "f: expected a tensor, got list [1.0, 2.0]: the numbers are right"),
        (ROW, 3.0, "f: expected one number, 3.0, got a tensor of shape [2]"),
        ("text", 3.0, "f: expected one number, got str 'text'"),
        (None, ROW, "f returned None: it is not written yet"),
    ],
)
def test_a_message_leads_with_the_first_difference(got: Any, expected: Any, lead: str) -> None:
    assert message(got, expected, rtol=1e-9, atol=0.0).startswith(lead)


def test_a_message_counts_and_shows_shape_and_dtype() -> None:
    said = message(torch.tensor([[1.0, 0.99995, 7.0]]), torch.tensor([[1.0, 1.0, 1.0]]), rtol=0, atol=1e-6)
    assert "2 of 3 entries differ; largest error 6." in said
    assert "expected: tensor of shape [1, 3], torch.float32: [[1.0, 1.0, 1.0]]" in said
    assert "got:      tensor of shape [1, 3], torch.float32: [[1.0, 0.99995, 7.0]]" in said


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool])
@pytest.mark.parametrize("size", [1, 12, 24, 25, 40, 500])
def test_two_different_results_are_never_printed_alike(size: int, dtype: torch.dtype) -> None:
    expected = torch.ones(size).to(dtype)
    for at in {0, size // 2, size - 1}:
        got = expected.clone()
        got[at] = 0 if dtype in (torch.bool, torch.int64) else torch.nextafter(got[at].float(), torch.tensor(9.0))
        if got[at] == expected[at]:
            got[at] = 0  # the next number of float32 is none of bfloat16
        lead, *_, shown, found = message(got, expected, rtol=0, atol=0).split("\n")
        assert lead.startswith(f"f: at [{at}] expected ")
        assert shown.removeprefix("  expected: ") != found.removeprefix("  got:      ")


def test_a_long_tensor_is_shown_around_the_first_difference() -> None:
    expected = torch.arange(40)
    got = torch.where(expected == 30, 99, expected)
    said = message(got.view(4, 10), expected.view(4, 10))
    assert said.startswith("f: at [3, 0] expected 30, got 99")
    assert (
        "expected: tensor of shape [4, 10], torch.int64: … [24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35] …" in said
    )
    assert (
        "got:      tensor of shape [4, 10], torch.int64: … [24, 25, 26, 27, 28, 29, 99, 31, 32, 33, 34, 35] …" in said
    )


@pytest.mark.parametrize("number", [-1e9, -1e4, float(torch.finfo(torch.float32).min)])
def test_a_large_number_in_place_of_infinity_is_told_before_all_else(number: float) -> None:
    expected, got = torch.tensor([-math.inf, 2.0, 3.0]), torch.tensor([number, 9.0, number])
    told = "-inf is exactly -inf (float('-inf')), not a large negative number"
    assert told in message(got, expected, {"known": got.tolist()}, ordinary=(1.0, 2.0))
    assert told not in message(got, torch.tensor([1.0, 2.0, 3.0]))
    assert told not in message(torch.tensor([1.0, 2.0, 3.0]), expected)
    assert told not in message(got[:2], expected)


@pytest.mark.parametrize(
    ("got", "text"),
    [
        ([-1.0, -2.0, 3.0], "the sign is reversed"),
        ([1.0, 2.0, 3.0], "a sign is lost"),
        ([2.0, 4.0, -6.0], "every number is 2 times as large"),
        ([1.5, 2.5, -2.5], "every number is 0.5 too large"),
        ([-3.0, 2.0, 1.0], "the numbers stand in reverse order"),
        ([0.0, 0.0, 0.0], "every number is 0"),
        ([1.0, math.nan, math.nan], "nan comes from"),
        ([1.0, 2.0, math.inf], "infinite"),
        ([1.0, 2.0], "axis 0 has 2 entries in place of 3"),
        (0.0, "this is the mean of what is expected"),
        ([[1.0, 2.0, -3.0]], "only the shape is not"),
        ([[1.0], [0.0]], "too many axes"),
        ([9.0, 2.0, -7.0], UNKNOWN),
    ],
)
def test_what_wrong_numbers_have_in_common(got: Any, text: str) -> None:
    assert text in message(torch.tensor(got), torch.tensor([1.0, 2.0, -3.0]))


def test_numbers_in_another_order_are_several() -> None:
    told = "the numbers are right, but they stand in another order"
    assert told in message(torch.tensor([2.0, 1.0, 3.0, 4.0]), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert told not in message(torch.tensor([0.0, 0.5, -0.5, 0.0]), torch.tensor([0.5, -0.5, 0.0, 0.0]))


def test_a_single_number_agrees_with_nothing_by_chance() -> None:
    assert UNKNOWN in message(torch.tensor([0.0]), torch.tensor([-1000.0]))
    assert UNKNOWN in message(3.9, 7.8)


def test_mistakes_are_values_or_functions() -> None:
    mistakes = {
        "it is five": 5.0,
        "it stops at a floor": lambda got: bool(-100 < got < 0),
        "it is large": lambda got: got > 10,
    }
    assert "it is five." in message(5.0, -1000.0, mistakes)
    assert "it stops at a floor." in message(math.log(1e-3), -1000.0, mistakes)
    assert "it stops at a floor." in message(math.log(1e-30), -1000.0, mistakes)
    assert "too many axes" in message(torch.ones(2, 2), ROW, {"not asked of another shape": lambda got: 1 / 0})


def test_a_special_case_is_not_blamed_for_an_ordinary_fault() -> None:
    mistakes = {"exp overflows": math.inf}
    assert "exp overflows" in message(math.inf, 1.0, mistakes, ordinary=(2.0, 2.0))
    said = message(math.inf, 1.0, mistakes, ordinary=(3.0, 2.0))
    assert "exp overflows" not in said
    assert "wrong for ordinary arguments" in said


# --- exceptions in the student's code -------------------------------------------------------------------------------


def student(source: str) -> Any:
    """The function `f` of a student's cell."""
    linecache.cache["<a cell>"] = (len(source), None, source.splitlines(True), "<a cell>")
    space: dict[str, Any] = {"torch": torch}
    exec(compile(source, "<a cell>", "exec"), space)
    return space["f"]


def test_an_exception_shows_the_students_line_and_what_it_means() -> None:
    f = student("def f(log_probs, ids):\n    shifted = log_probs\n    return shifted * ids\n")
    with pytest.raises(AssertionError) as raised, trying("f: must work"):
        f(torch.ones(2, 3), torch.ones(2, 4))
    first, line, meaning = str(raised.value).split("\n")
    assert first.startswith("f: must work; yours raised RuntimeError: The size of tensor a (3)")
    assert first.endswith("(raised in `f`, line 3 of its cell)")
    assert line.strip() == "return shifted * ids"
    assert "T - 1 columns" in meaning


def test_a_students_own_assertion_is_told_as_theirs_with_its_line() -> None:
    """Not as one of the test's: where the function is tried, and in what graders and the build's own check report."""
    f = student("def f(x):\n    assert x.ndim == 3\n    return x\n")
    public = masters.TestCase("test_it", 1, False, "def test_it(f):\n    import torch\n    f(torch.ones(2))\n")
    told = testing.run_test("q1_1", public, {"f": f}).message
    assert told.startswith("AssertionError (raised in `f`, line 2 of its cell)")
    assert "assert x.ndim == 3" in told
    told = testing.run_test("q1_1", replace(public, hidden=True), {"f": f}).message
    assert told == "your function raised an AssertionError"
    own = replace(public, source='def test_it(f):\n    assert not f, "the sum is wrong"\n')
    assert testing.run_test("q1_1", own, {"f": f}).message == "the sum is wrong"


def test_an_exception_may_show_a_known_mistake() -> None:
    f = student("def f(p):\n    return torch.multinomial(p, 1)\n")
    known = {"no such text": "another.", "probability tensor": "filter the logits."}
    with pytest.raises(AssertionError) as raised, trying("f: must work", known):
        f(-torch.ones(1, 2))
    assert str(raised.value).startswith(
        "f: must work: filter the logits. Yours raised RuntimeError: probability tensor"
    )
    assert "(raised in `f`, line 2 of its cell)" in str(raised.value)
    with pytest.raises(AssertionError, match="f: must work; yours raised RuntimeError"), trying("f: must work", known):
        f(torch.ones(1, 2, 3, 4))


def test_a_function_with_other_arguments_is_told_so() -> None:
    f = student("def f(logits):\n    return logits\n")
    with pytest.raises(AssertionError) as raised, trying("f: must work"):
        f(ROW, 2)
    assert str(raised.value).startswith("f: must work; the test cannot call the function: TypeError: f() takes 1")


def test_an_assertion_of_the_students_own_keeps_its_line() -> None:
    f = student("def f(x):\n    assert x.dim() == 2\n    return x\n")
    body = SimpleNamespace(call_func=lambda space: space["f"](ROW))
    said = run_case(SimpleNamespace(body=body), {"f": f})
    assert said.split("\n") == ["AssertionError (raised in `f`, line 2 of its cell)", "    assert x.dim() == 2"]

    def call_back(space: dict[str, Any]) -> None:
        def test_f() -> None:
            def next_logits() -> None:
                raise AssertionError("of the test's own")

            space["f"](next_logits)

        test_f()

    g = student("def f(call):\n    return call()\n")
    assert run_case(SimpleNamespace(body=SimpleNamespace(call_func=call_back)), {"f": g}) == "of the test's own"


@pytest.mark.parametrize(
    ("body", "meaning"),
    [
        ("torch.ones(2) + torch.ones(5)", "Compare their shapes"),
        ("torch.ones(2, 3) @ torch.ones(2, 3)", "inner sizes must agree"),
        ("torch.ones(2, 2) @ torch.ones(2, 2).double()", "different dtypes"),
        ("torch.linalg.inv(torch.eye(2).bfloat16())", "compute in float32"),
        ("torch.ones(2).bool().mean()", "convert them"),
        ("1 if torch.ones(2) > 0 else 0", "a whole tensor"),
        ("torch.ones(2).item()", "take one number"),
        ("torch.ones(2).sum().backward()", "gradient is cut off"),
        ("torch.ones(2, requires_grad=True).numpy()", "stay in torch"),
        ("torch.ones(2, requires_grad=True).add_(1)", "in place"),
        ("torch.ones(2)[2]", "beyond the end"),
        ("torch.ones(2, 2).gather(1, torch.ones(2).long())", "as many axes"),
        ("torch.ones(1, 2, 4).gather(-1, torch.ones(1, 3, 1).long())", "ids are cut as well"),
        ("torch.multinomial(-torch.ones(2), 1)", "softmax"),
        ("None.shape", "is not written yet"),
        ("unheard_of(1)", "not defined"),
        ("(1.0).log()", "another type"),
        ("max(1, k=2)", "other arguments"),
        ("1 / 0", "special case"),
        ("torch.ones(2, requires_grad=True).mul(2).backward()", "one number"),
    ],
)
def test_what_exceptions_mean(body: str, meaning: str) -> None:
    f = student(f"def f():\n    return {body}\n")
    with pytest.raises(AssertionError, match="line 2 of its cell") as raised, trying("f"):
        f()
    assert meaning in str(raised.value).split("This usually means:")[1]


def test_the_notebooks_check_shows_the_line() -> None:
    body = SimpleNamespace(call_func=lambda space: space["f"]())
    said = run_case(SimpleNamespace(body=body), {"f": student("def f():\n    return 1 / 0\n")})
    assert said.split("\n")[:2] == [
        "ZeroDivisionError: division by zero (raised in `f`, line 2 of its cell)",
        "    return 1 / 0",
    ]
    assert run_case(SimpleNamespace(body=body), {"f": None}).startswith("the test cannot use what came back: TypeError")


# --- the rules of all exercises -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "gradients", "text"),
    [
        (lambda x: 2 * x, (0,), ""),
        (lambda x: [2 * x], (0,), ""),
        (lambda x: {"k": 2 * x.detach()}, (), ""),
        (lambda x: x.mul_(2) if not x.requires_grad else 2 * x, (0,), "changed its first argument in place"),
        (lambda x: 2 * x.float(), (0,), "the dtype is torch.float32 for torch.float64"),
        (lambda x: 0 * x if x.dtype == torch.bfloat16 else x * 2, (0,), "in bfloat16"),
        (lambda x: 2 * x.detach(), (0,), "no gradient flows"),
        (lambda x: x.detach() + 0 * x, (0,), "is 0 everywhere"),
        (lambda x: float(x.float().sum().detach().numpy()), None, ""),
        (lambda x: x + torch.where(x > 9, x, (x - x).sqrt()), (0,), "is nan; it must be finite"),
        (lambda x: 2 * x, (), "must be detached"),
        (lambda x: x * torch.tensor(2.0), (0,), ""),
        (lambda x: x * torch.ones(2, dtype=x.dtype), (0,), "mixes tensors of two devices"),
        (lambda x: torch.arange(2), None, "on another device"),
        (lambda x: torch.arange(2, device=x.device), None, ""),
        (
            lambda x: torch.linalg.inv(x[:, None] * torch.eye(2, dtype=x.dtype)),
            (0,),
            "this must work; the test cannot use what came back",
        ),
        (lambda x: None, (0,), "not written yet"),
    ],
)
def test_rules(f: Any, gradients: tuple[int, ...], text: str) -> None:
    argument = torch.tensor([1.0, 2.0])
    if not text:
        check_rules(f, argument, gradients=gradients)
        return
    with pytest.raises(AssertionError) as raised:
        check_rules(f, argument, gradients=gradients)
    assert text in str(raised.value)


def fail(error: Exception | None) -> None:
    if error is not None:
        raise error


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (None, "f: nothing must raise a ValueError; yours raised nothing."),
        (IndexError("x"), "f: nothing must raise a ValueError; yours raised IndexError."),
        (AssertionError("of the test's own"), "of the test's own"),
    ],
)
def test_what_must_raise_and_does_not(raised: Exception | None, told: str) -> None:
    with pytest.raises(AssertionError, match=f"^{re.escape(told)}$"), must_raise(ValueError, "f: nothing"):
        fail(raised)


@pytest.mark.parametrize("raised", [ValueError("x"), UnicodeError("a kind of ValueError")])
def test_what_must_raise_and_does(raised: Exception) -> None:
    with must_raise(ValueError, "f: nothing"):
        fail(raised)
