"""The operator's body: the robot's proportions, posed by where the right palm is meant to be.

Only the right arm and the fingers act. Head, waist and the left side stay as they are, so that the
robot's camera keeps its view.
"""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np
import numpy.typing as npt

from rove_core.joint_space import JointSpace
from rove_hil.operator.mocap import MocapFrame
from rove_hil.retargeting.kinematics import Kinematics
from rove_sim.operator_motion import HandPose, rotation_log
from rove_sim.poses import transform

FloatArray = npt.NDArray[np.float64]

# Damping of the inverse kinematics [m, or rad], and steps per pose: a pose follows its predecessor closely.
DAMPING = 0.02
STEPS = 4
# One radian of palm rotation weighs as much as this many metres.
TURN_WEIGHT_M = 0.15
# Share of the way to the preferred posture that the arm goes per step where the palm does not mind: the
# elbow then depends on the palm alone and not on how it came there.
POSTURE_GAIN = 0.05
# No joint moves further than this in one step [rad].
LARGEST_STEP_RAD = 0.1
# No finger joint moves further than this between two poses [rad].
FINGER_STEP_RAD = 0.06

# Where the arm likes to be while it works on a table in front of it [rad].
ARM_POSTURE = {
    "right_shoulder_pitch": -0.5,
    "right_shoulder_roll": -0.35,
    "right_elbow": -1.4,
}
OPEN_HAND = {
    **{f"right_{finger}_proximal": 0.1 for finger in ("index", "middle", "ring", "little")},
    **{f"right_{finger}_distal": 0.1 for finger in ("index", "middle", "ring", "little")},
}
CLOSED_HAND = {
    "right_thumb_opposition": 1.1,
    "right_thumb_proximal": 0.5,
    "right_thumb_distal": 0.6,
    **{f"right_{finger}_proximal": 0.95 for finger in ("index", "middle", "ring", "little")},
    **{f"right_{finger}_distal": 1.0 for finger in ("index", "middle", "ring", "little")},
}


class OperatorBody:
    """Joint positions of a person who has the robot's joints.

    Args:
        space: joints of the robot.
    """

    def __init__(self, space: JointSpace) -> None:
        self._space = space
        self._kinematics = Kinematics(space)
        self._model, self._data = self._kinematics.model, self._kinematics.data
        joints = [self._model.joint(name) for name in space.names]
        self._arm = space.groups["right_arm"]
        self._hand = space.groups["right_hand"]
        self._columns = np.array([joint.dofadr[0] for joint in joints])[self._arm]
        self._site = self._model.site("right_palm_site").id
        self._posture = _posed(space, ARM_POSTURE)[self._arm]
        self._open, self._closed = (_posed(space, pose)[self._hand] for pose in (OPEN_HAND, CLOSED_HAND))
        self._jacobian = np.zeros((6, self._model.nv))
        self.q = space.home.copy()

    def palm(self, q: FloatArray | None = None) -> HandPose:
        """Palm of joint positions `q` [rad], shape (50,), by default the body's own; with its closure."""
        q = self.q if q is None else q
        self._forward(q)
        position = self._data.site_xpos[self._site].copy()
        rotation = self._data.site_xmat[self._site].reshape(3, 3).copy()
        return HandPose(position, rotation, self._closure(q[self._hand]))

    def palm_matrix(self, q: FloatArray) -> FloatArray:
        """T_base_palm of joint positions `q` [rad], shape (4, 4)."""
        palm = self.palm(q)
        return transform(palm.position, palm.rotation)

    def reach(self, target: HandPose) -> float:
        """Pose arm and fingers so that the palm is at `target`, starting from the present pose.

        Returns:
            What is left of the distance [m].
        """
        fingers = self._open + target.closure * (self._closed - self._open)
        # Fingers come from wherever they were when this began: a jump there is taken in small steps.
        self.q[self._hand] += np.clip(fingers - self.q[self._hand], -FINGER_STEP_RAD, FINGER_STEP_RAD)
        for _ in range(STEPS):
            self.q[self._arm] += self._arm_step(target)
            self.q = self._space.clip(self.q)
        self._forward(self.q)
        return float(np.linalg.norm(target.position - self._data.site_xpos[self._site]))

    def frame(self, sequence: int, capture_ns: int) -> MocapFrame:
        """What motion capture sees of this body."""
        return self._kinematics.frame_from_joints(self.q, sequence, capture_ns)

    def arm_mismatch(self, sigma_rad: float, rng: np.random.Generator) -> FloatArray:
        """How far a person is off who believes to be in a given pose: both arms [rad], shape (50,)."""
        off = np.zeros(self._space.dim)
        for group in ("left_arm", "right_arm"):
            span = self._space.groups[group]
            # A person does not fail to see an error of more than two standard deviations.
            off[span] = np.clip(rng.normal(0.0, sigma_rad, span.stop - span.start), -2 * sigma_rad, 2 * sigma_rad)
        return off

    def possible(self, q: FloatArray) -> FloatArray:
        """`q` [rad], shape (50,), inside the joints' limits."""
        return self._space.clip(q)

    def _arm_step(self, target: HandPose) -> FloatArray:
        self._forward(self.q)
        position = self._data.site_xpos[self._site]
        rotation = self._data.site_xmat[self._site].reshape(3, 3)
        turn = rotation @ rotation_log(rotation.T @ target.rotation)
        error = np.concatenate([target.position - position, TURN_WEIGHT_M * turn])
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_jacSite(self._model, self._data, self._jacobian[:3], self._jacobian[3:], self._site)
        jacobian = self._jacobian[:, self._columns].copy()
        jacobian[3:] *= TURN_WEIGHT_M
        square = jacobian @ jacobian.T + DAMPING**2 * TURN_WEIGHT_M**2 * np.eye(6)
        inverse = np.linalg.solve(square, jacobian).T
        step = inverse @ error
        wish = POSTURE_GAIN * (self._posture - self.q[self._arm])
        step += wish - inverse @ (jacobian @ wish)
        return np.asarray(np.clip(step, -LARGEST_STEP_RAD, LARGEST_STEP_RAD))

    def _forward(self, q: FloatArray) -> None:
        self._kinematics.forward(q)

    def _closure(self, fingers: FloatArray) -> float:
        """Which closure fits the finger joints best."""
        span = self._closed - self._open
        return float(np.clip((fingers - self._open) @ span / (span @ span), 0.0, 1.0))


def _posed(space: JointSpace, positions: Mapping[str, float]) -> FloatArray:
    """Home with some joints elsewhere [rad], shape (dim,)."""
    q = space.home.copy()
    for name, position in positions.items():
        q[space.index(name)] = position
    return q
