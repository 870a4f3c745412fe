"""The newest joint positions of the robot, whatever order its driver names them in."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import JointState

from rove_core.errors import JointNameError
from rove_core.joint_space import FloatArray, JointSpace


class MeasuredJoints:
    """Keeps the last message and unpacks it only when asked. `take` and `position` may run in two threads.

    A message that cannot be used is counted and dropped. Names of another robot are for ever: nothing is measured.

    Attributes:
        wrong_names: what is wrong with the joint names, "" while nothing is.
        unreadable: messages with NaN, infinity or the wrong number of positions.
    """

    def __init__(self, space: JointSpace) -> None:
        self._space = space
        self._newest: deque[JointState] = deque(maxlen=1)
        self._order: npt.NDArray[np.intp] | None = None
        self.wrong_names = ""
        self.unreadable = 0

    def take(self, message: JointState) -> None:
        """A message of the driver."""
        self._newest.append(message)

    def position(self) -> FloatArray | None:
        """[rad], shape (dim,), order of the JointSpace; None when there are none that can be used."""
        if self.wrong_names or not self._newest:
            return None
        message = self._newest[-1]
        if self._order is None:
            try:
                self._order = self._space.order_of(message.name)
            except JointNameError as error:
                self.wrong_names = str(error)
                return None
        position = np.array(message.position)
        if position.shape != self._order.shape or not np.isfinite(position).all():
            self.unreadable += 1
            self._newest.clear()
            return None
        return position[self._order]
