"""Retargeting: a moment of the operator's body becomes joint positions of the robot.

Each frame is a small sequence of Gauss-Newton steps from the previous solution. A step is a quadratic program, the
tasks of `pose_tasks` with position and velocity limits of the joints as bounds, solved by daqp: an active-set
method with a bounded number of iterations, so the time is bounded too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import daqp
import numpy as np

from rove_core.clocks import NS_PER_S
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.hand_shape import HandShapes
from rove_hil.kinematics import Kinematics
from rove_hil.mocap import MocapFrame, Tracked
from rove_hil.operator_calibration import OperatorCalibration, Targets, targets_of
from rove_hil.pose_tasks import BodyTasks, HandTasks, Weights

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
# Active-set iterations per QP: it needs about as many as there are joints at a limit.
QP_ITERATIONS = 200


@dataclass(frozen=True, slots=True)
class RetargetResult:
    """What one frame became.

    Attributes:
        q: joint positions [rad], shape (dim,), inside the limits.
        error: worst of the errors below [m]; infinite when not converged.
        converged: the problem was solved; False means that q is the previous one, held.
        palm_error_m: distance of the worse tracked palm from its target [m].
        fingertip_error_m: of the worst tracked fingertip, relative to its palm [m].
        group_valid: per joint group, whether the part of the operator that leads it is tracked and solved for.
    """

    q: FloatArray
    error: float
    converged: bool
    palm_error_m: float
    fingertip_error_m: float
    group_valid: Mapping[str, bool]


class Retargeter:
    """Follows one operator.

    The first frame after `reset` finds the operator wherever he is, without a velocity limit; from then on joints
    move no faster than their limits, by the frames' capture times. Parts that are not tracked leave their joints
    where they are. A frame that cannot be solved (NaN, or a solver that gives up) holds the last solution and says
    so. A frame not newer than the last one moves nothing fast: it counts as 2 ms later.

    Args:
        space: joints of the robot.
        calibration: of the operator's body.
        weights: of the tasks.
    """

    def __init__(
        self,
        space: JointSpace,
        calibration: OperatorCalibration | None = None,
        weights: Weights | None = None,
    ) -> None:
        self._space = space
        self._calibration = calibration or OperatorCalibration()
        self._kinematics = Kinematics(space)
        body = self._kinematics.frame_from_joints(space.home)
        self._hand_shapes = HandShapes.measured_from(body, self._kinematics.site_rotations(self._kinematics.palms))
        weights = weights or Weights()
        self._body = BodyTasks(space, self._kinematics, weights)
        self._hands = HandTasks(space, self._kinematics, weights)
        self.reset(space.home)

    def reset(self, q: FloatArray) -> None:
        """Start from `q` [rad], shape (dim,), usually the measured joints."""
        self._q = self._space.clip(np.array(q, dtype=np.float64))
        self._last_ns: int | None = None

    @property
    def q(self) -> FloatArray:
        """The last solution [rad], shape (dim,)."""
        return self._q.copy()

    def solve(self, frame: MocapFrame, dt_s: float | None = None) -> RetargetResult:
        """Joint positions for `frame`.

        Args:
            frame: the operator's body.
            dt_s: time since the last frame for the velocity limits [s]; by default from the capture times.
        """
        acquiring = self._last_ns is None and dt_s is None
        reach = np.full(self._space.dim, np.inf) if acquiring else self._space.max_velocity * self._dt_s(frame, dt_s)
        lower = np.maximum(self._space.lower, self._q - reach)
        upper = np.minimum(self._space.upper, self._q + reach)
        targets = targets_of(frame, self._calibration, self._hand_shapes)
        q = self._q.copy()
        if not self._descend(q, targets, lower, upper, STEPS_ACQUIRING if acquiring else STEPS_TRACKING):
            nowhere = dict.fromkeys(self._space.groups, False)
            return RetargetResult(self._q.copy(), np.inf, False, np.inf, np.inf, nowhere)
        self._q = q
        self._last_ns = frame.capture_ns
        self._kinematics.forward(q)
        palm = float(self._body.palm_errors(targets).max())
        tip = float(np.linalg.norm(self._hands.tip_errors(targets), axis=1).max())
        return RetargetResult(q.copy(), max(palm, tip), True, palm, tip, self._group_valid(targets.tracked))

    def _dt_s(self, frame: MocapFrame, dt_s: float | None) -> float:
        if dt_s is None:
            dt_s = (frame.capture_ns - (self._last_ns or frame.capture_ns)) / NS_PER_S
        return min(max(dt_s, SHORTEST_DT_S), LONGEST_DT_S)

    def _descend(self, q: FloatArray, targets: Targets, lower: FloatArray, upper: FloatArray, steps: int) -> bool:
        """Move `q` in place towards the targets. False when a step could not be found; q is then of no use."""
        for _ in range(steps):
            self._kinematics.forward(q)
            largest = 0.0
            for tasks in (self._body, self._hands):
                hessian, gradient = tasks.linearise(q, targets)
                columns = tasks.columns
                step = self._solve_qp(hessian, gradient, lower[columns] - q[columns], upper[columns] - q[columns])
                if step is None:
                    return False
                q[columns] += step
                largest = max(largest, float(np.abs(step).max()))
            np.clip(q, lower, upper, out=q)
            if largest < SMALLEST_STEP_RAD:
                break
        return True

    def _solve_qp(
        self, hessian: FloatArray, gradient: FloatArray, low: FloatArray, high: FloatArray
    ) -> FloatArray | None:
        if not np.isfinite(gradient).all():
            return None
        upper = np.minimum(high, LARGEST_STEP_RAD)
        lower = np.maximum(low, -LARGEST_STEP_RAD)
        no_rows = np.zeros((0, len(gradient)))
        step, _, flag, _ = daqp.solve(hessian, gradient, no_rows, upper, lower, iter_limit=QP_ITERATIONS)
        return np.asarray(step) if flag > 0 and np.isfinite(step).all() else None

    def _group_valid(self, tracked: Tracked) -> dict[str, bool]:
        parts = {**tracked._asdict(), "waist": tracked.left_arm or tracked.right_arm}
        return {group: parts.get(group, False) for group in self._space.groups}
