from __future__ import annotations

import numpy as np

from rove_inference.observation import JOINTS, Missing, Observation, ObservationBuffer

MS = 1_000_000
NOW = 10_000 * MS


def picture(value: int = 0) -> np.ndarray:
    return np.full((2, 2, 3), value, np.uint8)


def joints(value: float) -> np.ndarray:
    return np.full(3, value)


def filled() -> ObservationBuffer:
    """Joint states every 5 ms until now, a picture 12 ms ago."""
    buffer = ObservationBuffer(["head"], 0.3)
    for age in range(100, -1, -5):
        buffer.add_state(NOW - age * MS, joints(float(age)))
    buffer.add_image("head", NOW - 12 * MS, picture())
    return buffer


def reason(found: Observation | Missing) -> str:
    assert isinstance(found, Missing)
    return found.reason


def test_the_joint_state_is_the_one_at_or_just_before_the_picture() -> None:
    found = filled().newest(NOW)
    assert isinstance(found, Observation)
    assert found.stamp_ns == NOW - 12 * MS
    assert found.state[0] == 15
    assert found.oldest_ns == NOW - 15 * MS


def test_the_newest_picture_is_used() -> None:
    buffer = filled()
    buffer.add_image("head", NOW - 2 * MS, picture(7))
    found = buffer.newest(NOW)
    assert isinstance(found, Observation)
    assert found.images["head"][0, 0, 0] == 7
    assert found.state[0] == 5


def test_before_the_first_sample_it_is_said_what_is_missing() -> None:
    buffer = ObservationBuffer(["head"], 0.3)
    assert "camera 'head'" in reason(buffer.newest(NOW))
    buffer.add_image("head", NOW, picture())
    assert "no joint states" in reason(buffer.newest(NOW))


def test_an_old_picture_or_joint_state_is_not_used() -> None:
    buffer = filled()
    assert "camera 'head' is 0.31 s old" in reason(buffer.newest(NOW + 300 * MS))
    buffer.add_image("head", NOW + 400 * MS, picture())
    assert "joint state is 0.40 s old" in reason(buffer.newest(NOW + 400 * MS))


def test_joint_states_from_after_the_picture_do_not_count() -> None:
    buffer = ObservationBuffer(["head"], 0.3)
    buffer.add_image("head", NOW - 100 * MS, picture())
    buffer.add_state(NOW, joints(0))
    assert "newer than the picture" in reason(buffer.newest(NOW))


def test_a_moment_with_several_cameras_is_as_old_as_its_oldest_part() -> None:
    buffer = ObservationBuffer(["head", "wrist"], 0.3)
    buffer.add_state(NOW - 50 * MS, joints(0))
    buffer.add_image("head", NOW - 30 * MS, picture())
    buffer.add_image("wrist", NOW - 80 * MS, picture())
    found = buffer.newest(NOW)
    assert isinstance(found, Observation)
    assert found.stamp_ns == NOW - 30 * MS
    assert found.oldest_ns == NOW - 80 * MS


def test_joint_stamps_that_go_back_start_the_history_anew() -> None:
    buffer = ObservationBuffer([], 0.3)
    buffer.add_state(NOW, joints(1))
    buffer.add_state(NOW - 5000 * MS, joints(2))
    found = buffer.newest(NOW - 5000 * MS)
    assert isinstance(found, Observation)
    assert found.state[0] == 2


def test_stamps_are_moved_back_to_the_capture_by_the_latency_of_their_sensor() -> None:
    buffer = ObservationBuffer(["head", "wrist"], 0.3, {"head": 0.04, JOINTS: 0.002})
    for age in range(100, -1, -5):
        buffer.add_state(NOW - age * MS, joints(float(age)))
    buffer.add_image("head", NOW, picture())
    buffer.add_image("wrist", NOW - 30 * MS, picture())
    found = buffer.newest(NOW)
    assert isinstance(found, Observation)
    assert found.stamp_ns == NOW - 30 * MS
    assert found.oldest_ns == NOW - 40 * MS
    assert found.state[0] == 30  # stamped at -30 ms, measured at -32
