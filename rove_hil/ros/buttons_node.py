"""Foot pedals, button boxes, VR controllers and gamepads: what they press becomes requests to supervisor_node."""

from __future__ import annotations

import select
import threading
import time
import traceback
from collections.abc import Mapping

from pydantic import Field
from rclpy.executors import SingleThreadedExecutor
from rove_msgs.msg import ControlMode, SupervisorEvent
from sensor_msgs.msg import Joy as JoyMessage

from rove_core.clocks import NS_PER_S
from rove_core.modes import Mode
from rove_core.ros import stamps, topics
from rove_core.ros.node import ERROR, OK, RoveNode
from rove_core.ros.node import main as run
from rove_hil.inputs.button import Moment, Press
from rove_hil.inputs.cues import DEVICE_LOST, REFUSED, Speaker
from rove_hil.inputs.evdev import DeviceError, EvdevDevice, KeyChange
from rove_hil.inputs.joy import Joy
from rove_hil.inputs.mapping import chosen_joys, chosen_pedals, load_mapping
from rove_hil.inputs.pedal import Pedal
from rove_hil.ros.presser import BUTTONS_NODE, DEVICE_BACK_EVENT, DEVICE_LOST_EVENT, LOST, AttemptParameters, Presser

# How long to wait for something to read: the end of a hold and of the node are noticed after this [s].
WAIT_S = 0.02
# A lost pedal is looked for this often, and somebody is reminded of it [s].
RETRY_S, REMIND_S = 0.5, 5.0
# A driver of a controller that has just been started says something within this [s].
JOY_START_S = 5.0


class ButtonsParameters(AttemptParameters):
    """Parameters of buttons_node."""

    pedals: tuple[str, ...] = Field((), description="pedals of the mapping to use, as NAME or NAME=/dev/input/...")
    joys: tuple[str, ...] = Field((), description="joys of the mapping to use, as NAME or NAME=TOPIC")
    cues: bool = Field(True, description="says what the mapping's cues say; one node of a session should")


class ButtonsNode(RoveNode):
    """Reads pedals in a thread of its own, controllers in callbacks. One that is missing at the start is an error."""

    NAME = BUTTONS_NODE

    def configure(self) -> None:
        self._given = given = self.parameters(ButtonsParameters)
        mapping = load_mapping(given.mapping)
        tell = self.get_logger().info
        chosen = chosen_pedals(mapping, given.pedals)
        self._pedals = [Pedal(name, pedal, mapping.confirm, tell) for name, pedal in chosen.items()]
        self._joys = [Joy(name, joy, mapping.confirm, tell) for name, joy in chosen_joys(mapping, given.joys).items()]
        self._speaker = Speaker(mapping.cues, self.get_logger().warning) if given.cues else None
        self._presser = Presser(self, given)
        self._mode = ControlMode()
        self._lost: dict[str, str] = {}
        self._remind_ns = self._retry_ns = 0
        self._sent = 0
        # Buttons are touched by the thread of the pedals and by the callbacks of the controllers.
        self._lock = threading.Lock()
        self._facts = self.create_publisher(SupervisorEvent, topics.EVENTS, topics.QOS_EVENTS)
        self.create_subscription(ControlMode, topics.MODE, self._on_mode, topics.QOS_MODE)
        self.create_subscription(SupervisorEvent, topics.EVENTS, self._on_event, topics.QOS_EVENTS)
        for joy in self._joys:
            self._listen_to(joy)
        self.diagnose_with(self._report)

    def _listen_to(self, joy: Joy) -> None:
        # Only the newest counts, and drivers offer any reliability.
        self.create_subscription(
            JoyMessage, joy.given.topic, lambda message: self._on_joy(joy, message), topics.QOS_JOINT_STATES
        )

    def activate(self) -> None:
        for pedal in self._pedals:
            path = pedal.attach()
            self.get_logger().info(f"pedal '{pedal.name}' is {path}")
        self._await_joys()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="buttons")
        self._thread.start()

    def _await_joys(self) -> None:
        """Let controllers speak up. Raises DeviceError when one does not."""
        executor = SingleThreadedExecutor()
        executor.add_node(self)
        deadline = time.monotonic() + JOY_START_S
        try:
            while missing := [joy for joy in self._joys if not self._is_there(joy)]:
                if time.monotonic() > deadline:
                    hint = "start its driver (a gamepad's: `ros2 run joy game_controller_node`), or name another topic"
                    raise DeviceError(f"joy '{missing[0].name}': {missing[0].problem}", hint)
                executor.spin_once(timeout_sec=0.1)
        finally:
            executor.remove_node(self)

    def _is_there(self, joy: Joy) -> bool:
        return not joy.problem or (joy.given.silence_s == 0 and self.count_publishers(joy.given.topic) > 0)

    def deactivate(self) -> None:
        self._ending.set()
        self._thread.join()
        for pedal in self._pedals:
            pedal.detach(self._moment())
        if self._speaker is not None:
            self._speaker.close()

    # Runs in the thread of the buttons

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                self._read()
                with self._lock:
                    now = self._moment()
                    presses = [press for pedal in self._pedals for press in pedal.poll(now)]
                    presses += [press for joy in self._joys for press in joy.poll(now)]
                self._send(presses)
                self._look_after()
        except Exception:  # noqa: BLE001 - the thread's outermost edge
            self.fail(traceback.format_exc())

    def _read(self) -> None:
        """Wait for something to read, and take all of it."""
        attached = {pedal.device.fileno(): (pedal, pedal.device) for pedal in self._pedals if pedal.device is not None}
        poll = select.poll()
        for descriptor in attached:
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(WAIT_S * 1000):
            self._take(*attached[descriptor])

    def _take(self, pedal: Pedal, device: EvdevDevice) -> None:
        def moment_of(change: KeyChange | None) -> Moment:
            # The kernel's stamp on the ROS clock, by how long ago it was.
            return self._moment(0 if change is None else time.clock_gettime_ns(device.clock) - change.stamp_ns)

        with self._lock:
            try:
                presses = pedal.read(moment_of)
            except DeviceError as error:
                presses = pedal.detach(self._moment())
                self._lose(f"pedal:{pedal.name}", f"pedal '{pedal.name}' is lost: {error}")
        self._send(presses)

    def _moment(self, age_ns: int = 0) -> Moment:
        return Moment(self.clock.now_ns(), self.ros_now_ns() - age_ns, self._presser.seen)

    def _send(self, presses: list[Press]) -> None:
        for press in presses:
            self._sent += 1
            if problem := self._presser.send(press):
                self.get_logger().error(problem)

    # Devices that come and go

    def _look_after(self) -> None:
        """Look for what is lost, and remind people of it."""
        now_ns = time.monotonic_ns()
        if now_ns >= self._retry_ns:
            self._retry_ns = now_ns + int(RETRY_S * NS_PER_S)
            for pedal in self._pedals:
                self._reattach(pedal)
            for joy in self._joys:
                device = f"joy:{joy.name}"
                if not joy.heard and joy.given.silence_s:
                    self._lose(device, f"joy '{joy.name}' is lost: {joy.problem}")
                elif device in self._lost:
                    self._find(device, f"joy '{joy.name}' is back")
        if self._lost and now_ns >= self._remind_ns:
            self._remind_ns = now_ns + int(REMIND_S * NS_PER_S)
            for reason in self._lost.values():
                self.get_logger().error(f"{reason}; the keyboard and the topics still work")

    def _reattach(self, pedal: Pedal) -> None:
        if pedal.device is not None:
            return
        device = f"pedal:{pedal.name}"
        try:
            path = pedal.attach()
        except DeviceError as error:
            # It may be plugged in again by now, but not permitted: say what helps.
            self._lost[device] = f"{error} ({error.hint})"
        else:
            self._find(device, f"pedal '{pedal.name}' is back at {path}")

    def _lose(self, device: str, reason: str) -> None:
        if device in self._lost:
            return
        self._lost[device] = reason
        self._remind_ns = 0
        self._tell_all(DEVICE_LOST_EVENT, device, reason)

    def _find(self, device: str, reason: str) -> None:
        self._lost.pop(device, None)
        self.get_logger().info(reason)
        self._tell_all(DEVICE_BACK_EVENT, device, reason)

    def _tell_all(self, event: str, device: str, reason: str) -> None:
        """A fact for the screen and the record, which nobody has to accept."""
        mode = self._mode
        fact = SupervisorEvent(event=event, device=device, reason=reason, accepted=True, episode_id=mode.episode_id)
        fact.stamp = stamps.to_msg(self.ros_now_ns())
        fact.expected_mode = SupervisorEvent.MODE_ANY
        fact.mode_before = fact.mode_after = mode.mode
        fact.epoch = mode.epoch
        self._facts.publish(fact)

    # What it hears

    def _on_joy(self, joy: Joy, message: JoyMessage) -> None:
        now = self._moment()
        stamp_ns = stamps.to_ns(message.header.stamp)
        # A driver follows the system's clock; in simulated time only the arrival means something.
        if stamp_ns and not self._simulated:
            now = Moment(now.now_ns, stamp_ns, now.seen)
        with self._lock:
            presses = joy.update(message.axes, message.buttons, now)
        self._send(presses)

    def _on_mode(self, mode: ControlMode) -> None:
        self._mode = mode
        self._presser.saw(mode, self.clock.now_ns() / NS_PER_S)
        if self._speaker is not None:
            self._speaker.mode(Mode.from_number(mode.mode))
        if self._given.episodes and self._presser.progress.complete:
            self.stop()

    def _on_event(self, event: SupervisorEvent) -> None:
        if not event.accepted and event.device.startswith(("pedal:", "joy:")):
            self.get_logger().warning(f"{event.device}: refused: {event.reason}")
        if self._speaker is not None:
            if not event.accepted:
                self._speaker.say(REFUSED)
            elif event.event == DEVICE_LOST_EVENT:
                self._speaker.say(DEVICE_LOST)

    def _report(self) -> tuple[bytes, str, Mapping[str, object]]:
        values: dict[str, object] = {"presses": self._sent}
        for pedal in self._pedals:
            device = pedal.device
            values[f"pedal '{pedal.name}'"] = device.path if device is not None else LOST
        for joy in self._joys:
            values[f"joy '{joy.name}'"] = LOST if f"joy:{joy.name}" in self._lost else joy.given.topic
        problems = list(self._lost.values())
        return (ERROR, "; ".join(problems), values) if problems else (OK, "reading buttons", values)


def main() -> None:
    """Run the node."""
    run(ButtonsNode)


if __name__ == "__main__":
    main()
