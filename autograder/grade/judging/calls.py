"""Calls of a student's function in one message to the child, and what comes back of each: result, changes, gradients, faults."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from autograder.grade.sandbox.inside import values
from autograder.grade.sandbox.inside.protocol import Caps, ProtocolError

from .conversation import Conversation, Request
from .faults import StudentError

CALLER_CAPS = Caps(depth=64, entries=10_000_000, tensors=100_000)


def next_seed() -> int:
    """A seed for the child's own random numbers, from the judge's global generator, which moves on by this."""
    state = hashlib.sha256(torch.get_rng_state().numpy().tobytes()).digest()
    torch.rand(1)
    return int.from_bytes(state[:6], "big")


def decode(value: Any, tensors: list[torch.Tensor], caps: Caps) -> Any:
    """Read a result of the child's.

    Raises:
        StudentError: it is malformed.
    """
    try:
        return values.Decoder(tensors, caps).decode(value)
    except ProtocolError as error:
        unread = "the result cannot be read"
        raise StudentError("protocol", unread, f"{unread}: {error}") from error


def check_defined(conversation: Conversation, name: str) -> None:
    """Start the child if there is none.

    Raises:
        StudentError: the notebook does not define the function.
    """
    conversation.wait()
    if conversation.connection is None:
        conversation.open()
    if not conversation.loaded.defined.get(name, False):
        text = (
            "is no function"
            if name in conversation.loaded.defined
            else "is not defined in the notebook, or its cell failed"
        )
        raise StudentError("missing", f"{name} {text}")


def send_calls(
    conversation: Conversation, name: str, calls: Sequence[tuple[tuple[Any, ...], Mapping[str, Any]]], project: bool
) -> Callable[[], list[Callable[[], Any]]]:
    """Have the child call one function with each of these positional and keyword arguments, in the time of one call.

    With `project` it sends along what `values.projection` gives of the gradients.

    Returns:
        What waits for the answer: see `_outcomes`.

    Raises:
        StudentError: nothing could be sent.
    """
    check_defined(conversation, name)
    callables: list[Callable[..., Any]] = []
    made = [_Call(conversation, name, arguments, named, callables, project) for arguments, named in calls]
    blob = values.pack([tensor for call in made for tensor in call.inputs])
    seconds = conversation.limits.call_seconds
    message = {"op": "calls", "calls": [call.message for call in made], "seed": next_seed()}
    request = conversation.send(message, blob, seconds, name, callables)
    return functools.partial(_outcomes, conversation, request, made)


def _outcomes(conversation: Conversation, request: Request, made: Sequence[_Call]) -> list[Callable[[], Any]]:
    """For each call that was done in time, at least for the first, what returns its result or raises its fault.

    Raises:
        StudentError: no proper answer came.
    """
    answer, tensors = conversation.answer_to(request)
    answers = answer.get("answers")
    if not isinstance(answers, list) or not 0 < len(answers) <= len(made):
        raise StudentError("protocol", "the answer has not the agreed form")
    outcomes: list[Callable[[], Any]] = []
    start = 0
    for call, one in zip(made, answers, strict=False):
        count = one.get("tensors") if isinstance(one, dict) else None
        if type(count) is not int or not 0 <= count <= len(tensors) - start:
            raise StudentError("protocol", "the answer has not the agreed form")
        outcomes.append(functools.partial(call.outcome, one, tensors[start : start + count]))
        start += count
    return outcomes


class _Call:
    """One call: the judge's own tensors, what was sent of them, and what came back."""

    def __init__(
        self,
        conversation: Conversation,
        name: str,
        arguments: tuple[Any, ...],
        named: Mapping[str, Any],
        callables: list[Callable[..., Any]],
        project: bool,
    ) -> None:
        self.conversation = conversation
        self.name = name
        self.incarnation = conversation.incarnation
        self.encoder = values.Encoder(CALLER_CAPS, callables)
        written = {"args": self.encoder.encode(list(arguments)), "kwargs": self.encoder.encode(dict(named))}
        self.named = named
        # the gradients that came along: which inputs got none, and those of the rest
        self.projected: tuple[list[int], list[torch.Tensor]] | None = None
        self.inputs = list(self.encoder.tensors)
        self.grad_places = [n for n, tensor in enumerate(self.inputs) if tensor.requires_grad]
        self.message = written | {
            "function": name,
            "layouts": [values.layout(tensor) for tensor in self.inputs],
            "grad": self.grad_places,
            "project": project,
            "meta": [n for n, tensor in enumerate(self.inputs) if tensor.is_meta],
            "new_tensors_on": getattr(named, "new_tensors_on", "cpu"),
        }

    def outcome(self, answer: Mapping[str, Any], tensors: list[torch.Tensor]) -> Any:
        """The call's result, once; inputs that the student's function changed are changed here as well.

        Raises:
            StudentError: the function raised, or the answer has not the agreed form.
        """
        if "error" in answer:
            raise self.conversation.students_error(answer["error"], self.name, self.conversation.limits.call_seconds)
        tensors = self._set_projected_aside(answer.get("projected"), tensors)
        changed = self._places(answer.get("changed"), len(tensors))
        count = min(changed.values(), default=len(tensors))
        outputs = self._with_gradients(tensors[:count], answer)
        for place, position in changed.items():
            self._write_back(place, tensors[position])
        self._take_over(answer, outputs)
        return decode(answer.get("result"), outputs, self.conversation.caps)

    def _set_projected_aside(self, none: Any, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        """Keep the gradients that came along; return the tensors before them."""
        if none is None:
            return tensors
        known = range(len(self.grad_places))
        if not isinstance(none, list) or any(type(n) is not int or n not in known for n in none):
            raise StudentError("protocol", "the answer has not the agreed form")
        start = len(tensors) - (len(known) - len(set(none)))
        if start < 0:
            raise StudentError("protocol", "the answer has not the agreed form")
        self.projected = none, tensors[start:]
        return tensors[:start]

    def _take_over(self, answer: Mapping[str, Any], outputs: list[torch.Tensor]) -> None:
        """Make the outputs what they are in the child: on the device "meta", or in an input's memory; and change lists."""
        try:
            for place in answer["meta"]:
                outputs[place] = outputs[place].to("meta")
            for place, source, offset, stride in answer["shared"]:
                if not outputs[place].requires_grad:
                    outputs[place] = self.inputs[source].detach().as_strided(outputs[place].shape, stride, offset)
            for name, content in answer["lists"].items():
                if isinstance(self.named[name], list):
                    self.named[name][:] = decode(content, outputs, self.conversation.caps)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError) as error:
            raise StudentError("protocol", "the answer has not the agreed form") from error

    def _places(self, changed: Any, count: int) -> dict[int, int]:
        """The child's table of changed inputs, checked: input → position among the tensors that came."""
        try:
            table = {int(place): position for place, position in changed.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise StudentError("protocol", "the answer has not the agreed form") from error
        positions = sorted(table.values(), key=str)
        expected = list(range(count - len(table), count))
        if (
            len(table) > count
            or positions != sorted(expected, key=str)
            or not set(table) <= set(range(len(self.inputs)))
        ):
            raise StudentError("protocol", "the answer has not the agreed form")
        return table

    def _with_gradients(self, outputs: list[torch.Tensor], answer: Mapping[str, Any]) -> list[torch.Tensor]:
        places = answer.get("grad")
        if not isinstance(places, list) or any(type(p) is not int or not 0 <= p < len(outputs) for p in places):
            raise StudentError("protocol", "the answer has not the agreed form")
        places = [p for p in dict.fromkeys(places) if outputs[p].is_floating_point() or outputs[p].is_complex()]
        handle = answer.get("handle")
        if not places:
            return outputs
        if type(handle) is not int:
            raise StudentError("protocol", "the answer has not the agreed form")
        sources = [self.inputs[place] for place in self.grad_places]
        if not sources:  # it carries a gradient to something of the student's own
            for place in places:
                outputs[place].requires_grad_(True)
            return outputs
        joined = _Remote.apply(self, handle, places, outputs, *sources)
        return list(joined)

    def _write_back(self, place: int, new: torch.Tensor) -> None:
        old = self.inputs[place]
        for generator in self.encoder.generators:
            if old.dtype == torch.uint8 and torch.equal(generator.get_state(), old):
                try:
                    generator.set_state(new)
                except (RuntimeError, TypeError) as error:
                    raise StudentError("protocol", "the generator came back in no valid state") from error
                return
        if old.shape != new.shape or old.dtype != new.dtype:
            raise StudentError("raised", f"{self.name} changed the shape or dtype of its argument in place")
        with torch.no_grad():
            old.copy_(new)

    def gradients(
        self, handle: int, places: list[int], given: list[torch.Tensor], outputs: list[torch.Tensor]
    ) -> list[torch.Tensor | None]:
        """The gradients of the inputs: those that came with the answer if they are of this sum, else the child is asked."""
        if self.projected is not None and all(map(torch.equal, given, values.projection(outputs, places))):
            return self._gradients(*self.projected)
        self.conversation.wait()
        if self.incarnation != self.conversation.incarnation or self.conversation.connection is None:
            raise StudentError("died", f"{self.name}: the process ended before its gradients were asked for")
        message = {"op": "backward", "handle": handle, "places": places}
        seconds = self.conversation.limits.call_seconds
        request = self.conversation.send(message, values.pack(given), seconds, self.name)
        answer, tensors = self.conversation.answer_to(request)
        none = answer.get("none")
        if not isinstance(none, list) or len(set(map(str, none))) != len(none):
            raise StudentError("protocol", "the answer has not the agreed form")
        return self._gradients(none, tensors)

    def _gradients(self, none: list[Any], tensors: list[torch.Tensor]) -> list[torch.Tensor | None]:
        found = iter(tensors)
        result: list[torch.Tensor | None] = []
        for number, place in enumerate(self.grad_places):
            gradient = None if number in none else next(found, None)
            if gradient is None and number not in none:
                raise StudentError("protocol", "a gradient is missing")
            if gradient is not None and (
                gradient.shape != self.inputs[place].shape or gradient.dtype != self.inputs[place].dtype
            ):
                raise StudentError("protocol", "a gradient has not its input's shape and dtype")
            result.append(gradient)
        return result


class _Remote(torch.autograd.Function):
    """The student's function in the judge's autograd graph."""

    @staticmethod
    def forward(
        ctx: Any, call: _Call, handle: int, places: list[int], outputs: list[torch.Tensor], *sources: Any
    ) -> Any:
        ctx.call, ctx.handle, ctx.places = call, handle, places
        ctx.mark_non_differentiable(*(tensor for n, tensor in enumerate(outputs) if n not in places))
        ctx.set_materialize_grads(False)
        ctx.outputs = [tensor.detach() for tensor in outputs]
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *given: torch.Tensor | None) -> Any:
        full = []
        for place in ctx.places:
            full.append(given[place] if given[place] is not None else torch.zeros_like(ctx.outputs[place]))
        return (None, None, None, None, *ctx.call.gradients(ctx.handle, ctx.places, full, ctx.outputs))
