"""The motion-capture wire: the newest frame comes through, from whom it should and to whom it may."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

from rove_core.errors import ConfigError, WireError
from rove_core.joint_space import JointSpace
from rove_core.keys import KeyPair, read_pair, read_public, write_pair
from rove_hil.operator.mocap import MAX_BYTES, MocapFrame, encode
from rove_hil.operator.mocap_wire import MocapPublisher, MocapReceiver
from rove_hil.retargeting.kinematics import Kinematics

SPACE = JointSpace.load("iron_r01")
FRAME = Kinematics(SPACE).frame_from_joints(SPACE.home, sequence=7, capture_ns=1_234_567_890_123)
DEADLINE_S = 10.0
# Long enough for a connection that is allowed on one machine, by a factor of ten or more.
REFUSED_S = 0.3


class Wire:
    """A raw publisher, which can send anything, and a receiver of it."""

    def __init__(self) -> None:
        self.socket = zmq.Context.instance().socket(zmq.PUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.receiver = MocapReceiver(f"tcp://127.0.0.1:{port}")
        # Frames are lost until the subscription has arrived: send until one comes through.
        self.until(lambda: self.receiver.received > 0, lambda: self.send(FRAME, source="hello"))

    def send(self, frame: MocapFrame, sequence: int = 7, source: str = "test") -> None:
        self.socket.send(encode(dataclasses.replace(frame, sequence=sequence), source))

    def until(self, met: Callable[[], bool], again: Callable[[], None] = lambda: None) -> list[MocapFrame]:
        frames = []
        deadline = time.monotonic() + 10.0
        while not met():
            assert time.monotonic() < deadline, "nothing came through the wire"
            again()
            frame = self.receiver.poll(0.02)
            frames += [frame] if frame else []
        return frames

    def close(self) -> None:
        self.receiver.close()
        self.socket.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


def test_the_receiver_gives_the_newest_frame_and_counts_those_it_overtook(wire: Wire) -> None:
    before = wire.receiver.received
    for sequence in range(1, 6):
        wire.send(FRAME, sequence)
    frames = wire.until(lambda: wire.receiver.received == before + 5)
    assert frames[-1].sequence == 5
    assert wire.receiver.dropped >= 5 - len(frames)
    assert len(frames) + wire.receiver.dropped >= 5


def test_old_and_repeated_frames_are_refused_until_the_source_has_a_new_name(wire: Wire) -> None:
    for sequence in (5, 5, 4):
        wire.send(FRAME, sequence)
    wire.until(lambda: wire.receiver.rejected["order"] >= 2)
    assert "sequence 4 after 5" in wire.receiver.last_refusal
    wire.send(FRAME, 0, source="restarted")
    assert wire.until(lambda: wire.receiver.received >= 3)[-1].source == "restarted"


def test_garbage_between_frames_is_counted_by_reason_and_costs_no_frame(wire: Wire) -> None:
    wire.receiver.rejected.clear()
    before = wire.receiver.received
    for _ in range(50):
        wire.socket.send(b"garbage")
    wire.socket.send(b"\x00" * (MAX_BYTES + 1))
    # Wait until it is gone: a flood may rightly push frames out of the bounded queue.
    wire.until(lambda: wire.receiver.rejected["oversized"] == 1 or wire.receiver.rejected["malformed"] >= 50)
    wire.send(FRAME, 8)
    frames = wire.until(lambda: wire.receiver.received == before + 1)
    assert frames[-1].sequence == 8


def test_publisher_and_receiver_meet(wire: Wire) -> None:
    publisher = MocapPublisher("tcp://127.0.0.1:0")
    receiver = MocapReceiver(publisher.url)
    try:
        sequence = 0
        deadline = time.monotonic() + 10.0
        while (frame := receiver.poll(0.02)) is None:
            assert time.monotonic() < deadline
            publisher.send(dataclasses.replace(FRAME, sequence=sequence))
            sequence += 1
        np.testing.assert_allclose(frame.hands, FRAME.hands)
        assert frame.source.startswith("mocap-")
        with pytest.raises(WireError, match="cannot publish"):
            MocapPublisher(publisher.url)
    finally:
        receiver.close()
        publisher.close()


def test_an_address_that_is_none_is_one_clear_line() -> None:
    with pytest.raises(WireError, match="nonsense"):
        MocapReceiver("nonsense")


def received(publisher: MocapPublisher, receiver: MocapReceiver, seconds: float = DEADLINE_S) -> bool:
    """Whether a frame comes through within `seconds`."""
    deadline, sequence = time.monotonic() + seconds, 0
    try:
        while time.monotonic() < deadline:
            sequence += 1
            publisher.send(dataclasses.replace(FRAME, sequence=sequence))
            if receiver.poll(0.01) is not None:
                return True
        return False
    finally:
        receiver.close()


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, KeyPair]:
    for name in ("headset", "robot", "stranger"):
        write_pair(tmp_path / name, name)
    return {name: read_pair(tmp_path / name / f"{name}.key_secret") for name in ("headset", "robot", "stranger")}


@pytest.fixture
def encrypted(keys: dict[str, KeyPair], tmp_path: Path) -> Iterator[MocapPublisher]:
    """A source that lets the robot in and nobody else."""
    publisher = MocapPublisher("tcp://127.0.0.1:0", keys=keys["headset"], receivers=tmp_path / "robot")
    yield publisher
    publisher.close()


def test_the_right_keys_on_both_ends_let_frames_through(encrypted: MocapPublisher, keys: dict[str, KeyPair]) -> None:
    assert received(encrypted, MocapReceiver(encrypted.url, keys["headset"].public, keys["robot"]))


def test_a_source_lets_no_stranger_listen(encrypted: MocapPublisher, keys: dict[str, KeyPair]) -> None:
    headset = keys["headset"].public
    assert not received(encrypted, MocapReceiver(encrypted.url, headset, keys["stranger"]), REFUSED_S)
    assert not received(encrypted, MocapReceiver(encrypted.url, headset), REFUSED_S)
    assert not received(encrypted, MocapReceiver(encrypted.url), REFUSED_S)


def test_a_robot_takes_no_frames_from_an_impostor(keys: dict[str, KeyPair]) -> None:
    for impostor_keys in (keys["stranger"], None):
        impostor = MocapPublisher("tcp://127.0.0.1:0", keys=impostor_keys)
        try:
            receiver = MocapReceiver(impostor.url, keys["headset"].public, keys["robot"])
            assert not received(impostor, receiver, REFUSED_S)
        finally:
            impostor.close()


def test_without_a_list_of_receivers_the_sources_public_key_is_enough(keys: dict[str, KeyPair]) -> None:
    publisher = MocapPublisher("tcp://127.0.0.1:0", keys=keys["headset"])
    try:
        assert received(publisher, MocapReceiver(publisher.url, keys["headset"].public))
    finally:
        publisher.close()


def test_a_list_of_receivers_needs_keys_and_names_somebody(tmp_path: Path, keys: dict[str, KeyPair]) -> None:
    with pytest.raises(ConfigError, match="encrypted"):
        MocapPublisher("tcp://127.0.0.1:0", receivers=tmp_path / "robot")
    with pytest.raises(ConfigError, match="nobody"):
        MocapPublisher("tcp://127.0.0.1:0", keys=keys["headset"], receivers=tmp_path / "nowhere")
    assert read_public(tmp_path / "robot/robot.key") == keys["robot"].public
