"""One submission's conversation with its child: calls, time limits, deaths and restarts. Nothing here trusts the child."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from autograder.grade.limits import Limits
from autograder.grade.result import CellError, LoadReport
from autograder.grade.sandbox.choice import Walls
from autograder.grade.sandbox.inside import protocol, values
from autograder.grade.sandbox.inside.protocol import WALL, Caps, ConnectionLostError, ProtocolError, TooLateError
from autograder.grade.text import printable

from .faults import StudentError, as_number, raised

SIGNALS = {11: "segmentation fault", 6: "abort", 7: "bus error", 4: "illegal instruction", 25: "file too large"}
# a test's functions may go through what they are called back with, entry by entry, and keep it
CALL_BACK_CAPS = Caps(blob=1 << 16, depth=6, entries=200)
MOST_CALL_BACKS = 100_000  # while one request is under way
GRACE = 2.0  # seconds the judge waits beyond a limit that the child should have kept by itself


@dataclass
class Spent:
    """What a submission has spent so far; `strikes` counts how often each function ran out of time or killed its process."""

    cpu_seconds: float = 0.0
    memory: int = 0
    children: int = 0
    strikes: dict[str, int] = field(default_factory=dict)


@dataclass(eq=False)
class Request:
    """What the child was sent; later its answer and the answer's tensors, or the fault in their place."""

    what: str
    seconds: float  # of processor time that the child may take
    caps: Caps
    callables: Sequence[Callable[..., Any]] = ()
    ticket: str = field(default_factory=lambda: secrets.token_hex(8))
    deadline: float = 0.0  # on `time.monotonic`; known once it is sent, as `tick` is, which looks at the time it uses
    tick: Callable[[], None] | None = None
    answer: dict[str, Any] = field(default_factory=dict)
    data: bytes = b""
    fault: StudentError | None = None
    awaited: bool = True


class Conversation:
    """Talks to the child of one submission, and starts it again when it has died.

    One request may be under way while the judge does something else; whatever asks for another one waits for its answer.

    Args:
        sandbox: the warm parent.
        cells: the notebook's code cells (`number`, `source`, `tags`).
        wanted: names of the functions that will be called.
        files: small text files to lie beside the notebook (the student's own other parts).
        limits: bounds for this submission.
    """

    def __init__(
        self,
        sandbox: Walls,
        cells: Sequence[dict[str, Any]],
        wanted: Sequence[str],
        files: dict[str, str] | None = None,
        limits: Limits | None = None,
        caps: Caps | None = None,
    ) -> None:
        self.sandbox = sandbox
        self.cells = list(cells)
        self.wanted = list(wanted)
        self.files = files or {}
        self.limits = limits or sandbox.limits
        self.caps = caps or Caps(blob=16 << 20)
        self.connection: socket.socket | None = None
        self.spent = Spent()
        self.loaded = LoadReport()
        self.started = time.monotonic()
        self.end = self.started + self.limits.total_seconds
        self.incarnation = 0
        self.under_way: Request | None = None

    # ---------------------------------------------------------------------------------------------- life

    def open(self) -> LoadReport:
        """Start the child and run the notebook's definitions; return what happened (see `inside.child.Child.load`).

        Raises:
            StudentError: the code killed its process, took too long or spoke out of turn.
        """
        what = "running the notebook's cells"
        self._still_tried(what)
        self.connection = self.sandbox.spawn()
        self.spent.children += 1
        self.incarnation += 1
        message = {"op": "load", "cells": self.cells, "wanted": self.wanted, "files": self.files}
        seconds = self.limits.statement_seconds
        request = self._send(Request(what, seconds, self.caps), message, b"", 2 * WALL * seconds)
        self.wait()
        if request.fault is not None:
            raise request.fault
        answer = request.answer
        if "error" in answer:
            raise StudentError("protocol", "the notebook's cells could not be run: the process answered nonsense")
        self.loaded = self._checked_load(answer)
        return self.loaded

    def _checked_load(self, answer: dict[str, Any]) -> LoadReport:
        defined, errors = answer.get("defined"), answer.get("errors")
        if not isinstance(defined, dict) or not isinstance(errors, list):
            raise StudentError("protocol", "the process answered nonsense after running the notebook's cells")
        return LoadReport(
            defined={name: bool(defined.get(name)) for name in self.wanted if name in defined},
            errors=tuple(
                CellError(
                    cell=as_number(error.get("cell")),
                    line=as_number(error.get("line")),
                    type=printable(str(error.get("type"))[:80]),
                    message=printable(str(error.get("message"))[:300]),
                )
                for error in errors[:50]
                if isinstance(error, dict)
            ),
            ran=as_number(answer.get("ran")),
            left_out=as_number(answer.get("left_out")),
        )

    def __enter__(self) -> Conversation:
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the child and all it started, and note what it used."""
        if self.connection is not None:
            self._bury()

    def _bury(self) -> dict[str, Any]:
        connection, self.connection = self.connection, None
        if self.under_way is not None:
            what = self.under_way.what
            self.under_way.fault = StudentError("died", f"{what}: the process ended before it answered")
            self.under_way = None
        assert connection is not None
        outcome = self.sandbox.reap(connection)
        self.spent.cpu_seconds += outcome.get("cpu_seconds", 0.0)
        self.spent.memory = max(self.spent.memory, outcome.get("memory", 0))
        return outcome

    # ---------------------------------------------------------------------------------------------- asking

    def send(
        self,
        message: dict[str, Any],
        blob: bytes,
        seconds: float,
        what: str,
        callables: Sequence[Callable[..., Any]] = (),
        caps: Caps | None = None,
    ) -> Request:
        """Send a request, once an earlier one is answered; while the child works on it, the judge may go on.

        Raises:
            StudentError: the child cannot be started, or has been given up.
        """
        self.wait()
        self._still_tried(what)
        if self.connection is None:
            self.open()
        return self._send(Request(what, seconds, caps or self.caps, callables), message, blob, WALL * seconds + GRACE)

    def answer_to(self, request: Request) -> tuple[dict[str, Any], list[Any]]:
        """Wait for a request's answer; return it and its tensors.

        Raises:
            StudentError: no proper answer came; the child has been killed if it did not answer in time or at all.
        """
        if request is self.under_way:
            self.wait()
        if request.fault is not None:
            raise request.fault
        try:
            tensors = values.unpack(request.data, request.caps)
        except ProtocolError as error:
            raise self._broken(request.what, error) from error
        if "error" in request.answer:
            raise self.students_error(request.answer["error"], request.what, request.seconds)
        return request.answer, tensors

    def wait(self) -> None:
        """Wait until no request is under way; what came of it is kept with it."""
        request = self.under_way
        if request is None:
            return
        try:
            request.answer, request.data = self._receive(request)
        except StudentError as fault:
            request.fault = fault
        self.under_way = None

    def disown(self) -> None:
        """Nobody waits for the request that is under way: if the child fails at it, that is no strike."""
        if self.under_way is not None:
            self.under_way.awaited = False

    def _send(self, request: Request, message: dict[str, Any], blob: bytes, wall: float) -> Request:
        request.deadline = min(time.monotonic() + wall, self.end)
        if time.monotonic() >= self.end:
            self.close()
            raise StudentError("given up", f"the submission took more than {self.limits.total_seconds:g} s in all")
        request.tick = self._processor_clock(request.seconds * (3 if message["op"] == "load" else 1))
        told = {"id": request.ticket, "seconds": request.seconds}
        with self._blamed(request):
            protocol.send(self._open_connection(), message | told, blob, request.deadline)
        self.under_way = request
        return request

    def _receive(self, request: Request) -> tuple[dict[str, Any], bytes]:
        with self._blamed(request):
            for _ in range(MOST_CALL_BACKS):
                answer, data = protocol.receive(self._open_connection(), request.caps, request.deadline, request.tick)
                if "callback" in answer:
                    self._call_back(answer, data, request.callables, request.deadline)
                elif answer.get("id") == request.ticket:
                    return answer, data
                else:
                    raise ProtocolError("an answer to no question")
            raise ProtocolError("it asks without end")

    @contextlib.contextmanager
    def _blamed(self, request: Request) -> Iterator[None]:
        """Turn what goes wrong with the connection into a fault of the student's, and end the child."""
        try:
            yield
        except TooLateError as error:
            self._bury()
            self._strike(request.what, request.awaited)
            limit = f"{request.seconds:g} s" if request.deadline < self.end else "the submission's time"
            raise StudentError(
                "timeout", f"{request.what} did not come back within {limit} (an endless loop?)"
            ) from error
        except ConnectionLostError as error:
            raise self._death(request.what, request.awaited) from error
        except (ProtocolError, RecursionError, MemoryError) as error:  # the last: what a test keeps of call-backs
            raise self._broken(request.what, error, request.awaited) from error

    def _processor_clock(self, seconds: float) -> Callable[[], None]:
        """What to call while an answer is awaited: it ends the wait once the child has used up its processor time.

        The child's own timer cannot interrupt code in C; this looks from outside. Time that the child waits for a
        processor on a busy machine does not count.
        """
        allowed = 1.5 * seconds + GRACE
        start: list[float] = []  # taken at the first look: few calls last until then, and each look reads all of /proc

        def look() -> None:
            used = self.sandbox.processor_seconds()
            if not start:
                start.append(used)
            elif used - start[0] > allowed:
                raise TooLateError

        return look

    def _call_back(
        self, answer: dict[str, Any], data: bytes, callables: Sequence[Callable[..., Any]], deadline: float
    ) -> None:
        number = answer["callback"]
        if type(number) is not int or not 0 <= number < len(callables):
            raise ProtocolError("a call-back of nothing")
        protocol.check_size(answer, CALL_BACK_CAPS)
        if len(data) > CALL_BACK_CAPS.blob:
            raise ProtocolError("a call-back with too much")
        decoder = values.Decoder(values.unpack(data, self.caps), self.caps)
        arguments, named = decoder.decode(answer.get("args")), decoder.decode(answer.get("kwargs"))
        if not isinstance(arguments, list) or not isinstance(named, dict):
            raise ProtocolError("a malformed call-back")
        try:
            result = callables[number](*arguments, **{str(key): item for key, item in named.items()})
        except Exception as error:  # the test's function refuses what the student's code gave it
            reply: dict[str, Any] = {"raise": type(error).__name__, "message": str(error)[:500]}
            protocol.send(self._open_connection(), reply, b"", deadline)
            return
        encoder = values.Encoder(self.caps)
        reply = {"result": encoder.encode(result)}
        protocol.send(self._open_connection(), reply, encoder.blob(), deadline)

    def _open_connection(self) -> socket.socket:
        assert self.connection is not None
        return self.connection

    # ---------------------------------------------------------------------------------------------- faults

    def _strike(self, what: str, awaited: bool = True) -> None:
        if awaited:
            self.spent.strikes[what] = self.spent.strikes.get(what, 0) + 1

    def _still_tried(self, what: str) -> None:
        strikes = self.spent.strikes.get(what, 0)
        if strikes >= self.limits.strikes:
            text = f"{what} ran out of time or ended its process {strikes} times before; nothing more was tried with it"
            raise StudentError("given up", text)

    def _death(self, what: str, awaited: bool) -> StudentError:
        self._strike(what, awaited)
        outcome = self._bury()
        if outcome.get("out_of_memory"):
            return StudentError("memory", f"{what} used more memory than a submission may")
        number = outcome.get("signal")
        if number == 9:  # the kernel's, for time or memory, or the code's own
            return StudentError(
                "died", f"{what}: the process was killed (it used too much time or memory, or killed itself)"
            )
        if number == 24:
            return StudentError("timeout", f"{what} used more processor time than a submission may")
        if number is not None:
            crashed = f"{what}: the process crashed"
            return StudentError("died", crashed, f"{crashed} ({SIGNALS.get(number, f'signal {number}')})")
        ended = f"{what} ended the whole process"
        return StudentError("died", ended, f"{ended} (exit status {outcome.get('exit')})")

    def _broken(self, what: str, error: Exception, awaited: bool = True) -> StudentError:
        self._strike(what, awaited)
        with contextlib.suppress(Exception):
            self.close()
        unread = f"{what} gave no answer that can be read"
        return StudentError("protocol", unread, f"{unread}: {error}")

    def students_error(self, error: Any, what: str, seconds: float) -> StudentError:
        """The fault that a child reported in place of a result."""
        if not isinstance(error, dict):
            return StudentError("protocol", f"{what} gave no answer that can be read")
        if error.get("type") == "TimeLimitError":
            self._strike(what)
            return StudentError("timeout", f"{what} did not come back within {seconds:g} s (an endless loop?)")
        return raised(what, error)
