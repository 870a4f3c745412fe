"""Where a target is, how fast it moves and accelerates, from noisy samples of its position.

A fading-memory polynomial filter of degree 2 (three equal poles; Morrison, "Introduction to Sequential Smoothing and
Prediction", 1969, also known as the critically damped g-h-k filter): no steady lag for constant acceleration.

How much it smooths follows from the samples. Their noise is measured as what is left of them after three differences,
because a human's jerk leaves little there (6 mrad at 72 Hz in the fastest stroke) and noise 4.5 times itself. The pole
follows it as in a Kalman filter for white jerk, which balances noise and lag: a sixth root of the ratio of variances.
A sample that is off by more than that noise is motion that the filter has not caught up with: it gets a faster pole.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.command.compiled import compiled, scalar

BoolArray = npt.NDArray[np.bool_]

# Pole [1/s] at this noise. At 200 Hz, 3 mrad become 1.6 mrad and 40 mrad/s, and a sine of .8 Hz and .6 rad is off by
# 3 mrad.
POLE_PER_S, NOISE_RAD = 30.0, 0.003
# Slower would take a second to believe a new velocity; faster is no smoothing any more at 72 Hz.
POLE_MIN_PER_S, POLE_MAX_PER_S = 10.0, 60.0
# A residual of so many times the noise is motion.
SURPRISE = 3.0
# The noise is averaged over this time [s]; a glitch counts as so many times the noise so far; less is not measured.
NOISE_S, GLITCH, NOISE_MIN_RAD = 0.1, 3.0, 1e-4
# Mean size of the third difference of white noise of unit deviation: sqrt(20) sqrt(2 / pi).
THIRD_DIFFERENCE = 3.57
# A residual beyond this, so many times the noise, and what turning the joint's greatest acceleration round explains is
# a jump (re-clutch, glitch, new source) and not motion.
JUMP_RAD, JUMP_NOISES = 0.02, 4.0
# Over a longer gap between samples, the acceleration before it says nothing any more [s].
LASTING_S = 0.03
# How fast the acceleration follows when velocities are given [1/s]: steps between chunk steps are 30 ms long.
ACCELERATION_POLE_PER_S = 30.0


class TargetEstimator:
    """Position, velocity and acceleration of all joints' targets.

    First sample: `reset` sets a still target. A bad sample (NaN, infinity, wrong shape) leaves the joint's target where
    the last good one was, still. A jump moves the position at once and leaves the velocity as it was. A dropped sample
    only makes the time to the next one longer.
    """

    def __init__(self, space: JointSpace, dt_s: float) -> None:
        """Compiles its arithmetic, see `compiled`. dt_s: between samples, where `update` is told no other."""
        self._dt_s = dt_s
        self._targets = targets = np.zeros(space.dim, dtype=_RECORD).view(np.recarray)
        targets.v_max, targets.a_max = space.max_velocity, space.max_acceleration
        # Far outside any joint's range, and far from where arithmetic overflows.
        targets.p_min, targets.p_max = space.lower - 2 * np.pi, space.upper + 2 * np.pi
        row, rows, marks = np.empty(space.dim), np.empty((3, space.dim)), np.empty(space.dim, dtype=np.bool_)
        self._smooth = compiled(_smooth_all, targets, row, 0.0, rows, marks)
        self._follow = compiled(_follow_all, targets, row, row, 0.0, rows, marks)
        self.reset(np.zeros(space.dim))

    def reset(self, position: FloatArray) -> None:
        """A still target at `position` [rad], shape (dim,)."""
        targets = self._targets
        targets.p = targets.last = position
        targets.v = targets.a = targets.slope = targets.bend = 0.0
        targets.noise = NOISE_RAD

    def update(
        self, target: npt.ArrayLike, velocity: npt.ArrayLike | None = None, dt_s: float | None = None
    ) -> tuple[FloatArray, BoolArray]:
        """Take a sample.

        Args:
            target: [rad], shape (dim,).
            velocity: [rad/s] where it is known; then the position is taken as it is.
            dt_s: since the last sample [s], > 0, when it is not the usual time.

        Returns:
            Position [rad], velocity [rad/s] and acceleration [rad/s^2] within the joint's limits, shape (3, dim), and
            where the sample was bad, shape (dim,).
        """
        dim = len(self._targets)
        step_s = self._dt_s if dt_s is None else float(dt_s)
        motion, bad = np.empty((3, dim)), np.empty(dim, dtype=np.bool_)
        if velocity is None:
            self._smooth(self._targets, _as_row(target, dim), step_s, motion, bad)
        else:
            self._follow(self._targets, _as_row(target, dim), _as_row(velocity, dim), step_s, motion, bad)
        return motion, bad


class _Target(Protocol):
    """One joint's target: a record of the array that the compiled functions work on."""

    v_max: float
    a_max: float
    p_min: float
    p_max: float
    # The estimate.
    p: float
    v: float
    a: float
    # The last good sample, the last slope between two and its last change; the samples' noise (standard deviation).
    last: float
    slope: float
    bend: float
    noise: float


_RECORD = np.dtype([(name, np.float64) for name in _Target.__annotations__])


def _smooth_all(targets: Any, samples: FloatArray, dt_s: float, motion: FloatArray, bad: BoolArray) -> None:
    """Samples without velocity; fills `motion` and `bad`."""
    for i in range(len(targets)):
        target = targets[i]
        bad[i] = not np.isfinite(samples[i])
        if bad[i]:
            _stand_still(target)
        else:
            _smooth(target, min(max(samples[i], target.p_min), target.p_max), dt_s)
        motion[0, i] = target.p
        motion[1, i] = _clip(target.v, target.v_max)
        motion[2, i] = _clip(target.a, target.a_max)


def _follow_all(
    targets: Any, samples: FloatArray, velocities: FloatArray, dt_s: float, motion: FloatArray, bad: BoolArray
) -> None:
    """Samples with velocity; fills `motion` and `bad`."""
    fresh = 1 - np.exp(-ACCELERATION_POLE_PER_S * dt_s)
    for i in range(len(targets)):
        target = targets[i]
        bad[i] = not np.isfinite(samples[i])
        if bad[i]:
            _stand_still(target)
        else:
            velocity = _clip(velocities[i], target.v_max) if np.isfinite(velocities[i]) else 0.0
            # What no motor does is a jump of the source, not acceleration.
            change = _clip((velocity - target.v) / dt_s, target.a_max)
            target.a += fresh * (change - target.a)
            target.v = velocity
            target.p = target.last = min(max(samples[i], target.p_min), target.p_max)
        motion[0, i], motion[1, i], motion[2, i] = target.p, target.v, _clip(target.a, target.a_max)


@scalar
def _smooth(target: _Target, sample: float, dt_s: float) -> None:
    """Take a good sample, `dt_s` after the last one."""
    slope = (sample - target.last) / dt_s
    bend = slope - target.slope
    noise = abs(bend - target.bend) * dt_s / THIRD_DIFFERENCE
    target.last, target.slope, target.bend = sample, slope, bend
    target.noise += (1 - np.exp(-dt_s / NOISE_S)) * (min(noise, GLITCH * target.noise) - target.noise)
    target.noise = max(target.noise, NOISE_MIN_RAD)

    # Velocity and acceleration of the tick that ends here, as differences of samples would have them.
    v = target.v + target.a * min(dt_s, LASTING_S)
    p = target.p + v * dt_s
    residual = sample - p
    if abs(residual) > JUMP_RAD + JUMP_NOISES * target.noise + 2 * target.a_max * dt_s * dt_s:
        target.p, target.a = sample, 0.0
        return
    pole = _clip(POLE_PER_S * np.cbrt(NOISE_RAD / target.noise), POLE_MAX_PER_S)
    surprise = abs(residual) / (SURPRISE * target.noise)
    pole = min(max(pole, POLE_MIN_PER_S) * np.sqrt(max(surprise, 1.0)), POLE_MAX_PER_S)
    fade = np.exp(-pole * dt_s)
    target.p = p + (1 - fade**3) * residual
    target.v = v + 1.5 * (1 - fade) ** 2 * (1 + fade) / dt_s * residual
    target.a += (1 - fade) ** 3 / dt_s**2 * residual


@scalar
def _stand_still(target: _Target) -> None:
    target.p = target.last
    target.v = target.a = target.slope = target.bend = 0.0


@scalar
def _clip(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)


def _as_row(values: npt.ArrayLike, dim: int) -> FloatArray:
    """A copy of `values` as floats of shape (dim,); all NaN when they are not that."""
    try:
        row = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        return np.full(dim, np.nan)
    return row if row.shape == (dim,) else np.full(dim, np.nan)
