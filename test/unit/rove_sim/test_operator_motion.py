from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rove_sim.operator_motion import (
    HandMotion,
    HandPose,
    minimum_jerk,
    rotation_exp,
    rotation_log,
    stroke_duration_s,
)


def hand(x: float, closure: float = 0.0, yaw: float = 0.0) -> HandPose:
    return HandPose(np.array([x, 0.0, 0.0]), rotation_exp(np.array([0.0, 0.0, yaw])), closure)


@given(st.lists(st.floats(-1.7, 1.7), min_size=3, max_size=3))
def test_log_is_the_inverse_of_exp(vector: list[float]) -> None:
    np.testing.assert_allclose(rotation_log(rotation_exp(np.array(vector))), vector, atol=1e-7)


def test_minimum_jerk_starts_and_ends_at_rest() -> None:
    assert minimum_jerk(-1) == 0
    assert minimum_jerk(0.5) == 0.5
    assert minimum_jerk(2) == 1
    assert minimum_jerk(1e-3) < 1e-7


def test_hand_rests_exactly_on_its_target() -> None:
    motion = HandMotion(hand(0.0))
    motion.add(hand(0.3, closure=1.0, yaw=0.5), begin_s=1.0, duration_s=0.6)
    assert motion.at(1.0).position[0] == 0.0
    end = motion.at(1.6)
    np.testing.assert_allclose(end.position, [0.3, 0, 0])
    np.testing.assert_allclose(rotation_log(end.rotation), [0, 0, 0.5], atol=1e-12)
    assert end.closure == 1.0


def test_overlapping_strokes_do_not_stop_at_the_corner_and_end_on_the_target() -> None:
    motion = HandMotion(hand(0.0))
    motion.add(hand(0.2), 0.0, 1.0)
    motion.add(hand(0.4), 0.7, 1.0)
    x = np.array([motion.at(t).position[0] for t in np.arange(0, 1.8, 0.01)])
    speed = np.diff(x) / 0.01
    assert speed[30:140].min() > 0.1
    np.testing.assert_allclose(x[-1], 0.4, atol=1e-12)


def test_peak_speed_is_the_one_asked_for() -> None:
    start, end = hand(0.0), hand(0.3)
    duration = stroke_duration_s(start, end, speed_mps=0.5, turn_radps=2.0, closing_s=0.5, shortest_s=0.2)
    motion = HandMotion(start)
    motion.add(end, 0.0, duration)
    x = np.array([motion.at(t).position[0] for t in np.arange(0, duration, 1e-3)])
    np.testing.assert_allclose(np.diff(x).max() / 1e-3, 0.5, rtol=1e-3)


def test_the_slowest_part_sets_the_duration() -> None:
    assert stroke_duration_s(hand(0), hand(0, closure=1.0), 0.5, 2.0, closing_s=0.7, shortest_s=0.2) == 0.7
    assert stroke_duration_s(hand(0), hand(0), 0.5, 2.0, closing_s=0.7, shortest_s=0.2) == 0.2
