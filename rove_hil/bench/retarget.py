"""Retargeting real motion: time and error per frame, beside mink and dex-retargeting in the same run, and its rate
through a real node.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rove_core.errors import RoveError
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.bench import dexpilot
from rove_hil.bench.mink_solver import MinkSolver, hand_shapes
from rove_hil.bench.node_processes import probe
from rove_hil.operator.bvh import mocap_frames, read_bvh
from rove_hil.operator.mocap import FINGERS, SIDES, MocapFrame
from rove_hil.operator.operator_calibration import OperatorCalibration, targets_of
from rove_hil.retarget import STEPS_TRACKING, Retargeter
from rove_hil.retargeting.kinematics import Kinematics
from rove_hil.retargeting.velocity_damper import VelocityDamper

RECORDINGS = Path(__file__).parents[2] / "test/data/mocap"
HEADSET_HZ = 72.0
# Frames at the start in which all come from home to the person: not what is measured.
SETTLE = 60
# Rate that has to be held through wire, node and DDS [Hz].
END_TO_END_HZ = 100.0

Solve = Callable[[MocapFrame], FloatArray]


def run(quick: bool) -> dict[str, Any]:
    """Measure. Takes a minute, 15 s when `quick`.

    Raises:
        RoveError: the recordings of a checkout are not there, or a process that takes part failed.
    """
    space = JointSpace.load("iron_r01")
    passes = 1 if quick else 3
    motions = {"cmu_walk_and_real_hands": _walk(space), "robots_own_body": _own_body(space, 500)}
    results: dict[str, Any] = {"machine_cores": os.cpu_count(), "joints": space.dim, "steps_per_frame": STEPS_TRACKING}
    for name, frames in motions.items():
        solvers: dict[str, Callable[[], Solve]] = {
            "rove": lambda: _rove(space, keep_apart=True),
            "rove_without_collisions": lambda: _rove(space, keep_apart=False),
            "mink_solve_ik": lambda: MinkSolver(space).solve,
        }
        figures = _measure(space, frames, passes, solvers)
        ratios = _ratios(figures["rove"], figures["mink_solve_ik"], ("p50_ms", "p99_ms"))
        results[name] = {"frames": len(frames) * passes, **figures, "rove_of_mink": ratios}
    results["ten_fingertips_reachable"] = _hands(space, motions["robots_own_body"])
    results["through_retarget_node"] = _end_to_end(4.0 if quick else 20.0)
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


def _measure(
    space: JointSpace, frames: list[MocapFrame], passes: int, makers: dict[str, Callable[[], Solve]]
) -> dict[str, dict[str, float]]:
    """All solve every frame in turn, so that a busy machine is busy for all."""
    durations = np.empty((passes * len(frames), len(makers)))
    palms, tips = np.empty_like(durations), np.empty_like(durations)
    judge = _Judge(space)
    for lap in range(passes):
        solvers = [make() for make in makers.values()]
        for index, frame in enumerate(frames):
            row = lap * len(frames) + index
            for column, solve in enumerate(solvers):
                began = time.perf_counter_ns()
                q = solve(frame)
                durations[row, column] = (time.perf_counter_ns() - began) * 1e-6
                palm, fingers = judge.errors_mm(q, frame)
                palms[row, column], tips[row, column] = palm.max(), np.median(fingers)
    settled = np.arange(len(durations)) % len(frames) >= SETTLE
    return {
        name: _quantiles("ms", durations[settled, column])
        | _quantiles("palm_error_mm", palms[settled, column])
        | _quantiles("fingertip_error_mm", tips[settled, column])
        for column, name in enumerate(makers)
    }


def _hands(space: JointSpace, frames: list[MocapFrame]) -> dict[str, Any]:
    """Ten fingertips on targets that can be reached: our whole body against a peer's two hands."""
    judge, solve = _Judge(space), _rove(space, keep_apart=True)
    durations, errors = [], []
    for frame in frames:
        began = time.perf_counter_ns()
        q = solve(frame)
        durations.append((time.perf_counter_ns() - began) * 1e-6)
        errors.append(judge.errors_mm(q, frame)[1].mean())

    def figures(milliseconds: FloatArray, mm: FloatArray) -> dict[str, float]:
        return _quantiles("ms", milliseconds[SETTLE:]) | _quantiles("fingertip_error_mm", mm[SETTLE:])

    results: dict[str, Any] = {"rove_whole_body": figures(np.array(durations), np.array(errors))}
    peers = dexpilot.solve(space, frames)
    if peers is None:
        return results | {"dex_retargeting": dexpilot.NOT_INSTALLED}
    for name, peer in peers.items():
        mm = [judge.errors_mm(q, frame)[1].mean() for q, frame in zip(peer.q, frames, strict=True)]
        theirs = figures(peer.milliseconds, np.array(mm))
        results[f"dex_retargeting_{name}"] = theirs
        results[f"rove_of_{name}"] = _ratios(results["rove_whole_body"], theirs, ("p50_ms", "fingertip_error_p50_mm"))
    return results


def _end_to_end(seconds: float) -> dict[str, Any]:
    """Frames over the wire into a real retarget_node, targets over DDS out of it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    recording = str(RECORDINGS / "cmu_12_01_walk.bvh")
    options = ("--url", url, "--recording", recording, "--rate-hz", str(END_TO_END_HZ), "--seconds", str(seconds))
    printed = probe("retarget_probe", options, {"retarget_node": ("--ros-args", "-p", f"mocap_url:={url}")})
    figures: dict[str, Any] = json.loads(printed)
    return figures


def _rove(space: JointSpace, *, keep_apart: bool) -> Solve:
    retargeter = Retargeter(space, damper=VelocityDamper(space) if keep_apart else None)
    return lambda frame: retargeter.solve(frame).q


class _Judge:
    """Measures all solvers' answers the same way."""

    def __init__(self, space: JointSpace) -> None:
        self._kinematics = Kinematics(space)
        self._shapes = hand_shapes(space, self._kinematics)
        self._tips = self._kinematics.sites(*(f"{side}_{finger}_tip" for side in SIDES for finger in FINGERS))

    def errors_mm(self, q: FloatArray, frame: MocapFrame) -> tuple[FloatArray, FloatArray]:
        """Distance of each palm (2,) from its target, and of each fingertip (2, 5) relative to its palm."""
        targets = targets_of(frame, OperatorCalibration(), self._shapes)
        kinematics = self._kinematics
        kinematics.forward(q)
        palms = kinematics.site_positions(kinematics.palms)
        rotations = kinematics.site_rotations(kinematics.palms)
        tips = kinematics.site_positions(self._tips).reshape(2, -1, 3)
        in_palm = (tips - palms[:, None]) @ rotations
        palm = np.linalg.norm(palms - targets.palms, axis=1)
        return 1e3 * palm, 1e3 * np.linalg.norm(in_palm - targets.tips, axis=2)


def _quantiles(name: str, values: FloatArray) -> dict[str, float]:
    """`name` ends in the unit: "error_mm" becomes error_p50_mm and error_p99_mm."""
    stem, _, unit = f"_{name}".rpartition("_")
    stem = f"{stem[1:]}_" if stem else ""
    return {f"{stem}p{q}_{unit}": round(float(np.percentile(values, q)), 3) for q in (50, 99)}


def _ratios(ours: dict[str, float], theirs: dict[str, float], keys: tuple[str, ...]) -> dict[str, float]:
    return {f"{key}_ratio": round(ours[key] / theirs[key], 3) for key in keys}
