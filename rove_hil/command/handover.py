"""Hand-over without a jerk: a new source starts from where the robot is, and the difference fades while it drives.

Nothing slides and nothing blocks: the command is `source + offset(t)`, where the offset makes the first command equal
the last one and then vanishes like a critically damped spring, (1 + t/T) exp(-t/T). The source's own motion comes
through from its first sample.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rove_core.clocks import NS_PER_S
from rove_core.joint_space import FloatArray


class HandOver:
    """Offset per joint that fades since that joint was engaged. Without `engage` the offset is 0."""

    def __init__(self, time_constant_s: FloatArray) -> None:
        """Args: time_constant_s: T per joint [s], > 0, shape (dim,)."""
        self._t = np.array(time_constant_s, dtype=np.float64)
        self._start = np.zeros(len(self._t))
        self._since_ns = np.zeros(len(self._t), dtype=np.int64)

    def engage(
        self,
        now_ns: int,
        where: npt.NDArray[np.bool_],
        last: FloatArray,
        first: FloatArray,
        time_constant_s: FloatArray | None = None,
    ) -> None:
        """Joints `where` change over from the command `last` [rad] to a source that now says `first` [rad]."""
        self._start = np.where(where, last - first, self._start)
        self._since_ns = np.where(where, now_ns, self._since_ns)
        if time_constant_s is not None:
            self._t = np.where(where, time_constant_s, self._t)

    def offset(self, now_ns: int) -> tuple[FloatArray, FloatArray]:
        """Offset [rad] and its rate [rad/s] at `now_ns`, shape (dim,) each."""
        x = np.maximum(now_ns - self._since_ns, 0) / (NS_PER_S * self._t)
        fading = self._start * np.exp(-x)
        return fading * (1 + x), -fading * x / self._t
