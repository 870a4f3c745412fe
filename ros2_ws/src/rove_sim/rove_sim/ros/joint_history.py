"""The robot's joints as they were a moment ago: a scene and the joints seen with it must be of one instant."""

from __future__ import annotations

from collections import deque

import numpy as np
from sensor_msgs.msg import JointState

from rove_core.joint_space import FloatArray, JointSpace
from rove_core.ros import stamps

# Half a second at 200 Hz.
LENGTH = 100


class JointHistory:
    """The last joint states. `add` in one thread, `at` in any."""

    def __init__(self, space: JointSpace) -> None:
        self._space = space
        self._names: list[str] = []
        self._order = np.arange(space.dim)
        self._states: deque[tuple[int, FloatArray]] = deque(maxlen=LENGTH)

    def add(self, message: JointState) -> None:
        """Take one message. Raises JointNameError when its joints are not the robot's."""
        if message.name != self._names:
            self._order = self._space.order_of(message.name)
            self._names = list(message.name)
        position = np.asarray(message.position, dtype=np.float64)[self._order]
        self._states.append((stamps.to_ns(message.header.stamp), position))

    def at(self, stamp_ns: int) -> FloatArray | None:
        """Joint positions [rad], shape (dim,), nearest to `stamp_ns` (ROS clock); None before the first message."""
        states = list(self._states)
        if not states:
            return None
        return min(states, key=lambda state: abs(state[0] - stamp_ns))[1]

    def newest(self) -> FloatArray | None:
        """The last joint positions [rad], shape (dim,); None before the first message."""
        return self._states[-1][1] if self._states else None
