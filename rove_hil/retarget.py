"""Retargeting: a moment of the operator's body becomes joint positions of the robot.

Each frame is a small sequence of Gauss-Newton steps from the previous solution. A step is a quadratic program, the
tasks of `pose_tasks` with position and velocity limits of the joints as bounds and the distances between parts of the
robot as inequalities, solved by daqp: an active-set method with a bounded number of iterations, so the time is
bounded too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import daqp
import numpy as np

from rove_core.clocks import NS_PER_S
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.operator.mocap import MocapFrame, Tracked
from rove_hil.operator.operator_calibration import OperatorCalibration, Targets, matrix_of, targets_of
from rove_hil.retargeting.hand_shape import HandShapes
from rove_hil.retargeting.kinematics import Kinematics
from rove_hil.retargeting.pose_tasks import BodyTasks, HandTasks, Weights
from rove_hil.retargeting.target_smoother import TargetSmoother
from rove_hil.retargeting.velocity_damper import Inequalities, VelocityDamper

# Gauss-Newton steps per frame. Two follow motion at 72 Hz; the first frame after a reset may be anywhere.
STEPS_TRACKING = 2
STEPS_ACQUIRING = 30
# No joint moves further than this in one step [rad]: the tasks are linear only nearby.
LARGEST_STEP_RAD = 0.5
# Steps smaller than this change nothing that anybody could measure [rad].
SMALLEST_STEP_RAD = 1e-5
# Frames further apart than this say nothing about velocity; closer together is the sender's jitter [s].
LONGEST_DT_S = 0.1
SHORTEST_DT_S = 0.002
# More than this is no noise of a tracker but a jump or a shake.
MOST_NOISE_M = 0.002
MOST_NOISE_RAD = 0.03
# Active-set iterations per QP: it needs about as many as there are joints at a limit.
QP_ITERATIONS = 200
# daqp's mark of a row that gives way rather than leave no solution: position and velocity limits come first.
QP_SOFT = 8


@dataclass(frozen=True, slots=True)
class RetargetResult:
    """What one frame became.

    Attributes:
        q: joint positions [rad], shape (dim,), inside the limits.
        error: worst of the errors below [m]; infinite when not converged.
        converged: the problem was solved in time; False means that q is the previous one, held.
        palm_error_m: distance of the worse tracked palm from its target [m].
        fingertip_error_m: of the worst tracked fingertip, relative to its palm [m].
        group_valid: per joint group, whether the part of the operator that leads it is tracked and solved for.
        held: why the previous pose is held, "" when it is not.
    """

    q: FloatArray
    error: float
    converged: bool
    palm_error_m: float
    fingertip_error_m: float
    group_valid: Mapping[str, bool]
    held: str = ""


class Retargeter:
    """Follows one operator.

    The first frame after `reset` finds the operator wherever he is, without a velocity limit; from then on joints
    move no faster than their limits, by the frames' capture times. Parts that are not tracked leave their joints
    where they are. A frame that cannot be solved (NaN, a solver that gives up, no time left) holds the last solution
    and says so. A frame not newer than the last one moves nothing fast: it counts as 2 ms later.

    Out of reach, the palms come first, then the elbows: by weight. Fingers ask nothing of the body.

    Args:
        space: joints of the robot.
        calibration: of the operator's body.
        weights: of the tasks.
        damper: keeps the robot off itself; None leaves that to others.
    """

    def __init__(
        self,
        space: JointSpace,
        calibration: OperatorCalibration | None = None,
        weights: Weights | None = None,
        damper: VelocityDamper | None = None,
    ) -> None:
        self._space = space
        self._calibration = calibration or OperatorCalibration()
        self._damper = damper
        self._kinematics = Kinematics(space)
        body = self._kinematics.frame_from_joints(space.home)
        self._hand_shapes = HandShapes.measured_from(body, self._kinematics.site_rotations(self._kinematics.palms))
        weights = weights or Weights()
        self._body = BodyTasks(space, self._kinematics, weights)
        self._hands = HandTasks(space, self._kinematics, weights)
        self._points, self._turns = TargetSmoother(MOST_NOISE_M), TargetSmoother(MOST_NOISE_RAD / 2)
        self.reset(space.home)

    def reset(self, q: FloatArray) -> None:
        """Start from `q` [rad], shape (dim,), usually the measured joints."""
        self._q = self._space.clip(np.array(q, dtype=np.float64))
        self._last_ns: int | None = None
        self._steps_taken = 0
        self._points.reset()
        self._turns.reset()
        self._last_quats = np.zeros((3, 4))

    @property
    def q(self) -> FloatArray:
        """The last solution [rad], shape (dim,)."""
        return self._q.copy()

    def solve(
        self, frame: MocapFrame, dt_s: float | None = None, out_of_time: Callable[[], bool] = lambda: False
    ) -> RetargetResult:
        """Joint positions for `frame`.

        Args:
            frame: the operator's body.
            dt_s: time since the last frame for the velocity limits [s]; by default from the capture times.
            out_of_time: asked after every step but the last; True gives the frame up. The first frame after a reset
                then goes on from there with the next one, which has what is left of its steps.
        """
        acquiring = self._last_ns is None and dt_s is None
        if dt_s is None:
            dt_s = (frame.capture_ns - (self._last_ns or frame.capture_ns)) / NS_PER_S
        dt_s = max(dt_s, SHORTEST_DT_S)
        wanted = targets_of(frame, self._calibration, self._hand_shapes)
        if not wanted.finite:
            return self._hold("the frame holds no numbers")
        reach = np.full(self._space.dim, np.inf) if acquiring else self._space.max_velocity * min(dt_s, LONGEST_DT_S)
        lower = np.maximum(self._space.lower, self._q - reach)
        upper = np.minimum(self._space.upper, self._q + reach)
        q = self._q.copy()
        steps = max(STEPS_ACQUIRING - self._steps_taken, 1) if acquiring else STEPS_TRACKING
        held = self._descend(q, self._smooth(frame, wanted, dt_s), lower, upper, steps, out_of_time)
        if held:
            if acquiring and np.isfinite(q).all():
                self._q = q
            return self._hold(held)
        self._q = q
        self._last_ns = frame.capture_ns
        self._kinematics.forward(q)
        # Against what the operator asked for, not against what was made of it.
        palm = float(self._body.palm_errors(wanted).max())
        tip = float(np.linalg.norm(self._hands.tip_errors(wanted), axis=1).max())
        return RetargetResult(q.copy(), max(palm, tip), True, palm, tip, self._group_valid(wanted.tracked))

    def _hold(self, reason: str) -> RetargetResult:
        nowhere = dict.fromkeys(self._space.groups, False)
        return RetargetResult(self._q.copy(), np.inf, False, np.inf, np.inf, nowhere, reason)

    def _smooth(self, frame: MocapFrame, wanted: Targets, dt_s: float) -> Targets:
        """The targets `wanted` of `frame` without the tracker's noise."""
        quats = np.concatenate([frame.head_quat[None], frame.wrist_quats])
        quats[(quats * self._last_quats).sum(axis=1) < 0.0] *= -1.0  # the same rotations, from the near side
        self._last_quats = quats
        head, left, right = self._turns.smooth(quats, dt_s)
        return dataclasses.replace(
            wanted.with_points(self._points.smooth(wanted.points(), dt_s)),
            head_rotation=matrix_of(head / np.linalg.norm(head)),
            palm_rotations=np.array([matrix_of(quat / np.linalg.norm(quat)) for quat in (left, right)]),
        )

    def _descend(
        self,
        q: FloatArray,
        targets: Targets,
        lower: FloatArray,
        upper: FloatArray,
        steps: int,
        out_of_time: Callable[[], bool],
    ) -> str:
        """Move `q` in place towards the targets. Why it failed, "" when it did not; q is then of no use."""
        apart: Inequalities | None = None
        for left in reversed(range(steps)):
            self._kinematics.forward(q)
            self._steps_taken += 1
            largest = 0.0
            # Once a frame is enough for steps that are small; they share what the damper allows.
            if self._damper is not None and (apart is None or steps > STEPS_TRACKING):
                apart = self._damper.inequalities(q, self._body.columns)
            for tasks in (self._body, self._hands):
                hessian, gradient = tasks.linearise(q, targets)
                columns = tasks.columns
                room = lower[columns] - q[columns], upper[columns] - q[columns]
                step = _solve_qp(hessian, gradient, *room, apart if tasks is self._body else None)
                if step is None:
                    return "the solver found nothing"
                q[columns] += step
                if apart is not None and tasks is self._body:
                    apart = apart.after(step)
                largest = max(largest, float(np.abs(step).max()))
            np.clip(q, lower, upper, out=q)
            if largest < SMALLEST_STEP_RAD:
                break
            if left and out_of_time():
                return "out of time"
        return ""

    def _group_valid(self, tracked: Tracked) -> dict[str, bool]:
        parts = {**tracked._asdict(), "waist": tracked.left_arm or tracked.right_arm}
        return {group: parts.get(group, False) for group in self._space.groups}


def _solve_qp(
    hessian: FloatArray, gradient: FloatArray, low: FloatArray, high: FloatArray, apart: Inequalities | None
) -> FloatArray | None:
    """The step [rad] that minimises x' H x / 2 + g' x inside all bounds; None when there is none."""
    upper = np.minimum(high, LARGEST_STEP_RAD)
    lower = np.maximum(low, -LARGEST_STEP_RAD)
    if apart is None or not len(apart.least):
        no_rows = np.zeros((0, len(gradient)))
        step, _, flag, _ = daqp.solve(hessian, gradient, no_rows, upper, lower, iter_limit=QP_ITERATIONS)
    else:
        count = len(apart.least)
        step, _, flag, _ = daqp.solve(
            hessian,
            gradient,
            apart.jacobian,
            np.concatenate([upper, np.full(count, np.inf)]),
            np.concatenate([lower, apart.least]),
            np.concatenate([np.zeros(len(upper), np.int32), np.full(count, QP_SOFT, np.int32)]),
            iter_limit=QP_ITERATIONS,
        )
    return np.asarray(step) if flag > 0 and np.isfinite(step).all() else None
