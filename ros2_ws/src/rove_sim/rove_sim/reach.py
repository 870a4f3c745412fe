"""Inverse kinematics of one arm: where to put the joints so that the palm is at a pose.

Damped least squares with a pull to the home posture in the null space. Good for placing the robot at the start
of a scene and for scripted checks; teleoperation has its own, bounded-time solver.
"""

from __future__ import annotations

import mujoco
import numpy as np
import numpy.typing as npt

from rove_core.errors import ConfigError
from rove_core.joint_space import JointSpace

FloatArray = npt.NDArray[np.float64]

DAMPING = 0.02
# Radians of rotation error count like this many metres of position error.
ROTATION_WEIGHT_M = 0.15
POSTURE_GAIN = 0.03
MAX_STEP_RAD = 0.2
REACHED_M = 0.002
REACHED_RAD = 0.02


class ArmReach:
    """Solves for the joints of one arm on a model whose joint names are those of `space`."""

    def __init__(self, model: mujoco.MjModel, space: JointSpace, side: str = "right") -> None:
        self._model = model
        self._data = mujoco.MjData(model)
        self._site = int(model.site(f"{side}_palm_site").id)
        joints = [model.joint(name) for name in space.names]
        self._qpos = np.array([int(joint.qposadr[0]) for joint in joints])
        self._arm = space.groups[f"{side}_arm"]
        self._dofs = np.array([int(joint.dofadr[0]) for joint in joints[self._arm]])
        self._space = space

    def palm(self, q: FloatArray) -> FloatArray:
        """T_base_palm for joint positions [rad], shape (dim,)."""
        self._forward(q)
        pose = np.eye(4)
        pose[:3, :3] = self._data.site_xmat[self._site].reshape(3, 3)
        pose[:3, 3] = self._data.site_xpos[self._site]
        return pose

    def solve(self, T_base_palm: FloatArray, seed: FloatArray, iterations: int = 200) -> FloatArray:
        """Joint positions [rad], shape (dim,), that bring the palm to the pose; only the arm differs from `seed`.

        Raises:
            ConfigError: the pose is out of reach.
        """
        q = self.approach(T_base_palm, seed, iterations)
        off = self.error(q, T_base_palm)
        if np.linalg.norm(off[:3]) > REACHED_M or np.linalg.norm(off[3:]) > REACHED_RAD:
            raise ConfigError(
                f"the arm does not reach {np.round(T_base_palm[:3, 3], 3)}: "
                f"{np.linalg.norm(off[:3]) * 1e3:.0f} mm and {np.linalg.norm(off[3:]):.2f} rad off"
            )
        return q

    def approach(self, T_base_palm: FloatArray, seed: FloatArray, iterations: int) -> FloatArray:
        """Like `solve`, but as near as it gets in so many iterations: for following a path, warm-started."""
        q = seed.copy()
        lower, upper = self._space.lower[self._arm], self._space.upper[self._arm]
        for _ in range(iterations):
            off = self.error(q, T_base_palm)
            if np.linalg.norm(off[:3]) < REACHED_M / 4 and np.linalg.norm(off[3:]) < REACHED_RAD / 4:
                break
            q[self._arm] = np.clip(q[self._arm] + self._step(off, q[self._arm]), lower, upper)
        return q

    def error(self, q: FloatArray, T_base_palm: FloatArray) -> FloatArray:
        """What is missing to the pose: position [m], then rotation [rad], both in the base frame, shape (6,)."""
        now = self.palm(q)
        turn = np.empty(3)
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, (T_base_palm[:3, :3] @ now[:3, :3].T).ravel())
        mujoco.mju_quat2Vel(turn, quaternion, 1.0)
        return np.concatenate([T_base_palm[:3, 3] - now[:3, 3], turn])

    def _step(self, off: FloatArray, arm: FloatArray) -> FloatArray:
        jacobian = np.zeros((6, self._model.nv))
        mujoco.mj_jacSite(self._model, self._data, jacobian[:3], jacobian[3:], self._site)
        weight = np.array([1.0, 1.0, 1.0, ROTATION_WEIGHT_M, ROTATION_WEIGHT_M, ROTATION_WEIGHT_M])
        j = weight[:, None] * jacobian[:, self._dofs]
        inverse = j.T @ np.linalg.inv(j @ j.T + DAMPING**2 * np.eye(6))
        posture = POSTURE_GAIN * (self._space.home[self._arm] - arm)
        step = inverse @ (weight * off) + (np.eye(len(arm)) - inverse @ j) @ posture
        largest = float(np.abs(step).max())
        return np.asarray(step if largest <= MAX_STEP_RAD else step * (MAX_STEP_RAD / largest))

    def _forward(self, q: FloatArray) -> None:
        self._data.qpos[self._qpos] = q
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
