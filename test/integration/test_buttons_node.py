"""buttons_node over real DDS: pedals as pipes, controllers as topics."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rove_msgs.msg import ControlMode, SupervisorEvent
from rove_msgs.srv import StartEpisode
from sensor_msgs.msg import Joy

from rove_core.modes import Mode
from rove_core.ros import stamps, topics
from rove_hil.inputs.evdev import EV_KEY, EVENT
from rove_hil.inputs.key_codes import CODES
from rove_hil.ros import buttons_node
from rove_hil.ros.buttons_node import ButtonsNode

DEADLINE_S = 10.0

MAPPING = """
pedals:
  foot: {path: PIPE, buttons: {KEY_A: {any: pause, IDLE: start}, KEY_B: estop}}
joys:
  headset: {topic: /headset/joy, buttons: {button_0: operator_ready}}
"""


class World(Node):
    """The supervisor, as far as buttons see of it, and a controller."""

    def __init__(self) -> None:
        super().__init__("world")
        self.mode = ControlMode(mode=ControlMode.MODE_ROLLOUT, episode_id="e1", epoch=7)
        self.buttons = [0]
        self.joy_speaks = self.supervisor_speaks = True
        self.requests: list[SupervisorEvent] = []
        self.facts: list[SupervisorEvent] = []
        self.started: list[StartEpisode.Request] = []
        self.levels: list[tuple[bytes, str]] = []
        self.create_subscription(SupervisorEvent, topics.EVENT_REQUEST, self.requests.append, topics.QOS_EVENTS)
        self.create_subscription(SupervisorEvent, topics.EVENTS, self.facts.append, topics.QOS_EVENTS)
        self.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, topics.QOS_DIAGNOSTICS)
        self.create_service(StartEpisode, topics.START_EPISODE, self._on_start)
        self._modes = self.create_publisher(ControlMode, topics.MODE, topics.QOS_MODE)
        self._joys = self.create_publisher(Joy, "/headset/joy", 5)
        self.create_timer(0.02, self._speak)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        self.levels += [(status.level, status.message) for status in array.status if status.name == "buttons_node"]

    def _on_start(self, request: StartEpisode.Request, response: StartEpisode.Response) -> StartEpisode.Response:
        self.started.append(request)
        return response

    def _speak(self) -> None:
        if self.supervisor_speaks:
            self._modes.publish(self.mode)
        if self.joy_speaks:
            joy = Joy(axes=[0.0], buttons=self.buttons)
            joy.header.stamp = self.get_clock().now().to_msg()
            self._joys.publish(joy)


class Rig:
    """A node with a pedal and a controller, and the world around it."""

    def __init__(self, folder: Path) -> None:
        self._pipe_path = folder / "pedal"
        mapping = folder / "mapping.yaml"
        mapping.write_text(MAPPING.replace("PIPE", str(self._pipe_path)))
        values = {"mapping": str(mapping), "pedals": "[foot]", "joys": "[headset]"}
        rclpy.init(
            args=["--ros-args", *(word for name, value in values.items() for word in ("-p", f"{name}:={value}"))]
        )
        self.world, self.node = World(), ButtonsNode()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.world)
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._spin_world), threading.Thread(target=self.node.spin)]
        self._active = False

    def _spin_world(self) -> None:
        while not self._ending.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def plug_in(self) -> None:
        os.mkfifo(self._pipe_path)
        self._pipe = os.open(self._pipe_path, os.O_RDWR | os.O_NONBLOCK)

    def unplug(self) -> None:
        self._pipe_path.unlink()
        os.close(self._pipe)

    def activate(self) -> bool:
        self._threads[0].start()
        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        self._active = self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        if self._active:
            self._threads[1].start()
            self.until(lambda: not self.node._presser.problem)
        return self._active

    def key(self, name: str, value: int, age_s: float = 0.0) -> None:
        stamp = divmod(time.time_ns() - int(age_s * 1e9), 10**9)
        os.write(self._pipe, EVENT.pack(stamp[0], stamp[1] // 1000, EV_KEY, CODES[name], value))

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def end(self) -> None:
        self.node.stop()
        self._ending.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        if self._active:
            self.node.trigger_deactivate()
        self.node.destroy_node()
        self.world.destroy_node()
        if self._pipe_path.exists():
            self.unplug()


@pytest.fixture
def rig(tmp_path: Path, domain_id: int) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.end()
    rclpy.try_shutdown()


def test_a_press_says_which_button_when_and_what_it_was_meant_for(rig: Rig) -> None:
    rig.plug_in()
    assert rig.activate()
    rig.until(lambda: rig.world.count_publishers(topics.EVENT_REQUEST) > 0)
    rig.key("KEY_A", 1, age_s=0.5)
    rig.until(lambda: bool(rig.world.requests))
    (request,) = rig.world.requests
    assert (request.event, request.device) == ("pause", "pedal:foot/KEY_A")
    assert (request.expected_mode, request.episode_id) == (Mode.ROLLOUT.number, "e1")
    age_s = (time.time_ns() - stamps.to_ns(request.stamp)) / 1e9
    assert 0.5 <= age_s < DEADLINE_S, "the kernel's stamp, not when it was read"
    # An emergency stop is meant whatever the mode.
    rig.key("KEY_B", 1)
    rig.until(lambda: len(rig.world.requests) > 1)
    stop = rig.world.requests[1]
    assert (stop.event, stop.expected_mode, stop.episode_id) == ("estop", SupervisorEvent.MODE_ANY, "")


def test_a_pedal_starts_attempts_and_a_controller_says_that_the_operator_is_ready(rig: Rig) -> None:
    rig.plug_in()
    rig.world.mode = ControlMode()
    assert rig.activate()
    rig.until(lambda: rig.node._presser._start.service_is_ready())
    rig.key("KEY_A", 1)
    rig.until(lambda: bool(rig.world.started))
    assert (rig.world.started[0].task, rig.world.started[0].device) == ("whiteboard", "pedal:foot/KEY_A")
    rig.world.mode = ControlMode(mode=ControlMode.MODE_ALIGNING, episode_id="e2")
    rig.until(lambda: rig.node._presser.seen.mode is Mode.ALIGNING)
    rig.world.buttons = [1]
    rig.until(lambda: bool(rig.world.requests))
    ready = rig.world.requests[0]
    assert (ready.event, ready.device) == ("operator_ready", "joy:headset/button_0")
    assert (ready.expected_mode, ready.episode_id) == (Mode.ALIGNING.number, "e2")


def test_a_supervisor_that_falls_silent_is_no_start_and_still_an_emergency_stop(rig: Rig) -> None:
    rig.plug_in()
    rig.world.mode = ControlMode()
    assert rig.activate()
    assert rig.node._presser.problem == ""
    rig.world.supervisor_speaks = False
    rig.until(lambda: rig.node._presser.problem == "supervisor_node has been silent for 1 s")
    rig.key("KEY_A", 1)
    rig.key("KEY_B", 1)
    rig.until(lambda: bool(rig.world.requests))
    assert rig.world.requests[0].event == "estop"
    assert rig.world.started == []


def test_devices_that_go_and_come_back_are_facts_and_an_error_meanwhile(rig: Rig) -> None:
    rig.plug_in()
    assert rig.activate()
    rig.until(lambda: rig.world.count_publishers(topics.EVENTS) > 0 and bool(rig.world.levels))
    rig.unplug()
    rig.world.joy_speaks = False
    rig.until(lambda: len(rig.world.facts) == 2)
    assert {(fact.event, fact.device) for fact in rig.world.facts} == {
        ("device_lost", "pedal:foot"),
        ("device_lost", "joy:headset"),
    }
    assert all(fact.accepted and fact.epoch == 7 and fact.episode_id == "e1" for fact in rig.world.facts)
    rig.until(lambda: rig.world.levels[-1][0] == buttons_node.ERROR and "joy 'headset'" in rig.world.levels[-1][1])
    rig.plug_in()
    rig.world.joy_speaks = True
    rig.until(lambda: len(rig.world.facts) == 4)
    assert {fact.event for fact in rig.world.facts[2:]} == {"device_back"}
    rig.key("KEY_A", 1)
    rig.until(lambda: any(request.event == "pause" for request in rig.world.requests))
    rig.until(lambda: rig.world.levels[-1][0] == buttons_node.OK)


def test_a_pedal_that_is_missing_at_the_start_is_a_fault(rig: Rig) -> None:
    assert not rig.activate()


def test_a_controller_that_is_silent_at_the_start_is_a_fault(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buttons_node, "JOY_START_S", 0.5)
    rig.plug_in()
    rig.world.joy_speaks = False
    assert not rig.activate()
