"""The guard: cost of a query and of a tick beside the filter's own step, and what it prevents."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.guard.braking import CommandState
from rove_hil.guard.clearance import Clearance
from rove_hil.guard.collision import CollisionModel
from rove_hil.guard.command_guard import Guard, Verdict
from rove_hil.joint_filter import JointFilter

DT_S = 0.005
QUERY_DISTANCE_M = 0.05
# Gaps are watched up to this [m].
WATCH_M = 0.02

Targets = Callable[[float], tuple[FloatArray, FloatArray]]
"""Time [s] to position [rad] and velocity [rad/s] of all joints."""


def run(quick: bool) -> dict[str, Any]:
    """Measure. Takes 30 s, 10 s when `quick`."""
    space = JointSpace.load("iron_r01")
    seconds = 3.0 if quick else 15.0
    motions = {
        "work_in_front": _sines(space, share=0.12, hz=0.5),
        "hands_at_the_chest": _hands_at_the_chest(space),
        "whole_range_of_all_joints": _sines(space, share=1.0, hz=1.0),
    }
    return {
        "machine_cores": os.cpu_count(),
        "joints": space.dim,
        "rate_hz": 1 / DT_S,
        "query": _query(space, 1000 if quick else 10000),
        "motions": {
            name: {"guarded": _follow(space, targets, seconds, guarded=True)}
            | {"unguarded": _follow(space, targets, seconds, guarded=False)}
            for name, targets in motions.items()
        },
    }


def _sines(space: JointSpace, share: float, hz: float) -> Targets:
    """All joints on sines of their own, a `share` of their range wide, at a tenth of `hz` to `hz`."""
    rng = np.random.default_rng(0)
    omega, phase = 2 * np.pi * hz * rng.uniform(0.1, 1.0, space.dim), rng.uniform(0, 2 * np.pi, space.dim)
    reach = share * (space.upper - space.lower) / 2
    middle = np.clip(space.home, space.lower + reach, space.upper - reach)
    return lambda at_s: (
        middle + reach * np.sin(omega * at_s + phase),
        reach * omega * np.cos(omega * at_s + phase),
    )


def _hands_at_the_chest(space: JointSpace) -> Targets:
    """Both forearms swing into the chest and out again, at .5 Hz: told to be in it for half of the time."""
    omega, start, swing = np.pi, space.home.copy(), np.zeros(space.dim)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        start[space.index(f"{side}_elbow")] = -2.0
        swing[space.index(f"{side}_shoulder_yaw")] = -1.2 * sign
    return lambda at_s: (
        start + swing * (0.5 - 0.5 * np.cos(omega * at_s)),
        swing * 0.5 * omega * np.sin(omega * at_s),
    )


def _query(space: JointSpace, count: int) -> dict[str, Any]:
    """Cost of finding what is near in poses around home."""
    model, rng = CollisionModel(space), np.random.default_rng(0)
    poses = space.clip(space.home + 0.2 * rng.standard_normal((count, space.dim)))
    durations, found = np.empty(count), 0
    for row, q in enumerate(poses):
        began = time.perf_counter_ns()
        near = model.near(q, QUERY_DISTANCE_M)
        durations[row] = time.perf_counter_ns() - began
        found += len(near)
    return {"distance_m": QUERY_DISTANCE_M, "pairs_of_the_robot": len(model.pairs)} | {
        "pairs_found": round(found / count, 1),
        **_quantiles(durations),
    }


def _follow(space: JointSpace, targets: Targets, seconds: float, *, guarded: bool) -> dict[str, Any]:
    """Follow for `seconds`; the smallest gap is of the commands."""
    clearance, joint_filter = Clearance(space), JointFilter(space, DT_S)
    guard = Guard(space, DT_S, clearance)
    joint_filter.reset(targets(0.0)[0])
    nobody = np.zeros(space.dim, dtype=np.bool_)
    velocity = acceleration = np.zeros(space.dim)
    near = np.full(len(clearance.reach), WATCH_M)
    ticks = int(seconds / DT_S)
    durations = np.empty((2, ticks))
    least, held_back, braked = WATCH_M, 0, 0
    for tick in range(ticks):
        verdict = Verdict(*targets(tick * DT_S), nobody, "")
        began = time.perf_counter_ns()
        if guarded:
            state = CommandState(joint_filter.position, velocity, acceleration, joint_filter.rest_position)
            verdict = guard.limit(state, verdict.target, verdict.velocity, nobody)
        between = time.perf_counter_ns()
        output = joint_filter.step(verdict.target, target_velocity=verdict.velocity, brake=verdict.brake)
        durations[:, tick] = between - began, time.perf_counter_ns() - between
        velocity, acceleration = output.velocity, output.acceleration
        held_back += bool(verdict.reason)
        braked += bool(verdict.brake.any())
        gaps = clearance.rows(output.position, near).gap
        least = min(least, float(gaps.min())) if len(gaps) else least
    result: dict[str, Any] = {"smallest_gap_mm": round(least * 1e3, 2), "filter_step": _quantiles(durations[1])}
    if guarded:
        result |= {"guard": _quantiles(durations[0]), "held_back_share": round(held_back / ticks, 3)}
        result |= {"braked_share": round(braked / ticks, 3)}
    return result


def _quantiles(durations_ns: FloatArray) -> dict[str, float]:
    p50, p99 = np.percentile(durations_ns[len(durations_ns) // 10 :], [50, 99]) * 1e-3
    return {"p50_us": round(float(p50), 1), "p99_us": round(float(p99), 1)}
