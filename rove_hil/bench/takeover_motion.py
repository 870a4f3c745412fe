"""How policy and operator move in `rove bench takeover`: known functions of time, so that errors are exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rove_core.joint_space import FloatArray, JointSpace

# The operator stands up to this far from the robot in every joint.
MISMATCH_RAD = 1.0
# Kept from the joint limits, so that all methods could follow.
MARGIN_RAD = 0.03
# The operator's motion: two sines per joint.
MOTION_RAD = 0.1
FREQUENCIES_HZ = (0.3, 0.8)
POLICY_RAD, POLICY_HZ = 0.15, 0.5


@dataclass(frozen=True, slots=True)
class OperatorMotion:
    """centre + sum of sines; arrays have shape (dim,) or (2, dim)."""

    centre: FloatArray
    amplitude: FloatArray
    frequency: FloatArray
    phase: FloatArray

    @classmethod
    def random(cls, space: JointSpace, robot: FloatArray, rng: np.random.Generator) -> OperatorMotion:
        """Up to `MISMATCH_RAD` from `robot` [rad] in every joint, and never at a limit."""
        amplitude = np.minimum(MOTION_RAD, (space.upper - space.lower) / 10)
        room = MARGIN_RAD + 2 * amplitude
        low, high = space.lower + room, space.upper - room
        centre = np.clip(robot + rng.uniform(-MISMATCH_RAD, MISMATCH_RAD, space.dim), low, np.maximum(low, high))
        frequency = rng.uniform(*FREQUENCIES_HZ, (2, space.dim))
        return cls(centre, np.tile(amplitude, (2, 1)), frequency, rng.uniform(0, 2 * np.pi, (2, space.dim)))

    @classmethod
    def of(cls, parameters: dict[str, npt.NDArray[np.float64]]) -> OperatorMotion:
        """From `parameters`."""
        return cls(*(parameters[f"motion_{name}"] for name in cls.__slots__))

    def parameters(self) -> dict[str, FloatArray]:
        """Everything, by name."""
        return {f"motion_{name}": getattr(self, name) for name in self.__slots__}

    def at(self, t_s: float | FloatArray) -> tuple[FloatArray, FloatArray]:
        """Position [rad] and velocity [rad/s] at time `t_s` [s], scalar or (n,): shape (dim,) or (n, dim)."""
        angle = 2 * np.pi * self.frequency * np.asarray(t_s)[..., None, None] + self.phase
        rate = 2 * np.pi * self.frequency * self.amplitude
        return self.centre + (self.amplitude * np.sin(angle)).sum(-2), (rate * np.cos(angle)).sum(-2)


def rollout(space: JointSpace, t_s: FloatArray) -> FloatArray:
    """What the policy wants at times `t_s` (n,) [s]: shape (n, dim) [rad]."""
    middle = (space.lower + space.upper) / 2
    reach = np.minimum(POLICY_RAD, (space.upper - space.lower) / 4)
    return np.asarray(middle + reach * np.sin(2 * np.pi * POLICY_HZ * t_s[:, None]))
