"""The last step of every decoder: a chunk that may reach the robot, or none."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from rove_core.errors import PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.backends import Array

# A limit that is overstepped by less is rounding, not a decision of the policy.
LIMIT_TOLERANCE_RAD = 1e-4


def to_robot(
    actions: Array,
    space: JointSpace,
    horizon: int,
    order: npt.NDArray[np.intp],
    out_of_limits: Literal["clip", "refuse"],
) -> tuple[npt.NDArray[np.float32], int]:
    """Check the model's answer and bring it into the robot's order.

    Args:
        actions: joint positions [rad], shape (1, horizon, dim), in the model's order of joints.
        order: `actions[..., order]` is in the order of `space`.
        out_of_limits: what to do with a position outside the joint's limits.

    Returns:
        Positions [rad], shape (horizon, dim), contiguous; and how many of them were clipped.

    Raises:
        PolicyError: another shape, NaN or infinity, or out of limits where the bundle refuses that.
    """
    expected = (1, horizon, space.dim)
    if actions.shape != expected:
        raise PolicyError(f"the model answered with shape {actions.shape}, expected {expected}")
    positions = np.ascontiguousarray(actions[0][:, order], dtype=np.float32)
    inside = np.clip(positions, space.lower.astype(np.float32), space.upper.astype(np.float32))
    if np.array_equal(inside, positions):  # as a rule; what is not a number equals nothing
        return positions, 0
    finite = np.isfinite(positions)
    if not finite.all():
        step, joint = np.argwhere(~finite)[0]
        raise PolicyError(f"the model answered {positions[step, joint]} for '{space.names[joint]}' at step {step}")
    outside = (positions < space.lower - LIMIT_TOLERANCE_RAD) | (positions > space.upper + LIMIT_TOLERANCE_RAD)
    count = int(outside.sum())
    if count and out_of_limits == "refuse":
        step, joint = np.argwhere(outside)[0]
        raise PolicyError(
            f"joint '{space.names[joint]}' at step {step}: {positions[step, joint]:.3f} rad is outside "
            f"[{space.lower[joint]:.3f}, {space.upper[joint]:.3f}]"
        )
    return inside, count
