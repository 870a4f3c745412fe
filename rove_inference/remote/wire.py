"""The policy wire, version 1: what our client and our server say to one another. Pure.

A message is one ZeroMQ frame, so that the socket's limit on a frame is a limit on memory: eight bytes (`ROVP` and the
length of the header, little-endian), the header as a msgpack map, then the arrays it lists, each at the next multiple
of eight bytes. `docs/reference/policy-servers.md` is the format. Pictures are most of a message: they are copied once
when it is put together, and not at all when it is read.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgpack
import numpy as np

from rove_core.errors import WireError
from rove_inference.backends import Array

SCHEMA = "rove.policy"
VERSION = 1

HELLO, WELCOME, ASK, ANSWER, REFUSAL = "hello", "welcome", "ask", "answer", "refusal"
KINDS = frozenset({HELLO, WELCOME, ASK, ANSWER, REFUSAL})

# Room for the header: names, numbers, an instruction, a served policy.yaml of a hundred joints.
MOST_HEADER_BYTES = 1 << 18
MOST_ARRAYS = 64
MOST_DIMENSIONS = 4
DTYPES = {name: np.dtype(name) for name in ("|u1", "<f4", "<f8")}

_MAGIC = b"ROVP"
_PREFIX = struct.Struct("<4sI")
_ALIGN = 8


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `fields` are numbers, text and nested maps; arrays that were read are views and read-only."""

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A field that must be text. Raises WireError."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise WireError(f"'{self.kind}' has no text '{name}'")
        return value

    def integer(self, name: str) -> int:
        """A field that must be an integer. Raises WireError."""
        value = self.fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise WireError(f"'{self.kind}' has no integer '{name}'")
        return value

    def number(self, name: str) -> float:
        """A field that must be a finite number. Raises WireError."""
        value = self.fields.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise WireError(f"'{self.kind}' has no number '{name}'")
        return float(value)

    def mapping(self, name: str) -> dict[str, Any]:
        """A field that must be a map. Raises WireError."""
        value = self.fields.get(name)
        if not isinstance(value, dict):
            raise WireError(f"'{self.kind}' has no map '{name}'")
        return value

    def array(self, name: str, shape: tuple[int, ...] | None, dtype: str) -> Array:
        """An array that must be there, of this type and (unless None) this shape. Raises WireError."""
        array = self.arrays.get(name)
        if array is None:
            raise WireError(f"'{self.kind}' has no array '{name}'")
        if array.dtype.str != dtype or (shape is not None and array.shape != shape):
            raise WireError(f"'{name}' is {array.dtype.str} {array.shape}, expected {dtype} {shape or 'of any shape'}")
        return array


def encode(message: Message) -> bytes:
    """The frame of a message. Arrays are of the types in `DTYPES`."""
    return b"".join(_parts(message))


class Encoder:
    """Puts frames together in memory of its own, which lasts: a new half megabyte each time costs more than filling it.

    A frame is good until the next one.
    """

    def __init__(self) -> None:
        self._memory = memoryview(bytearray())

    def encode(self, message: Message) -> memoryview:
        """The frame of a message."""
        parts = _parts(message)
        length = sum(len(part) for part in parts)
        if length > len(self._memory):
            self._memory = memoryview(bytearray(length))
        at = 0
        for part in parts:
            self._memory[at : at + len(part)] = part
            at += len(part)
        return self._memory[:length]


def _parts(message: Message) -> list[bytes | memoryview]:
    """What a frame consists of, one after the other."""
    arrays = {name: np.ascontiguousarray(array) for name, array in message.arrays.items()}
    header = msgpack.packb(
        {
            "schema": SCHEMA,
            "version": VERSION,
            "kind": message.kind,
            **message.fields,
            "arrays": [[name, array.dtype.str, array.shape] for name, array in arrays.items()],
        }
    )
    parts: list[bytes | memoryview] = [_PREFIX.pack(_MAGIC, len(header)), header]
    length = _PREFIX.size + len(header)
    for array in arrays.values():
        parts.append(bytes(-length % _ALIGN))
        parts.append(array.reshape(-1).view(np.uint8).data)
        length += -length % _ALIGN + array.nbytes
    return parts


def decode(frame: bytes | memoryview) -> Message:
    """Read a frame. Arrays are views of it.

    Raises:
        WireError: not this protocol or this version of it, cut short, or arrays that do not fit the frame.
    """
    data = memoryview(frame)
    if len(data) < _PREFIX.size:
        raise WireError(f"a message of {len(data)} bytes")
    magic, header_length = _PREFIX.unpack_from(data)
    if magic != _MAGIC:
        raise WireError(f"not a message of the policy wire: it begins with {magic!r}")
    if header_length > min(MOST_HEADER_BYTES, len(data) - _PREFIX.size):
        raise WireError(f"a header of {header_length} bytes in a message of {len(data)}")
    body = _PREFIX.size + header_length
    header = _header(data[_PREFIX.size : body])
    kind, listed = header.pop("kind", None), header.pop("arrays", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise WireError(f"unknown kind of message {str(kind)[:40]!r}")
    if not isinstance(listed, list) or len(listed) > MOST_ARRAYS:
        raise WireError(f"'{kind}' does not list its arrays")
    arrays: dict[str, Array] = {}
    for entry in listed:
        name, array, body = _array(entry, data, body)
        arrays[name] = array
    return Message(kind, header, arrays)


def _header(data: memoryview) -> dict[str, Any]:
    try:
        header = msgpack.unpackb(data, max_ext_len=0)
    except Exception as error:  # noqa: BLE001 - msgpack raises some ten types, down to RecursionError
        raise WireError(f"the header is not msgpack: {type(error).__name__}") from None
    if not isinstance(header, dict):
        raise WireError("the header is no map")
    schema, version = header.pop("schema", None), header.pop("version", None)
    if schema != SCHEMA:
        raise WireError(f"schema {str(schema)[:40]!r}, expected '{SCHEMA}'")
    if version != VERSION:
        raise WireError(
            f"version {str(version)[:40]} of the policy wire, this side speaks {VERSION}",
            "install the same release on both machines",
        )
    return header


def _array(entry: object, data: memoryview, start: int) -> tuple[str, Array, int]:
    """The array that `entry` describes, from where the one before it ends; and where it ends itself."""
    match entry:
        case [str(name), str(dtype_name), list(listed)] if dtype_name in DTYPES and len(listed) <= MOST_DIMENSIONS:
            dtype = DTYPES[dtype_name]
        case _:
            raise WireError(f"not a description of an array: {str(entry)[:80]}")
    shape = [size for size in listed if type(size) is int and 0 <= size <= len(data)]
    if len(shape) != len(listed):
        raise WireError(f"array '{name}' has shape {str(listed)[:80]}")
    start += -start % _ALIGN
    end = start + math.prod(shape) * dtype.itemsize
    if end > len(data):
        raise WireError(f"array '{name}' needs {end - start} bytes, the message has {max(len(data) - start, 0)} left")
    array = np.frombuffer(data[start:end], dtype).reshape(shape)
    array.flags.writeable = False
    return name, array, end
