"""Motion-capture frames as messages: what goes in comes out, and nothing else gets in."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rove_core.errors import WireError
from rove_core.joint_space import JointSpace
from rove_hil.operator.mocap import (
    MAX_BYTES,
    FrameRefusedError,
    Tracked,
    decode,
    encode,
)
from rove_hil.retargeting.kinematics import Kinematics

SPACE = JointSpace.load("iron_r01")
FRAME = Kinematics(SPACE).frame_from_joints(SPACE.home, sequence=7, capture_ns=1_234_567_890_123)
ARRAYS = ("head_position", "head_quat", "shoulders", "elbows", "wrist_positions", "wrist_quats", "hands")


def changed(**values: Any) -> bytes:
    """A valid message but for some keys; None takes a key away."""
    message = msgpack.unpackb(encode(FRAME, "test"))
    message.update(values)
    packed: bytes = msgpack.packb({key: value for key, value in message.items() if value is not None})
    return packed


def refusal(data: bytes) -> FrameRefusedError:
    with pytest.raises(FrameRefusedError) as caught:
        decode(data)
    return caught.value


def test_a_frame_survives_the_wire_bit_for_bit() -> None:
    frame = dataclasses.replace(FRAME, tracked=Tracked(left_hand=False))
    received = decode(encode(frame, "glove"))
    for name in ARRAYS:
        # Quaternions are normalised on arrival.
        np.testing.assert_allclose(getattr(received, name), getattr(frame, name), rtol=0, atol=1e-15)
    assert (received.sequence, received.capture_ns) == (7, 1_234_567_890_123)
    assert (received.tracked, received.source) == (frame.tracked, "glove")


def test_float32_and_plain_lists_are_as_good() -> None:
    hands = FRAME.hands.astype("<f4").tobytes()
    received = decode(changed(hands=hands, head_position=[0, 0, 0.7]))
    np.testing.assert_allclose(received.hands, FRAME.hands, atol=1e-7)
    np.testing.assert_array_equal(received.head_position, [0, 0, 0.7])


def test_quaternions_are_normalised_within_the_tolerance_and_refused_beyond() -> None:
    received = decode(changed(head_quat=[1.005, 0.0, 0.0, 0.0]))
    np.testing.assert_array_equal(received.head_quat, [1, 0, 0, 0])
    assert "norm" in str(refusal(changed(head_quat=[1.2, 0.0, 0.0, 0.0])))
    assert "norm" in str(refusal(changed(head_quat=[0.0, 0.0, 0.0, 0.0])))


@pytest.mark.parametrize(
    ("data", "reason", "said"),
    [
        (b"", "malformed", "truncated"),
        (encode(FRAME)[:-40], "malformed", "truncated"),
        (encode(FRAME) + b"\x00", "malformed", "msgpack"),
        (b"\x00" * (MAX_BYTES + 1), "oversized", "16384"),
        (msgpack.packb([1, 2, 3]), "malformed", "map"),
        (changed(schema="other"), "schema", "other"),
        (changed(version=2), "version", "version 2"),
        (changed(hands=None), "malformed", "hands"),
        (changed(colour="red"), "malformed", "colour"),
        (changed(source="x" * 65), "malformed", "64"),
        (changed(sequence=-1), "malformed", "sequence"),
        (changed(sequence=True), "malformed", "sequence"),
        (changed(capture_ns=1.5), "malformed", "capture_ns"),
        (changed(tracked=[True] * 4), "malformed", "tracked"),
        (changed(tracked=[1] * 5), "malformed", "tracked"),
        (changed(hands=b"\x00" * 10), "malformed", "hands"),
        (changed(elbows=["a"] * 6), "malformed", "elbows"),
        (changed(elbows=[float("nan")] * 6), "values", "nan"),
        (changed(elbows=[0.0, 0.0, float("inf"), 0.0, 0.0, 0.0]), "values", "inf"),
        (changed(elbows=[0.0, 0.0, 5.5, 0.0, 0.0, 0.0]), "values", "5.5"),
    ],
)
def test_what_is_no_frame_is_refused_in_one_clear_line(data: bytes, reason: str, said: str) -> None:
    error = refusal(data)
    assert error.reason == reason
    assert said in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 300
    assert isinstance(error, WireError)


@given(st.binary(max_size=400))
def test_noise_is_refused_and_never_crashes(data: bytes) -> None:
    refusal(data)


@given(st.integers(0, len(encode(FRAME)) - 1), st.integers(0, 255))
def test_a_damaged_byte_is_refused_or_still_a_frame_with_sane_numbers(place: int, value: int) -> None:
    data = bytearray(encode(FRAME, "t"))
    data[place % len(data)] = value
    try:
        frame = decode(bytes(data))
    except FrameRefusedError:
        return
    assert all(np.abs(getattr(frame, name)).max() < 5.0 for name in ARRAYS)
