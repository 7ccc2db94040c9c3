"""Values, gradients, call-backs, generators and exceptions cross the sandbox's border as if there were none."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from autograder.grade.judging.faults import StudentError
from autograder.grade.judging.standins import TOGETHER, StandIn
from autograder.grade.limits import Limits
from autograder.grade.result import LoadReport
from autograder.grade.sandbox.inside import values
from autograder.grade.sandbox.inside.protocol import Caps, ProtocolError, check_size
from autograder.reference.casting import Inputs, new_on_meta
from helpers import worlds
from helpers.checks import trying

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("stand-ins")]
Call = Callable[[str], StandIn]
FUNCTIONS = """
import math
import numpy as np
import torch
from dataclasses import dataclass

def square(x): return x ** 2
def both(x, y): return x * y, {"sum": (x + y).sum(), "x": [x.detach(), 3, 2.5, None, True, "text"]}
def first_only(x, y): return 2 * x
def spoil(x): x.add_(1); return x.clone()
def reshape_in_place(x): x.unsqueeze_(0); return x.clone()
def same(x): return x
def draw(n, generator=None): return torch.rand(n, generator=generator)
def ask(value, players): return [value(frozenset({i})) for i in range(players)]
def ask_badly(value): return value([1])
def numbers(): return math.nan, math.inf, -0.0, 10 ** 20, True, np.float64(2.5), np.arange(3)
def odd(): return torch
def strides(x): return torch.tensor(x.stride()), torch.tensor(x.is_contiguous())
def complain(kind): raise {"value": ValueError, "key": KeyError, "own": Own}[kind]("the input was 17")
class Own(Exception): pass
class Parameter(torch.Tensor): pass
def subclass(x): return x.as_subclass(Parameter)
def many(): return [torch.zeros(1) for _ in range(5000)]
def deep():
    value = []
    for _ in range(100): value = [value]
    return value
def large(): return torch.zeros(20_000_000)
def fussy(n):
    if n == 1: raise ValueError("one")
    while n == 3: pass
    return n
BUFFER = torch.zeros(2)
def reuse(x): return BUFFER.copy_(x)
def scale(value, x): return value(2) * x
def joined(value, x): return x + value(x)
def apart(value, x): return torch.zeros(2) + value(x)
def sparse(): return torch.eye(3).to_sparse()
def middle(x): return x[1:].T
def fresh(x): return torch.zeros(2)
def put(x, heads): heads.sort(); return x + torch.zeros(3)
def note(policy, optimizer, rollout, reward_model):
    return {"reward": reward_model(rollout.texts).mean().item(), "policy": policy}
"""
NAMES = (
    "square both first_only spoil reshape_in_place same draw ask ask_badly numbers odd strides complain subclass many "
    "deep large sparse missing fussy scale joined apart reuse note middle fresh put"
).split()


def test_values_and_shapes(call: Call) -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.int64):
        x = torch.arange(6).reshape(2, 3).to(dtype)
        assert torch.equal(call("square")(x), x**2)
        assert call("square")(x).dtype == dtype
    assert call("square")(torch.zeros(0, 4)).shape == (0, 4)
    assert call("square")(x=torch.tensor(3.0)).item() == 9


def test_gradients_are_those_of_the_function_itself(call: Call) -> None:
    def local(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return x * y, {"sum": (x + y).sum()}

    found: list[Any] = []
    for function in (call("both"), local):
        x = torch.arange(3.0, requires_grad=True)
        y = torch.full((3,), 2.0, requires_grad=True)
        product, rest = function(x, y)
        (product.pow(2).sum() + 5 * rest["sum"]).backward()
        found.append((x.grad, y.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_gradients_that_came_along_are_those_asked_for(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the agreed sum no message asks again; of another sum one does."""
    x, y = (torch.arange(1.0, 4.0, dtype=torch.float64, requires_grad=True) for _ in range(2))
    (outcome,) = call("both").each([{"x": x, "y": y}])
    product, rest = outcome()
    (weight,) = values.projection([product], [0])
    asked: list[Any] = []
    talk = call("both")._conversation
    plain = talk.send
    monkeypatch.setattr(talk, "send", lambda *given, **named: asked.append(given[0]["op"]) or plain(*given, **named))
    (outcome,) = call("square").each([{"x": x}])
    square = outcome()
    (along,) = torch.autograd.grad((square * values.projection([square], [0])[0]).sum(), x, retain_graph=True)
    assert torch.equal(along, 2 * x.detach() * values.projection([square], [0])[0])
    assert asked == ["calls"]
    assert torch.equal(torch.autograd.grad(square.sum(), x)[0], 2 * x.detach())
    assert asked == ["calls", "backward"]
    found = torch.autograd.grad((product * weight).sum() + 5 * rest["sum"], [x, y])
    assert torch.allclose(found[0], y.detach() * weight + 5)


def test_detached_results_and_unused_inputs(call: Call) -> None:
    x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    _, rest = call("both")(x, y)
    assert rest["x"][1:] == [3, 2.5, None, True, "text"]
    assert not rest["x"][0].requires_grad
    assert rest["sum"].requires_grad
    result = call("first_only")(x, y)
    assert torch.autograd.grad(result.sum(), [x, y], allow_unused=True)[1] is None
    with torch.no_grad():
        assert not call("first_only")(x, y).requires_grad


def test_changes_in_place_come_back(call: Call) -> None:
    x = torch.zeros(3)
    call("spoil")(x)
    assert torch.equal(x, torch.ones(3))
    call("square")(x)
    assert torch.equal(x, torch.ones(3))
    with pytest.raises(StudentError, match="in place"):
        call("reshape_in_place")(x)


def test_lists_changed_in_place_come_back(call: Call) -> None:
    heads = [3, 1]
    call("put")(x=torch.zeros(3), heads=heads)
    assert heads == [1, 3]


def test_a_result_in_an_inputs_memory_is_so_here(call: Call) -> None:
    x = torch.arange(6.0).reshape(3, 2).requires_grad_(False)
    part = call("middle")(x)
    assert torch.equal(part, x[1:].T)
    assert part.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    assert call("square")(x).untyped_storage().data_ptr() != x.untyped_storage().data_ptr()


def test_tensors_without_values_cross(call: Call) -> None:
    """On the device "meta" there are shapes alone, and so on both sides."""
    result = call("square")(torch.zeros(2, 3, dtype=torch.bfloat16, device="meta"))
    assert (result.device.type, result.shape, result.dtype) == ("meta", (2, 3), torch.bfloat16)
    assert call("fresh")(torch.zeros(2, device="meta")).device.type == "cpu"
    with pytest.raises(StudentError) as told:
        call("put")(x=torch.zeros(3, device="meta"), heads=[1])
    assert "device" in (told.value.private or "")
    assert call("fresh")(**new_on_meta(Inputs(x=torch.zeros(2)))).device.type == "cpu"
    (outcome,) = call("fresh").each([new_on_meta(Inputs(x=torch.zeros(2)))])
    assert outcome().device.type == "meta"


def test_nan_is_no_change(call: Call) -> None:
    x = torch.tensor([float("nan"), 1.0])
    assert torch.isnan(call("same")(x)[0])
    assert torch.isnan(x[0])


def test_generators_move_on_as_they_would_here(call: Call) -> None:
    here, there = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    for _ in range(2):
        assert torch.equal(call("draw")(4, generator=there), torch.rand(4, generator=here))


def test_the_global_seed_decides_the_childs_draws(call: Call) -> None:
    torch.manual_seed(1)
    first, second = call("draw")(4), call("draw")(4)
    torch.manual_seed(1)
    assert torch.equal(call("draw")(4), first)
    assert not torch.equal(first, second)


def test_callables_are_called_back(call: Call) -> None:
    seen: list[frozenset[int]] = []

    def value(players: frozenset[int]) -> float:
        seen.append(players)
        return float(sum(players))

    assert call("ask")(value, 3) == [0.0, 1.0, 2.0]
    assert seen == [frozenset({0}), frozenset({1}), frozenset({2})]

    def strict(players: frozenset[int]) -> float:
        if not isinstance(players, frozenset):
            raise TypeError("not a frozenset")
        return 0.0

    with pytest.raises(TypeError, match="raised TypeError"):
        call("ask_badly")(strict)


def test_what_is_called_back_answers_on_the_arguments_device(call: Call) -> None:
    """A model that is handed over gives logits where the ids are: a function may join them to its own tensors there."""
    x = torch.ones(2, device="meta")
    assert call("joined")(lambda given: given + 1, x).is_meta
    with pytest.raises(RuntimeError, match="raised RuntimeError"):
        call("apart")(lambda given: given + 1, x)


def test_numbers_and_other_types(call: Call) -> None:
    nan, inf, zero, large, true, scalar, array = call("numbers")()
    assert nan != nan
    assert inf == float("inf")
    assert str(zero) == "-0.0"
    assert large == 10**20
    assert true is True
    assert isinstance(scalar, np.float64)
    assert isinstance(array, np.ndarray)
    assert type(call("odd")()).__name__ == "module"
    assert type(call("subclass")(torch.ones(2))) is torch.Tensor


def test_layout_crosses(call: Call) -> None:
    x = torch.arange(6.0).reshape(2, 3).T
    stride, contiguous = call("strides")(x)
    assert tuple(stride.tolist()) == x.stride()
    assert not contiguous
    assert call("square")(torch.ones(1).expand(4)).tolist() == [1.0] * 4


def test_exceptions_are_of_the_students_kind_and_quoted_only_in_public_tests(call: Call) -> None:
    stand_in = call("complain")
    stand_in.hidden = True
    with pytest.raises(ValueError, match=r"^complain raised ValueError$"):
        stand_in("value")
    stand_in.hidden = False
    with pytest.raises(KeyError, match="17"):
        stand_in("key")
    with pytest.raises(
        StudentError, match=r"raised Own \(line \d+ of code cell 1\): the input was 17\n    def complain\(kind\): raise"
    ):
        stand_in("own")
    with pytest.raises(AssertionError, match=r"^it must work; yours raised Own \(line \d+"), trying("it must work"):
        stand_in("own")
    with pytest.raises(StudentError, match="not defined"):
        call("missing")()


def test_many_calls_cross_in_one_message(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    talk = call("square")._conversation
    plain = talk.send
    monkeypatch.setattr(talk, "send", lambda *given, **named: sent.append(given[0]["op"]) or plain(*given, **named))
    inputs = [torch.full((2,), float(n), requires_grad=True) for n in range(TOGETHER + 1)]
    results = [outcome() for outcome in call("square").each({"x": x} for x in inputs)]
    assert sent == ["calls", "calls"]
    for x, result in zip(inputs, results, strict=True):
        assert torch.equal(torch.autograd.grad(result.sum(), x)[0], 2 * x)


def test_each_call_has_its_own_call_backs_changes_results_and_exceptions(call: Call) -> None:
    calls = [{"value": lambda n, k=k: float(k * n), "x": torch.ones(1)} for k in range(3)]
    assert [outcome().item() for outcome in call("scale").each(calls)] == [0, 2, 4]
    inputs = [torch.zeros(k) for k in range(3)]
    for outcome in call("spoil").each({"x": x} for x in inputs):
        outcome()
    assert [x.tolist() for x in inputs] == [[], [1], [1, 1]]
    reused = [outcome() for outcome in call("reuse").each({"x": torch.full((2,), float(n))} for n in range(3))]
    assert [x.tolist() for x in reused] == [[0, 0], [1, 1], [2, 2]]
    outcomes = list(call("fussy").each({"n": n} for n in range(3)))
    assert (outcomes[0](), outcomes[2]()) == (0, 2)
    with pytest.raises(ValueError, match="fussy raised ValueError"):
        outcomes[1]()


def test_calls_before_an_endless_one_count_and_it_is_told_by_its_own_time(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = call("fussy")._conversation
    monkeypatch.setattr(talk, "limits", Limits(call_seconds=0.3))
    outcomes = call("fussy").each({"n": n} for n in (0, 2, 3, 4))
    assert [next(outcomes)(), next(outcomes)()] == [0, 2]
    assert not talk.spent.strikes
    with pytest.raises(StudentError, match=r"did not come back within 0\.3 s"):
        next(outcomes)
    assert talk.spent.strikes == {"fussy": 1}


@pytest.mark.parametrize(
    "answer",
    [
        {}, {"answers": []}, {"answers": 1}, {"answers": [3]}, {"answers": [{"tensors": 0}] * 3}, {"answers": [{"tensors": 2}]},
        {"answers": [{"tensors": -1}]}, {"answers": [{"tensors": True}]}, {"answers": [{"result": None}]},
        *({"answers": [{"tensors": 1, "grad": [], "changed": {}, "meta": [], "shared": [], "lists": {}, "result": None} | lie]}
          for lie in ({"meta": [1]}, {"meta": 3}, {"shared": [[0, 0, 9, [1]]]}, {"shared": [[0, 0]]}, {"lists": {"y": None}},
                      {"lists": 1}, {"projected": [3]}, {"projected": 1})),
    ],
)  # fmt: skip
def test_lies_about_the_answers_are_the_students_fault(answer: dict[str, object]) -> None:
    talk: Any = SimpleNamespace(
        connection=0, loaded=LoadReport({"f": True}), incarnation=1, limits=Limits(), caps=Caps()
    )
    replies = iter([(answer, [torch.zeros(1)])] * 3)  # they end: a judge that takes any answer would ask for ever
    talk.send = lambda *_: None
    talk.answer_to = lambda _: next(replies)
    talk.wait = talk.disown = lambda: None
    with pytest.raises(StudentError, match="agreed form"):
        [outcome() for outcome in StandIn(talk, "f").each([{"x": torch.zeros(1)}, {"x": torch.ones(1)}])]


@pytest.mark.parametrize("name", ["many", "deep", "sparse"])
def test_what_cannot_cross_is_the_students_fault(call: Call, name: str) -> None:
    with pytest.raises(StudentError):
        call(name)()
    assert call("square")(torch.tensor(2.0)).item() == 4


def test_a_result_that_is_too_large_is_refused(call: Call) -> None:
    stand_in = call("large")
    stand_in.hidden = False
    with pytest.raises(StudentError, match=r"can be read: a message of .* bytes"):
        stand_in()
    assert call("square")(torch.tensor(2.0)).item() == 4


@pytest.mark.parametrize(
    "value",
    [
        {"tensor": 5}, {"tensor": -1}, {"tensor": True}, {"float": "zero"}, {"int": "9" * 100}, {"list": 3}, {"dict": [[1]]},
        {"dict": [[{"list": []}, None]]}, {"generator": 0}, {"strange": 1}, [1], 3, "text", {"a": 1, "b": 2}, {"str": 4},
    ],
)  # fmt: skip
def test_malformed_values_are_refused(value: object) -> None:
    with pytest.raises(ProtocolError):
        values.Decoder([torch.zeros(1)]).decode(value)


@pytest.mark.parametrize(
    "blob", [b"x", b"\xff" * 100, (2**63 - 1).to_bytes(8, "little") + b"{}", b"\x02" + b"\0" * 7 + b"{}x"]
)
def test_malformed_tensors_are_refused(blob: bytes) -> None:
    with pytest.raises(ProtocolError):
        values.unpack(blob, Caps())


def test_bfloat16_crosses_bit_by_bit_and_its_mark_cannot_be_misused() -> None:
    """NumPy has no bfloat16, so it crosses as integers with a mark: of no other dtype, and under no number that is taken."""
    tensors = [torch.tensor([1.0, -0.0, torch.inf, torch.nan, 3e38]).bfloat16(), torch.arange(6).reshape(2, 3).int()]
    tensors += [torch.ones(2, 3).bfloat16().T, torch.tensor(2.5).bfloat16()]
    for sent, came in zip(tensors, values.unpack(values.pack(tensors), Caps()), strict=True):
        assert (came.dtype, came.shape) == (sent.dtype, sent.shape)
        assert torch.equal(came.nan_to_num(7), sent.nan_to_num(7))
    number = torch.ones(1, dtype=torch.int16)
    for lie in ({"0b": number.float()}, {"0": number, "0b": number}, {"b": number}, {"0bb": number}):
        with pytest.raises(ProtocolError):
            values.unpack(safetensors.torch.save({name: value.clone() for name, value in lie.items()}), Caps())


def test_deep_and_large_messages_are_refused() -> None:
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(ProtocolError):
        check_size({"a": deep}, Caps())
    with pytest.raises(ProtocolError):
        check_size({"a": [0] * 200_000}, Caps())


def test_only_registered_worlds_are_run(call: Call) -> None:
    for name in ("no_such_world", "helpers.models", "find"):
        with pytest.raises(ValueError, match="raised ValueError"):
            call("same").run_remotely(name)
        assert not call("same").records


def test_a_world_runs_beside_the_students_code_and_its_record_is_kept(call: Call) -> None:
    stand_in = call("note")
    record = worlds.run("reinforce_table", stand_in, rewards=[[1.0, 0.0, 0.2]])
    assert stand_in.records == {"reinforce_table": record}
    assert record["results"][0]["reward"] == pytest.approx(0.4)
    assert type(record["results"][0]["policy"]).__name__ == "TablePolicy"
