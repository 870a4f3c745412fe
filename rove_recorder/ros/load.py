"""A robot at full load, for `rove bench recorder`: cameras, joints, commands, chunks and events over real DDS.

Two processes, because one interpreter does not keep 90 images and 400 joint messages a second on time:

    python -m rove_recorder.ros.load images --cameras 3 ...     three cameras, 640x480, 30 Hz, as a driver sends them
    python -m rove_recorder.ros.load robot --seconds 60 ...     everything else, and the attempts themselves

The robot's process writes what it sent to `--out` (NPZ): the stamps of every command and joint state and the times
[ns, ROS clock] between which each attempt was open. The cameras' process writes `<out>.images.npz` when interrupted.
"""

from __future__ import annotations

import argparse
import array
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import rclpy
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.serialization import serialize_message
from rove_msgs.msg import ActionChunk, CommandTrace, ControlMode, SupervisorEvent
from sensor_msgs.msg import Image, JointState

from rove_core.clocks import system_minus_monotonic_ns
from rove_core.errors import RoveError
from rove_core.joint_space import JointSpace
from rove_core.modes import Mode, Source, Stage
from rove_core.ros import stamps, topics

WIDTH, HEIGHT, CAMERA_HZ = 640, 480, 30.0
TICK_HZ, CHUNK_HZ, MODE_HZ, EVENT_HZ = 200.0, 3.0, 20.0, 1.0
CHUNK_STEPS, CHUNK_DT_S = 32, 1 / 30
# Different images per camera, shown in turn.
SCENES = 15
# An image's stamp in its serialized message: after the encapsulation header (4 bytes), seconds and nanoseconds.
STAMP_AT = slice(4, 12)
LISTENERS_S = 30.0
# Before the first attempt, between two, and after the last.
QUIET_S = 1.0
DEVICE = "keyboard:load"


def pace(rate_hz: float, stop: threading.Event, work: Callable[[int], None]) -> None:
    """Call `work(0)`, `work(1)` ... at absolute deadlines until `stop`."""
    start, number = time.monotonic(), 0
    while not stop.wait(max(start + number / rate_hz - time.monotonic(), 0)):
        work(number)
        number += 1


def pictures(seed: int) -> list[npt.NDArray[np.uint8]]:
    """Images of a textured scene that moves, (HEIGHT, WIDTH, 3) RGB: about 60 kB each as JPEG, like a real room."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.integers(0, 255, (24, 32, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.integers(0, 40, (HEIGHT // 2, WIDTH // 2, 3), np.uint8), (WIDTH, HEIGHT))
    scene = cv2.add(coarse // 2, fine)
    return [np.roll(scene, 4 * number, axis=1) for number in range(SCENES)]


class Cameras:
    """Publishes images that were serialized beforehand, with the stamp of their moment: a driver's share of the CPU."""

    def __init__(self, node: Node, names: list[str]) -> None:
        self.sent: dict[str, list[int]] = {name: [] for name in names}
        self._publishers: dict[str, Publisher] = {}
        self._images: dict[str, list[bytearray]] = {}
        for seed, name in enumerate(names):
            topic = topics.CAMERA_IMAGE.format(name=name)
            self._publishers[name] = node.create_publisher(Image, topic, topics.QOS_IMAGE)
            self._images[name] = [_serialized(picture) for picture in pictures(seed)]

    def publish(self, number: int) -> None:
        """Every camera's image `number`."""
        for name, publisher in self._publishers.items():
            image = self._images[name][number % SCENES]
            now_ns = time.time_ns()
            image[STAMP_AT] = np.array(divmod(now_ns, 10**9), "<u4").tobytes()
            publisher.publish(bytes(image))
            self.sent[name].append(now_ns)


def _serialized(picture: npt.NDArray[np.uint8]) -> bytearray:
    data = array.array("B", picture.tobytes())
    message = Image(width=WIDTH, height=HEIGHT, step=3 * WIDTH, encoding="rgb8", data=data)
    return bytearray(serialize_message(message))


class Robot:
    """Driver, filter, policy and supervisor in one: 50 joints that swing slowly, inside every limit."""

    def __init__(self, node: Node) -> None:
        create = node.create_publisher
        self._joints = create(JointState, topics.JOINT_STATES, topics.QOS_JOINT_STATES)
        self._traces = create(CommandTrace, topics.COMMAND_TRACE, topics.QOS_COMMAND_TRACE)
        self._modes = create(ControlMode, topics.MODE, topics.QOS_MODE)
        self._events = create(SupervisorEvent, topics.EVENTS, topics.QOS_EVENTS)
        self._chunks = create(ActionChunk, topics.CHUNK, topics.QOS_CHUNK)
        self._space = JointSpace.load("iron_r01")
        self._names = list(self._space.names)
        self._limited = array.array("B", bytes(self._space.dim))
        self._mode = ControlMode(mode=Mode.IDLE.number, task="whiteboard")
        self._chunk_id = 0
        self.sent_ns: list[int] = []
        self.open: list[tuple[int, int]] = []

    @property
    def listeners(self) -> int:
        """How many subscribe to what is needed to record."""
        return int(min(publisher.get_subscription_count() for publisher in (self._joints, self._traces, self._modes)))

    def tick(self, number: int) -> None:
        """A joint state and a command."""
        mono_ns = time.monotonic_ns()
        ros_ns = mono_ns + system_minus_monotonic_ns()
        wave = 0.02 * np.sin(number / 400)
        position = array.array("d", (self._space.home + wave).tobytes())
        joints = JointState(name=self._names, position=position, velocity=position)
        joints.header.stamp = stamps.to_msg(ros_ns)
        self._joints.publish(joints)
        mode = self._mode
        trace = CommandTrace(mono_ns=mono_ns, tick=number, target=position, sent=position, limited=self._limited)
        trace.stamp, trace.mode, trace.stage = joints.header.stamp, mode.mode, mode.stage
        trace.epoch, trace.episode_id = mode.epoch, mode.episode_id
        rolling = mode.mode == Mode.ROLLOUT.number
        trace.source = int(Source.POLICY if rolling else Source.HOLD)
        trace.chunk_id, trace.chunk_step = (self._chunk_id, 0) if rolling else (0, -1)
        if rolling:
            trace.policy_position = position
        self._traces.publish(trace)
        self.sent_ns.append(ros_ns)

    def heartbeat(self, _: int = 0) -> None:
        """The mode, as supervisor_node repeats it."""
        self._mode.stamp = stamps.to_msg(time.time_ns())
        self._modes.publish(self._mode)

    def chunk(self, _: int = 0) -> None:
        """A chunk of the policy."""
        self._chunk_id += 1
        data = array.array("f", np.tile(self._space.home, (CHUNK_STEPS, 1)).astype(np.float32).tobytes())
        message = ActionChunk(chunk_id=self._chunk_id, epoch=self._mode.epoch, dt_s=CHUNK_DT_S, data=data)
        message.horizon, message.dim, message.execute = CHUNK_STEPS, self._space.dim, CHUNK_STEPS // 2
        message.policy_id = "load@0123456789ab"
        message.observation_stamp = message.request_stamp = message.ready_stamp = stamps.to_msg(time.time_ns())
        self._chunks.publish(message)

    def press(self, event: str, accepted: bool = True) -> None:
        """An answered press."""
        answer = SupervisorEvent(event=event, device=DEVICE, accepted=accepted, epoch=self._mode.epoch)
        answer.stamp = stamps.to_msg(time.time_ns())
        self._events.publish(answer)

    def change(self, mode: Mode, event: str, episode_id: str) -> None:
        """A change of mode, with its event."""
        before = self._mode
        stage = Stage.ROLLOUT if mode is Mode.ROLLOUT else Stage.NONE
        changed = ControlMode(mode=mode.number, stage=int(stage), epoch=before.epoch + 1, event=event)
        changed.event_device, changed.episode_id, changed.task = DEVICE, episode_id, before.task
        self._mode = changed
        self.press(event)
        self.heartbeat()

    def attempt(self, episode_id: str, seconds: float, stop: threading.Event) -> None:
        """One attempt of the policy."""
        start_ns = time.time_ns()
        self.change(Mode.ROLLOUT, "start", episode_id)
        self.chunk()
        stop.wait(seconds)
        self.open.append((start_ns, time.time_ns()))
        self.change(Mode.IDLE, "succeed", "")


def _run_images(node: Node, options: argparse.Namespace, stop: threading.Event) -> None:
    cameras = Cameras(node, options.cameras)
    pace(CAMERA_HZ, stop, cameras.publish)
    sent: dict[str, Any] = {name: np.array(times, np.int64) for name, times in cameras.sent.items()}
    np.savez(options.out.with_suffix(".images.npz"), **sent)


def _run_robot(node: Node, options: argparse.Namespace, stop: threading.Event) -> None:
    robot = Robot(node)
    deadline = time.monotonic() + LISTENERS_S
    while robot.listeners < 1:
        if time.monotonic() > deadline:
            raise RoveError(f"nobody listened within {LISTENERS_S:.0f} s", "rove doctor says whether ROS 2 works here")
        stop.wait(0.05)
    ended = threading.Event()
    work = (
        (TICK_HZ, robot.tick),
        (CHUNK_HZ, robot.chunk),
        (MODE_HZ, robot.heartbeat),
        (EVENT_HZ, lambda _: robot.press("mark_progress", accepted=False)),
    )
    threads = [threading.Thread(target=pace, args=(rate, ended, do)) for rate, do in work]
    for thread in threads:
        thread.start()
    stop.wait(QUIET_S)
    for number in range(options.attempts):
        if not stop.is_set():
            robot.attempt(f"load-{number:03d}", options.seconds, stop)
            stop.wait(QUIET_S)
    ended.set()
    for thread in threads:
        thread.join()
    np.savez(options.out, sent_ns=np.array(robot.sent_ns, np.int64), open_ns=np.array(robot.open, np.int64))


def main() -> None:
    """Run one of the two until it is done or interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("images", "robot"))
    parser.add_argument("--cameras", nargs="*", default=["head", "left_wrist", "right_wrist"])
    parser.add_argument("--attempts", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node = Node(f"load_{options.part}")
    try:
        (_run_images if options.part == "images" else _run_robot)(node, options, stop)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
