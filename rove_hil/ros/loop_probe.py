"""What `rove bench loop` runs beside a real filter_node: plays driver, policy and supervisor, and watches the traces.

A process of its own, because rclpy is started once per process. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import array
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rove_msgs.msg import ActionChunk, CommandTrace, ControlMode
from sensor_msgs.msg import JointState

from rove_core.errors import RoveError
from rove_core.joint_space import JointSpace
from rove_core.modes import Mode, Source
from rove_core.ros import stamps, topics

START_S = 20.0
PAUSE_S = 0.4
CHUNK_STEPS, CHUNK_DT_S = 32, 1 / 30
HEARTBEAT_S = 0.05


class Probe:
    """Driver, policy and supervisor in one, with the traces that came back."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._space = JointSpace.load("iron_r01")
        self.traces: list[CommandTrace] = []
        self._epoch, self._chunk_id = 0, 0
        self._mode = Mode.IDLE
        self._states = node.create_publisher(JointState, topics.JOINT_STATES, topics.QOS_JOINT_STATES)
        self._modes = node.create_publisher(ControlMode, topics.MODE, topics.QOS_MODE)
        self._chunks = node.create_publisher(ActionChunk, topics.CHUNK, topics.QOS_CHUNK)
        node.create_subscription(CommandTrace, topics.COMMAND_TRACE, self.traces.append, topics.QOS_COMMAND_TRACE)

    def start(self) -> None:
        """Give measured joints until commands come. Raises RoveError when none do."""
        state = JointState(name=list(self._space.names), position=array.array("d", self._space.home.tobytes()))
        deadline = time.monotonic() + START_S
        while not self.traces:
            if time.monotonic() > deadline:
                raise RoveError(f"filter_node sent nothing within {START_S:.0f} s", "its log says why")
            self._states.publish(state)
            self._spin(HEARTBEAT_S, lambda: None)

    def roll(self, seconds: float) -> list[CommandTrace]:
        """The policy drives for `seconds`; the traces of that time."""
        self._say(Mode.ROLLOUT)
        self._chunk()
        self._spin(0.3, self._work)
        self.traces.clear()
        self._spin(seconds, self._work)
        return list(self.traces)

    def pause(self) -> float | None:
        """Pause a moving robot; time from the press to the first command that brakes or holds [s]."""
        self.roll(PAUSE_S)
        self.traces.clear()
        pressed_ns = time.time_ns()
        self._say(Mode.PAUSED)
        self._spin(PAUSE_S / 2, self._work)
        for trace in self.traces:
            if trace.epoch == self._epoch and trace.source in (Source.HOLD, Source.STOP):
                return (stamps.to_ns(trace.stamp) - pressed_ns) * 1e-9
        return None

    def _say(self, mode: Mode) -> None:
        if mode is not self._mode:
            self._mode, self._epoch = mode, self._epoch + 1
        self._modes.publish(ControlMode(mode=mode.number, epoch=self._epoch))

    def _work(self) -> None:
        self._say(self._mode)
        if self._mode is Mode.ROLLOUT:
            self._chunk()

    def _chunk(self) -> None:
        self._chunk_id += 1
        now_ns = time.time_ns()
        ahead_s = now_ns * 1e-9 % 1000 + np.arange(CHUNK_STEPS) * CHUNK_DT_S
        rows = self._space.home + 0.3 * np.sin(np.pi * ahead_s)[:, None]
        msg = ActionChunk(epoch=self._epoch, chunk_id=self._chunk_id, dt_s=CHUNK_DT_S, execute=8)
        msg.observation_stamp = stamps.to_msg(now_ns)
        msg.horizon, msg.dim = CHUNK_STEPS, self._space.dim
        msg.data = array.array("f", rows.astype(np.float32).tobytes())
        self._chunks.publish(msg)

    def _spin(self, seconds: float, meanwhile: Callable[[], None]) -> None:
        end = time.monotonic() + seconds
        again = time.monotonic() + HEARTBEAT_S
        while (now := time.monotonic()) < end:
            if now >= again:
                again += HEARTBEAT_S
                meanwhile()
            rclpy.spin_once(self._node, timeout_sec=0.005)


def _figures(traces: list[CommandTrace], period_s: float) -> dict[str, Any]:
    ticks = np.array([trace.tick for trace in traces], dtype=np.int64)
    times_ms = np.array([trace.mono_ns for trace in traces], dtype=np.int64) * 1e-6
    neighbours = np.diff(ticks) == 1
    jitter_ms = np.abs(np.diff(times_ms)[neighbours] - period_s * 1e3)
    step_us = np.array([trace.step_us for trace in traces])
    return {
        "ticks": len(traces),
        "rate_hz": round(float((ticks[-1] - ticks[0]) / (times_ms[-1] - times_ms[0]) * 1e3), 2),
        "period_jitter_p50_ms": round(float(np.percentile(jitter_ms, 50)), 4),
        "period_jitter_p99_ms": round(float(np.percentile(jitter_ms, 99)), 4),
        "period_jitter_max_ms": round(float(jitter_ms.max()), 4),
        "filter_step_p50_us": round(float(np.percentile(step_us, 50)), 1),
        "filter_step_p99_us": round(float(np.percentile(step_us, 99)), 1),
    }


def _pauses(probe: Probe, count: int, period_s: float) -> dict[str, Any]:
    waits = np.array([wait for _ in range(count) if (wait := probe.pause()) is not None])
    return {
        "pauses": count,
        "pauses_not_seen": count - len(waits),
        "pause_to_held_p50_ms": round(float(np.percentile(waits, 50)) * 1e3, 3),
        "pause_to_held_max_ms": round(float(waits.max()) * 1e3, 3),
        "pause_to_held_max_ticks": int(np.ceil(waits.max() / period_s)),
    }


def main() -> None:
    """Measure with an idle machine, then with every core busy."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--pauses", type=int, required=True)
    parser.add_argument("--rate-hz", type=float, default=200.0)
    parser.add_argument("--cores", type=int, required=True)
    arguments = parser.parse_args()
    period_s = 1 / arguments.rate_hz
    rclpy.init()
    probe = Probe(rclpy.create_node("loop_probe"))
    probe.start()
    report: dict[str, Any] = {}
    for load in ("idle", "busy"):
        busy = arguments.cores if load == "busy" else 0
        spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            report[load] = _figures(probe.roll(arguments.seconds), period_s)
            report[load] |= _pauses(probe, arguments.pauses, period_s)
        finally:
            _end(spinning)
    sys.stdout.write(json.dumps(report))
    rclpy.try_shutdown()


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
