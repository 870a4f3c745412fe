"""The command filter against ruckig and a plain limiter, all in one run.

Cost of a step; a step of 1 rad; noisy sines; and what a headset sends: sines and strokes too fast to follow, at 72 Hz
with noise, measured latencies and lost frames, through the playout and the estimator that the arbiter uses.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rove_core.clocks import NS_PER_S
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.bench.followers import Follower, followers
from rove_hil.command.sampled_motion import SampledMotion
from rove_hil.operator.mocap_replay import arrivals_ns

DT_S = 0.005
NOISE_RAD = 0.003
AMPLITUDE_RAD = 0.6
FREQUENCIES_HZ = (0.2, 0.4, 0.8)
SETTLE_S = 2.0
# The joint that is looked at: V 6, A 40, J 800, and the centre of its motion here.
JOINT, CENTRE_RAD = "left_shoulder_pitch", -1.0

# Measured camera-to-headset latencies [ms], a thousand frames each (VisionProTeleop benchmarks, MIT).
LATENCIES = Path(__file__).with_name("headset_latency_ms.npz")
FRAME_NS = NS_PER_S // 72
LOST_SHARE = 0.05
# Playing has got used to the network by then.
HEADSET_SETTLE_S = 5.0
STROKES_S = (0.3, 0.4, 0.5)

Maker = Callable[[JointSpace, FloatArray], Follower]
Motion = Callable[[float], FloatArray]


def run(quick: bool) -> dict[str, Any]:
    """Measure. Takes 15 s, 6 s when `quick`.

    Raises:
        RoveError: ruckig is not installed.
    """
    space = JointSpace.load("iron_r01")
    makers = followers(DT_S)
    steps = 3000 if quick else 20000
    return {
        "machine_cores": os.cpu_count(),
        "joints": space.dim,
        "rate_hz": 1 / DT_S,
        "noise_rad": NOISE_RAD,
        "step_cost": _ratios({name: _cost(space, make(space, space.home), steps) for name, make in makers.items()}),
        "step_1_rad": {name: _step(space, make) for name, make in makers.items()},
        "sine_tracking": {
            name: {f"{hz}_hz": _track(space, make, hz, 6.0 if quick else 20.0) for hz in FREQUENCIES_HZ}
            for name, make in makers.items()
        },
        "headset": {
            network: {
                name: _headset(space, make, latency_ms, quick)
                for name, make in makers.items()
                if name != "rove_estimated_velocity"  # there is always a velocity from the playout
            }
            for network, latency_ms in _networks().items()
        },
    }


def _networks() -> dict[str, FloatArray]:
    with np.load(LATENCIES) as archive:
        return {"even": np.full(1, 50.0)} | {name: archive[name].astype(np.float64) for name in archive.files}


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


def _track(space: JointSpace, make: Maker, hz: float, seconds: float) -> dict[str, float]:
    """RMS error and lag on a sine with noise; a given velocity is the true one."""
    rng = np.random.default_rng(1)
    joint = space.index(JOINT)
    time_s = np.arange(0, seconds, DT_S)
    truth = CENTRE_RAD + AMPLITUDE_RAD * np.sin(2 * np.pi * hz * time_s)
    speed = AMPLITUDE_RAD * 2 * np.pi * hz * np.cos(2 * np.pi * hz * time_s)
    target, velocity = space.home.copy(), np.zeros(space.dim)
    target[joint] = CENTRE_RAD
    follow = make(space, target.copy())
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
    }


def _step(space: JointSpace, make: Maker) -> dict[str, float]:
    """Time to stay within 2 % of a 1 rad step, and overshoot."""
    joint = space.index(JOINT)
    start = space.home.copy()
    start[joint] = CENTRE_RAD - 1
    follow = make(space, start)
    goal = start.copy()
    goal[joint] = CENTRE_RAD
    still = np.zeros(space.dim)
    way = np.array([follow(goal, still)[joint] - start[joint] for _ in range(int(1.0 / DT_S))])
    outside = np.flatnonzero(np.abs(way - 1) > 0.02)
    return {
        "t98_s": round(float(outside[-1] + 2) * DT_S, 4),
        "overshoot_percent": round(max(0.0, float(way.max() - 1)) * 100, 3),
    }


def _headset(space: JointSpace, make: Maker, latency_ms: FloatArray, quick: bool) -> dict[str, Any]:
    """Sines of .8 Hz and strokes of 1 rad, in fifty shoulders at once, each a little later than the one before."""
    shoulders = _shoulders(space)
    speed = 2 * np.pi * FREQUENCIES_HZ[-1]
    phase = np.linspace(0, 2 * np.pi, space.dim)
    seconds = HEADSET_SETTLE_S + (3.0 if quick else 10.0)
    times, sent, truth, delay_s = _play(
        shoulders, make, lambda t: AMPLITUDE_RAD * np.sin(speed * t + phase), seconds, latency_ms
    )
    error, rate = sent - truth, np.gradient(truth, times, axis=0)
    figures: dict[str, Any] = {
        "played_after_ms": round(delay_s * 1e3, 1),
        "sine_rms_mrad": round(float(np.sqrt(np.mean(error**2))) * 1e3, 2),
        "sine_lag_ms": round(-float(np.sum(error * rate) / np.sum(rate**2)) * 1e3, 2),
    }
    for duration_s in STROKES_S:
        starts = HEADSET_SETTLE_S + np.linspace(0.1, 0.5, space.dim)
        stroke = _stroke(starts, duration_s)
        _, sent, truth, _ = _play(shoulders, make, stroke, HEADSET_SETTLE_S + 2.0 + duration_s, latency_ms)
        beyond = np.maximum(sent.max(axis=0) - 1, 0)
        figures[f"stroke_{duration_s}_s"] = {
            "overshoot_mean_mrad": round(float(beyond.mean()) * 1e3, 1),
            "overshoot_max_mrad": round(float(beyond.max()) * 1e3, 1),
            "rms_mrad": round(float(np.sqrt(np.mean((sent - truth) ** 2))) * 1e3, 1),
        }
    return figures


def _shoulders(space: JointSpace) -> JointSpace:
    """As many of the joint that is looked at as there are joints, with room to both sides."""
    joint, every = space.index(JOINT), np.ones(space.dim)
    return dataclasses.replace(
        space,
        lower=-3 * every,
        upper=3 * every,
        home=0 * every,
        max_velocity=space.max_velocity[joint] * every,
        max_acceleration=space.max_acceleration[joint] * every,
        max_jerk=space.max_jerk[joint] * every,
    )


def _stroke(starts_s: FloatArray, duration_s: float) -> Motion:
    """Minimum-jerk strokes of 1 rad (Flash and Hogan, 1985)."""

    def position(time_s: float) -> FloatArray:
        x = np.clip((time_s - starts_s) / duration_s, 0, 1)
        return np.asarray(x**3 * (10 - 15 * x + 6 * x**2))

    return position


def _play(
    space: JointSpace, make: Maker, motion: Motion, seconds: float, latency_ms: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Times [s], commands, the truth as late as it is played (ticks, dim), and that delay at the end [s]."""
    rng = np.random.default_rng(2)
    captures = np.arange(0, round(seconds * NS_PER_S), FRAME_NS)
    captures = captures[rng.random(len(captures)) >= LOST_SHARE]
    arrivals = arrivals_ns(captures.tolist(), latency_ms)
    played, follow, newest = SampledMotion(space), make(space, motion(0.0)), -1
    times, sent, truth = [], [], []
    for now_ns in range(int(arrivals[0]), int(arrivals[-1]), round(DT_S * NS_PER_S)):
        there = int(np.searchsorted(arrivals, now_ns, side="right")) - 1
        if there > newest:  # as in the node: of frames that come at once, the newest counts
            newest = there
            sample = motion(captures[there] / NS_PER_S) + NOISE_RAD * rng.standard_normal(space.dim)
            played.take(int(captures[there]), int(arrivals[there]), sample)
        command = follow(*played.at(now_ns))
        if now_ns > HEADSET_SETTLE_S * NS_PER_S:
            times.append(now_ns / NS_PER_S)
            sent.append(command)
            truth.append(motion((now_ns - played.delay_ns) / NS_PER_S))
    return np.array(times), np.array(sent), np.array(truth), played.delay_ns / NS_PER_S
