"""The retargeting's tasks solved by mink as it comes, for comparison."""

from __future__ import annotations

from typing import Any

import mink
import numpy as np

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.operator.mocap import FINGERS, SIDES, MocapFrame
from rove_hil.operator.operator_calibration import OperatorCalibration, Targets, targets_of
from rove_hil.retarget import STEPS_TRACKING
from rove_hil.retargeting.hand_shape import HandShapes
from rove_hil.retargeting.kinematics import Kinematics
from rove_hil.retargeting.pose_tasks import Weights


class MinkSolver:
    """The same tasks, weights and number of steps through mink's task objects and `solve_ik` with daqp."""

    def __init__(self, space: JointSpace) -> None:
        kinematics = Kinematics(space)
        model = kinematics.model
        self._shapes = hand_shapes(space, kinematics)
        self._order = np.array([model.joint(name).qposadr[0] for name in space.names])
        q = np.zeros(model.nq)
        q[self._order] = space.home
        self._configuration = mink.Configuration(model, q=q)
        w = Weights()
        self._frames = {
            f"{side}_{part}_site": mink.FrameTask(f"{side}_{part}_site", "site", position, rotation, lm_damping=1e-3)
            for side in SIDES
            for part, position, rotation in (
                ("shoulder", w.shoulder, 0.0),
                ("elbow", w.elbow, 0.0),
                ("palm", w.palm_position, w.palm_rotation),
            )
        }
        self._frames["head_site"] = mink.FrameTask("head_site", "site", 0.0, w.head_rotation, lm_damping=1e-3)
        self._fingers = [
            mink.RelativeFrameTask(f"{side}_{finger}_tip", "site", f"{side}_palm_site", "site", w.fingertip, 0.0)
            for side in SIDES
            for finger in FINGERS
        ]
        posture = mink.PostureTask(model, cost=w.posture)
        posture.set_target(q)
        self._tasks = [*self._frames.values(), *self._fingers, posture, mink.DampingTask(model, cost=w.damping)]
        speeds = dict(zip(space.names, space.max_velocity, strict=True))
        self._limits = [mink.ConfigurationLimit(model), mink.VelocityLimit(model, speeds)]
        self._last_ns = 0

    def solve(self, frame: MocapFrame) -> FloatArray:
        """Joint positions [rad], order of the space."""
        self._aim(targets_of(frame, OperatorCalibration(), self._shapes))
        dt_s = max((frame.capture_ns - self._last_ns) * 1e-9, 2e-3) / STEPS_TRACKING
        self._last_ns = frame.capture_ns
        for _ in range(STEPS_TRACKING):
            velocity = mink.solve_ik(self._configuration, self._tasks, dt_s, "daqp", limits=self._limits)
            self._configuration.integrate_inplace(velocity, dt_s)
        return np.array(self._configuration.q[self._order])

    def _aim(self, targets: Targets) -> None:
        def pose(rotation: FloatArray, position: FloatArray) -> Any:
            return mink.SE3.from_rotation_and_translation(mink.SO3.from_matrix(rotation), position)

        still = np.eye(3)
        for number, side in enumerate(SIDES):
            self._frames[f"{side}_shoulder_site"].set_target(pose(still, targets.shoulders[number]))
            self._frames[f"{side}_elbow_site"].set_target(pose(still, targets.elbows[number]))
            palm = pose(targets.palm_rotations[number], targets.palms[number])
            self._frames[f"{side}_palm_site"].set_target(palm)
        self._frames["head_site"].set_target(pose(targets.head_rotation, np.zeros(3)))
        for task, tip in zip(self._fingers, targets.tips.reshape(-1, 3), strict=True):
            task.set_target(pose(still, tip))


def hand_shapes(space: JointSpace, kinematics: Kinematics) -> HandShapes:
    """The robot's hands, as the retargeting measures them."""
    body = kinematics.frame_from_joints(space.home)
    return HandShapes.measured_from(body, kinematics.site_rotations(kinematics.palms))
