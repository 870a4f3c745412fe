"""Messages of Isaac GR00T's policy server: msgpack, with arrays as .npy files. Pure. Written from the protocol."""

from __future__ import annotations

import io
import math
from typing import Any

import msgpack
import numpy as np
from numpy.lib import format as npy

from rove_core.errors import WireError
from rove_inference.backends import Array

_NUMBERS = "biuf"
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def encode(message: dict[str, Any]) -> bytes:
    """A message; arrays of numbers may stand anywhere in it."""
    return bytes(msgpack.packb(message, default=_from_array))


def decode(data: bytes | memoryview) -> Any:
    """A message; its arrays are read-only, a modality configuration is the map of its facts.

    Raises:
        WireError: not msgpack, or an array that is none.
    """
    try:
        return msgpack.unpackb(data, object_hook=_to_value, max_ext_len=0)
    except WireError:
        raise
    except Exception as error:  # noqa: BLE001 - msgpack raises some ten types, down to RecursionError
        raise WireError(f"not msgpack: {type(error).__name__}") from None


def _from_array(value: object) -> object:
    if isinstance(value, np.ndarray) and value.dtype.kind in _NUMBERS:
        file = io.BytesIO()
        np.save(file, value, allow_pickle=False)
        return {"__ndarray_class__": True, "as_npy": file.getvalue()}
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _to_value(entry: dict[Any, Any]) -> object:
    if "__ndarray_class__" in entry:
        return _read_npy(entry.get("as_npy"))
    if "__ModalityConfig_class__" in entry:
        return entry.get("as_json")
    return entry


def _read_npy(data: object) -> Array:
    """The array in a .npy file, without memory for a shape that the bytes do not fill (`np.load` would take it)."""
    if not isinstance(data, bytes):
        raise WireError("an array without bytes")
    file = io.BytesIO(data)
    try:
        shape, fortran, dtype = _HEADERS[npy.read_magic(file)](file)
    except (ValueError, KeyError, TypeError, SyntaxError, EOFError):
        raise WireError("an array that is no .npy file") from None
    if dtype.kind not in _NUMBERS:
        raise WireError(f"an array of type {dtype}")
    start = file.tell()
    if any(size < 0 for size in shape) or len(data) - start != math.prod(shape) * dtype.itemsize:
        raise WireError(f"an array whose bytes do not make {dtype} {shape}")
    return np.frombuffer(data, dtype, offset=start).reshape(shape, order="F" if fortran else "C")
