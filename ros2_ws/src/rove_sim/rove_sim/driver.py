"""What the robot's driver does with commands before they reach the servos: it trusts nobody.

A command that is not finite or not for this robot is refused. When commands stop the driver holds. An
emergency stop is latched. After a start or a jump of the robot (a reset of the simulation) it does not
follow until the commands have come to where the robot is. Its reference never moves faster than the joints may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from rove_core.clocks import NS_PER_S
from rove_core.errors import JointNameError
from rove_core.joint_space import JointSpace

FloatArray = npt.NDArray[np.float64]

# Commands come at 200 Hz: twenty missing ones are no jitter any more [s].
WATCHDOG_S = 0.1
# Commands this near to the robot are about where it is [rad].
MATCH_RAD = 0.02
# A commander that stands still for so long, no farther off than this, means to stay there: it is followed,
# slowly. Farther off, it is expected to start again from the measured joints (filter_node does).
SETTLED_S = 0.5
SETTLED_RAD = 0.35
SETTLED_CHANGE_RAD = 1e-3
APPROACH_RADPS = 0.5


class DriverState(StrEnum):
    """What the driver is doing."""

    RESYNCHRONISE = "resynchronise"  # holds until commands come to where the robot is
    APPROACH = "approach"  # goes slowly to commands that stand still nearby
    FOLLOW = "follow"
    HOLD = "hold"  # the watchdog: no commands any more
    ESTOP = "estop"


@dataclass(slots=True)
class DriverCounters:
    """For diagnostics."""

    accepted: int = 0
    refused: int = 0
    watchdog_trips: int = 0
    clipped: int = 0


class Driver:
    """Turns commands into a servo reference. Times are monotonic nanoseconds and must not go back.

    First sample: it begins in RESYNCHRONISE at the pose it is given. A dropped command: the reference stays
    where the last one led. A clock jump forward looks like missing commands and holds.
    """

    def __init__(self, space: JointSpace, position: FloatArray) -> None:
        self._space = space
        self._names: list[str] = list(space.names)
        self._order: npt.NDArray[np.intp] | None = None  # None: the names came in the space's order
        self._reference = position.copy()
        self._command = position.copy()
        self._command_ns: int | None = None
        self._still_ns = 0  # since when the commands stand still
        self._estop = False
        self.state = DriverState.RESYNCHRONISE
        self.counters = DriverCounters()
        self.last_refusal = ""

    @property
    def reference(self) -> FloatArray:
        """Servo reference [rad], shape (dim,)."""
        return self._reference

    def command(self, names: Sequence[str], position: FloatArray, now_ns: int) -> str:
        """Take a command.

        Args:
            names: joint names in any order, exactly those of the robot. position: [rad], shape (dim,).

        Returns:
            "" or why it was refused. A refused command changes nothing and does not feed the watchdog.
        """
        refusal = self._refuse(names, position)
        if refusal:
            self.counters.refused += 1
            self.last_refusal = refusal
            return refusal
        ordered = position if self._order is None else position[self._order]
        clipped = self._space.clip(ordered)
        self.counters.accepted += 1
        self.counters.clipped += int(np.any(clipped != ordered))
        moved = self._command_ns is None or bool(np.abs(clipped - self._command).max() > SETTLED_CHANGE_RAD)
        if moved:
            self._still_ns = now_ns
        # While it waits the driver keeps the place to compare with, so that creeping is not standing still.
        if moved or self.state is not DriverState.RESYNCHRONISE:
            self._command = clipped
        self._command_ns = now_ns
        return ""

    def _refuse(self, names: Sequence[str], position: FloatArray) -> str:
        if list(names) != self._names:
            try:
                order = self._space.order_of(names)
            except JointNameError as error:
                return str(error)
            self._names = list(names)
            self._order = None if np.array_equal(order, np.arange(self._space.dim)) else order
        if position.shape != (self._space.dim,):
            return f"{position.size} positions for {self._space.dim} joints"
        bad = np.flatnonzero(~np.isfinite(position))
        if bad.size:
            return f"joint '{names[bad[0]]}' is {position[bad[0]]}"
        return ""

    def set_estop(self, stopped: bool) -> None:
        """Latch or release the emergency stop. While it is latched the reference stays where it is."""
        if stopped:
            self._estop, self.state = True, DriverState.ESTOP
        elif self._estop:
            self._estop, self.state = False, DriverState.RESYNCHRONISE
            self._command_ns = None

    def resynchronise(self, position: FloatArray) -> None:
        """The robot was put at `position` [rad] by other hands: stay there until the commands have come along."""
        self._reference = position.copy()
        self._command_ns = None
        if not self._estop:
            self.state = DriverState.RESYNCHRONISE

    def step(self, measured: FloatArray, now_ns: int, dt_s: float) -> FloatArray:
        """The servo reference [rad], shape (dim,), for the next `dt_s`.

        Args:
            measured: joint positions [rad]; commands that match these count as having come along.
        """
        self._advance_state(measured, now_ns)
        if self.state in (DriverState.FOLLOW, DriverState.APPROACH):
            most = self._space.max_velocity * dt_s
            if self.state is DriverState.APPROACH:
                most = np.minimum(most, APPROACH_RADPS * dt_s)
            self._reference = self._reference + np.clip(self._command - self._reference, -most, most)
        return self._reference

    def _advance_state(self, measured: FloatArray, now_ns: int) -> None:
        if self.state is DriverState.ESTOP or self._command_ns is None:
            return
        late = now_ns - self._command_ns > WATCHDOG_S * NS_PER_S
        if self.state is DriverState.RESYNCHRONISE:
            if not late:
                self._try_to_resynchronise(measured, now_ns)
        elif late and self.state is not DriverState.HOLD:
            self.state = DriverState.HOLD
            self.counters.watchdog_trips += 1
        elif self.state is DriverState.HOLD:
            self.state = DriverState.HOLD if late else DriverState.FOLLOW
        elif self.state is DriverState.APPROACH and self.mismatch_rad < MATCH_RAD:
            self.state = DriverState.FOLLOW

    def _try_to_resynchronise(self, measured: FloatArray, now_ns: int) -> None:
        off = min(self.mismatch_rad, float(np.abs(self._command - measured).max()))
        if off <= MATCH_RAD:
            self.state = DriverState.FOLLOW
        elif off <= SETTLED_RAD and now_ns - self._still_ns > SETTLED_S * NS_PER_S:
            self.state = DriverState.APPROACH

    @property
    def mismatch_rad(self) -> float:
        """How far the newest command is from the reference, worst joint [rad]; 0 before the first."""
        return 0.0 if self._command_ns is None else float(np.abs(self._command - self._reference).max())

    @property
    def worst_joint(self) -> str:
        """The joint that `mismatch_rad` is about."""
        return self._space.names[int(np.abs(self._command - self._reference).argmax())]
