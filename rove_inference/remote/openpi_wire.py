"""openpi's messages: msgpack, with arrays as maps. Pure. Written from the protocol, checked against openpi-client."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import numpy as np

from rove_core.errors import WireError

_NUMBERS = "biuf"


def encode(message: dict[str, Any]) -> bytes:
    """A message; arrays of numbers may stand anywhere in it."""
    return bytes(msgpack.packb(message, default=_from_array))


def decode(data: bytes) -> dict[str, Any]:
    """A message; its arrays are read-only views.

    Raises:
        WireError: not msgpack, not a map, or an array that is none.
    """
    try:
        message = msgpack.unpackb(data, object_hook=_to_array, max_ext_len=0)
    except WireError:
        raise
    except Exception as error:  # noqa: BLE001 - msgpack raises some ten types, down to RecursionError
        raise WireError(f"not msgpack: {type(error).__name__}") from None
    if not isinstance(message, dict):
        raise WireError(f"expected a map, it is a {type(message).__name__}")
    return message


def _from_array(value: object) -> object:
    if isinstance(value, np.ndarray) and value.dtype.kind in _NUMBERS:
        array = np.ascontiguousarray(value)
        data = array.reshape(-1).view(np.uint8).data
        return {b"__ndarray__": True, b"data": data, b"dtype": array.dtype.str, b"shape": array.shape}
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _to_array(entry: dict[Any, Any]) -> object:
    if b"__ndarray__" in entry:
        dtype, shape, data = _dtype(entry), entry.get(b"shape"), entry.get(b"data")
        if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
            raise WireError(f"an array of shape {str(shape)[:40]}")
        if not isinstance(data, bytes) or len(data) != math.prod(shape) * dtype.itemsize:
            raise WireError(f"an array whose bytes do not make {dtype} {tuple(shape)}")
        return np.frombuffer(data, dtype).reshape(shape)
    if b"__npgeneric__" in entry:
        value = entry.get(b"data")
        if not isinstance(value, bool | int | float):
            raise WireError("a number that is none")
        return _dtype(entry).type(value)
    return entry


def _dtype(entry: dict[Any, Any]) -> np.dtype[Any]:
    name = entry.get(b"dtype")
    try:
        dtype = np.dtype(name) if isinstance(name, str) and len(name) <= 4 else None
    except (TypeError, ValueError):
        dtype = None
    if dtype is None or dtype.kind not in _NUMBERS:
        raise WireError(f"an array of type {str(name)[:20]!r}")
    return dtype
