"""The command filter against ruckig: cost of a step, tracking of noisy sines, a step of 1 rad; all in one run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rove_core.errors import RoveError
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.joint_filter import JointFilter

DT_S = 0.005
NOISE_RAD = 0.003
AMPLITUDE_RAD = 0.6
FREQUENCIES_HZ = (0.2, 0.4, 0.8)
SETTLE_S = 2.0
# The joint that is looked at: V 6, A 40, J 800, and the centre of its motion here.
JOINT, CENTRE_RAD = "left_shoulder_pitch", -1.0

Follower = Callable[[FloatArray, FloatArray], FloatArray]
"""Target position [rad] and velocity [rad/s] of all joints to the next command [rad]."""


def run(quick: bool) -> dict[str, Any]:
    """Measure. Takes 10 s, 3 s when `quick`.

    Raises:
        RoveError: ruckig is not installed.
    """
    space = JointSpace.load("iron_r01")
    makers = _followers(space)
    steps = 3000 if quick else 20000
    return {
        "machine_cores": os.cpu_count(),
        "joints": space.dim,
        "rate_hz": 1 / DT_S,
        "step_cost": _ratios({name: _cost(space, make(space.home), steps) for name, make in makers.items()}),
        "step_1_rad": {name: _step(space, make) for name, make in makers.items()},
        "sine_tracking": {
            name: {f"{hz}_hz": _track(space, make, hz, 6.0 if quick else 20.0) for hz in FREQUENCIES_HZ}
            for name, make in makers.items()
        },
    }


def _followers(space: JointSpace) -> dict[str, Callable[[FloatArray], Follower]]:
    return {
        "rove_estimated_velocity": lambda start: _rove(space, start, given=False),
        "rove_given_velocity": lambda start: _rove(space, start, given=True),
        "ruckig_position": lambda start: _ruckig(space, start, given=False),
        "ruckig_given_velocity": lambda start: _ruckig(space, start, given=True),
    }


def _rove(space: JointSpace, start: FloatArray, *, given: bool) -> Follower:
    joint_filter = JointFilter(space, DT_S)
    joint_filter.reset(start)

    def follow(position: FloatArray, velocity: FloatArray) -> FloatArray:
        return joint_filter.step(position, target_velocity=velocity if given else None).position

    return follow


def _ruckig(space: JointSpace, start: FloatArray, *, given: bool) -> Follower:
    try:
        import ruckig
    except ImportError:
        raise RoveError("ruckig is not installed", "pip install ruckig (or rove_hil[bench])") from None
    otg = ruckig.Ruckig(space.dim, DT_S)
    state, output = ruckig.InputParameter(space.dim), ruckig.OutputParameter(space.dim)
    state.max_velocity, state.max_acceleration = space.max_velocity, space.max_acceleration
    state.max_jerk = space.max_jerk
    state.synchronization = ruckig.Synchronization.No
    state.current_position = start
    # Beyond this share of the limit ruckig refuses a target velocity: it could not be reached without overshoot.
    most = 0.9 * space.max_velocity

    def follow(position: FloatArray, velocity: FloatArray) -> FloatArray:
        state.target_position = position
        if given:
            state.target_velocity = np.clip(velocity, -most, most)
        otg.update(state, output)
        output.pass_to_input(state)
        return np.array(output.new_position)

    return follow


def _cost(space: JointSpace, follow: Follower, steps: int) -> dict[str, float]:
    """Time of a step with all joints on noisy sines."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, space.dim)
    reach = 0.25 * (space.upper - space.lower)
    middle = (space.upper + space.lower) / 2
    durations = np.empty(steps)
    for tick in range(steps):
        angle = phase + 2 * np.pi * 0.5 * tick * DT_S
        target = middle + reach * np.sin(angle) + NOISE_RAD * rng.standard_normal(space.dim)
        velocity = reach * np.pi * np.cos(angle)
        began = time.perf_counter_ns()
        follow(target, velocity)
        durations[tick] = time.perf_counter_ns() - began
    p50, p99 = np.percentile(durations[steps // 10 :], [50, 99]) * 1e-3
    return {"p50_us": round(float(p50), 1), "p99_us": round(float(p99), 1)}


def _ratios(costs: dict[str, dict[str, float]]) -> dict[str, Any]:
    """With each one's cost relative to ruckig's of the same kind."""
    for ours, theirs in (
        ("rove_estimated_velocity", "ruckig_position"),
        ("rove_given_velocity", "ruckig_given_velocity"),
    ):
        for quantile in ("p50", "p99"):
            ratio = costs[ours][f"{quantile}_us"] / costs[theirs][f"{quantile}_us"]
            costs[ours][f"{quantile}_of_{theirs}_ratio"] = round(ratio, 2)
    return dict(costs)


def _track(space: JointSpace, make: Callable[[FloatArray], Follower], hz: float, seconds: float) -> dict[str, float]:
    """RMS error and lag on a sine with noise; a given velocity is the true one."""
    rng = np.random.default_rng(1)
    joint = space.index(JOINT)
    time_s = np.arange(0, seconds, DT_S)
    truth = CENTRE_RAD + AMPLITUDE_RAD * np.sin(2 * np.pi * hz * time_s)
    speed = AMPLITUDE_RAD * 2 * np.pi * hz * np.cos(2 * np.pi * hz * time_s)
    target, velocity = space.home.copy(), np.zeros(space.dim)
    target[joint] = CENTRE_RAD
    follow = make(target.copy())
    followed = np.empty_like(truth)
    for tick, position in enumerate(truth):
        target[joint] = position + NOISE_RAD * rng.standard_normal()
        velocity[joint] = speed[tick]
        followed[tick] = follow(target, velocity)[joint]
    settled = time_s >= SETTLE_S
    error = (followed - truth)[settled]
    lag_s = -float(error @ speed[settled]) / float(speed[settled] @ speed[settled])
    return {
        "rms_mrad": round(float(np.sqrt(np.mean(error**2))) * 1e3, 2),
        "lag_ms": round(lag_s * 1e3, 2),
        "noise_rad": NOISE_RAD,
    }


def _step(space: JointSpace, make: Callable[[FloatArray], Follower]) -> dict[str, float]:
    """Time to stay within 2 % of a 1 rad step, and overshoot."""
    joint = space.index(JOINT)
    start = space.home.copy()
    start[joint] = CENTRE_RAD - 1
    follow = make(start)
    goal = start.copy()
    goal[joint] = CENTRE_RAD
    still = np.zeros(space.dim)
    way = np.array([follow(goal, still)[joint] - start[joint] for _ in range(int(1.0 / DT_S))])
    outside = np.flatnonzero(np.abs(way - 1) > 0.02)
    return {
        "t98_s": round(float(outside[-1] + 2) * DT_S, 4),
        "overshoot_percent": round(max(0.0, float(way.max() - 1)) * 100, 3),
    }
