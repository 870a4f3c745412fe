"""What retargeting asks of the robot's joints: weighted least squares around the present pose.

A task says how far a part of the robot is from where it should be, e, and how that changes with the joints, J.
All tasks together want the joint step d that minimises sum w^2 |J d - e|^2 + |D d|^2. This module makes the
gradient and the Hessian of that; `retarget` bounds the step and solves.

The fingertips' tasks are relative to the palm and so move with the finger's own joints only: no joint of the body
appears in them and no finger joint appears in the body's. The Hessian of the whole robot is thus block diagonal,
and body and hands are solved one after the other with exactly the result of one problem.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.operator.mocap import FINGERS, SIDES
from rove_hil.operator.operator_calibration import Targets
from rove_hil.retargeting.kinematics import Kinematics

JOINTS_PER_FINGER = 3


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each task counts. Positions per metre, rotations per radian.

    Palms come before everything; the elbow and the shoulders take what the palms leave free. Out of reach the
    palms win by the square of these ratios.
    """

    palm_position: float = 1.0
    palm_rotation: float = 0.2
    head_rotation: float = 0.2
    elbow: float = 0.08
    shoulder: float = 0.03
    fingertip: float = 1.0
    # Damping of the step [per rad]: the joints that nothing asks to move stay where they are. The waist is
    # slower than the arms: a person who reaches moves the arm first.
    damping: float = 0.01
    waist_damping: float = 0.03
    finger_damping: float = 0.006
    # Pull of tracked joints to the home pose [per rad]: bends a limb that stands exactly straight, where its tip
    # cannot say which way to bend. Costs a hundredth of a millimetre.
    posture: float = 0.001
    waist_posture: float = 0.003
    finger_posture: float = 0.0005
    # Damping grows with the error [m] by this factor, so that steps near a singularity stay small.
    error_damping: float = 0.02


class BodyTasks:
    """Head, waist and arms.

    Args:
        kinematics: posed by the caller before each `linearise`.
    """

    def __init__(self, space: JointSpace, kinematics: Kinematics, weights: Weights) -> None:
        self._kinematics = kinematics
        in_hands = np.zeros(space.dim, dtype=np.bool_)
        for side in SIDES:
            in_hands[space.groups[f"{side}_hand"]] = True
        self.columns = np.flatnonzero(~in_hands)
        self._sites = kinematics.sites(
            *(f"{side}_{part}_site" for part in ("shoulder", "elbow", "palm") for side in SIDES), "head_site"
        )
        moves = kinematics.moves(self._sites)[:, self.columns]
        self._moves_points = moves[:6, None, :].astype(np.float64)
        self._moves_turning = moves[4:7, None, :].astype(np.float64)  # both palms and the head
        w = weights
        self._point_weights = np.repeat([w.shoulder, w.elbow, w.palm_position], 2)
        self._turn_weights = np.array([w.palm_rotation, w.palm_rotation, w.head_rotation])
        damping = np.full(space.dim, w.damping)
        damping[space.groups["waist"]] = w.waist_damping
        self._damping = damping[self.columns] ** 2
        posture = np.full(space.dim, w.posture)
        posture[space.groups["waist"]] = w.waist_posture
        self._posture = posture[self.columns] ** 2
        self._home = space.home[self.columns]
        self._parts = {
            part: np.isin(self.columns, np.arange(space.dim)[space.groups[part]])
            for part in ("head", "left_arm", "right_arm", "waist")
        }
        self._error_damping = w.error_damping**2
        self._jacobian = np.zeros((27, len(self.columns)))
        self._error = np.zeros(27)

    def linearise(self, q: FloatArray, targets: Targets) -> tuple[FloatArray, FloatArray]:
        """Hessian (n, n) and gradient (n,) at the present pose `q` (dim,)."""
        kinematics, tracked = self._kinematics, targets.tracked
        points = kinematics.site_positions(self._sites[:6])
        arms = (tracked.left_arm, tracked.right_arm)
        wanted = np.concatenate([targets.shoulders, targets.elbows, targets.palms])
        point_error = wanted - points
        axes = kinematics.joint_axes()[self.columns].T
        arms_m = points[:, :, None] - kinematics.joint_anchors()[self.columns].T
        jacobian = self._jacobian
        weight = (self._point_weights * (arms * 3))[:, None, None] * self._moves_points
        jacobian[:18] = (weight * _cross(axes, arms_m)).reshape(18, -1)
        turn_weight = self._turn_weights * (*arms, tracked.head)
        jacobian[18:] = (turn_weight[:, None, None] * self._moves_turning * axes).reshape(9, -1)
        now = kinematics.site_rotations(self._sites[4:])
        goal = np.concatenate([targets.palm_rotations, targets.head_rotation[None]])
        self._error[:18] = ((self._point_weights * (arms * 3))[:, None] * point_error).ravel()
        self._error[18:] = (turn_weight[:, None] * _turns(now, goal)).ravel()
        hessian = jacobian.T @ jacobian
        damping = self._damping + self._error_damping * min(float(self._error @ self._error), 1.0)
        pull = self._posture * self._tracked_joints(targets)
        hessian.flat[:: len(damping) + 1] += damping + pull
        return hessian, pull * (q[self.columns] - self._home) - jacobian.T @ self._error

    def palm_errors(self, targets: Targets) -> FloatArray:
        """Distance of each palm from its target [m], shape (2,), at the present pose; 0 where it is not tracked."""
        error = targets.palms - self._kinematics.site_positions(self._sites[4:6])
        return np.asarray(np.linalg.norm(error, axis=1) * (targets.tracked.left_arm, targets.tracked.right_arm))

    def _tracked_joints(self, targets: Targets) -> npt.NDArray[np.bool_]:
        tracked = targets.tracked
        joints = self._parts["waist"] * (tracked.left_arm or tracked.right_arm)
        for part in ("head", "left_arm", "right_arm"):
            if getattr(tracked, part):
                joints = joints | self._parts[part]
        return joints


class HandTasks:
    """Ten fingertips relative to their palms, three joints each. Joints are ordered finger by finger."""

    def __init__(self, space: JointSpace, kinematics: Kinematics, weights: Weights) -> None:
        self._kinematics = kinematics
        self._tips = kinematics.sites(*(f"{side}_{finger}_tip" for side in SIDES for finger in FINGERS))
        self._palms = kinematics.sites(*(f"{side}_palm_site" for side in SIDES))
        self.columns = np.concatenate(
            [np.arange(space.dim)[space.groups[f"{side}_hand"]] for side in SIDES],
        )
        moves = kinematics.moves(self._tips)[:, self.columns]
        fingers = len(self._tips)
        expected = np.kron(np.eye(fingers, dtype=np.bool_), np.ones((1, JOINTS_PER_FINGER), dtype=np.bool_))
        if not np.array_equal(moves, expected):
            raise ValueError("hand joints must stand finger by finger, three each, in the order of FINGERS")
        self._home = space.home[self.columns].reshape(-1, JOINTS_PER_FINGER)
        self._weight = weights.fingertip**2
        self._posture = weights.finger_posture**2
        self._damping = weights.finger_damping**2
        self._error_damping = weights.error_damping**2
        self._hessian = np.zeros((fingers * JOINTS_PER_FINGER,) * 2)
        blocks = np.arange(fingers)[:, None] * JOINTS_PER_FINGER + np.arange(JOINTS_PER_FINGER)
        self._rows, self._cols = blocks[:, :, None], blocks[:, None, :]
        self._eye = np.eye(JOINTS_PER_FINGER)

    def linearise(self, q: FloatArray, targets: Targets) -> tuple[FloatArray, FloatArray]:
        """Block-diagonal Hessian (n, n) and gradient (n,) at the pose `q` (dim,)."""
        kinematics = self._kinematics
        error = self.tip_errors(targets)
        squared = (error**2).sum(axis=1)
        # (finger, xyz, joint)
        axes = kinematics.joint_axes()[self.columns].reshape(-1, JOINTS_PER_FINGER, 3)
        anchors = kinematics.joint_anchors()[self.columns].reshape(-1, JOINTS_PER_FINGER, 3)
        jacobian = _cross(
            axes.transpose(0, 2, 1), (kinematics.site_positions(self._tips)[:, None] - anchors).transpose(0, 2, 1)
        )
        pull = self._posture * _hands_tracked(targets)
        damping = self._damping + self._error_damping * squared + pull
        blocks = self._weight * (jacobian.transpose(0, 2, 1) @ jacobian) + damping[:, None, None] * self._eye
        self._hessian[self._rows, self._cols] = blocks
        gradient = -self._weight * (error[:, None] @ jacobian)[:, 0]
        gradient += pull[:, None] * (q[self.columns].reshape(-1, JOINTS_PER_FINGER) - self._home)
        return self._hessian, gradient.ravel()

    def tip_errors(self, targets: Targets) -> FloatArray:
        """From each fingertip to its target [m], shape (10, 3), at the present pose; 0 where it is not tracked."""
        kinematics = self._kinematics
        palms = kinematics.site_positions(self._palms)
        rotations = kinematics.site_rotations(self._palms)
        wanted = targets.tips @ rotations.transpose(0, 2, 1) + palms[:, None]
        tips = kinematics.site_positions(self._tips)
        return np.asarray((wanted.reshape(-1, 3) - tips) * _hands_tracked(targets)[:, None])


def _hands_tracked(targets: Targets) -> npt.NDArray[np.bool_]:
    """Per finger, shape (10,)."""
    return np.repeat((targets.tracked.left_hand, targets.tracked.right_hand), len(FINGERS))


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Cross products along the last but one axis; several times faster than np.cross on small arrays."""
    ax, ay, az = a[..., 0, :], a[..., 1, :], a[..., 2, :]
    bx, by, bz = b[..., 0, :], b[..., 1, :], b[..., 2, :]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-2)


def _turns(now: FloatArray, goal: FloatArray) -> FloatArray:
    """Rotation vectors [rad] in the base frame that turn `now` into `goal`, both (n, 3, 3); result (n, 3)."""
    difference = goal @ now.transpose(0, 2, 1)
    skew = difference[:, [2, 0, 1], [1, 2, 0]] - difference[:, [1, 2, 0], [2, 0, 1]]  # 2 sin(angle) axis
    twice_sine = np.sqrt((skew**2).sum(axis=1))
    angle = np.arctan2(twice_sine, np.trace(difference, axis1=1, axis2=2) - 1.0)
    scale = np.where(twice_sine > 1e-9, angle / np.maximum(twice_sine, 1e-9), 0.5)
    # At exactly half a turn the axis is lost and the step is nothing: the other tasks lead away from there.
    return np.asarray(scale[:, None] * skew)
