"""Calls that the child works on while the judge looks at earlier results: each is told in its turn, none harms another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from autograder.grade.judging.faults import StudentError
from autograder.grade.judging.standins import TOGETHER, StandIn
from autograder.grade.limits import Limits

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("stand-ins")]
Call = Callable[[str], StandIn]
FUNCTIONS = """
def square(x): return x ** 2
def stuck(n):
    while n == 3: pass
    return n
def perish(x, n):
    if n: import os; os._exit(3)
    return x * 1
"""
NAMES = ["square", "stuck", "perish"]


def test_the_child_works_while_results_are_judged(call: Call) -> None:
    """The next calls are under way by then; what is asked meanwhile, another sum's gradients say, waits for their answer."""
    talk = call("square")._conversation
    inputs = [torch.full((2,), float(n), requires_grad=True) for n in range(3 * TOGETHER)]
    outcomes = call("square").each({"x": x} for x in inputs)
    for seen, (x, outcome) in enumerate(zip(inputs, outcomes, strict=True)):
        assert (talk.under_way is not None) == (seen % TOGETHER == 0 and seen < 2 * TOGETHER)
        assert torch.equal(torch.autograd.grad(outcome().sum(), x)[0], 2 * x.detach())


def test_what_is_called_ahead_is_told_in_its_turn(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls before an endless one count."""
    monkeypatch.setattr(call("stuck")._conversation, "limits", Limits(call_seconds=0.3))
    outcomes = call("stuck").each({"n": n} for n in [2] * TOGETHER + [3])
    assert [next(outcomes)() for _ in range(TOGETHER)] == [2] * TOGETHER
    with pytest.raises(StudentError, match=r"did not come back within 0\.3 s"):
        next(outcomes)


def test_what_nobody_waits_for_any_more_is_no_strike_and_harms_no_later_call(call: Call) -> None:
    talk, x = call("perish")._conversation, torch.ones(2)
    outcomes = call("perish").each({"x": x, "n": n} for n in [0] * TOGETHER + [1])
    next(outcomes)()
    assert talk.under_way is not None
    outcomes.close()
    before = talk.spent.children
    assert call("square")(torch.tensor(3.0)).item() == 9
    assert talk.spent.children == before + 1  # the call made ahead had ended its process
    assert "perish" not in talk.spent.strikes


def test_a_process_that_dies_ahead_keeps_what_it_gave(call: Call) -> None:
    """Its gradients cannot be asked for any more, and that is said; the next call starts another."""
    x = torch.ones(2, requires_grad=True)
    outcomes = call("perish").each({"x": x, "n": n} for n in [0] * TOGETHER + [1])
    result = next(outcomes)()
    with pytest.raises(StudentError, match="ended before its gradients"):
        torch.autograd.grad(3 * result.sum(), x)
    assert [outcome().tolist() for _, outcome in zip(range(TOGETHER - 1), outcomes, strict=False)] == [[1, 1]] * (
        TOGETHER - 1
    )
    with pytest.raises(StudentError, match="ended the whole process"):
        next(outcomes)
    assert call("square")(torch.tensor(3.0)).item() == 9
