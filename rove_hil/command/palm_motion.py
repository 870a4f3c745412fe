"""The operator's palm motion for arms that stand otherwise than the operator's. Pure, and without memory.

Joint angles moved by as much as the operator's move the palm as his only where both arms stand alike. Elsewhere the
palm goes another way, so for arms the motion that is carried over is the palm's: since the anchor the operator's palm
moved by `dp` and turned by `dR`, and so shall the palm of an arm at `base`:

    p* = p(base) + w dp          R* = dR^w R(base)

The arm's increment is that of the operator's own joints, w (q - q_anchor), plus damped Gauss-Newton steps towards
(p*, R*) from there (damped least squares: Wampler 1986; Nakamura and Hanafusa 1986). So the elbow moves as the
operator's, an operator who comes back to the anchor finds the increment back at 0, and where a step is lost in a
singularity the joints' own motion is left. Poses are taken with all other joints at home: the frame is the chest's,
and what waist or head do is not counted twice.
"""

from __future__ import annotations

import mujoco
import numpy as np

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.operator.mocap import SIDES
from rove_hil.retargeting.kinematics import Kinematics, quaternion_of

# A radian of the palm counts as much as so many metres: half the length of a hand.
METRES_PER_RAD = 0.1
# Damping of the step [m/rad]: a joint that moves the palm by less than this per radian is not asked to.
DAMPING = 0.03
# No joint takes a longer step [rad]: it is linear only nearby.
LARGEST_STEP_RAD = 0.5
# With two, arms whose joints differ by .15 rad carry a motion of .3 rad per joint over to .1 mm; with one, to 1 mm.
STEPS = 2

_DAMPING = DAMPING**2 * np.eye(6)


class PalmMotion:
    """Joint increments that carry the operator's motion over. Not thread-safe: it poses its model."""

    def __init__(self, space: JointSpace, kinematics: Kinematics | None = None) -> None:
        """Args: kinematics: of this robot; one of its own when None."""
        self._kinematics = kinematics = kinematics or Kinematics(space)
        spans = [space.groups[f"{side}_arm"] for side in SIDES]
        self._arms = np.array([range(span.start, span.stop) for span in spans])  # (side, joint)
        self._lower, self._upper = space.lower[self._arms], space.upper[self._arms]
        self._pose_q = space.home.copy()
        model = kinematics.model
        names = np.array(space.names)[self._arms]
        self._dofs = np.array([[model.jnt_dofadr[model.joint(name).id] for name in arm] for arm in names])
        self._jacobians = np.zeros((2, 6, model.nv))
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
            self._anchor_palms, self._anchor_turns = self._pose(anchor)
        palms, turns = self._pose(position)
        twist = share * (self._jacobian() @ velocity[arms][..., None])[..., 0]
        base_palms, base_turns = self._pose(base)
        goal_palms = base_palms + share * (palms - self._anchor_palms)
        goal_turns = [
            _moved(base_turns[side], self._anchor_turns[side], turns[side], float(share[side, 0])) for side in range(2)
        ]
        # One solve for the step (column 0) and for its rate (column 1), which is that of the last step.
        wanted = np.empty((2, 6, 2))
        for _ in range(STEPS):
            now_palms, now_turns = self._pose(base + increment)
            jacobian = self._jacobian()
            wanted[:, :3, 0] = goal_palms - now_palms
            for side in range(2):
                wanted[side, 3:, 0] = METRES_PER_RAD * _difference(now_turns[side], goal_turns[side])
            wanted[..., 1] = twist - (jacobian @ rate[arms][..., None])[..., 0]
            transposed = jacobian.transpose(0, 2, 1)
            step = transposed @ np.linalg.solve(jacobian @ transposed + _DAMPING, wanted)
            increment[arms] += np.minimum(np.maximum(step[..., 0], -LARGEST_STEP_RAD), LARGEST_STEP_RAD)
        rate[arms] += step[..., 1]
        return increment, rate

    def _pose(self, q: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        """Pose the arms as in `q` [rad]: the palms [m] (2, 3) and their orientations (wxyz)."""
        kinematics = self._kinematics
        self._pose_q[self._arms] = np.minimum(np.maximum(q[self._arms], self._lower), self._upper)
        kinematics.forward(self._pose_q)
        turns = [quaternion_of(matrix) for matrix in kinematics.site_rotations(kinematics.palms)]
        return kinematics.site_positions(kinematics.palms), turns

    def _jacobian(self) -> FloatArray:
        """How the palms move and turn with the arms' joints where they are posed, (2, 6, 7); turns in metres."""
        model, data = self._kinematics.model, self._kinematics.data
        mujoco.mj_comPos(model, data)
        for whole, palm in zip(self._jacobians, self._kinematics.palms, strict=True):
            mujoco.mj_jacSite(model, data, whole[:3], whole[3:], int(palm))
        left, right = (whole[:, dofs] for whole, dofs in zip(self._jacobians, self._dofs, strict=True))
        jacobian = np.array((left, right))
        jacobian[:, 3:] *= METRES_PER_RAD
        return jacobian


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
