"""Retargeting real motion: time and error per frame, against mink's own solve of the same tasks in the same run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mink
import numpy as np

from rove_core.errors import RoveError
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.bvh import mocap_frames, read_bvh
from rove_hil.hand_shape import HandShapes
from rove_hil.kinematics import Kinematics
from rove_hil.mocap import FINGERS, SIDES, MocapFrame
from rove_hil.operator_calibration import OperatorCalibration, Targets, targets_of
from rove_hil.pose_tasks import Weights
from rove_hil.retarget import STEPS_TRACKING, Retargeter

RECORDINGS = Path(__file__).parents[2] / "test/data/mocap"
HEADSET_HZ = 72.0
# Frames at the start in which both come from home to the person: not what is measured.
SETTLE = 60

Solve = Callable[[MocapFrame], FloatArray]


def run(quick: bool) -> dict[str, Any]:
    """Measure. Takes 10 s, 3 s when `quick`.

    Raises:
        RoveError: the recordings of a checkout are not there.
    """
    space = JointSpace.load("iron_r01")
    passes = 1 if quick else 3
    motions = {"cmu_walk_and_real_hands": _walk(space), "robots_own_body": _own_body(space, 500)}
    results: dict[str, Any] = {"machine_cores": os.cpu_count(), "joints": space.dim, "steps_per_frame": STEPS_TRACKING}
    for name, frames in motions.items():
        ours, theirs = _measure(space, frames, passes)
        ratios = {f"{key}_ratio": round(ours[key] / theirs[key], 3) for key in ("p50_ms", "p99_ms")}
        results[name] = {"frames": len(frames) * passes, "rove": ours, "mink_solve_ik": theirs, "rove_of_mink": ratios}
    return results


def _walk(space: JointSpace) -> list[MocapFrame]:
    try:
        hands = np.load(RECORDINGS / "human_hand_right_21.npz")["keypoints_m"].astype(np.float64)
    except OSError:
        raise RoveError(f"no recordings under {RECORDINGS}", "run this benchmark in a checkout of the source") from None
    frames = list(mocap_frames(read_bvh(RECORDINGS / "cmu_12_01_walk.bvh"), space, hands))
    return frames[1:]  # the first one is the database's T-pose, a jump away from the walk


def _own_body(space: JointSpace, count: int) -> list[MocapFrame]:
    """A person with the robot's body moves every joint on a sine: everything is reachable."""
    rng = np.random.default_rng(0)
    amplitude, phase = rng.uniform(0.1, 0.4, space.dim), rng.uniform(0, 2 * np.pi, space.dim)
    rate_hz = rng.uniform(0.1, 0.6, space.dim)
    kinematics = Kinematics(space)
    frames = []
    for index in range(count):
        angle = 2 * np.pi * rate_hz * index / HEADSET_HZ + phase
        q = space.clip(space.home + amplitude * np.sin(angle))
        frames.append(kinematics.frame_from_joints(q, index, round(index / HEADSET_HZ * 1e9)))
    return frames


def _measure(space: JointSpace, frames: list[MocapFrame], passes: int) -> tuple[dict[str, float], dict[str, float]]:
    """Both solve every frame in turn, so that a busy machine is busy for both."""
    durations = np.empty((passes * len(frames), 2))
    palms, tips = np.empty_like(durations), np.empty_like(durations)
    judge = _Judge(space)
    for lap in range(passes):
        solvers: list[Solve] = [_rove(space), _Mink(space).solve]
        for index, frame in enumerate(frames):
            row = lap * len(frames) + index
            for column, solve in enumerate(solvers):
                began = time.perf_counter_ns()
                q = solve(frame)
                durations[row, column] = (time.perf_counter_ns() - began) * 1e-6
                palms[row, column], tips[row, column] = judge.errors_mm(q, frame)
    settled = np.arange(len(durations)) % len(frames) >= SETTLE
    results = []
    for column in range(2):
        figures: dict[str, float] = {}
        for name, unit, values in (
            ("", "ms", durations),
            ("palm_error_", "mm", palms),
            ("fingertip_error_", "mm", tips),
        ):
            p50, p99 = np.percentile(values[settled, column], [50, 99])
            figures |= {f"{name}p50_{unit}": round(float(p50), 3), f"{name}p99_{unit}": round(float(p99), 3)}
        results.append(figures)
    return results[0], results[1]


def _rove(space: JointSpace) -> Solve:
    retargeter = Retargeter(space)
    return lambda frame: retargeter.solve(frame).q


class _Judge:
    """Measures both solvers' answers the same way."""

    def __init__(self, space: JointSpace) -> None:
        self._kinematics = Kinematics(space)
        self._shapes = _shapes(space, self._kinematics)
        self._tips = self._kinematics.sites(*(f"{side}_{finger}_tip" for side in SIDES for finger in FINGERS))

    def errors_mm(self, q: FloatArray, frame: MocapFrame) -> tuple[float, float]:
        """Distance of the worse palm, and of the median fingertip relative to its palm."""
        targets = targets_of(frame, OperatorCalibration(), self._shapes)
        kinematics = self._kinematics
        kinematics.forward(q)
        palms = kinematics.site_positions(kinematics.palms)
        rotations = kinematics.site_rotations(kinematics.palms)
        tips = kinematics.site_positions(self._tips).reshape(2, -1, 3)
        in_palm = (tips - palms[:, None]) @ rotations
        palm = np.linalg.norm(palms - targets.palms, axis=1).max()
        return float(palm) * 1e3, float(np.median(np.linalg.norm(in_palm - targets.tips, axis=2))) * 1e3


class _Mink:
    """The same tasks, weights and number of steps through mink's task objects and `solve_ik` with daqp."""

    def __init__(self, space: JointSpace) -> None:
        kinematics = Kinematics(space)
        model = kinematics.model
        self._shapes = _shapes(space, kinematics)
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


def _shapes(space: JointSpace, kinematics: Kinematics) -> HandShapes:
    body = kinematics.frame_from_joints(space.home)
    return HandShapes.measured_from(body, kinematics.site_rotations(kinematics.palms))
