"""GR00T's messages byte for byte (docs/reference/policy-servers.md)."""

from __future__ import annotations

import contextlib

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rove_core.errors import WireError
from rove_inference.remote import groot_wire

# A .npy file, version 1.0 (NEP 1): magic, header of 118 bytes that ends in a newline, then the values.
NPY = (
    b"\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2), }".ljust(117)
    + b"\n"
    + bytes.fromhex("0000803f000000c0")
)


def test_an_array_is_a_npy_file_in_a_map() -> None:
    message = groot_wire.encode({"endpoint": "get_action", "data": {"a": np.array([[[1, -2]]], np.float32)}})
    assert msgpack.unpackb(message) == {
        "endpoint": "get_action",
        "data": {"a": {"__ndarray_class__": True, "as_npy": NPY}},
    }


def test_answers_and_modality_configurations_are_read() -> None:
    answer = msgpack.packb([{"left_arm": {"__ndarray_class__": True, "as_npy": NPY}}, {}])
    actions, info = groot_wire.decode(answer)
    np.testing.assert_array_equal(actions["left_arm"], np.array([[[1, -2]]], np.float32))
    assert info == {}
    config = {"delta_indices": [0], "modality_keys": ["ego_view"]}
    assert groot_wire.decode(msgpack.packb({"video": {"__ModalityConfig_class__": True, "as_json": config}})) == {
        "video": config
    }


def npy(header: str, data: bytes = b"") -> bytes:
    file = b"\x93NUMPY\x01\x00v\x00" + header.encode().ljust(117) + b"\n" + data
    return msgpack.packb({"__ndarray_class__": True, "as_npy": file})


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "not msgpack"),
        (b"ERROR", "not msgpack"),
        (msgpack.packb({"__ndarray_class__": True}), "an array without bytes"),
        (msgpack.packb({"__ndarray_class__": True, "as_npy": b"NUMPY"}), "no .npy file"),
        (npy("{'descr': '<f4', 'fortran_order': False}"), "no .npy file"),
        (npy("__import__('os')"), "no .npy file"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", bytes(8)), "an array of type object"),
        # 4 TB, had anybody asked for the memory.
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }", bytes(8)), "do not make"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -2), }", bytes(8)), "do not make"),
    ],
)
def test_what_is_no_message_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(WireError, match=text):
        groot_wire.decode(data)


@given(st.binary(max_size=60), st.integers(0, 200))
def test_a_damaged_message_raises_nothing_else(noise: bytes, at: int) -> None:
    data = bytearray(msgpack.packb([{"left_arm": {"__ndarray_class__": True, "as_npy": NPY}}, {}]))
    data[at : at + len(noise)] = noise
    with contextlib.suppress(WireError):
        groot_wire.decode(bytes(data))
