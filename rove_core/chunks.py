"""An action chunk: what a policy wants the joints to do in the next second or two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rove_core.errors import PolicyError
from rove_core.joint_space import JointSpace


@dataclass(frozen=True, slots=True)
class Chunk:
    """Joint positions for `observation_ns + i * dt_s`, i = 0 .. horizon - 1.

    Attributes:
        observation_ns: capture time of the observation it answers, ROS clock [ns].
        positions: [rad], shape (horizon, dim), float32, in JointSpace order.
        dt_s: time between steps [s].
        execute: steps to execute before the next chunk should be there.
        epoch: ControlMode.epoch when the observation was taken.
        chunk_id: counts up within one policy process; 0 means none.
    """

    chunk_id: int
    epoch: int
    observation_ns: int
    positions: npt.NDArray[np.float32]
    dt_s: float
    execute: int

    def check(self, space: JointSpace) -> None:
        """Refuse what must never reach the filter.

        Raises:
            PolicyError: wrong shape, NaN or infinity, or times that make no sense.
        """
        shape = self.positions.shape
        if len(shape) != 2 or shape[0] < 1 or shape[1] != space.dim:
            raise PolicyError(f"chunk {self.chunk_id}: shape {shape}, expected (horizon, {space.dim})")
        if not (np.isfinite(self.dt_s) and self.dt_s > 0):
            raise PolicyError(f"chunk {self.chunk_id}: dt {self.dt_s} s, expected more than 0")
        if not 1 <= self.execute <= shape[0]:
            raise PolicyError(f"chunk {self.chunk_id}: executes {self.execute} of {shape[0]} steps")
        bad = ~np.isfinite(self.positions)
        if bad.any():
            step, joint = np.argwhere(bad)[0]
            value = self.positions[step, joint]
            raise PolicyError(f"chunk {self.chunk_id}: step {step}, joint '{space.names[joint]}' is {value}")

    @property
    def horizon(self) -> int:
        """How many steps were predicted."""
        return len(self.positions)

    def step_at(self, now_ns: int) -> int:
        """Index of the step in force at `now_ns`; negative before the first, >= horizon when it is spent."""
        # The small constant keeps a time that is exactly a step away from falling into the step before.
        return int(np.floor((now_ns - self.observation_ns) * 1e-9 / self.dt_s + 1e-6))
