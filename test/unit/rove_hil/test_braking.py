"""Where joints can come to rest, against what the real filter does."""

from __future__ import annotations

import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_hil.guard.braking import Braking, CommandState
from rove_hil.joint_filter import JointFilter

SPACE = JointSpace.load("iron_r01")
# A twentieth of a millimetre at a hand.
TOLERANCE_RAD = 1e-4
NOBODY = np.zeros(SPACE.dim)
HELD = np.zeros(SPACE.dim, dtype=np.bool_)


@pytest.mark.parametrize("rate_hz", [100, 200, 500])
def test_whatever_the_filter_does_next_it_can_rest_between_the_ends(rate_hz: int) -> None:
    rng = np.random.default_rng(rate_hz)
    braking = Braking(SPACE, 1 / rate_hz)
    joint_filter = JointFilter(SPACE, 1 / rate_hz)
    joint_filter.reset(SPACE.home)
    velocity = acceleration = NOBODY
    target = SPACE.home.copy()
    for tick in range(1500):
        if tick % 40 == 0:
            target = np.where(rng.random(SPACE.dim) < 0.5, rng.uniform(SPACE.lower, SPACE.upper), target)
        low, high = braking.ends(
            CommandState(joint_filter.position, velocity, acceleration, joint_filter.rest_position), HELD
        )
        output = joint_filter.step(target, brake=rng.random(SPACE.dim) < 0.2)
        velocity, acceleration = output.velocity, output.acceleration
        assert (joint_filter.rest_position >= low - TOLERANCE_RAD).all()
        assert (joint_filter.rest_position <= high + TOLERANCE_RAD).all()


def test_the_ends_of_an_arm_at_rest_are_a_milliradian_away_at_most() -> None:
    low, high = Braking(SPACE, 0.005).ends(CommandState(SPACE.home, NOBODY, NOBODY, SPACE.home), HELD)
    arm = SPACE.groups["left_arm"]
    assert np.abs(low - SPACE.home)[arm].max() < 1e-3
    assert np.abs(high - SPACE.home)[arm].max() < 1e-3


def test_a_stop_from_cruise_takes_the_time_optimal_distance() -> None:
    """v^2 / 2A + v A / 2J from v with full acceleration; sqrt(v^3 / J) where it is not reached."""
    braking = Braking(SPACE, 0.005)
    fast, slow = SPACE.max_velocity, 0.1 * SPACE.max_acceleration**2 / SPACE.max_jerk
    expected = fast**2 / (2 * SPACE.max_acceleration) + fast * SPACE.max_acceleration / (2 * SPACE.max_jerk)
    np.testing.assert_allclose(braking.stop_distance(-fast, 0.0), -expected)
    np.testing.assert_allclose(braking.stop_distance(slow, 0.0), np.sqrt(slow**3 / SPACE.max_jerk))


def test_the_way_begins_with_the_present_velocity_and_ends_at_rest() -> None:
    rng = np.random.default_rng(0)
    velocity = rng.uniform(-1, 1, SPACE.dim) * SPACE.max_velocity
    braking = Braking(SPACE, 0.005)
    end = SPACE.home + braking.stop_distance(velocity, 0.0)
    way = braking.way(CommandState(SPACE.home, velocity, NOBODY, end), end, np.linspace(0.01, 1, 100))
    np.testing.assert_allclose(way[-1], end)
    rising = np.diff(way, axis=0) * np.sign(velocity)
    assert (rising >= -1e-12).all()
