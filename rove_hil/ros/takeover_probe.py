"""What `rove bench takeover` runs beside a real supervisor_node and filter_node: robot, policy, recorder and operator.

It presses as a pedal would and keeps every command trace. A process of its own, because rclpy is started once per
process. Writes one .npz file; `rove_hil.bench.takeover` makes figures of it.
"""

from __future__ import annotations

import argparse
import array
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rove_msgs.msg import ActionChunk, CommandTrace, ControlMode, EpisodeStatus, SupervisorEvent, TeleopTarget
from rove_msgs.srv import StartEpisode
from sensor_msgs.msg import JointState

from rove_core.clocks import NS_PER_S
from rove_core.errors import RoveError
from rove_core.joint_space import FloatArray, JointSpace
from rove_core.modes import Event, Mode, Source
from rove_core.ros import stamps, topics
from rove_hil.bench.takeover_motion import MISMATCH_RAD, OperatorMotion, rollout

DEVICE = "bench:pedal"
START_S = 20.0
# How long each phase of a takeover lasts once it is reached [s].
ROLLOUT_S, HELD_S, ALIGN_S, DRIVE_S = 0.5, 0.15, 0.15, 1.6
ANSWER_S = 3.0
# A headset's frames, and how unevenly they arrive.
FRAME_S, ARRIVAL_JITTER_S = 1 / 72, 0.002
CHUNK_PERIOD_S, CHUNK_STEPS, CHUNK_DT_S = 0.1, 32, 1 / 30
STATUS_S = 0.5


class Probe:
    """Everything around the two nodes, in one thread."""

    def __init__(self, node: Node, seed: int) -> None:
        self._node = node
        self._space = JointSpace.load("iron_r01")
        self._rng = np.random.default_rng(seed)
        # All motion is a function of the time since then.
        self._origin_ns = time.time_ns()
        self._mode = ControlMode()
        self._policy_heard = self._chunk_id = self._sequence = 0
        self._traces: list[CommandTrace] = []
        self._motion: OperatorMotion | None = None
        self.records: dict[str, list[object]] = {}
        publish, listen = node.create_publisher, node.create_subscription
        self._states = publish(JointState, topics.JOINT_STATES, topics.QOS_JOINT_STATES)
        self._chunks = publish(ActionChunk, topics.CHUNK, topics.QOS_CHUNK)
        self._targets = publish(TeleopTarget, topics.TELEOP_TARGET, topics.QOS_TELEOP_TARGET)
        self._statuses = publish(EpisodeStatus, topics.EPISODE_STATUS, topics.QOS_EPISODE_STATUS)
        self._diagnostics = publish(DiagnosticArray, topics.DIAGNOSTICS, topics.QOS_DIAGNOSTICS)
        self._requests = publish(SupervisorEvent, topics.EVENT_REQUEST, topics.QOS_EVENTS)
        self._start = node.create_client(StartEpisode, topics.START_EPISODE)
        self._state = JointState(name=list(self._space.names))
        self._move_robot(self._space.home)
        listen(CommandTrace, topics.COMMAND_TRACE, self._on_trace, topics.QOS_COMMAND_TRACE)
        listen(ControlMode, topics.MODE, self._on_mode, topics.QOS_MODE)
        now = time.monotonic()
        self._due = dict.fromkeys(("status", "chunk", "frame"), now)

    def _seconds(self, now_ns: int) -> float:
        return (now_ns - self._origin_ns) / NS_PER_S

    # What arrives

    def _on_trace(self, trace: CommandTrace) -> None:
        self._traces.append(trace)
        self._move_robot(np.array(trace.sent))

    def _on_mode(self, mode: ControlMode) -> None:
        self._mode = mode

    def _move_robot(self, position: FloatArray) -> None:
        """A robot that follows its commands at once."""
        self._state.header.stamp = stamps.to_msg(time.time_ns())
        self._state.position = array.array("d", position.tobytes())
        self._states.publish(self._state)

    # What the others do meanwhile

    def _play(self) -> None:
        now = time.monotonic()
        if now >= self._due["status"]:
            self._due["status"] = now + STATUS_S
            self._statuses.publish(EpisodeStatus(stamp=stamps.to_msg(time.time_ns()), state=EpisodeStatus.STATE_IDLE))
            ready = DiagnosticStatus(name="policy_node", level=DiagnosticStatus.OK)
            self._diagnostics.publish(DiagnosticArray(status=[ready]))
            if not self._traces:
                self._states.publish(self._state)
        if now >= self._due["chunk"] and self._mode.policy_runs:
            self._due["chunk"] = now + CHUNK_PERIOD_S
            self._send_chunk()
        if now >= self._due["frame"] and self._motion is not None:
            self._due["frame"] = max(self._due["frame"] + FRAME_S, now - FRAME_S)
            self._send_frame(self._motion)

    def _send_chunk(self) -> None:
        self._chunk_id += 1
        now_ns = time.time_ns()
        rows = rollout(self._space, self._seconds(now_ns) + np.arange(CHUNK_STEPS, dtype=np.float64) * CHUNK_DT_S)
        chunk = ActionChunk(epoch=self._mode.epoch, chunk_id=self._chunk_id, dt_s=CHUNK_DT_S, execute=16)
        chunk.observation_stamp = stamps.to_msg(now_ns)
        chunk.horizon, chunk.dim = CHUNK_STEPS, self._space.dim
        chunk.data = array.array("f", rows.astype(np.float32).tobytes())
        self._chunks.publish(chunk)

    def _send_frame(self, motion: OperatorMotion) -> None:
        self._sequence += 1
        now_ns = time.time_ns()
        captured_ns = now_ns - round(abs(self._rng.normal(0, ARRIVAL_JITTER_S)) * NS_PER_S)
        position, _ = motion.at(self._seconds(captured_ns))
        groups = list(self._space.groups)
        target = TeleopTarget(epoch=self._mode.epoch, sequence=self._sequence, converged=True, group=groups)
        target.stamp, target.source_stamp = stamps.to_msg(now_ns), stamps.to_msg(captured_ns)
        target.position = array.array("d", position.tobytes())
        target.group_valid = [True] * len(groups)
        target.alignment_rms = [MISMATCH_RAD] * len(groups)
        target.alignment_max = [MISMATCH_RAD] * len(groups)
        self._targets.publish(target)

    # The course of events

    def _until(self, reached: Callable[[], bool], what: str, limit_s: float = ANSWER_S) -> None:
        deadline = time.monotonic() + limit_s
        while not reached():
            if time.monotonic() > deadline:
                mode = Mode.from_number(self._mode.mode)
                raise RoveError(f"{what}: not within {limit_s:.0f} s (mode {mode}: {self._mode.reason})")
            self._play()
            rclpy.spin_once(self._node, timeout_sec=0.001)

    def _for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._until(lambda: time.monotonic() >= end, "time passes", seconds + 1)

    def _press(self, event: Event, becomes: Mode) -> int:
        """Press, and wait until the mode is `becomes`; when it was pressed [ns]."""
        pressed_ns = time.time_ns()
        request = SupervisorEvent(event=str(event), device=DEVICE, expected_mode=SupervisorEvent.MODE_ANY)
        request.stamp = stamps.to_msg(pressed_ns)
        self._requests.publish(request)
        self._until(lambda: self._mode.mode == becomes.number, f"'{event}'")
        return pressed_ns

    def begin(self) -> None:
        """Wait for the nodes and open the attempt."""
        self._until(lambda: bool(self._traces), "filter_node sends commands", START_S)
        self._until(self._start.service_is_ready, "supervisor_node answers", START_S)
        # Both have to have heard of the policy and the recorder; until then it refuses.
        request = StartEpisode.Request(task="bench", device=DEVICE)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            answer = self._start.call_async(request)
            self._until(answer.done, "an answer to start_episode", START_S)
            if answer.result().accepted:
                return
            self._for(STATUS_S)
        raise RoveError(f"no attempt could begin: {answer.result().reason}")

    def takeover(self) -> None:
        """Rollout, pause, align, go, drive, hand back; the traces and the times of it are kept."""
        self._until(lambda: self._mode.mode == Mode.ROLLOUT.number, "the policy drives")
        self._until(lambda: self._traces[-1].source == Source.POLICY, "the policy's first command")
        self._for(ROLLOUT_S)
        self._traces = self._traces[-40:]
        paused_ns = self._press(Event.PAUSE, Mode.PAUSED)
        self._until(lambda: self._traces[-1].source == Source.HOLD, "the robot is held")
        self._for(HELD_S)
        motion = OperatorMotion.random(self._space, np.array(self._traces[-1].sent), self._rng)
        self._motion = motion
        self._press(Event.TAKEOVER, Mode.ALIGNING)
        self._for(ALIGN_S)
        self._until(lambda: self._mode.mode == Mode.ALIGNING.number, "aligning")
        self._press(Event.OPERATOR_READY, Mode.ALIGNING)
        go_ns = self._press(Event.FORCE_GO, Mode.TAKEOVER)
        self._until(lambda: self._traces[-1].source == Source.OPERATOR, "the operator drives")
        self._for(DRIVE_S)
        self._keep(paused_ns, go_ns, motion)
        self._motion = None
        self._press(Event.HAND_BACK, Mode.ROLLOUT)

    def _keep(self, paused_ns: int, go_ns: int, motion: OperatorMotion) -> None:
        traces = self._traces
        record: dict[str, object] = {
            "paused_ns": paused_ns,
            "go_ns": go_ns,
            "stamp_ns": np.array([stamps.to_ns(trace.stamp) for trace in traces]),
            "origin_ns": self._origin_ns,
            "tick": np.array([trace.tick for trace in traces], dtype=np.int64),
            "source": np.array([trace.source for trace in traces]),
            "sent": np.array([trace.sent for trace in traces]),
            **motion.parameters(),
        }
        for name, value in record.items():
            self.records.setdefault(name, []).append(value)


def save(path: Path, records: dict[str, list[object]]) -> None:
    """One array per name and takeover: `name/0`, `name/1`, ..."""
    arrays = {
        f"{name}/{index}": np.asarray(value) for name, many in records.items() for index, value in enumerate(many)
    }
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def main() -> None:
    """Run the takeovers and write the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--takeovers", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    rclpy.init()
    probe = Probe(rclpy.create_node("takeover_probe"), arguments.seed)
    probe.begin()
    for _ in range(arguments.takeovers):
        probe.takeover()
    save(arguments.out, probe.records)
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
