"""The policy wire: what goes in comes out, and nothing else comes in."""

from __future__ import annotations

import contextlib
import struct

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rove_core.errors import WireError
from rove_inference.remote.wire import ASK, MOST_HEADER_BYTES, Encoder, Message, decode, encode


def frame(header: object, payload: bytes = b"") -> bytes:
    packed = msgpack.packb(header)
    return struct.pack("<4sI", b"ROVP", len(packed)) + packed + payload


def header(**changes: object) -> dict[str, object]:
    return {"schema": "rove.policy", "version": 1, "kind": "ask", "arrays": []} | changes


@given(st.integers(0, 40), st.text(max_size=20))
def test_a_message_comes_out_as_it_went_in(size: int, text: str) -> None:
    arrays = {
        "picture": np.arange(3 * size, dtype=np.uint8).reshape(3, size),
        "state": np.linspace(-1, 1, size, dtype=np.float32),
    }
    message = decode(encode(Message(ASK, {"text": text, "number": size}, arrays)))
    assert message.kind == ASK
    assert (message.text("text"), message.integer("number")) == (text, size)
    for name, array in arrays.items():
        np.testing.assert_array_equal(message.array(name, array.shape, array.dtype.str), array)


def test_arrays_are_read_without_a_copy_and_cannot_be_written() -> None:
    data = encode(Message(ASK, {}, {"state": np.ones(4, np.float32)}))
    state = decode(data).arrays["state"]
    assert not state.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        state[0] = 2.0


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "a message of 0 bytes"),
        (b"GET / HTTP/1.1\r\n\r\n", "not a message of the policy wire"),
        (struct.pack("<4sI", b"ROVP", 1 << 30), "a header of 1073741824 bytes"),
        (struct.pack("<4sI", b"ROVP", 3) + b"\xc1\xc1\xc1", "not msgpack"),
        (frame([1, 2]), "no map"),
        (frame(header(schema="rove.mocap")), "schema 'rove.mocap'"),
        (frame(header(version=2)), "version 2 of the policy wire, this side speaks 1"),
        (frame(header(kind="kill")), "unknown kind of message 'kill'"),
        (frame(header(kind=["ask"])), "unknown kind"),
        (frame(header(arrays={})), "does not list its arrays"),
        (frame(header(arrays=[["a", "|u1", [2]]] * 65), bytes(2000)), "does not list its arrays"),
        (frame(header(arrays=[["a", "|O", [1]]])), "not a description of an array"),
        (frame(header(arrays=[["a", "|u1", [-1]]])), "has shape"),
        (frame(header(arrays=[["a", "|u1", [True]]])), "has shape"),
        (frame(header(arrays=[["a", "<f4", [40]]]), bytes(32)), "needs 160 bytes"),
        (frame(header(arrays=[["a", "<f8", [90, 90, 90, 90]]]), bytes(64)), "needs"),
    ],
)
def test_what_is_not_the_wire_is_refused_in_one_line(data: bytes, text: str) -> None:
    with pytest.raises(WireError, match=text) as caught:
        decode(data)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_else(data: bytes) -> None:
    with pytest.raises(WireError):
        decode(data)


@given(st.binary(max_size=60), st.integers(0, 200))
def test_a_damaged_message_raises_nothing_else(noise: bytes, at: int) -> None:
    data = bytearray(encode(Message(ASK, {"number": 1}, {"state": np.ones(4, np.float32)})))
    data[at : at + len(noise)] = noise
    with contextlib.suppress(WireError):
        decode(bytes(data))


def test_fields_of_another_type_are_refused() -> None:
    message = Message(ASK, {"number": True, "beta": float("nan"), "text": 3}, {"state": np.ones(4, np.float32)})
    for read in (
        lambda: message.integer("number"),
        lambda: message.number("beta"),
        lambda: message.text("text"),
        lambda: message.mapping("spec"),
        lambda: message.array("state", (5,), "<f4"),
        lambda: message.array("state", (4,), "<f8"),
        lambda: message.array("image", None, "|u1"),
    ):
        with pytest.raises(WireError):
            read()


def test_the_largest_served_bundle_fits_the_header() -> None:
    joints = [f"joint_{index}_of_the_other_left_hand" for index in range(200)]
    spec = {"state": {"names": joints, "mean": [0.123456] * 200, "std": [0.1] * 200}}
    assert len(msgpack.packb({"spec": spec | {"action": spec["state"]}, "joints": joints})) < MOST_HEADER_BYTES


def test_an_encoder_writes_the_same_frames_whatever_it_wrote_before() -> None:
    encoder = Encoder()
    for size in (3, 40, 5, 0, 41):
        message = Message(ASK, {"number": size}, {"a": np.arange(size, dtype=np.uint8), "b": np.ones(2, np.float32)})
        assert bytes(encoder.encode(message)) == encode(message)
