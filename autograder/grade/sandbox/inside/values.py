"""Python values as JSON and tensors, and back. Both sides use it; only plain data can cross.

Encoded kinds: null, bool, int, float, str, tensor, list, tuple, dict, frozenset, set, callable (by number), generator (its
state), NumPy's arrays and scalars, and `other` (a value of a type that does not cross; only its type's name does).
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from safetensors import SafetensorError

from .protocol import Caps, ProtocolError

LARGEST_INT = 1 << 200
NUMPYS = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
NUMPYS |= {torch.float16, torch.float32, torch.float64, torch.bfloat16}
MARK = "b"  # after a tensor's number: its sixteen-bit integers stand for bfloat16


class Other:
    """Stands for a value of the student's that cannot cross (an array, a module …). Its class bears the type's name."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def other(type_name: Any) -> Other:
    """Make an `Other` whose class has the given name, cleaned."""
    name = re.sub(r"\W", "", str(type_name))[:40] or "unknown"
    return type(name, (Other,), {})()


class Encoder:
    """Collects the tensors of a message while its values are written as JSON.

    Attributes:
        tensors: the tensors found, in order; the same object gets one place.
        callables: functions found, by number (they are called back by that number).
        generators: `torch.Generator` objects found, by number.
    """

    def __init__(self, caps: Caps | None = None, callables: list[Callable[..., Any]] | None = None) -> None:
        """Bound what may be written; `callables` holds the functions of the calls before in the same message."""
        self.caps = caps or Caps()
        self.tensors: list[torch.Tensor] = []
        self.callables: list[Callable[..., Any]] = [] if callables is None else callables
        self.generators: list[torch.Generator] = []
        self._places: dict[int, int] = {}

    def encode(self, value: Any, depth: int = 0) -> Any:
        """Write one value.

        Raises:
            ProtocolError: the value is nested too deep or holds too many tensors.
        """
        if depth > self.caps.depth:
            raise ProtocolError("the value is nested too deep")
        if value is None or type(value) is bool:
            return value
        if type(value) is str:
            return {"str": value}
        if isinstance(value, torch.Tensor):
            return {"tensor": self._place(value)}
        if type(value) is int:
            if abs(value) > LARGEST_INT:
                raise ProtocolError("an integer is too large")
            return {"int": str(value)}
        if type(value) is float:
            return {"float": value.hex() if math.isfinite(value) else str(value)}
        if isinstance(value, np.generic | np.ndarray):
            return self._numpy(value)
        if isinstance(value, list | tuple | set | frozenset):
            kind = next(k for k in (list, tuple, frozenset, set) if isinstance(value, k)).__name__
            return {kind: [self.encode(item, depth + 1) for item in value]}
        if isinstance(value, Mapping):
            return {"dict": [[self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in value.items()]}
        if isinstance(value, torch.Generator):
            self.generators.append(value)
            return {"generator": self._place(value.get_state())}
        if callable(value) and not isinstance(value, type | torch.nn.Module):
            self.callables.append(value)
            return {"callable": len(self.callables) - 1}
        return {"other": type(value).__name__}

    def _numpy(self, value: np.generic | np.ndarray) -> dict[str, Any]:
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        try:
            tensor = torch.from_numpy(np.array(value, copy=True))
        except (TypeError, ValueError):
            return {"other": type(value).__name__}
        return {kind: self._place(tensor)}

    def _place(self, tensor: torch.Tensor) -> int:
        if id(tensor) not in self._places:
            if tensor.layout != torch.strided or tensor.is_quantized:
                raise ProtocolError("a sparse or quantised tensor")
            if len(self.tensors) >= self.caps.tensors:
                raise ProtocolError("too many tensors")
            self._places[id(tensor)] = len(self.tensors)
            self.tensors.append(tensor)
        return self._places[id(tensor)]

    def blob(self) -> bytes:
        """The collected tensors as one safetensors text."""
        return pack(self.tensors)


def pack(tensors: list[torch.Tensor]) -> bytes:
    """Write tensors, detached and contiguous, as safetensors."""
    if not tensors:
        return b""
    if all(tensor.dtype in NUMPYS for tensor in tensors):  # safetensors writes small arrays in a third of the time
        return safetensors.numpy.save(dict(_as_array(n, dense(t)) for n, t in enumerate(tensors)))
    own = {str(n): dense(t).clone(memory_format=torch.contiguous_format) for n, t in enumerate(tensors)}
    return safetensors.torch.save(own)


def _as_array(number: int, tensor: torch.Tensor) -> tuple[str, np.ndarray]:
    """A tensor's name and its numbers as NumPy has them: bfloat16, which it has not, as integers with a mark in the name."""
    short = tensor.dtype == torch.bfloat16
    name, plain = (f"{number}{MARK}", tensor.contiguous().view(torch.int16)) if short else (str(number), tensor)
    return name, np.asarray(plain.numpy(), order="C")


def dense(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor's values, without its gradient, its lazy conjugation and its class, if that is not `Tensor` itself.

    A tensor on the device "meta" has none: zeros stand for them.
    """
    if type(tensor) is torch.Tensor and tensor.is_cpu and not tensor.is_conj() and not tensor.is_neg():
        return tensor.detach()  # nearly always; the rest takes ten times as long
    with torch.no_grad():
        plain = tensor.detach().as_subclass(torch.Tensor).resolve_conj().resolve_neg()
        return torch.zeros(plain.shape, dtype=plain.dtype) if plain.is_meta else plain.cpu()


def unpack(blob: bytes, caps: Caps) -> list[torch.Tensor]:
    """Read tensors that `pack` wrote; the sender is not trusted.

    Raises:
        ProtocolError: it is no safetensors text, or its names are not 0, 1, 2 …
    """
    if not blob:
        return []
    try:
        named = safetensors.torch.load(blob)
    except (SafetensorError, ValueError, KeyError, RuntimeError, TypeError, OverflowError) as error:
        raise ProtocolError(f"no safetensors: {error}"[:200]) from error
    for name in [name for name in named if name.endswith(MARK)]:
        marked = named.pop(name)
        if marked.dtype != torch.int16 or name.removesuffix(MARK) in named:
            raise ProtocolError("a tensor in bfloat16 has not sixteen bits, or a number stands twice")
        named[name.removesuffix(MARK)] = marked.view(torch.bfloat16)
    if len(named) > caps.tensors or set(named) != {str(n) for n in range(len(named))}:
        raise ProtocolError("the tensors are not numbered")
    return [named[str(n)] for n in range(len(named))]


class Decoder:
    """Reads values back, given the message's tensors and what makes functions and generators out of their numbers."""

    def __init__(
        self,
        tensors: list[torch.Tensor],
        caps: Caps | None = None,
        callable_of: Callable[[int], Any] | None = None,
        generator_of: Callable[[torch.Tensor], Any] | None = None,
    ) -> None:
        self.tensors = tensors
        self.caps = caps or Caps()
        self.callable_of = callable_of
        self.generator_of = generator_of

    def decode(self, value: Any, depth: int = 0) -> Any:
        """Read one value.

        Raises:
            ProtocolError: it has not the form that `Encoder` writes.
        """
        if depth > self.caps.depth:
            raise ProtocolError("a value is nested too deep")
        if value is None or isinstance(value, bool):
            return value
        if not isinstance(value, dict) or len(value) != 1:
            raise ProtocolError("a value has not the agreed form")
        ((kind, content),) = value.items()
        try:
            return self._decode(kind, content, depth)
        except (TypeError, ValueError, IndexError, KeyError, OverflowError, RuntimeError) as error:
            raise ProtocolError(f"a value of kind {str(kind)[:40]!r} is malformed") from error

    def _decode(self, kind: str, content: Any, depth: int) -> Any:
        if kind == "str" and isinstance(content, str):
            return content
        if kind == "int" and isinstance(content, str) and len(content) < 70:
            number = int(content)
            if abs(number) > LARGEST_INT:
                raise ProtocolError("an integer is too large")
            return number
        if kind == "float" and isinstance(content, str) and len(content) < 40:
            return float(content) if content in ("nan", "inf", "-inf") else float.fromhex(content)
        if kind == "tensor" and type(content) is int and content >= 0:
            return self.tensors[content]
        if kind in ("list", "tuple", "set", "frozenset") and isinstance(content, list):
            make = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind]
            return make([self.decode(item, depth + 1) for item in content])
        if kind == "dict" and isinstance(content, list):
            return {self.decode(key, depth + 1): self.decode(item, depth + 1) for key, item in content}
        if kind == "generator" and self.generator_of is not None and type(content) is int:
            return self.generator_of(self.tensors[content])
        if kind == "callable" and type(content) is int:
            return self.callable_of(content) if self.callable_of is not None else other("function")
        if kind in ("array", "scalar") and type(content) is int and content >= 0:
            array = self.tensors[content].numpy()
            return array if kind == "array" else array.reshape(-1)[0]
        if kind == "other":
            return other(content)
        raise ProtocolError(f"unknown kind of value {str(kind)[:40]!r}")


def projection(outputs: list[torch.Tensor], places: list[int]) -> list[torch.Tensor]:
    """The gradients, for these of the outputs, of a fixed random sum of all their finite numbers.

    Both sides know it, so that a call's answer can bring the gradients of its inputs along.
    """
    summed = [n for n, tensor in enumerate(outputs) if tensor.is_floating_point() or tensor.is_complex()]
    drawn = dict(zip(summed, weights_of(tuple(outputs[n].shape for n in summed)), strict=True))
    return [drawn[place].to(outputs[place]) * torch.isfinite(outputs[place].detach()) for place in places]


@functools.lru_cache(maxsize=256)
def weights_of(shapes: tuple[torch.Size, ...]) -> tuple[torch.Tensor, ...]:
    """The weights of that sum, in float64: they are the same for the same shapes."""
    draw = torch.Generator().manual_seed(7)
    return tuple(torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes)


def layout(tensor: torch.Tensor) -> dict[str, Any] | None:
    """The strides of a tensor that is not contiguous, so that the other side can lay it out alike; else None."""
    if tensor.is_contiguous() or tensor.numel() == 0:
        return None
    return {"shape": list(tensor.shape), "stride": list(tensor.stride())}


def laid_out(tensor: torch.Tensor, how: Mapping[str, Any] | None) -> torch.Tensor:
    """Lay a tensor out as `layout` described it (only the judge's messages ask for this)."""
    if how is None:
        return tensor
    stride = how["stride"]
    narrow = tensor
    for axis, step in enumerate(stride):
        if step == 0:
            narrow = narrow.narrow(axis, 0, 1)
    result = torch.empty_strided(narrow.shape, [max(s, 1) for s in stride], dtype=tensor.dtype)
    return result.copy_(narrow).expand(tensor.shape)
