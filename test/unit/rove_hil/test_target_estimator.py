"""Where a target is and how fast it moves, from samples that lie."""

from __future__ import annotations

import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_hil.joint_filter import JointFilter
from rove_hil.target_estimator import TargetEstimator

TICK_S = 0.005
FRAME_S = 1 / 60
# Two frames of a headset, as the arbiter extrapolates.
AHEAD_S = 1 / 30


@pytest.fixture(scope="module")
def space() -> JointSpace:
    return JointSpace.load("iron_r01")


def test_constant_acceleration_is_estimated_without_lag(space: JointSpace) -> None:
    estimator = TargetEstimator(space, TICK_S)
    times = np.arange(0, 1.5, TICK_S)
    for time_s in times:
        position, velocity, acceleration, _ = estimator.update(np.full(space.dim, 0.5 * time_s**2))
    np.testing.assert_allclose(position, 0.5 * times[-1] ** 2, atol=1e-4)
    np.testing.assert_allclose(velocity, times[-1] - TICK_S / 2, atol=1e-3)  # the difference over the last tick
    np.testing.assert_allclose(acceleration, 1.0, atol=1e-2)


@pytest.mark.parametrize("noise_rad", [0.01, 0.02, 0.04])
def test_erratic_targets_are_not_amplified(space: JointSpace, noise_rad: float) -> None:
    """White noise on a still operator's joints must not become more motion than the noise's own peaks."""
    rng = np.random.default_rng(4)
    estimator, joints = TargetEstimator(space, FRAME_S), JointFilter(space, TICK_S)
    joints.reset(space.home)
    estimator.reset(space.home)
    still, peak, moved, next_s = space.home, 0.0, 0.0, 0.0
    for tick in range(600):
        now_s = tick * TICK_S
        if now_s >= next_s:
            sample = still + rng.normal(0, noise_rad, space.dim)
            estimator.update(sample, dt_s=FRAME_S)
            peak = max(peak, float(np.abs(sample - still).max()))
            last_s, next_s = now_s, next_s + FRAME_S
        position, velocity = estimator.predict(min(now_s - last_s, AHEAD_S))
        output = joints.step(space.clip(position), target_velocity=velocity)
        moved = max(moved, float(np.abs(output.position - still).max()))
    # Before erratic samples were distrusted this was five to ten times the peak.
    assert moved < 2 * peak, (moved, peak)


def test_a_bad_sample_leaves_the_last_good_one_standing_still(space: JointSpace) -> None:
    estimator = TargetEstimator(space, TICK_S)
    estimator.update(np.full(space.dim, 0.02))
    sample = np.full(space.dim, 0.02)
    sample[3] = np.nan
    position, velocity, _, bad = estimator.update(sample)
    assert bad.nonzero()[0].tolist() == [3]
    assert position[3] == 0.02
    assert velocity[3] == 0.0
