"""The operator's palm motion for arms that stand otherwise than the operator's. Pure, and without memory.

Joint angles moved by as much as the operator's move the palm as his only where both arms stand alike. Elsewhere the
palm goes another way, so for arms the motion that is carried over is the palm's: since the anchor the operator's palm
moved by `dp` and turned by `dR`, and so shall the palm of an arm at `base`:

    p* = p(base) + w dp          R* = dR^w R(base)

The arm's increment is that of the operator's own joints, w (q - q_anchor), plus one damped Gauss-Newton step towards
(p*, R*) from there (damped least squares: Wampler 1986; Nakamura and Hanafusa 1986). So the elbow moves as the
operator's, an operator who comes back to the anchor finds the increment back at 0, and where the step is lost in a
singularity the joints' own motion is left. Poses are taken with all other joints at home: the frame is the chest's,
and what waist or head do is not counted twice.
"""

from __future__ import annotations

import mujoco
import numpy as np

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.kinematics import Kinematics, quaternion_of
from rove_hil.mocap import SIDES

# A radian of the palm counts as much as so many metres: half the length of a hand.
METRES_PER_RAD = 0.1
# Damping of the step [m/rad]: a joint that moves the palm by less than this per radian is not asked to.
DAMPING = 0.03
# Joints further from a singularity than this get no step longer than [rad]; it is linear only nearby.
LARGEST_STEP_RAD = 0.5
STEPS = 2


class PalmMotion:
    """Joint increments that carry the operator's motion over. Not thread-safe: it poses its model."""

    def __init__(self, space: JointSpace, kinematics: Kinematics | None = None) -> None:
        """Args: kinematics: of this robot; one of its own when None."""
        self._kinematics = kinematics or Kinematics(space)
        spans = [space.groups[f"{side}_arm"] for side in SIDES]
        self._arms = np.array([range(span.start, span.stop) for span in spans])  # (side, joint)
        self._home, self._lower, self._upper = space.home, space.lower, space.upper
        self._anchor: FloatArray | None = None

    def __call__(
        self, base: FloatArray, anchor: FloatArray, position: FloatArray, velocity: FloatArray, weight: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """The increment to `base` [rad] and its rate [rad/s], shape (dim,) each.

        Args:
            base: the pose that the motion is added to [rad].
            anchor, position: the operator's joints then and now [rad]. velocity: theirs now [rad/s].
            weight: share of the motion that is carried over, 0 to 1 per joint; the same for all joints of an arm.
        """
        increment, rate = weight * (position - anchor), weight * velocity
        arms = self._arms
        share = weight[arms[:, :1]]
        if self._anchor is None or not np.array_equal(self._anchor, anchor):
            self._anchor = anchor.copy()
            self._anchor_palms, self._anchor_turns, _ = self._pose(anchor)
        palms, turns, jacobian = self._pose(position)
        twist = share * (jacobian @ velocity[arms][..., None])[..., 0]
        base_palms, base_turns, _ = self._pose(base)
        goal_palms = base_palms + share * (palms - self._anchor_palms)
        goal_turns = [
            _moved(base_turns[side], self._anchor_turns[side], turns[side], float(share[side, 0])) for side in range(2)
        ]
        miss = np.empty((2, 6))
        for _ in range(STEPS):
            now_palms, now_turns, jacobian = self._pose(base + increment)
            miss[:, :3] = goal_palms - now_palms
            for side in range(2):
                miss[side, 3:] = METRES_PER_RAD * _difference(now_turns[side], goal_turns[side])
            transposed = jacobian.transpose(0, 2, 1)
            damped = jacobian @ transposed
            damped.reshape(2, 36)[:, ::7] += DAMPING**2
            # One solve for the step and for its rate, which is that of the last step.
            missing_twist = twist - (jacobian @ rate[arms][..., None])[..., 0]
            step = transposed @ np.linalg.solve(damped, np.stack((miss, missing_twist), axis=-1))
            increment[arms] += np.clip(step[..., 0], -LARGEST_STEP_RAD, LARGEST_STEP_RAD)
        rate[arms] += step[..., 1]
        return increment, rate

    def _pose(self, q: FloatArray) -> tuple[FloatArray, list[FloatArray], FloatArray]:
        """Palms [m] (2, 3), their orientations wxyz, and the arms' Jacobians (2, 6, 7), rotations in metres."""
        kinematics, arms = self._kinematics, self._arms
        pose = self._home.copy()
        pose[arms] = np.minimum(np.maximum(q, self._lower), self._upper)[arms]
        kinematics.forward(pose)
        palms = kinematics.site_positions(kinematics.palms)
        turns = [quaternion_of(matrix) for matrix in kinematics.site_rotations(kinematics.palms)]
        axes = kinematics.joint_axes()[arms]
        lever = palms[:, None] - kinematics.joint_anchors()[arms]
        ax, ay, az = axes[..., 0], axes[..., 1], axes[..., 2]
        lx, ly, lz = lever[..., 0], lever[..., 1], lever[..., 2]
        rows = (ay * lz - az * ly, az * lx - ax * lz, ax * ly - ay * lx)
        turning = METRES_PER_RAD * axes
        return palms, turns, np.stack((*rows, turning[..., 0], turning[..., 1], turning[..., 2]), axis=1)


def _difference(start: FloatArray, end: FloatArray) -> FloatArray:
    """Rotation vector [rad] that turns `start` into `end` (wxyz), in their common frame."""
    back, turn, vector = np.empty(4), np.empty(4), np.empty(3)
    mujoco.mju_negQuat(back, start)
    mujoco.mju_mulQuat(turn, end, back)
    mujoco.mju_quat2Vel(vector, turn, 1.0)
    return vector


def _moved(base: FloatArray, start: FloatArray, end: FloatArray, share: float) -> FloatArray:
    """`base` turned by `share` of the turn from `start` to `end`; wxyz."""
    result = base.copy()
    mujoco.mju_quatIntegrate(result, _local(base, _difference(start, end)), share)
    return result


def _local(frame: FloatArray, vector: FloatArray) -> FloatArray:
    """`vector` in the axes of `frame` (wxyz)."""
    back, result = np.empty(4), np.empty(3)
    mujoco.mju_negQuat(back, frame)
    mujoco.mju_rotVecQuat(result, vector, back)
    return result
