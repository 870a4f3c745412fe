"""Slow models and networks: stalls, the age of actions, and how roughly chunks join, for each way to join them.

Planned by the real planner and followed by the real arbiter and command filter, on a clock that only exists here: five
minutes take seconds. The model is made up. It knows a smooth motion (sines of .25 rad) and errs anew in every chunk,
by .02 rad in the end and a quarter of that at first, in every joint for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import entry_points
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from rove_core.chunks import Chunk
from rove_core.clocks import NS_PER_S
from rove_core.errors import ConfigError
from rove_core.joint_space import FloatArray, JointSpace
from rove_inference.bench.dummy import CONTROL_HZ, HORIZON, dummy_policy
from rove_inference.bundle import JoinName
from rove_inference.joining import on_grid
from rove_inference.observation import Observation
from rove_inference.planner import Authority, Choices, Planner, Request
from rove_inference.query import Prediction

MODELS_MS = (30, 100, 300)
JOINS: tuple[JoinName, ...] = ("replace", "blend", "ensemble", "rtc")

# Measured camera-to-headset latency of 720p stereo video over wireless [ms]: quantiles of a thousand frames
# (VisionProTeleop benchmarks, MIT). It stands for what the network adds to one question and its answer.
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
WIRELESS_MS = (40.0, 42.0, 44.0, 48.0, 52.0, 61.0, 104.0, 116.0, 133.0, 189.0)
NETWORKS = {"local": (0.0,) * len(QUANTILES), "wireless": WIRELESS_MS}

# A model's time varies by so much of itself (standard deviation, upwards only).
MODEL_JITTER = 0.05
# From capture to arrival of a picture; what observing and publishing cost.
CAMERA_NS, OVERHEAD_NS = 20_000_000, 1_000_000
FRAME_NS = NS_PER_S // 30

AMPLITUDE_RAD, SLOWEST_HZ, FASTEST_HZ = 0.25, 0.2, 0.5
ERROR_RAD, FIRST_ERROR = 0.02, 0.25
LIMIT_ROOM_RAD = 5 * ERROR_RAD

# A join is over so long after the chunk arrived.
JOIN_S = 0.1
TICK_S = 0.005
# The start from the home pose is no join.
SETTLE_S = 3.0

Playback = Callable[..., tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]]


def run(quick: bool) -> dict[str, Any]:
    """Five minutes of robot time for each model, network and way to join, 20 s when `quick`.

    Raises:
        ConfigError: the robot's side is not installed.
    """
    points = list(entry_points(group="rove.playbacks"))
    if not points:
        raise ConfigError("no playback of chunks is installed", "install rove_hil anew: pip install -e .")
    play: Playback = points[0].load()
    seconds = 20 if quick else 300
    figures: dict[str, Any] = {"robot_time_s": seconds}
    for network, quantiles_ms in NETWORKS.items():
        for model_ms in MODELS_MS:
            figures[f"{network}_model_{model_ms}_ms"] = {
                join: Rollout(join, model_ms, quantiles_ms, seconds).figures(play) for join in JOINS
            }
    return figures


class Rollout:
    """One way to join with one model over one network."""

    def __init__(self, join: JoinName, model_ms: float, network_ms: tuple[float, ...], seconds: int) -> None:
        self._space = JointSpace.load("iron_r01")
        self._generator = np.random.default_rng(7)
        self._model_ms, self._network_ms = model_ms, network_ms
        self._end_ns = seconds * NS_PER_S
        self._hz = self._generator.uniform(SLOWEST_HZ, FASTEST_HZ, self._space.dim)
        # As near to the home pose as they can swing without touching a limit: a clipped target has a kink of its own.
        middle = (self._space.lower + self._space.upper) / 2
        room = np.maximum((self._space.upper - self._space.lower) / 2 - LIMIT_ROOM_RAD, 0.0)
        self._reach = np.minimum(AMPLITUDE_RAD, room)
        shift = room - self._reach
        self._centre = np.clip(self._space.home, middle - shift, middle + shift)
        self._planner = Planner(dummy_policy(self._space, 8), Choices(join=join))
        self._planner.set_authority(Authority(True, 1, "bench", 0))
        self._published: list[tuple[int, Chunk]] = []

    def _motion(self, times_s: FloatArray) -> FloatArray:
        angle = 2 * np.pi * times_s[:, None] * self._hz
        return np.asarray(self._centre + self._reach * np.sin(angle))

    def _predict(self, observation: Observation) -> Prediction:
        steps = np.arange(HORIZON)
        grows = FIRST_ERROR + (1 - FIRST_ERROR) * steps[:, None] / HORIZON
        error = ERROR_RAD * self._generator.standard_normal(self._space.dim) * grows
        positions = self._motion(observation.stamp_ns / NS_PER_S + steps / CONTROL_HZ) + error
        return Prediction(self._space.clip(positions).astype(np.float32), 0, self._model_ms)

    def _answer_ns(self, now_ns: int) -> int:
        model_ms = self._model_ms * (1 + MODEL_JITTER * abs(self._generator.standard_normal()))
        network_ms = np.interp(self._generator.uniform(), QUANTILES, self._network_ms)
        return now_ns + OVERHEAD_NS + int((model_ms + network_ms) * 1e6)

    def _plan(self) -> None:
        """Everything that happens on the policy's side: pictures arrive, questions leave, answers come."""
        frame = 0
        pending: tuple[int, Request] | None = None
        while True:
            arrival_ns = frame * FRAME_NS + CAMERA_NS
            now_ns = arrival_ns if pending is None else min(arrival_ns, pending[0])
            if now_ns >= self._end_ns:
                return
            if pending is not None and now_ns == pending[0]:
                answer = self._planner.answered(pending[1], self._predict(pending[1].observation), now_ns)
                pending = None
                if answer is not None:
                    self._published.append((now_ns, answer.chunk))
            else:
                frame += 1
            newest_ns = (frame - 1) * FRAME_NS
            if frame and self._planner.due(now_ns):
                request = self._planner.ask(Observation(newest_ns, newest_ns, self._centre, {}), now_ns)
                pending = None if request is None else (self._answer_ns(now_ns), request)

    def figures(self, play: Playback) -> dict[str, float]:
        """Run and look."""
        began = time.perf_counter()
        self._plan()
        targets, commands, in_force = play(self._space, self._published, self._end_ns)
        times_s = (np.arange(len(targets)) * TICK_S).astype(np.float64)
        settled = times_s >= SETTLE_S
        observed_s = np.array([0.0, *(chunk.observation_ns / NS_PER_S for _, chunk in self._published)])
        driven = settled & (in_force > 0)
        age_ms = (times_s - observed_s[in_force])[driven] * 1e3
        joining = self._joining(times_s) & settled
        elsewhere = settled & ~joining
        acceleration = np.abs(np.diff(commands, 2, axis=0, prepend=commands[:2])).max(axis=1) / TICK_S**2
        step = np.abs(np.diff(targets, axis=0, prepend=targets[:1])).max(axis=1)
        error = (targets - self._motion(times_s))[driven]
        jumps = self._jumps()
        return {
            "chunks": len(self._published),
            "stalls": self._planner.stalls,
            "held_ms": round(float((in_force[settled] == 0).sum()) * TICK_S * 1e3),
            "action_age_p50_ms": round(float(np.percentile(age_ms, 50)), 1),
            "action_age_p99_ms": round(float(np.percentile(age_ms, 99)), 1),
            "delay_estimate_steps": self._planner.scheduler.delay_steps,
            "chunks_differ_by_p50_mrad": round(float(np.percentile(jumps, 50)) * 1e3, 1),
            "chunks_differ_by_max_mrad": round(float(jumps.max()) * 1e3, 1),
            "target_step_at_joins_max_mrad": round(float(step[joining].max()) * 1e3, 2),
            "acceleration_at_joins_p99_radps2": round(float(np.percentile(acceleration[joining], 99)), 2),
            "acceleration_at_joins_max_radps2": round(float(acceleration[joining].max()), 2),
            "acceleration_elsewhere_p99_radps2": round(float(np.percentile(acceleration[elsewhere], 99)), 2),
            "acceleration_elsewhere_max_radps2": round(float(acceleration[elsewhere].max()), 2),
            "target_error_rms_mrad": round(float(np.sqrt(np.mean(error**2))) * 1e3, 2),
            "took_s": round(time.perf_counter() - began, 1),
        }

    def _joining(self, times_s: FloatArray) -> npt.NDArray[np.bool_]:
        arrivals_s = np.array([arrival_ns / NS_PER_S for arrival_ns, _ in self._published])
        last = np.searchsorted(arrivals_s, times_s, side="right") - 1
        return np.asarray((last >= 0) & (times_s - arrivals_s[np.maximum(last, 0)] < JOIN_S))

    def _jumps(self) -> FloatArray:
        """By how much the joint that differs most would jump at each arrival, if nobody cancelled it [rad]."""
        jumps = []
        for (_, before), (arrival_ns, chunk) in pairwise(self._published):
            if arrival_ns < SETTLE_S * NS_PER_S:
                continue
            old, _ = on_grid(before, arrival_ns, 1, chunk.dt_s)
            new, _ = on_grid(chunk, arrival_ns, 1, chunk.dt_s)
            jumps.append(float(np.abs(new - old).max()))
        return np.array(jumps)
