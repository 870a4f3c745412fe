"""The base of every node: lifecycle, parameters, time, diagnostics, and a main() that ends cleanly."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lifecycle_msgs.msg import State
from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.executors import Executor, ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from rove_core.clocks import ControlClock, FollowedClock, MonotonicClock, system_minus_monotonic_ns
from rove_core.errors import RoveError
from rove_core.ros import stamps, topics
from rove_core.ros.parameters import ModelT, declare

OK = DiagnosticStatus.OK
WARN = DiagnosticStatus.WARN
ERROR = DiagnosticStatus.ERROR

DIAGNOSTICS_PERIOD_S = 1.0


class RoveNode(LifecycleNode):
    """A lifecycle node that knows its configuration and both of its clocks.

    Subclasses set `NAME` and override `configure` (parameters, publishers, subscriptions), `activate`
    (start threads) and `deactivate` (join them). What those raise as RoveError fails the transition and is
    logged as one line.

    Attributes:
        clock: control time [ns]: monotonic, or simulated time when `use_sim_time` is set. Loops use this.
    """

    NAME = ""

    def __init__(self) -> None:
        super().__init__(self.NAME)
        self.declare_parameter("autostart", True)
        self._stop = threading.Event()
        self.exit_code = 0
        self._diagnose: Callable[[], tuple[bytes, str, Mapping[str, object]]] | None = None
        self._diagnostics = self.create_publisher(DiagnosticArray, topics.DIAGNOSTICS, topics.QOS_DIAGNOSTICS)
        self._next_diagnostics = 0.0
        self._simulated = bool(self.get_parameter("use_sim_time").value)
        self.clock: ControlClock = self._follow_simulated_time() if self._simulated else MonotonicClock()

    def _follow_simulated_time(self) -> FollowedClock:
        followed = FollowedClock()

        def on_jump(_: TimeJump) -> None:
            followed.update(self.get_clock().now().nanoseconds, time.monotonic_ns())

        # rclpy already subscribes to /clock for use_sim_time: hear of each sample from its clock.
        one = Duration(nanoseconds=1)
        threshold = JumpThreshold(min_forward=one, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jump_handle = self.get_clock().create_jump_callback(threshold, post_callback=on_jump)
        return followed

    # Time

    def ros_now_ns(self) -> int:
        """The ROS clock [ns]: what message stamps carry. Finer than /clock when time is simulated."""
        return self.clock.now_ns() if self._simulated else time.time_ns()

    def ros_to_control_ns(self, ros_ns: int) -> int:
        """A ROS stamp on the control clock. Exact in simulation; elsewhere as of the system clock now."""
        return ros_ns if self._simulated else ros_ns - system_minus_monotonic_ns()

    def control_to_ros_ns(self, control_ns: int) -> int:
        """A control time as a stamp. Exact in simulation; elsewhere as of the system clock now."""
        return control_ns if self._simulated else control_ns + system_minus_monotonic_ns()

    # Parameters and diagnostics

    def parameters(self, model: type[ModelT]) -> ModelT:
        """Declare the fields of `model` as parameters and return their values. Raises ConfigError."""
        return declare(self, model)

    def diagnose_with(self, report: Callable[[], tuple[bytes, str, Mapping[str, object]]]) -> None:
        """Publish `report()` = (level, message, values) once a second on /diagnostics."""
        self._diagnose = report

    def report_now(self) -> None:
        """Publish the report without waiting for the next second; in the thread of the callbacks."""
        self._next_diagnostics = 0.0
        self._publish_diagnostics()

    def _publish_diagnostics(self) -> None:
        if self._diagnose is None or time.monotonic() < self._next_diagnostics:
            return
        self._next_diagnostics = time.monotonic() + DIAGNOSTICS_PERIOD_S
        level, message, values = self._diagnose()
        status = DiagnosticStatus(level=level, name=self.get_name(), message=message, hardware_id="")
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = stamps.to_msg(self.ros_now_ns())
        self._diagnostics.publish(array)

    # Life

    def configure(self) -> None:
        """Read parameters, load what is needed, create publishers and subscriptions. May raise RoveError."""

    def activate(self) -> None:
        """Start threads. May raise RoveError."""

    def deactivate(self) -> None:
        """Stop and join what `activate` started; called once, also at shutdown."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.configure) or super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.activate) or super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.deactivate) or super().on_deactivate(state)

    def _transition(self, work: Callable[[], None]) -> TransitionCallbackReturn | None:
        """None when `work` was done, else the failure."""
        try:
            work()
        except RoveError as error:
            self.get_logger().fatal(f"{error}" + (f" ({error.hint})" if error.hint else ""))
            return TransitionCallbackReturn.FAILURE
        return None

    def fail(self, reason: str) -> None:
        """End the process with exit code 1: a thread cannot go on, and whoever supervises starts the node anew.

        Safe from any thread.
        """
        self.get_logger().fatal(reason)
        self.exit_code = 1
        self.stop()

    def stop(self) -> None:
        """Ask `spin` to return. Safe from any thread and from signal handlers."""
        self._stop.set()

    def spin(self) -> None:
        """Run callbacks until `stop`."""
        executor = new_executor()
        executor.add_node(self)
        try:
            while not self._stop.is_set() and rclpy.ok():
                executor.spin_once(timeout_sec=0.1)
                self._publish_diagnostics()
        except ExternalShutdownException:
            pass
        finally:
            executor.remove_node(self)


def new_executor() -> Executor:
    """The cheapest executor that this ROS 2 has; call its `spin_once`."""
    # The events executor takes a third of the CPU; its spin() never fires in the Kilted wheels, spin_once does.
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        from rclpy.executors import SingleThreadedExecutor

        return SingleThreadedExecutor()
    return EventsExecutor()  # type: ignore[no-any-return]


NodeT = TypeVar("NodeT", bound=RoveNode)


def main(node_type: Callable[[], NodeT]) -> None:
    """Run one node as a process: configure, activate, spin, and undo that on SIGINT or SIGTERM.

    Further signals while it is ending are ignored: launch systems send SIGINT twice. Exit code 0 after a
    clean end, 1 when the node could not start or go on (one line on stderr says why).
    """
    # Own handlers: rclpy's would invalidate the context while nodes still have things to say.
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    node: NodeT | None = None
    code = 0
    try:
        node = node_type()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: node.stop() if node else None)
        if node.get_parameter("autostart").value:
            code = 0 if _started(node) else 1
        if code == 0:
            node.spin()
            _ended(node)
            code = node.exit_code
    except RoveError as error:
        print(f"{node_type.__name__}: {error}" + (f"\n  {error.hint}" if error.hint else ""), file=sys.stderr)  # noqa: T201 - process edge
        code = 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    sys.exit(code)


def _started(node: RoveNode) -> bool:
    success = TransitionCallbackReturn.SUCCESS
    return bool(node.trigger_configure() == success and node.trigger_activate() == success)


def _ended(node: RoveNode) -> None:
    if node._state_machine.current_state[0] == State.PRIMARY_STATE_ACTIVE:
        node.trigger_deactivate()
    node.trigger_shutdown()
