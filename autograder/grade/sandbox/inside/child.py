"""A student's code and the judge's calls, in the confined process. Whatever happens here counts for this student only.

The judge sends one message, gets one answer: `load` (run the notebook's definitions), `calls` (of a function of the
student's), `backward` (gradients of an earlier result) and `run` (one of `helpers.worlds`, with the
student's step). While a call runs, the child may ask back once or more: `callback`.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import linecache
import os
import random
import signal
import socket
import sys
import traceback
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers import worlds
from helpers.notebook.selection import Statement, select

from . import protocol, values
from .protocol import WALL, Caps

OUTPUT_KEPT = 20_000
SHORTEST = 1e-3  # seconds; a clock set to 0 would not run
RESULTS_KEPT = 64  # results whose gradients can still be asked for


class TimeLimitError(BaseException):
    """Raised inside the student's code when its time is up (a BaseException, so that `except Exception` lets it pass)."""


class Output(io.TextIOBase):
    """Takes what is printed, keeps the beginning, drops the rest."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.size < OUTPUT_KEPT:
            self.parts.append(str(text)[: OUTPUT_KEPT - self.size])
            self.size += len(self.parts[-1])
        return len(text)

    def take(self) -> str:
        """Return what was printed and forget it."""
        text, self.parts, self.size = "".join(self.parts), [], 0
        return text


class Child:
    """One student's process: its namespace, its results, its connection to the judge."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.caps = Caps()
        self.space: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
        self.results: OrderedDict[int, tuple[list[torch.Tensor], list[torch.Tensor]]] = OrderedDict()
        self.output = Output()
        self.count = 0

    def serve(self) -> None:
        """Answer the judge until it hangs up."""
        handlers = {"load": self.load, "calls": self.calls, "backward": self.backward, "run": self.run}
        while True:
            message, blob = protocol.receive(self.connection, None)
            try:
                answer, tensors = handlers[message["op"]](message, blob)
                data = values.pack(tensors)
            except TimeLimitError:
                answer, data = {"error": {"type": "TimeLimitError", "message": "", "line": None}}, b""
            except BaseException as error:
                answer, data = {"error": self.as_data(error)}, b""
            finally:
                _start_clock(0)
            answer |= {"id": message["id"], "printed": self.output.take()[:2000]}
            if len(data) > Caps(blob=128 << 20).blob:
                answer, data = {"id": message["id"], "error": self.as_data(ValueError("the result is too large"))}, b""
            protocol.send(self.connection, answer, data)

    # ------------------------------------------------------------------------------------------------- load

    def load(self, message: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], list[torch.Tensor]]:
        """Run what the graded functions need; errors are recorded and the rest is still run."""
        for name, text in message["files"].items():
            if Path(name).name == name:
                Path(name).write_text(text, encoding="utf-8")
        selection = select(message["cells"], message["wanted"])
        selection.keep_lines()
        errors = list(selection.errors)
        for statement in selection.statements:
            try:
                _start_clock(message["seconds"])
                exec(selection.code_of(statement), self.space)
            except TimeLimitError:
                errors.append(self._place(statement, "TimeLimitError", f"stopped after {message['seconds']:g} s"))
            except BaseException as error:
                errors.append(self._place(statement, _name(type(error)), _text(error)))
            finally:
                _start_clock(0)
        defined = {name: callable(self.space.get(name)) for name in message["wanted"] if name in self.space}
        return {
            "defined": defined,
            "errors": errors[:100],
            "ran": len(selection.statements),
            "left_out": selection.left_out,
        }, []

    @staticmethod
    def _place(statement: Statement, kind: str, message: str) -> dict[str, Any]:
        return {"cell": statement.cell, "line": statement.node.lineno, "type": kind[:80], "message": message[:500]}

    # ------------------------------------------------------------------------------------------------- call

    def calls(self, message: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], list[torch.Tensor]]:
        """Make several calls in the time that one may take; answer those that were done by then (the first, or fail)."""
        inputs = iter(values.unpack(blob, Caps(tensors=100_000)))
        answers: list[dict[str, Any]] = []
        outputs: list[torch.Tensor] = []
        left = message["seconds"]
        for number, call in enumerate(message["calls"]):
            given = [values.laid_out(next(inputs), how) for how in call["layouts"]]
            try:
                _start_clock(left)
                _seed(message["seed"] + number)
                answer, tensors = self.call(call, given)
            except TimeLimitError:
                if not answers:
                    raise
                break
            except BaseException as error:
                answer, tensors = {"error": self.as_data(error)}, []
            finally:
                left = max(_start_clock(0), SHORTEST)
            answers.append(answer | {"tensors": len(tensors)})
            outputs += tensors
        return {"answers": answers}, outputs

    def call(self, message: dict[str, Any], tensors: list[torch.Tensor]) -> tuple[dict[str, Any], list[torch.Tensor]]:
        """Call a function of the student's; return its result and the inputs that it changed."""
        function: Any = self.space.get(message["function"])
        tensors = [tensor.to("meta") if n in message["meta"] else tensor for n, tensor in enumerate(tensors)]
        generators: dict[int, torch.Generator] = {}
        decoder = values.Decoder(tensors, Caps(depth=64), self._callback, lambda state: _generator(state, generators))
        arguments = decoder.decode(message["args"])
        named = decoder.decode(message["kwargs"])
        before = [tensor.clone() for tensor in tensors]
        lists = {name: list(value) for name, value in named.items() if isinstance(value, list)}
        for place in message["grad"]:
            tensors[place].requires_grad_(True)
        place = message["new_tensors_on"]
        with contextlib.nullcontext() if place == "cpu" else torch.device(place):
            result = function(*arguments, **named)
        encoder = values.Encoder(self.caps)
        answer: dict[str, Any] = {"result": encoder.encode(result)}
        outputs = list(encoder.tensors)
        answer["grad"] = [n for n, tensor in enumerate(outputs) if tensor.requires_grad]
        answer["meta"] = [n for n, tensor in enumerate(outputs) if tensor.is_meta]
        answer["shared"] = [
            [n, i, tensor.storage_offset(), list(tensor.stride())]
            for n, tensor in enumerate(outputs)
            for i, given in enumerate(tensors)
            if _share(tensor, given)
        ]
        answer["lists"] = {
            name: values.Encoder(self.caps).encode(named[name]) for name, old in lists.items() if named[name] != old
        }
        answer["changed"] = {}
        for place, (old, new) in enumerate(zip(before, tensors, strict=True)):
            state = generators.get(id(new))
            new = new if state is None else state.get_state()
            if not _same(old, new):
                answer["changed"][str(place)] = len(outputs) + len(answer["changed"])
        changed = [
            tensors[int(p)] if id(tensors[int(p)]) not in generators else generators[id(tensors[int(p)])].get_state()
            for p in answer["changed"]
        ]
        if answer["grad"]:
            self.count += 1
            answer["handle"] = self.count
            self.results[self.count] = (outputs, [tensors[place] for place in message["grad"]])
            while len(self.results) > RESULTS_KEPT:
                self.results.popitem(last=False)
            if message["project"]:
                changed += self._project(answer, outputs, [tensors[place] for place in message["grad"]])
        kept = [values.dense(tensor).clone() for tensor in outputs + changed]  # a later call may write into them
        return answer, kept

    @staticmethod
    def _project(answer: dict[str, Any], outputs: list[torch.Tensor], inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        """Gradients that the judge will ask for; where they cannot be had, it asks and is told why."""
        try:
            given = values.projection(outputs, answer["grad"])
            chosen = [outputs[place] for place in answer["grad"]]
            found = torch.autograd.grad(chosen, inputs, given, allow_unused=True, retain_graph=True)
        except Exception:
            return []
        answer["projected"] = [n for n, g in enumerate(found) if g is None]
        return [g for g in found if g is not None]

    def _callback(self, number: int) -> Callable[..., Any]:
        def ask(*arguments: Any, **named: Any) -> Any:
            encoder = values.Encoder(self.caps)
            question = {"callback": number, "args": encoder.encode(list(arguments)), "kwargs": encoder.encode(named)}
            protocol.send(self.connection, question, encoder.blob())
            answer, blob = protocol.receive(self.connection, self.caps)
            if "raise" in answer:
                raise getattr(builtins, answer["raise"], RuntimeError)(answer["message"])
            tensors = values.unpack(blob, self.caps)
            if any(tensor.is_meta for tensor in encoder.tensors):  # a result is where the arguments are
                tensors = [tensor.to("meta") for tensor in tensors]
            return values.Decoder(tensors).decode(answer["result"])

        return ask

    def backward(self, message: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], list[torch.Tensor]]:
        """Gradients of an earlier result: given those of its tensors, return those of its inputs (or none)."""
        outputs, inputs = self.results[message["handle"]]
        given = values.unpack(blob, Caps(tensors=100_000))
        chosen = [outputs[place] for place in message["places"]]
        _start_clock(message["seconds"])
        found = torch.autograd.grad(chosen, inputs, given, allow_unused=True, retain_graph=True)
        _start_clock(0)
        return {"none": [n for n, g in enumerate(found) if g is None]}, [g for g in found if g is not None]

    def run(self, message: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], list[torch.Tensor]]:
        """Run a world of the course's with the student's step; return what it recorded."""
        world = worlds.find(message["world"])
        arguments = values.Decoder(values.unpack(blob, Caps(tensors=100_000)), Caps(depth=64)).decode(
            message["arguments"]
        )
        _seed(message["seed"])
        _start_clock(message["seconds"])
        record = world(self.space.get(message["function"]), **arguments)
        _start_clock(0)
        encoder = values.Encoder(Caps())
        return {"result": encoder.encode(record)}, encoder.tensors

    # ------------------------------------------------------------------------------------------------ errors

    def as_data(self, error: BaseException) -> dict[str, Any]:
        """An exception as data: type, message, the kinds it belongs to, and the last line of the student's code."""
        place = None
        for frame, line in traceback.walk_tb(_TRACEBACK(error)):
            if (file := frame.f_code.co_filename).startswith("cell "):
                text = linecache.getline(file, line or 0).strip()[:200]
                place = {"cell": int(file[5:]), "line": line, "function": frame.f_code.co_name[:80], "text": text}
        kinds = [_name(kind) for kind in _MRO(type(error)) if getattr(builtins, _name(kind), None) is kind]
        return {"type": _name(type(error))[:80], "message": _text(error), "kinds": kinds, "place": place}


# an exception's class and metaclass are the student's: what they say of themselves may raise or lie, so it is not asked
_TRACEBACK = BaseException.__dict__["__traceback__"].__get__
_MRO = type.__dict__["__mro__"].__get__
_name = type.__dict__["__name__"].__get__


def _text(error: BaseException) -> str:
    """An exception's message; empty where the student's class cannot give one."""
    try:
        return str.__getitem__(str(error), slice(1000))
    except BaseException:  # whatever a `__str__` of the student's raises
        return ""


def _share(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors have the same memory, or parts of it."""
    return (
        not one.is_meta and one.numel() > 0 and one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
    )


def _same(old: torch.Tensor, new: torch.Tensor) -> bool:
    """Whether a tensor is as it was; NaN equals itself."""
    if old.shape != new.shape or old.dtype != new.dtype:
        return False
    if old.is_meta:  # it has no values that could change
        return True
    if torch.equal(old, new):
        return True
    with torch.no_grad():
        equal = old == new.detach()
        return bool((equal | ((old != old) & (new.detach() != new.detach()))).all())


def _seed(seed: int) -> None:
    torch.default_generator.manual_seed(seed)  # torch.manual_seed formats a stack trace for devices that are not there
    random.seed(seed)
    np.random.seed(seed % 2**32)


def _generator(state: torch.Tensor, known: dict[int, torch.Generator]) -> torch.Generator:
    if id(state) not in known:
        known[id(state)] = torch.Generator()
        known[id(state)].set_state(state)
    return known[id(state)]


def _start_clock(seconds: float) -> float:
    """Allow so much processor time, and several times as much on the wall's clock; 0 stops the clock.

    Returns:
        The seconds of processor time that were left.
    """
    left, _ = signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds * WALL)
    return left


def _alarm(number: int, frame: object) -> None:
    raise TimeLimitError


def main(connection: socket.socket) -> None:
    """Prepare the process and serve."""
    os.environ["HOME"] = str(Path.cwd())
    os.umask(0o077)
    child = Child(connection)
    sys.stdout = sys.stderr = child.output
    sys.stdin = io.StringIO()
    builtins.input = lambda *_: ""
    builtins.display = lambda *_, **__: None  # type: ignore[attr-defined]
    builtins.get_ipython = lambda: None  # type: ignore[attr-defined]
    signal.signal(signal.SIGALRM, _alarm)
    signal.signal(signal.SIGPROF, _alarm)
    try:
        child.serve()
    except (protocol.ConnectionLostError, protocol.ProtocolError):
        os._exit(0)
