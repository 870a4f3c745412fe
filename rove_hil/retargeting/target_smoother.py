"""Takes the tracker's noise out of what retargeting aims at, and nothing else.

Millimetres of noise on a fingertip are tens of milliradians in the finger, and more where a limb is nearly straight.
A low-pass filter that removes them would lag behind every motion. Here the gain depends on the innovation, the
distance from the smoothed value to the new one: what is within the noise moves it slowly, what is clearly larger is
followed at once,

    x <- x + k e,   k = k0 + (1 - k0) min(1, |e| / (5 sigma))^4,   k0 = 1 - exp(-dt / .15 s),

so that the lag never exceeds 2.7 sigma whatever the speed. sigma, the noise, is measured: by how far a sample
lies off the line between its neighbours, averaged over half a second. Motion that is smooth at the frame rate has
next to none, so data without noise pass nearly unchanged.
"""

from __future__ import annotations

import numpy as np

from rove_core.joint_space import FloatArray

# Time constant for what is within the noise [s].
SETTLE_S = 0.15
# Innovations of so many standard deviations are motion.
MOTION_SIGMAS = 5.0
# Time over which the noise is averaged [s].
NOISE_WINDOW_S = 0.5
# After a gap longer than this [s] the past says nothing.
LONGEST_GAP_S = 0.1


class TargetSmoother:
    """Smooths n vectors (points, or quaternions by their components), each with a noise of its own.

    The first sample, and the first after a gap, is taken as it is. Not for NaN: the caller keeps those away.

    Args:
        most: standard deviation of any noise at most, in the values' unit: a jump must not count as noise.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._variance: FloatArray = np.zeros(0)
        self._smooth: FloatArray = np.zeros((0, 0))
        self._last: FloatArray = np.zeros((0, 0))
        self._step: FloatArray | None = None
        self._last_dt_s = 0.0

    def smooth(self, values: FloatArray, dt_s: float) -> FloatArray:
        """The smoothed values.

        Args:
            values: shape (n, d), the same at every call.
            dt_s: since the last call [s].
        """
        if len(self._smooth) != len(values) or not 0.0 < dt_s <= LONGEST_GAP_S:
            if len(self._variance) != len(values):  # what was learned of the noise outlives a gap
                self._variance = np.zeros(len(values))
            self._smooth, self._last, self._step = values.copy(), values.copy(), None
            return values.copy()
        self._measure_noise(values, dt_s)
        innovation = values - self._smooth
        size = np.sqrt((innovation**2).sum(axis=1))
        # The same everywhere when a tracker has no noise at all: then everything is motion.
        band = np.maximum(MOTION_SIGMAS * np.sqrt(self._variance), 1e-12)
        least = -np.expm1(-dt_s / SETTLE_S)
        gain = least + (1.0 - least) * np.minimum(size / band, 1.0) ** 4
        self._smooth = self._smooth + gain[:, None] * innovation
        return self._smooth.copy()

    def _measure_noise(self, values: FloatArray, dt_s: float) -> None:
        step = values - self._last
        if self._step is not None:
            total = dt_s + self._last_dt_s
            before, after = self._last_dt_s / total, dt_s / total
            off_the_line = after * self._step - before * step
            # Variance of that for independent noise: 1 of the sample, the squared weights of its neighbours.
            squared = (off_the_line**2).sum(axis=1) / (1.0 + before**2 + after**2)
            sample = np.minimum(squared / values.shape[1], self._most**2)
            self._variance += min(dt_s / NOISE_WINDOW_S, 1.0) * (sample - self._variance)
        self._last, self._step, self._last_dt_s = values.copy(), step, dt_s
