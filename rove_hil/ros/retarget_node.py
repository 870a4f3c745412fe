"""retarget_node: motion-capture frames in, joint targets of the operator out.

One thread waits for frames, solves and publishes. Nobody needs targets while no operator is asked for, so outside
ALIGNING and TAKEOVER only the ghost is made, for display, from 30 frames a second.
"""

from __future__ import annotations

import array
import threading
import time
from collections import Counter, deque

import numpy as np
from rove_msgs.msg import ControlMode, TeleopTarget
from sensor_msgs.msg import JointState

from rove_core.errors import JointNameError
from rove_core.joint_space import FloatArray, JointSpace
from rove_core.ros import stamps, topics
from rove_core.ros.node import OK, WARN, RoveNode
from rove_core.ros.node import main as run
from rove_hil.operator.frame_age import FrameAge
from rove_hil.operator.mocap import MocapFrame
from rove_hil.retarget import RetargetResult
from rove_hil.ros.operator_display import OperatorDisplay
from rove_hil.ros.retarget_parameters import RetargetParameters

# Modes in which the operator's pose matters.
FOLLOWING = frozenset({ControlMode.MODE_ALIGNING, ControlMode.MODE_TAKEOVER})
# How soon the thread notices that it should end [s].
POLL_S = 0.1
# Refused frames and failed solves are told at most this often [s]: a broken source sends a hundred a second.
COMPLAINT_PERIOD_S = 1.0
# Frames that came too late to be used; the filter holds when no target comes.
TOO_OLD = "too old"
# Solve times that the diagnostics look back on.
SOLVES_KEPT = 1000


class RetargetNode(RoveNode):
    """Wires a source of motion capture and the retargeter to the graph."""

    NAME = "retarget_node"

    def configure(self) -> None:
        p = self.parameters(RetargetParameters)
        self._space = JointSpace.load(p.robot)
        self._retargeter = p.retargeter(self._space)
        self._source = p.source(self, self._space)
        self._period_s = 1.0 / p.max_rate_hz
        self._max_age_s, self._deadline_s = p.max_frame_age_s, p.solve_deadline_s
        self._measured: FloatArray | None = None
        self._state_names: list[str] = []
        self._order = np.arange(0)
        self._wrong_names = ""
        self._mode: ControlMode | None = None
        self._engaged_epoch = -1
        self._published = 0
        self._held: Counter[str] = Counter()
        self._age = FrameAge()
        self._last_age_s = 0.0
        self._complaints_told = 0
        self._next_complaint_s = 0.0
        self._solve_ms: deque[float] = deque(maxlen=SOLVES_KEPT)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._targets = self.create_publisher(TeleopTarget, topics.TELEOP_TARGET, topics.QOS_TELEOP_TARGET)
        self._display = OperatorDisplay(self, self._space)
        self.create_subscription(JointState, topics.JOINT_STATES, self._on_joints, topics.QOS_JOINT_STATES)
        self.create_subscription(ControlMode, topics.MODE, self._on_mode, topics.QOS_MODE)
        self.diagnose_with(self._report)

    def activate(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._follow, name="retarget", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def destroy_node(self) -> None:
        """Free the source, which lives from configure on."""
        if hasattr(self, "_source") and self._thread is None:
            self._source.close()
        super().destroy_node()

    def _on_joints(self, message: JointState) -> None:
        if message.name != self._state_names:
            self._state_names = list(message.name)
            try:
                self._order = self._space.order_of(message.name)
                self._wrong_names = ""
            except JointNameError as error:
                self._wrong_names = str(error)
                self._measured = None
                self.get_logger().error(f"{topics.JOINT_STATES}: {error}")
        if self._wrong_names:
            return
        position = np.asarray(message.position, dtype=np.float64)
        if len(position) == self._space.dim and np.isfinite(position).all():
            self._measured = position[self._order]

    def _on_mode(self, message: ControlMode) -> None:
        self._mode = message

    # Runs in the retargeting thread

    def _follow(self) -> None:
        next_s = time.monotonic()
        while not self._stopping.is_set():
            frame = self._source.poll(POLL_S)
            self._complain()
            if frame is not None:
                self._answer(frame)
            # Frames faster than that pile up in the source, where only the newest is taken.
            next_s = max(next_s + self._period_s, time.monotonic())
            self._stopping.wait(max(0.0, next_s - time.monotonic()) if frame is not None else 0.0)

    def _answer(self, frame: MocapFrame) -> None:
        self._last_age_s = self._age.update(frame.capture_ns, self.ros_now_ns())
        mode, measured = self._mode, self._measured
        if mode is None or measured is None:
            return
        following = mode.mode in FOLLOWING
        if not following and not self._display.ghost_due(self.clock.now_ns()):
            return
        if following and mode.epoch != self._engaged_epoch:
            # A new engagement starts where the robot is, not where the operator was left the last time.
            self._retargeter.reset(measured)
            self._engaged_epoch = mode.epoch
        if self._last_age_s > self._max_age_s:
            self._held[TOO_OLD] += 1
            return
        began_s = time.perf_counter()
        result = self._retargeter.solve(frame, out_of_time=lambda: time.perf_counter() - began_s > self._deadline_s)
        solve_ms = (time.perf_counter() - began_s) * 1e3
        self._solve_ms.append(solve_ms)
        if result.held:
            self._held[result.held] += 1
        if result.converged and any(result.group_valid.values()):
            self._display.show_ghost(self.clock.now_ns(), self.ros_now_ns(), result.q)
        if following:
            self._targets.publish(self._message(frame, mode, measured, result, solve_ms))
            self._published += 1

    def _message(
        self, frame: MocapFrame, mode: ControlMode, measured: FloatArray, result: RetargetResult, solve_ms: float
    ) -> TeleopTarget:
        groups = self._space.groups
        message = TeleopTarget(
            stamp=stamps.to_msg(self.ros_now_ns()),
            source_stamp=stamps.to_msg(frame.capture_ns),
            epoch=mode.epoch,
            sequence=frame.sequence,
            group=list(groups),
            group_valid=[result.converged and result.group_valid[group] for group in groups],
            converged=result.converged,
            solve_ms=solve_ms,
            palm_error_m=result.palm_error_m,
            fingertip_error_m=result.fingertip_error_m,
        )
        message.position = array.array("d", result.q.tobytes())
        self._display.compare(message, mode, result.q, measured)
        return message

    def _complain(self) -> None:
        """Tell of frames that were refused or held, at most once a second."""
        count = self._source.rejected.total() + self._held.total()
        if count == self._complaints_told or time.monotonic() < self._next_complaint_s:
            return
        self._next_complaint_s = time.monotonic() + COMPLAINT_PERIOD_S
        self.get_logger().warning(f"{count - self._complaints_told} frame(s) not used: {self._trouble()}")
        self._complaints_told = count

    def _trouble(self) -> str:
        """What has become of frames that were not used."""
        held = [f"{count} held: {reason}" for reason, count in self._held.copy().items() if reason != TOO_OLD]
        if self._held[TOO_OLD]:
            held.append(
                f"{self._held[TOO_OLD]} were {TOO_OLD} (the last frame was {self._last_age_s:.2f} s old, at most "
                f"{self._max_age_s} s are used): a slow network"
            )
        refused = self._source.rejected.total()
        return "; ".join([*held, *([f"{refused} refused, the last: {self._source.last_refusal}"] if refused else [])])

    def _report(self) -> tuple[bytes, str, dict[str, object]]:
        source = self._source
        solve_ms = np.array(self._solve_ms) if self._solve_ms else np.zeros(1)
        values: dict[str, object] = {
            "received": source.received,
            "dropped": source.dropped,
            **{f"rejected_{reason}": count for reason, count in source.rejected.copy().items()},
            "published": self._published,
            "held": self._held.total(),
            "last_frame_age_s": round(self._last_age_s, 3),
            "solve_ms_p50": round(float(np.quantile(solve_ms, 0.5)), 3),
            "solve_ms_p99": round(float(np.quantile(solve_ms, 0.99)), 3),
        }
        problem = self._wrong_names or ("" if source.received else "no motion-capture frame received")
        if self._held:
            problem = problem or self._trouble()
        return WARN if problem else OK, problem, values


def main() -> None:
    """Run the node."""
    run(RetargetNode)


if __name__ == "__main__":
    main()
