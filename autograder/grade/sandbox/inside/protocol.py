"""Messages between the judge and a child: a JSON text and a safetensors blob, both of bounded size. Never a pickle.

A frame is two lengths (4 bytes for the JSON, 8 for the blob, big-endian) and the two texts. The judge treats whatever
arrives as hostile: too long, too late, too deep or malformed ends the conversation and counts against the sender.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

WALL = 20  # seconds on the clock for each second of processor time that a call may take: the machine may be busy
TICK = 0.5  # seconds between two looks at what the other side is doing
HEADER = struct.Struct(">IQ")


@dataclass(frozen=True)
class Caps:
    """Upper bounds for one message: bytes of JSON, bytes of tensors, nesting, entries of all containers, tensors."""

    text: int = 1 << 20
    blob: int = 64 << 20
    depth: int = 12
    entries: int = 100_000
    tensors: int = 2_000


class ProtocolError(Exception):
    """The other side sent something that is no message of this protocol."""


class ConnectionLostError(Exception):
    """The other side is gone."""


class TooLateError(Exception):
    """The other side did not answer in time."""


def send(connection: socket.socket, message: dict[str, Any], blob: bytes = b"", deadline: float | None = None) -> None:
    """Send one frame.

    Raises:
        ConnectionLostError: nobody reads it.
        TooLateError: the deadline (on `time.monotonic`) passed while the other side read nothing.
    """
    text = json.dumps(message, allow_nan=False).encode()
    frame = b"".join((HEADER.pack(len(text), len(blob)), text, blob))  # in one piece, so that the reader wakes up once
    try:
        connection.settimeout(_left(deadline))
        connection.sendall(frame)
    except TimeoutError as error:
        raise TooLateError from error
    except OSError as error:
        raise ConnectionLostError(str(error)) from error


def receive(
    connection: socket.socket, caps: Caps | None, deadline: float | None = None, tick: Callable[[], None] | None = None
) -> tuple[dict[str, Any], bytes]:
    """Receive one frame: its JSON object and its blob.

    Args:
        connection: where it comes from.
        caps: what is too large; None for a sender that is trusted, as the judge is by the child.
        deadline: on `time.monotonic`.
        tick: called now and then while nothing comes; it may raise `TooLateError`.

    Raises:
        ConnectionLostError: the other side closed the connection.
        TooLateError: the deadline passed.
        ProtocolError: a length beyond the caps, no JSON object, or one nested too deep or too large.
    """
    text_length, blob_length = HEADER.unpack(_exactly(connection, HEADER.size, deadline, tick))
    if caps is not None and (text_length > caps.text or blob_length > caps.blob):
        raise ProtocolError(f"a message of {text_length} + {blob_length} bytes; {caps.text} + {caps.blob} are allowed")
    text = _exactly(connection, text_length, deadline, tick)
    blob = _exactly(connection, blob_length, deadline, tick)
    try:
        message = json.loads(bytes(text), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"no JSON: {error}"[:200]) from error
    if not isinstance(message, dict):
        raise ProtocolError("the message is no JSON object")
    if caps is not None:
        check_size(message, caps)
    return message, bytes(blob)


def check_size(message: Any, caps: Caps) -> None:
    """Refuse a JSON value that is nested too deep or holds too many entries (iteratively, so that depth is no harm)."""
    entries = 0
    stack = [(message, 1)]
    while stack:
        value, depth = stack.pop()
        if not isinstance(value, dict | list):
            continue
        entries += len(value)
        if depth > 3 * caps.depth or entries > caps.entries:
            raise ProtocolError("the message is nested too deep or has too many entries")
        stack.extend((child, depth + 1) for child in (value.values() if isinstance(value, dict) else value))


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TooLateError
    return left


def _exactly(
    connection: socket.socket, length: int, deadline: float | None, tick: Callable[[], None] | None
) -> bytearray:
    """Read `length` bytes; memory grows with what has arrived, not with what was announced."""
    data = bytearray()
    while len(data) < length:
        left = _left(deadline)
        try:
            connection.settimeout(left if tick is None else TICK if left is None else min(left, TICK))
            chunk = connection.recv(min(length - len(data), 1 << 20))
        except TimeoutError as error:
            if tick is None:
                raise TooLateError from error
            tick()
            continue
        except OSError as error:
            raise ConnectionLostError(str(error)) from error
        if not chunk:
            raise ConnectionLostError("the connection was closed")
        data += chunk
    return data
