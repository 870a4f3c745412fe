"""Where a target is and how fast it moves, from samples that lie."""

from __future__ import annotations

import numpy as np
import pytest

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.command.target_estimator import TargetEstimator

TICK_S = 0.005
FRAME_S = 1 / 72


@pytest.fixture(scope="module")
def space() -> JointSpace:
    return JointSpace.load("iron_r01")


def estimates(space: JointSpace, samples: FloatArray, dt_s: float) -> FloatArray:
    """Estimated motion after each of `samples`, shape (n, 3, dim); the first sample is where it stood before."""
    estimator = TargetEstimator(space, dt_s)
    estimator.reset(samples[0])
    return np.array([estimator.update(sample)[0] for sample in samples])


def test_constant_acceleration_is_estimated_without_lag(space: JointSpace) -> None:
    times = np.arange(0, 1.5, TICK_S)
    position, velocity, acceleration = estimates(space, np.tile(0.5 * times[:, None] ** 2, space.dim), TICK_S)[-1]
    np.testing.assert_allclose(position, 0.5 * times[-1] ** 2, atol=1e-4)
    np.testing.assert_allclose(velocity, times[-1] - TICK_S / 2, atol=1e-3)  # the difference over the last tick
    np.testing.assert_allclose(acceleration, 1.0, atol=1e-2)


@pytest.mark.parametrize(("dt_s", "share"), [(TICK_S, 0.07), (FRAME_S, 0.33)])
@pytest.mark.parametrize("noise_rad", [0.001, 0.003, 0.01, 0.04])
def test_a_trembling_hand_seems_to_stand_almost_still(
    space: JointSpace, dt_s: float, share: float, noise_rad: float
) -> None:
    samples = np.random.default_rng(4).normal(0, noise_rad, (400, space.dim))
    velocity = estimates(space, samples, dt_s)[100:, 1]
    # Of the plain difference of two samples; more noise is smoothed more.
    assert velocity.std() < share * np.sqrt(2) * noise_rad / dt_s * (0.003 / noise_rad) ** 0.5


@pytest.mark.parametrize("duration_s", [0.3, 0.5])
def test_a_fast_stroke_is_motion_and_no_noise(space: JointSpace, duration_s: float) -> None:
    """Minimum-jerk strokes of 1 rad with 1 mrad of noise at a headset's rate."""
    times = np.arange(-0.3, duration_s + 0.3, FRAME_S)
    x = np.clip(times / duration_s, 0, 1)[:, None]
    noise = np.random.default_rng(2).normal(0, 0.001, (len(times), space.dim))
    arm = space.groups["left_arm"]  # others cannot move so fast
    motion = estimates(space, x**3 * (10 - 15 * x + 6 * x**2) + noise, FRAME_S)[:, :, arm]
    truth = 30 * x**2 * (1 - x) ** 2 / duration_s
    # The joint's limit of 6 rad/s cuts the fastest.
    error = motion[:, 1] - np.minimum(truth, 6.0)
    assert np.sqrt(np.mean(error**2)) < 0.1 * truth.max()
    # The position is never as wrong as one sample's way.
    assert np.abs(motion[:, 0] - x**3 * (10 - 15 * x + 6 * x**2)).max() < truth.max() * FRAME_S


def test_a_jump_moves_the_target_and_not_its_velocity(space: JointSpace) -> None:
    samples = np.zeros((60, space.dim))
    samples[30:] = 0.8
    motion = estimates(space, samples, FRAME_S)
    np.testing.assert_array_equal(motion[30, 0], 0.8)
    np.testing.assert_array_equal(motion[30:, 1], 0.0)


def test_a_bad_sample_leaves_the_last_good_one_standing_still(space: JointSpace) -> None:
    estimator = TargetEstimator(space, TICK_S)
    estimator.update(np.full(space.dim, 0.02))
    sample = np.full(space.dim, 0.02)
    sample[3] = np.nan
    motion, bad = estimator.update(sample)
    assert bad.nonzero()[0].tolist() == [3]
    assert motion[0, 3] == 0.02
    assert motion[1, 3] == 0.0


def test_a_jump_of_a_given_velocity_is_no_acceleration(space: JointSpace) -> None:
    estimator = TargetEstimator(space, TICK_S)
    still = np.zeros(space.dim)
    estimator.update(still, still)
    motion, _ = estimator.update(still, np.full(space.dim, 2.0))
    # One tick's share of the limit, at most; the plain quotient would be 400 rad/s^2.
    assert (motion[2] < 0.15 * space.max_acceleration).all()


def test_whatever_comes_what_is_said_is_finite_and_inside_the_limits(space: JointSpace) -> None:
    rng = np.random.default_rng(0)
    estimator = TargetEstimator(space, TICK_S)
    for _ in range(2000):
        sample = rng.choice([np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0, 0.1, -3.0], space.dim)
        velocity = rng.choice([np.nan, np.inf, 1e300, -2.0], space.dim) if rng.random() < 0.3 else None
        motion, _ = estimator.update(sample, velocity, dt_s=rng.choice([1e-3, TICK_S, 0.2]))
        assert np.isfinite(motion).all()
        assert (np.abs(motion[1]) <= space.max_velocity).all()
        assert (np.abs(motion[2]) <= space.max_acceleration).all()
