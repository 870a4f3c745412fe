"""Where a target is, how fast it moves and accelerates, from noisy samples of its position.

A fading-memory polynomial filter of degree 2 (three equal poles; Morrison, "Introduction to Sequential Smoothing and
Prediction", 1969, also known as the critically damped g-h-k filter): no steady lag for constant acceleration.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from rove_core.joint_space import FloatArray, JointSpace

# Pole [1/s]. At 200 Hz, 3 mrad of noise become 1.6 mrad and 40 mrad/s, and a sine of .8 Hz and .6 rad is off by 3 mrad.
POLE_PER_S = 30.0
# A residual beyond this and what the joint's greatest acceleration explains is a jump (re-clutch, glitch, new source),
# not motion: six times 3 mrad of noise on both ends.
JUMP_RAD = 0.03
# Residuals up to this are what a headset's noise and a human's jerk leave: velocity and acceleration are taken as they
# are. Above it they are faded out by the square, because the filter would answer them with full jerk and, saturated,
# wander off: 10 mrad of white noise became .2 rad of motion. Averaged over RESIDUAL_S.
TRUSTED_RESIDUAL_RAD = 0.0045
# ... and this share of what the joint's greatest acceleration explains between two samples.
TRUSTED_ACCELERATION_SHARE = 0.1
RESIDUAL_S = 0.1
# How fast the acceleration follows when velocities are given [1/s]: steps between chunk steps are 30 ms long.
ACCELERATION_POLE_PER_S = 30.0


class TargetEstimator:
    """Position, velocity and acceleration of all joints' targets, one sample per tick.

    First sample: `reset` sets a still target. A bad sample (NaN, infinity, wrong shape) leaves the joint's target where
    the last good one was, still. A jump moves the position at once and leaves the velocity as it was.
    """

    def __init__(self, space: JointSpace, dt_s: float) -> None:
        self._dim = space.dim
        self._v_max, self._a_max = space.max_velocity, space.max_acceleration
        self._pace(dt_s)
        self._v_min, self._a_min = -self._v_max, -self._a_max
        # Far outside any joint's range, and far from where arithmetic overflows.
        self._p_min, self._p_max = space.lower - 2 * np.pi, space.upper + 2 * np.pi
        self.reset(np.zeros(space.dim))

    def _pace(self, dt_s: float) -> None:
        """Gains for samples that are `dt_s` apart."""
        self._dt = dt_s
        # Arrays without dimension: numpy takes them in two thirds of the time of a Python number.
        self._step = np.array(dt_s)
        fade = math.exp(-POLE_PER_S * dt_s)
        self._g = np.array(1 - fade**3)
        self._h = np.array(1.5 * (1 - fade) ** 2 * (1 + fade) / dt_s)
        self._k = np.array((1 - fade) ** 3 / dt_s**2)
        explained = self._a_max * dt_s**2
        self._jump = JUMP_RAD + explained
        self._trusted = TRUSTED_RESIDUAL_RAD + TRUSTED_ACCELERATION_SHARE * explained
        self._fresh = np.array(1 - math.exp(-dt_s / RESIDUAL_S))
        self._decay = math.exp(-ACCELERATION_POLE_PER_S * dt_s)
        self._blend = (1 - self._decay) / dt_s

    def reset(self, position: FloatArray) -> None:
        """A still target at `position` [rad]."""
        self._p = np.array(position, dtype=np.float64)
        self._last = self._p.copy()
        self._v = np.zeros(self._dim)
        self._a = np.zeros(self._dim)
        self._residual = np.zeros(self._dim)

    def update(
        self, target: npt.ArrayLike, velocity: npt.ArrayLike | None = None, dt_s: float | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray, npt.NDArray[np.bool_]]:
        """Take a sample; returns position [rad], velocity [rad/s], acceleration [rad/s^2], and where it was bad.

        Args:
            velocity: [rad/s] where it is known; then the position is taken as it is.
            dt_s: since the last sample [s], > 0, when samples do not come once a tick.
        """
        if dt_s is not None and dt_s != self._dt:
            self._pace(dt_s)
        raw = _as_row(target, self._dim)
        bad = ~np.isfinite(raw)
        sample = np.minimum(np.maximum(raw, self._p_min), self._p_max)
        residual = self._residual
        if velocity is None:
            self._smooth(sample)
        else:
            self._follow(sample, _as_row(velocity, self._dim))
        if np.count_nonzero(bad):
            self._p = np.where(bad, self._last, self._p)
            self._v = np.where(bad, 0.0, self._v)
            self._a = np.where(bad, 0.0, self._a)
            self._last = np.where(bad, self._last, sample)
            self._residual = np.where(bad, residual, self._residual)
        else:
            self._last = sample
        if velocity is not None or self._residual.max() <= TRUSTED_RESIDUAL_RAD:
            return self._p, self._v, self._a, bad
        trust = self._trust()
        return self._p, self._v * trust, self._a * trust, bad

    def predict(self, ahead_s: float) -> tuple[FloatArray, FloatArray]:
        """Position [rad] and velocity [rad/s] `ahead_s` after the last sample."""
        velocity = self._v * self._trust()
        return self._p + velocity * ahead_s, velocity

    def _trust(self) -> FloatArray:
        """How much of the estimated motion to believe, 0 to 1 per joint: 1 unless the samples are erratic."""
        share = self._trusted / np.maximum(self._residual, self._trusted)
        return np.asarray(share * share)

    def _smooth(self, sample: FloatArray) -> None:
        v = self._v + self._a * self._step
        p = self._p + v * self._step
        residual = sample - p
        size = np.abs(residual)
        jump = size > self._jump
        self._residual = self._residual + self._fresh * (np.minimum(size, self._jump) - self._residual)
        if np.count_nonzero(jump):
            self._p = np.where(jump, sample, p + self._g * residual)
            residual = np.where(jump, 0.0, residual)
            self._a = np.where(jump, 0.0, self._a)
        else:
            self._p = p + self._g * residual
        self._v = np.minimum(np.maximum(v + self._h * residual, self._v_min), self._v_max)
        self._a = np.minimum(np.maximum(self._a + self._k * residual, self._a_min), self._a_max)

    def _follow(self, sample: FloatArray, velocity: FloatArray) -> None:
        known = np.isfinite(velocity)
        velocity = np.minimum(np.maximum(np.where(known, velocity, 0.0), self._v_min), self._v_max)
        change = self._a * self._decay + (velocity - self._v) * self._blend
        self._a = np.minimum(np.maximum(change, self._a_min), self._a_max)
        self._p = sample
        self._v = velocity


def _as_row(values: npt.ArrayLike, dim: int) -> FloatArray:
    """`values` as floats of shape (dim,); all NaN when they are not that."""
    try:
        row = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return np.full(dim, np.nan)
    return row if row.shape == (dim,) else np.full(dim, np.nan)
