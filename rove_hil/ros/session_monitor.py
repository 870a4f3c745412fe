"""What `rove deploy` sees and says of a session: the mode, the recorder, and an abort when people leave."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rove_msgs.msg import ControlMode, EpisodeStatus, SupervisorEvent
from rove_msgs.srv import ResetScene, SendEvent

from rove_core.modes import Event
from rove_core.ros import topics
from rove_hil.ros.presser import BUTTONS_NODE, LOST
from rove_hil.ros.readiness import Readiness


class SessionMonitor:
    """A node of its own beside the session. Use as a context manager; nothing runs but in `spin`."""

    def __enter__(self) -> SessionMonitor:
        # Signals are for the runner: it ends the attempt before it ends anything else.
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self.node = Node(f"rove_deploy_{os.getpid()}")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.mode: ControlMode | None = None
        self._modes: list[ControlMode] = []
        self._warnings: list[str] = []
        self._lost: set[str] = set()
        self.status: EpisodeStatus | None = None
        self.node.create_subscription(ControlMode, topics.MODE, self._on_mode, topics.QOS_MODE)
        self.node.create_subscription(EpisodeStatus, topics.EPISODE_STATUS, self._on_status, topics.QOS_EPISODE_STATUS)
        self.node.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, topics.QOS_DIAGNOSTICS)
        self._send = self.node.create_client(SendEvent, topics.SEND_EVENT)
        self._reset = self.node.create_client(ResetScene, topics.RESET_SCENE)
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()

    def _on_mode(self, mode: ControlMode) -> None:
        self.mode = mode
        self._modes.append(mode)

    def take_modes(self) -> list[ControlMode]:
        """What the supervisor said since the last call, in order."""
        modes, self._modes = self._modes, []
        return modes

    def take_warnings(self) -> list[str]:
        """What became of input devices since the last call, a line each."""
        warnings, self._warnings = self._warnings, []
        return warnings

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        """Say which input devices came and went. Their state comes once a second: an event could be missed."""
        for status in array.status:
            if status.name == BUTTONS_NODE:
                lost = {value.key for value in status.values if value.value == LOST}
                if lost - self._lost:
                    self._warnings.append(status.message)
                self._warnings += [f"{device} is back" for device in sorted(self._lost - lost)]
                self._lost = lost

    def _on_status(self, status: EpisodeStatus) -> None:
        self.status = status

    def spin(self, duration_s: float) -> None:
        """Take what arrives for `duration_s`."""
        deadline = time.monotonic() + duration_s
        while (remaining := deadline - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=remaining)

    def readiness(self, names: list[str]) -> Readiness:
        """Ask these nodes whether they are active."""
        return Readiness(self.node, names)

    def reset_scene(self, task: str, seed: int, start_stage: int, limit_s: float) -> str:
        """Put the simulated scene at the start of an attempt; why that failed, or ""."""
        deadline = time.monotonic() + limit_s
        while not self._reset.service_is_ready():
            if time.monotonic() > deadline:
                return f"{topics.RESET_SCENE}: nobody offers it"
            self.spin(0.05)
        answer = self._reset.call_async(ResetScene.Request(task=task, seed=seed, start_stage=start_stage))
        while not answer.done():
            if time.monotonic() > deadline:
                return f"{topics.RESET_SCENE}: no answer within {limit_s:.0f} s"
            self.spin(0.05)
        return "" if answer.result().accepted else str(answer.result().reason)

    def abort(self, reason: str, limit_s: float, give_up: Callable[[], bool]) -> bool:
        """End the open attempt as aborted and wait until the recorder has closed it. False when that failed."""
        if self.mode is None or not self.mode.episode_id:
            return True
        episode_id = self.mode.episode_id
        # No stamp: this process does not follow simulated time, and an abort is meant whenever it arrives.
        event = SupervisorEvent(event=str(Event.ABORT), device="node:rove_deploy", payload=reason)
        event.expected_mode = SupervisorEvent.MODE_ANY
        event.episode_id = episode_id
        self._send.call_async(SendEvent.Request(event=event))
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline and not give_up():
            self.spin(0.05)
            recording = self.status is not None and self.status.state in (
                EpisodeStatus.STATE_RECORDING,
                EpisodeStatus.STATE_CLOSING,
            )
            if self.mode.episode_id != episode_id and not recording:
                return True
        return False
