"""`rove mocap`, as a person types it."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_core.keys import read_pair
from rove_hil.cli.main import main
from rove_hil.operator.mocap import MocapFrame
from rove_hil.operator.mocap_file import MocapRecorder, read_recording
from rove_hil.operator.mocap_wire import MocapPublisher, MocapReceiver
from rove_hil.retargeting.kinematics import Kinematics

SPACE = JointSpace.load("iron_r01")
PERIOD_S = 0.01
DEADLINE_S = 20.0


def rove(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and everything that was printed."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return int(left.value.code or 0), printed.out + printed.err


def standing(roll: float) -> MocapFrame:
    """Somebody a tenth larger than the robot with both arms raised sideways by `roll` [rad]."""
    q = SPACE.home.copy()
    for side, outwards in (("left", 1.0), ("right", -1.0)):
        q[SPACE.groups[f"{side}_arm"]] = [0.0, outwards * roll, 0.0, 0.0, 0.0, 0.0, 0.0]
    frame = Kinematics(SPACE).frame_from_joints(q)
    names = ("head_position", "shoulders", "elbows", "wrist_positions", "hands")
    return dataclasses.replace(frame, **{name: 1.1 * getattr(frame, name) for name in names})


@pytest.fixture
def headset() -> Iterator[MocapPublisher]:
    """Somebody in a T-pose on a wire, at 100 Hz."""
    publisher, stop, frame = MocapPublisher("tcp://127.0.0.1:0"), threading.Event(), standing(np.pi / 2)

    def play() -> None:
        sequence = 0
        while not stop.wait(PERIOD_S):
            sequence += 1
            publisher.send(dataclasses.replace(frame, sequence=sequence, capture_ns=time.time_ns()))

    player = threading.Thread(target=play)
    player.start()
    yield publisher
    stop.set()
    player.join()
    publisher.close()


def test_what_is_recorded_can_be_shown(
    headset: MocapPublisher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = rove(capsys, "mocap", "record", headset.url, tmp_path / "a.mcap", "--seconds", 0.4)
    assert code == 0, said
    recording = read_recording(tmp_path / "a.mcap")
    assert recording.complete
    assert len(recording.frames) > 5
    code, said = rove(capsys, "mocap", "info", tmp_path / "a.mcap")
    assert code == 0
    assert f"{len(recording.frames)} frames" in said
    assert "left_hand 100%" in said
    code, said = rove(capsys, "mocap", "record", headset.url, tmp_path / "a.mcap")
    assert (code, "exists" in said) == (1, True)


def test_an_operator_is_measured_saved_and_listed(
    headset: MocapPublisher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = rove(capsys, "mocap", "calibrate", headset.url, "anna", "--folder", tmp_path)
    assert code == 0, said
    assert "arms x0.909" in said
    assert rove(capsys, "mocap", "operators", "--folder", tmp_path) == (0, "anna\n")


def recorded(path: Path, frame: MocapFrame, count: int) -> Path:
    """A recording of somebody who stands still."""
    with MocapRecorder(path) as recorder:
        for number in range(count):
            captured_ns = round((number + 1) * PERIOD_S * 1e9)
            recorder.write(dataclasses.replace(frame, sequence=number, capture_ns=captured_ns), captured_ns)
    return path


def test_a_pose_that_is_none_is_one_line_and_a_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hanging = recorded(tmp_path / "hanging.mcap", standing(0.2), 300)
    arguments = ["--folder", tmp_path, "--seconds", 1.4]
    code, said = rove(capsys, "mocap", "calibrate", f"mcap:{hanging}", "anna", *arguments)
    assert code == 1
    assert "error: no T-pose" in said
    assert "hint: raise both arms" in said
    assert not list(tmp_path.glob("*.yaml"))


def test_a_recording_is_replayed_encrypted_for_those_who_may_receive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("headset", "robot"):
        assert rove(capsys, "mocap", "keys", name, "--folder", tmp_path / name)[0] == 0
    file = recorded(tmp_path / "a.mcap", standing(0.2), 80)
    own, url = tmp_path / "headset/headset.key_secret", f"ipc://{tmp_path / 'wire'}"
    receiver = MocapReceiver(url, read_pair(own).public, read_pair(tmp_path / "robot/robot.key_secret"))
    keys = ["--own-key", own, "--receivers", tmp_path / "robot"]
    frames: list[MocapFrame] = []

    def listen() -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not frames and time.monotonic() < deadline:
            frames.extend(frame for frame in [receiver.poll(0.05)] if frame is not None)

    listener = threading.Thread(target=listen)
    listener.start()
    code, said = rove(capsys, "mocap", "replay", file, "--bind", url, *keys)
    listener.join()
    receiver.close()
    assert (code, "80 frames sent" in said) == (0, True), said
    assert frames


def test_what_cannot_be_opened_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = rove(capsys, "mocap", "replay", tmp_path / "none.mcap")
    assert (code, said.count("error:")) == (1, 1)
    code, said = rove(capsys, "mocap", "record", "isaac", tmp_path / "a.mcap")
    assert code == 1
    assert "ros2 bag record" in said
    code, said = rove(capsys, "mocap", "record", "nonsense", tmp_path / "a.mcap")
    assert code == 1
    assert "tcp://" in said
