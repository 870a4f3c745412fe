"""What `rove bench retarget` runs beside a real retarget_node: plays headset, driver and supervisor, times the targets.

A process of its own, because rclpy is started once per process. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import array
import dataclasses
import json
import sys
import threading
import time

import numpy as np
import rclpy
from rclpy.node import Node
from rove_msgs.msg import ControlMode, TeleopTarget
from sensor_msgs.msg import JointState

from rove_core.clocks import NS_PER_S
from rove_core.errors import RoveError
from rove_core.joint_space import FloatArray, JointSpace
from rove_core.modes import Mode
from rove_core.ros import stamps, topics
from rove_hil.operator.mocap import MocapFrame
from rove_hil.operator.mocap_source import load_frames
from rove_hil.operator.mocap_wire import MocapPublisher

START_S = 20.0
# Frames at the start find the operator and warm caches [s].
SETTLE_S = 1.0
# Supervisor and driver speak this often [s].
HEARTBEAT_S = 0.05


class Probe:
    """A headset that sends frames, and the targets that came of them."""

    def __init__(self, node: Node, url: str) -> None:
        self._node = node
        self._space = JointSpace.load("iron_r01")
        self._wire = MocapPublisher(url)
        self._states = node.create_publisher(JointState, topics.JOINT_STATES, topics.QOS_JOINT_STATES)
        self._modes = node.create_publisher(ControlMode, topics.MODE, topics.QOS_MODE)
        self._arrivals: dict[int, tuple[int, TeleopTarget]] = {}
        self._sent: dict[int, int] = {}
        self._sequence = 0
        self._next_beat_s = 0.0
        node.create_subscription(TeleopTarget, topics.TELEOP_TARGET, self._on_target, topics.QOS_TELEOP_TARGET)

    def _on_target(self, message: TeleopTarget) -> None:
        self._arrivals.setdefault(message.sequence, (time.time_ns(), message))

    def start(self, frame: MocapFrame) -> None:
        """Send `frame` until a target comes. Raises RoveError when none does."""
        deadline = time.monotonic() + START_S
        while not self._arrivals:
            if time.monotonic() > deadline:
                raise RoveError(f"retarget_node sent nothing within {START_S:.0f} s", "its log says why")
            self._send(frame)
            self._spin_until(time.monotonic() + 0.02)

    def follow(self, frames: list[MocapFrame], rate_hz: float, seconds: float) -> dict[str, float]:
        """Send frames at `rate_hz` from a thread of its own for `seconds`; figures of the targets."""
        first = self._sequence + 1 + round(SETTLE_S * rate_hz)
        stop = threading.Event()

        def play() -> None:
            began = time.monotonic()
            for number in range(round((seconds + SETTLE_S) * rate_hz)):
                time.sleep(max(0.0, began + number / rate_hz - time.monotonic()))
                self._send(frames[number % len(frames)])
            stop.set()

        player = threading.Thread(target=play)
        player.start()
        while not stop.is_set():
            self._spin_until(time.monotonic() + 0.01)
        player.join()
        self._spin_until(time.monotonic() + 0.3)
        return self._figures(first, rate_hz)

    def _send(self, frame: MocapFrame) -> None:
        self._sequence += 1
        now_ns = time.time_ns()
        self._sent[self._sequence] = now_ns
        self._wire.send(dataclasses.replace(frame, sequence=self._sequence, capture_ns=now_ns))

    def _spin_until(self, deadline_s: float) -> None:
        while time.monotonic() < deadline_s:
            if time.monotonic() >= self._next_beat_s:
                self._next_beat_s = time.monotonic() + HEARTBEAT_S
                home = array.array("d", self._space.home.tobytes())
                self._states.publish(JointState(name=list(self._space.names), position=home))
                self._modes.publish(ControlMode(mode=Mode.TAKEOVER.number, epoch=1))
            rclpy.spin_once(self._node, timeout_sec=0.002)

    def _figures(self, first: int, rate_hz: float) -> dict[str, float]:
        counted = {number: stamp for number, stamp in self._sent.items() if number >= first}
        came = sorted(number for number in counted if number in self._arrivals)
        if len(came) < 2:
            raise RoveError("retarget_node stopped sending targets", "its log says why")
        arrived_ns = np.array([self._arrivals[number][0] for number in came])
        latency_ms = (arrived_ns - [counted[number] for number in came]) * 1e-6
        converged = [self._arrivals[number][1].converged for number in came]
        made_ns = np.array([stamps.to_ns(self._arrivals[number][1].stamp) for number in came])
        return {
            "frames_sent": len(counted),
            "sent_hz": rate_hz,
            "targets_received": len(came),
            "targets_hz": round((len(came) - 1) * NS_PER_S / float(arrived_ns[-1] - arrived_ns[0]), 1),
            "not_converged": len(came) - sum(converged),
            **_quantiles("wire_to_target_ms", latency_ms),
            **_quantiles("period_ms", np.diff(made_ns) * 1e-6),
        }


def _quantiles(name: str, values: FloatArray) -> dict[str, float]:
    stem, unit = name.rsplit("_", 1)
    return {f"{stem}_p{q}_{unit}": round(float(np.percentile(values, q)), 2) for q in (50, 99)}


def main() -> None:
    """Run the probe as a process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--recording", required=True)
    parser.add_argument("--rate-hz", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    frames = load_frames(arguments.recording, JointSpace.load("iron_r01"))[1:]
    there_and_back = [*frames, *frames[::-1]]  # without a jump at the end
    rclpy.init()
    node = rclpy.create_node("retarget_probe")
    try:
        probe = Probe(node, arguments.url)
        probe.start(frames[0])
        json.dump(probe.follow(there_and_back, arguments.rate_hz, arguments.seconds), sys.stdout)
    except RoveError as error:
        sys.exit(f"{error}")
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
