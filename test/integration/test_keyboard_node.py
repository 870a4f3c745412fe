"""keyboard_node in a pseudo terminal, over real DDS: what is typed, and what is shown."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rove_msgs.msg import ControlMode, SupervisorEvent

from rove_core.ros import topics
from rove_hil.session.deployment import environment

DEADLINE_S = 20.0


class World(Node):
    """The supervisor, as far as a keyboard sees of it."""

    def __init__(self) -> None:
        super().__init__("world")
        self.mode = ControlMode(mode=ControlMode.MODE_PAUSED, episode_id="e1", epoch=7)
        self.requests: list[SupervisorEvent] = []
        self.ears = self.create_subscription(
            SupervisorEvent, topics.EVENT_REQUEST, self.requests.append, topics.QOS_EVENTS
        )
        self.answers = self.create_publisher(SupervisorEvent, topics.EVENTS, topics.QOS_EVENTS)
        self._modes = self.create_publisher(ControlMode, topics.MODE, topics.QOS_MODE)
        self.create_timer(0.05, lambda: self._modes.publish(self.mode))


class Rig:
    """A keyboard_node in a terminal, and the world around it."""

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (24, 100))
        argv = [sys.executable, "-m", "rove_hil.ros.keyboard_node"]
        env = {**os.environ, **environment()}
        self.process = subprocess.Popen(argv, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=env)
        self._shown: list[bytes] = []
        self.world = World()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.world)
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._spin)]
        for thread in self._threads:
            thread.start()
        self.until(lambda: "paused" in self.line and "!!" not in self.line)

    def _read(self) -> None:
        try:
            while data := os.read(self._master, 65536):
                self._shown.append(data)
        except OSError:
            return  # nobody has the other end open any more

    def _spin(self) -> None:
        while not self._ending.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    @property
    def screen(self) -> str:
        return b"".join(self._shown).decode()

    @property
    def line(self) -> str:
        """The last, which is drawn again and again."""
        return self.screen.rsplit("\r\x1b[K", 1)[-1]

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, self.screen
            time.sleep(0.01)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(DEADLINE_S)
        self._ending.set()
        os.close(self.slave)
        for thread in self._threads:
            thread.join()
        os.close(self._master)
        self.world.destroy_node()


@pytest.fixture
def rig(domain_id: int) -> Iterator[Rig]:
    rclpy.init()
    made = Rig()
    yield made
    made.end()
    rclpy.try_shutdown()


def test_keys_are_meant_for_what_the_screen_showed_and_answers_are_shown(rig: Rig) -> None:
    rig.type("t")
    rig.until(lambda: bool(rig.world.requests))
    request = rig.world.requests[0]
    assert (request.event, request.expected_mode, request.episode_id) == ("takeover", ControlMode.MODE_PAUSED, "e1")
    assert request.device.startswith("keyboard:/dev/pts/")
    # What is dangerous is asked for again, and what cannot wait is not.
    rig.type("fx")
    rig.until(lambda: len(rig.world.requests) > 1)
    assert "press 'f' again for fail" in rig.screen
    stop = rig.world.requests[1]
    assert (stop.event, stop.expected_mode) == ("estop", SupervisorEvent.MODE_ANY)
    rig.type("ff")
    rig.until(lambda: len(rig.world.requests) > 2)
    assert rig.world.requests[2].event == "fail"
    assert "\a" not in rig.screen
    rig.world.answers.publish(SupervisorEvent(event="go", device="pedal:foot/KEY_B", reason="not aligned"))
    rig.until(lambda: "refused: not aligned (pedal:foot/KEY_B)" in rig.screen)
    assert "\a" in rig.screen


def test_a_question_a_lost_pedal_and_a_silent_supervisor_are_shown(rig: Rig) -> None:
    rig.world.mode.question = "time limit reached: success, failure or abort?"
    rig.until(lambda: "? time limit reached: success, failure or abort?" in rig.screen)
    lost = SupervisorEvent(
        event="device_lost", device="pedal:foot", accepted=True, reason="pedal 'foot' is lost: closed"
    )
    rig.world.answers.publish(lost)
    rig.until(lambda: "pedal 'foot' is lost: closed" in rig.screen)
    rig.world.destroy_timer(next(iter(rig.world.timers)))
    rig.until(lambda: "supervisor_node has been silent for 2 s" in rig.screen)
    assert max(len(line) for line in rig.screen.split("\r\x1b[K")[-5:]) < 100, "a longer line would not be erased"
    rig.type("q")
    rig.until(lambda: rig.process.poll() is not None)
    assert rig.process.returncode == 0


def test_a_press_that_the_supervisor_cannot_hear_is_not_lost_without_a_word(rig: Rig) -> None:
    rig.world.destroy_subscription(rig.world.ears)
    rig.until(lambda: "!! supervisor_node does not hear yet" in rig.line)
    rig.type("t")
    rig.until(lambda: "takeover: supervisor_node does not hear yet, press again" in rig.screen)
