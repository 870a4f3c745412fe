"""Whether somebody put the robot elsewhere while nobody drove it: by hand, or by resetting a simulation."""

from __future__ import annotations

import numpy as np

from rove_core.clocks import NS_PER_S
from rove_core.joint_space import FloatArray

# Servos under load stay within hundredths of a radian of their command; this is not sag [rad].
DISPLACED_RAD = 0.1
# It stands where it was put when it has moved less than this [rad] for so long [s].
STILL_RAD = 0.02
STILL_S = 0.25


class Displacement:
    """Watches a robot that nobody drives. Times are control time [ns].

    The first sample that is far from the command starts the wait, one that is near ends it. A dropped sample
    changes nothing; a clock that goes back starts the wait again.
    """

    def __init__(self) -> None:
        self._since_ns: int | None = None
        self._place: FloatArray | None = None

    def reset(self) -> None:
        """Somebody drives, or it was dealt with."""
        self._since_ns = self._place = None

    def update(self, now_ns: int, commanded: FloatArray, measured: FloatArray) -> bool:
        """True when commands should begin anew at `measured`.

        Args:
            commanded, measured: joint positions [rad], shape (dim,).
        """
        if np.abs(measured - commanded).max() < DISPLACED_RAD:
            self.reset()
            return False
        moved = self._place is None or float(np.abs(measured - self._place).max()) > STILL_RAD
        if self._since_ns is None or moved or now_ns < self._since_ns:
            self._since_ns, self._place = now_ns, measured.copy()
            return False
        return now_ns - self._since_ns >= STILL_S * NS_PER_S
