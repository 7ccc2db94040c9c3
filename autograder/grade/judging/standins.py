"""Stand-ins for a student's functions: the tests call them as if they were the functions themselves.

A call sends the arguments to the child and brings the result back. What comes back is made of plain tensors, numbers,
texts, tuples, lists and dicts; anything else becomes an `Other`. Gradients pass: the result's
backward asks the child for the gradients of the inputs. Inputs that the student's function changed in place are changed
here as well, so that a test sees it.
"""

from __future__ import annotations

import builtins
import functools
import itertools
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any

from autograder.grade.sandbox.inside import values
from autograder.grade.sandbox.inside.protocol import Caps

from .calls import CALLER_CAPS, check_defined, decode, next_seed, send_calls
from .conversation import Conversation
from .faults import StudentError

RUN_CAPS = Caps(blob=128 << 20)
TOGETHER = 16  # calls in one message; the child keeps the graphs of four times as many results
PASSED_ON = (  # built-in exceptions of the student's that a test may wait for
    "ArithmeticError AttributeError ImportError IndexError KeyError LookupError NameError NotImplementedError OSError "
    "OverflowError RecursionError RuntimeError StopIteration TypeError UnboundLocalError ValueError ZeroDivisionError"
).split()


class StudentRaisedError(StudentError):
    """An exception that the student's function raised."""


_TYPES: dict[str, type[StudentRaisedError]] = {}


def exception_type(name: str) -> type[StudentRaisedError]:
    """A subclass of `StudentRaisedError` and of the built-in exception of that name."""
    if name not in _TYPES:
        _TYPES[name] = type(
            name, (StudentRaisedError, getattr(builtins, name)), {"__init__": StudentRaisedError.__init__}
        )
    return _TYPES[name]


def as_exception(fault: StudentError, hidden: bool) -> StudentError:
    """The exception to raise in the test: of the built-in kind the student's was, in full if the test is public."""
    text = str(fault) if hidden or not fault.private else fault.private
    kind = next((k for k in fault.kinds if k in PASSED_ON), None)
    made = exception_type(kind)(fault.kind, text) if kind else StudentError(fault.kind, text)
    made.outside, made.private, made.described = fault.outside, fault.private, "" if hidden else fault.described
    return made


class StandIn:
    """Callable in place of one function of a student's."""

    def __init__(self, conversation: Conversation, name: str) -> None:
        self._conversation = conversation
        self._name = name
        self.__name__ = self.__qualname__ = name
        self.records: dict[str, Any] = {}  # by world, of the latest run in it
        self.hidden = True  # whether the running test is hidden: then nothing the student's code says is quoted

    def __repr__(self) -> str:
        return f"<the student's {self._name}>"

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the student's function.

        Raises:
            StudentError: it raised, died, ran out of time or answered nonsense. If it raised a built-in exception, what
                is raised here is of that kind too.
        """
        (outcome,) = self._sent([(arguments, named)])()
        return outcome()

    def each(self, calls: Iterable[Mapping[str, Any]]) -> Generator[Callable[[], Any]]:
        """Call the student's function with each of these keyword arguments, many calls in one message.

        While the next calls are made and results are judged here, the child works.

        Yields:
            For each call a function that returns its result, or raises as `__call__` does.

        Raises:
            StudentError: a call did not come back at all.
        """
        rest = (((), named) for named in calls)
        batch = list(itertools.islice(rest, TOGETHER))
        following: list[tuple[tuple[Any, ...], Mapping[str, Any]]] = []
        answers = self._sent(batch, project=True)
        try:
            while batch:
                following += itertools.islice(rest, TOGETHER - len(following))
                outcomes = answers()
                batch = batch[len(outcomes) :]  # it may answer fewer than it was asked
                room = TOGETHER - len(batch)
                batch, following = batch + following[:room], following[room:]
                answers = self._sent(batch, project=True)
                yield from outcomes
        finally:
            self._conversation.disown()  # what was called ahead for a test that has failed is no fault of a later one

    def _sent(
        self, calls: Sequence[tuple[tuple[Any, ...], Mapping[str, Any]]], project: bool = False
    ) -> Callable[[], list[Callable[[], Any]]]:
        """Send calls; return what waits for their outcomes. What goes wrong is raised by that, in its turn."""
        if not calls:
            return list
        try:
            answers = send_calls(self._conversation, self._name, calls, project)
        except StudentError as fault:
            answers = functools.partial(_refuse, fault)
        return functools.partial(self._answered, answers)

    def _answered(self, answers: Callable[[], list[Callable[[], Any]]]) -> list[Callable[[], Any]]:
        try:
            outcomes = answers()
        except StudentError as fault:
            raise as_exception(fault, self.hidden) from None
        return [functools.partial(self._outcome, outcome) for outcome in outcomes]

    def _outcome(self, outcome: Callable[[], Any]) -> Any:
        try:
            return outcome()
        except StudentError as fault:
            raise as_exception(fault, self.hidden) from None

    def run_remotely(self, world: str, **arguments: Any) -> Any:
        """Run one of `helpers.worlds` with the student's function, beside it in the sandbox.

        Returns:
            The record, as plain data; whoever asked measures it. The latest of each world is kept in `records`.

        Raises:
            StudentError: the function raised, died or ran out of time.
        """
        encoder = values.Encoder(CALLER_CAPS)
        message = {
            "op": "run",
            "function": self._name,
            "world": world,
            "arguments": encoder.encode(arguments),
            "seed": next_seed(),
        }
        seconds = self._conversation.limits.run_seconds
        try:
            check_defined(self._conversation, self._name)
            request = self._conversation.send(message, encoder.blob(), seconds, self._name, caps=RUN_CAPS)
            answer, tensors = self._conversation.answer_to(request)
            self.records[world] = decode(answer.get("result"), tensors, RUN_CAPS)
        except StudentError as fault:
            raise as_exception(fault, self.hidden) from None
        return self.records[world]


def _refuse(fault: StudentError) -> list[Callable[[], Any]]:
    raise fault


def make_env(conversation: Conversation, names: list[str]) -> dict[str, StandIn]:
    """Stand-ins for all functions of a part, by name."""
    return {name: StandIn(conversation, name) for name in names}
