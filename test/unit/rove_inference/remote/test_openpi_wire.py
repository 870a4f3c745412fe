"""openpi's messages byte for byte, as openpi-client 0.1.2 writes them (docs/reference/policy-servers.md)."""

from __future__ import annotations

import contextlib

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rove_core.errors import WireError
from rove_inference.remote import openpi_wire

# {"state": float32 (2,), "prompt": "go"} and {"actions": float32 (1, 2), "n": float32}
REQUEST = bytes.fromhex(
    "82a5737461746584c40b5f5f6e6461727261795f5fc3c40464617461c4080000803f000000c0c4056474797065a33c6634c4057368617065"
    "9102a670726f6d7074a2676f"
)
ANSWER = bytes.fromhex(
    "82a7616374696f6e7384c40b5f5f6e6461727261795f5fc3c40464617461c4080000003f000080bec4056474797065a33c6634c40573"
    "68617065920102a16e83c40d5f5f6e7067656e657269635f5fc3c40464617461cb3fe0000000000000c4056474797065a33c6634"
)


def test_a_request_is_the_bytes_that_openpi_writes() -> None:
    assert openpi_wire.encode({"state": np.array([1, -2], np.float32), "prompt": "go"}) == REQUEST


def test_an_answer_is_read_from_the_bytes_that_openpi_writes() -> None:
    answer = openpi_wire.decode(ANSWER)
    np.testing.assert_array_equal(answer["actions"], np.array([[0.5, -0.25]], np.float32))
    assert answer["n"] == 0.5


def test_arrays_in_maps_and_empty_ones_survive() -> None:
    message = {"images": {"head": np.arange(24, dtype=np.uint8).reshape(2, 4, 3)}, "none": np.zeros((0, 3), np.float64)}
    back = openpi_wire.decode(openpi_wire.encode(message))
    np.testing.assert_array_equal(back["images"]["head"], message["images"]["head"])
    assert back["none"].shape == (0, 3)


def array(**changes: object) -> bytes:
    entry = {b"__ndarray__": True, b"data": bytes(8), b"dtype": "<f4", b"shape": [2]}
    return msgpack.packb({"a": entry | {key.encode(): value for key, value in changes.items()}})


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "not msgpack"),
        (b"\xc1", "not msgpack"),
        (msgpack.packb([1]), "expected a map"),
        (array(dtype="|O8"), "an array of type"),
        (array(dtype="nonsense"), "an array of type"),
        (array(dtype=4), "an array of type"),
        (array(shape=[3]), "bytes do not make"),
        (array(shape=[-2]), "an array of shape"),
        (array(shape="2"), "an array of shape"),
        (array(data="text"), "bytes do not make"),
    ],
)
def test_what_is_no_message_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(WireError, match=text):
        openpi_wire.decode(data)


@given(st.binary(max_size=60), st.integers(0, 120))
def test_a_damaged_message_raises_nothing_else(noise: bytes, at: int) -> None:
    data = bytearray(ANSWER)
    data[at : at + len(noise)] = noise
    with contextlib.suppress(WireError):
        openpi_wire.decode(bytes(data))
