"""recorder_node as a process, fed over real DDS by a stand-in for the rest of the stack."""

from __future__ import annotations

import array
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rclpy
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rove_msgs.msg import ActionChunk, CommandTrace, ControlMode, EpisodeStatus, SupervisorEvent
from sensor_msgs.msg import CompressedImage, Image, JointState

import rove_core
from rove_core.joint_space import JointSpace
from rove_core.ros import stamps, topics
from rove_recorder.checking.check import check_episode
from rove_recorder.reader import Episode, open_episode

DEADLINE_S = 60.0
PROFILE = Path(rove_core.__file__).parent / "ros" / "fastdds_profile.xml"


class Stack:
    """Publishes what the robot, the filter and the supervisor would, in real time."""

    def __init__(self) -> None:
        self.space = JointSpace.load("iron_r01")
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = Node("stack", context=self.context)
        create = self.node.create_publisher
        self._joints = create(JointState, topics.JOINT_STATES, topics.QOS_JOINT_STATES)
        self._traces = create(CommandTrace, topics.COMMAND_TRACE, topics.QOS_COMMAND_TRACE)
        self._images = create(Image, topics.CAMERA_IMAGE.format(name="head"), topics.QOS_IMAGE)
        self._modes = create(ControlMode, topics.MODE, topics.QOS_MODE)
        self._events = create(SupervisorEvent, topics.EVENTS, topics.QOS_EVENTS)
        self._chunks = create(ActionChunk, topics.CHUNK, topics.QOS_CHUNK)
        self.status = EpisodeStatus()
        qos = topics.QOS_EPISODE_STATUS
        self.node.create_subscription(EpisodeStatus, topics.EPISODE_STATUS, self._on_status, qos)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self.mode = ControlMode()
        self.chunk_id = 0
        self.source = CommandTrace.SOURCE_HOLD
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._spin), threading.Thread(target=self._publish)]
        for thread in self._threads:
            thread.start()

    def _on_status(self, message: EpisodeStatus) -> None:
        self.status = message

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    def _publish(self) -> None:
        picture = array.array("B", np.full((48, 64, 3), 90, np.uint8).tobytes())
        names, tick, start_ns = list(self.space.names), 0, time.monotonic_ns()
        while not self._stop.is_set():
            ros_ns, mono_ns = time.time_ns(), time.monotonic_ns()
            # Slow enough for every limit of the robot.
            position = array.array("d", (self.space.home + 0.02 * np.sin(tick / 200)).tobytes())
            joints = JointState(name=names, position=position, velocity=position)
            joints.header.stamp = stamps.to_msg(ros_ns)
            self._joints.publish(joints)
            if tick % 7 == 0:
                image = Image(width=64, height=48, step=192, encoding="rgb8", data=picture)
                image.header.stamp = stamps.to_msg(ros_ns)
                self._images.publish(image)
            trace = CommandTrace(mono_ns=mono_ns, tick=tick, source=self.source, target=position, sent=position)
            trace.stamp, trace.mode, trace.stage = stamps.to_msg(ros_ns), self.mode.mode, self.mode.stage
            trace.epoch, trace.episode_id = self.mode.epoch, self.mode.episode_id
            trace.limited = array.array("B", bytes(self.space.dim))
            trace.chunk_id, trace.chunk_step = self.chunk_id, 0 if self.chunk_id else -1
            self._traces.publish(trace)
            tick += 1
            remaining_s = (start_ns + tick * 5_000_000 - time.monotonic_ns()) * 1e-9
            if remaining_s > 0:
                time.sleep(remaining_s)

    def say(self, mode: int, stage: int, event: str, episode_id: str, source: int) -> None:
        """A change of mode, as supervisor_node publishes it, with its event."""
        mode_message = ControlMode(mode=mode, stage=stage, epoch=self.mode.epoch + 1, event=event, task="whiteboard")
        mode_message.event_device, mode_message.episode_id = "keyboard:test", episode_id
        mode_message.stamp = stamps.to_msg(time.time_ns())
        mode_message.session_metadata_json = '{"lab": 2}'
        answer = SupervisorEvent(event=event, device="keyboard:test", accepted=True, epoch=mode_message.epoch)
        answer.stamp = mode_message.stamp
        if source == CommandTrace.SOURCE_POLICY:
            self.chunk_id += 1
            self._send_chunk(mode_message.epoch)
        else:
            self.chunk_id = 0
        self.mode, self.source = mode_message, source
        self._events.publish(answer)
        self._modes.publish(mode_message)

    def _send_chunk(self, epoch: int) -> None:
        data = array.array("f", np.tile(self.space.home, (16, 1)).astype(np.float32).tobytes())
        chunk = ActionChunk(chunk_id=self.chunk_id, epoch=epoch, dt_s=1 / 30, horizon=16, dim=self.space.dim, data=data)
        chunk.execute, chunk.policy_id, chunk.policy_index = 8, "demo@0123456789ab", 3
        chunk.decoder, chunk.base, chunk.residual = "consistency", data, array.array("f", bytes(4 * len(data)))
        chunk.gate = array.array("f", [0.5] * chunk.horizon)
        chunk.observation_stamp = stamps.to_msg(time.time_ns())
        self._chunks.publish(chunk)

    def start(self, episode_id: str) -> None:
        """Open an attempt and wait until it is being recorded."""
        self.say(ControlMode.MODE_ROLLOUT, ControlMode.STAGE_ROLLOUT, "start", episode_id, CommandTrace.SOURCE_POLICY)
        self.wait(lambda: self.status.episode_id == episode_id and self.status.rows > 10)

    def wait(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"not reached; last status {self.status}"
            time.sleep(0.01)

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def stack(domain_id: int) -> Iterator[Stack]:
    running = Stack()
    yield running
    running.close()


@pytest.fixture
def recorder(domain_id: int, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts recorder_node processes and ends them."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(folder: str = "session", **more: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "rove_recorder.ros.recorder_node", "--ros-args"]
        parameters = {"out_dir": tmp_path / folder, "camera_hz": 28.6, "min_free_mb": 1} | more
        for name, value in parameters.items():
            command += ["-p", f"{name}:={value}"]
        environment = {**os.environ, "FASTDDS_DEFAULT_PROFILES_FILE": str(PROFILE)}
        processes.append(subprocess.Popen(command, env=environment))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            # Not killed: Fast DDS does not always survive a peer on shared memory that vanishes.
            process.send_signal(signal.SIGINT)
            process.wait(DEADLINE_S)


def _only_episode(folder: Path) -> Episode:
    (path,) = folder.glob("*.zarr*")
    return open_episode(path)


def test_an_attempt_with_a_takeover_becomes_one_labelled_episode(
    stack: Stack, recorder: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    process = recorder()
    stack.wait(lambda: stack.status.disk_free_mb > 0)
    stack.start("first")
    hold, operator = CommandTrace.SOURCE_HOLD, CommandTrace.SOURCE_OPERATOR
    stack.say(ControlMode.MODE_ALIGNING, ControlMode.STAGE_NONE, "takeover", "first", hold)
    stack.say(ControlMode.MODE_TAKEOVER, ControlMode.STAGE_ADAPTATION, "go", "first", operator)
    rows = stack.status.rows
    stack.wait(lambda: stack.status.rows > rows + 15)
    stack.say(ControlMode.MODE_IDLE, ControlMode.STAGE_NONE, "succeed", "", hold)
    stack.wait(lambda: stack.status.last_outcome == "success")
    assert stack.status.state == EpisodeStatus.STATE_IDLE
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 0

    episode = _only_episode(tmp_path / "session")
    assert episode.attrs["session_metadata"] == {"lab": 2}
    assert episode.finished
    assert episode.attrs["outcome"]["value"] == "success"
    assert episode.attrs["outcome"]["by"] == "keyboard:test"
    assert episode.attrs["takeovers"] == 1
    assert episode.attrs["policy"] == {"id": "demo", "sha256": "0123456789ab", "index": 3}
    chunks = episode.chunks
    np.testing.assert_array_equal(chunks.record("base", 0), chunks.record("prediction", 0))
    assert not chunks.record("residual", 0).any()
    assert chunks.record("gate", 0).tolist() == [0.5] * 16
    assert {span.controller for span in episode.stages()} >= {"policy", "human"}
    assert {"start", "takeover", "go", "succeed"} <= {event["type"] for event in episode.events()}
    assert len(episode.frames("head")) > 10
    assert episode.frames("head")[0].shape == (48, 64, 3)
    assert episode.steps["valid"].any()
    problems = check_episode(episode)
    assert not [problem for problem in problems if "command_sent" not in problem], problems


def test_a_killed_recorder_leaves_an_episode_that_its_successor_recovers_and_continues(
    stack: Stack, recorder: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    process = recorder()
    stack.wait(lambda: stack.status.disk_free_mb > 0)
    stack.start("killed")
    rows = stack.status.rows
    stack.wait(lambda: stack.status.rows > rows + 30)
    process.kill()
    process.wait()
    recorder("next")
    stack.wait(lambda: stack.status.episode_id == "killed" and "/next/" in stack.status.path)
    recovered = _only_episode(tmp_path / "session")
    assert recovered.finished
    assert recovered.attrs["recovered"]
    assert recovered.attrs["outcome"]["value"] == "unlabelled"
    assert recovered.rows >= rows


def test_a_second_recorder_on_the_same_session_is_refused(
    stack: Stack, recorder: Callable[..., subprocess.Popen[bytes]]
) -> None:
    recorder()
    stack.wait(lambda: stack.status.disk_free_mb > 0)
    assert recorder().wait(DEADLINE_S) == 1


def test_raw_messages_beside_the_episode_hold_the_same(
    stack: Stack, recorder: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """Read as anybody would: with the schemas in the file, not with the installed messages."""
    process = recorder(mcap=True)
    stack.wait(lambda: stack.status.disk_free_mb > 0)
    stack.start("raw")
    stack.say(ControlMode.MODE_IDLE, ControlMode.STAGE_NONE, "succeed", "", CommandTrace.SOURCE_HOLD)
    stack.wait(lambda: stack.status.last_outcome == "success")
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 0

    episode = open_episode(tmp_path / "session" / "raw.zarr")
    messages: dict[str, list[Any]] = defaultdict(list)
    with (tmp_path / "session" / "raw.mcap").open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        for _, channel, _, message in reader.iter_decoded_messages():
            messages[channel.topic].append(message)
    commands = episode.streams["commands"]
    index = {tick: number for number, tick in enumerate(commands["tick"].tolist())}
    traces = [trace for trace in messages[topics.COMMAND_TRACE] if trace.tick in index]
    assert len(traces) > 50
    for trace in traces:
        assert trace.sent == commands["sent"][index[trace.tick]].tolist()
        assert trace.mono_ns == commands["t_mono_ns"][index[trace.tick]]
    (chunk,) = messages[topics.CHUNK]
    np.testing.assert_array_equal(chunk.data, episode.chunks.record("prediction", 0).ravel())
    assert {mode.episode_id for mode in messages[topics.MODE]} <= {"raw", ""}
    images = messages[topics.CAMERA_IMAGE.format(name="head")]
    assert len(images) > 5
    assert bytes(images[0].data) == bytes([90] * 48 * 64 * 3)


def test_the_jpeg_of_a_camera_that_compresses_is_recorded_byte_for_byte(
    stack: Stack, recorder: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    recorder(cameras="[head,wrist]", compressed="[wrist]")
    publisher = stack.node.create_publisher(
        CompressedImage, topics.CAMERA_COMPRESSED.format(name="wrist"), topics.QOS_IMAGE
    )
    stack.wait(lambda: stack.status.disk_free_mb > 0 and publisher.get_subscription_count())
    stack.start("compressed")
    sent = []
    for number in range(5):
        picture = np.full((48, 64, 3), 20 * number, np.uint8)
        jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
        message = CompressedImage(format="rgb8; jpeg compressed bgr8", data=array.array("B", jpeg))
        message.header.stamp = stamps.to_msg(time.time_ns())
        frames = stack.status.frames
        publisher.publish(message)
        stack.wait(lambda before=frames: stack.status.frames > before)  # type: ignore[misc]
        sent.append(jpeg)
    assert "wrist" in stack.status.streams
    stack.say(ControlMode.MODE_IDLE, ControlMode.STAGE_NONE, "succeed", "", CommandTrace.SOURCE_HOLD)
    stack.wait(lambda: stack.status.last_outcome == "success")
    frames = _only_episode(tmp_path / "session").frames("wrist")
    assert [frames.jpeg(number) for number in range(len(frames))] == sent


def test_an_open_episode_is_closed_as_aborted_when_the_node_ends(
    stack: Stack, recorder: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    process = recorder()
    stack.wait(lambda: stack.status.disk_free_mb > 0)
    stack.start("interrupted")
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 0
    episode = _only_episode(tmp_path / "session")
    assert episode.finished
    assert episode.attrs["outcome"]["value"] == "aborted"
