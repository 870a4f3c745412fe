"""policy_node over real DDS: which chunks come out for which observations and modes."""

from __future__ import annotations

import array
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rove_msgs.msg import ActionChunk, ControlMode
from rove_msgs.srv import SwapPolicy
from sensor_msgs.msg import Image, JointState

from rove_core.joint_space import JointSpace
from rove_core.ros import stamps, topics
from rove_inference.loading import load_policy
from rove_inference.observation import Observation
from rove_inference.query import Query

TINY = Path(__file__).parents[1] / "data" / "bundles" / "tiny"
SPACE = JointSpace.load("iron_r01")
DEADLINE_S = 20.0
WHITE, BLACK = 255, 0


class Robot:
    """The robot, the supervisor and the listener that the node sees: cameras at 30 Hz, joints at 150 Hz, a mode."""

    def __init__(self, domain_id: int) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.node = Node("robot", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.chunks: list[ActionChunk] = []
        self.diagnostics: list[DiagnosticStatus] = []
        self.brightness: int | None = WHITE
        self.node.create_subscription(ActionChunk, topics.CHUNK, self.chunks.append, topics.QOS_CHUNK)
        self.node.create_subscription(
            DiagnosticArray, topics.DIAGNOSTICS, lambda msg: self.diagnostics.extend(msg.status), topics.QOS_DIAGNOSTICS
        )
        self.joints = self.node.create_publisher(JointState, topics.JOINT_STATES, topics.QOS_JOINT_STATES)
        self.images = self.node.create_publisher(Image, topics.CAMERA_IMAGE.format(name="head"), topics.QOS_IMAGE)
        self.modes = self.node.create_publisher(ControlMode, topics.MODE, topics.QOS_MODE)
        self.swap = self.node.create_client(SwapPolicy, topics.SWAP_POLICY)
        self.epoch = 0
        self.node.create_timer(1 / 150, self._publish_joints)
        self.node.create_timer(1 / 30, self._publish_image)

    def close(self) -> None:
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def _publish_joints(self) -> None:
        # The order of names is the driver's business: here it is the reverse of the robot table's.
        msg = JointState(name=SPACE.names[::-1], position=array.array("d", SPACE.home[::-1].tobytes()))
        msg.header.stamp = stamps.to_msg(time.time_ns())
        self.joints.publish(msg)

    def _publish_image(self) -> None:
        if self.brightness is None:
            return
        msg = Image(
            height=48, width=64, encoding="rgb8", step=192, data=array.array("B", bytes([self.brightness] * 9216))
        )
        msg.header.stamp = stamps.to_msg(time.time_ns())
        self.images.publish(msg)

    def set_mode(self, mode: int) -> int:
        """Publish a mode of a new epoch; returns when it began [ns]."""
        self.epoch += 1
        now = stamps.to_msg(time.time_ns())
        self.modes.publish(ControlMode(stamp=now, since=now, mode=mode, epoch=self.epoch, episode_id="attempt"))
        return stamps.to_ns(now)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Spin until `condition` is true."""
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, f"waited {DEADLINE_S} s for {what}"
            self.executor.spin_once(timeout_sec=0.02)

    def wait_ready(self) -> None:
        self.wait(
            lambda: any(s.name == "policy_node" and s.level == DiagnosticStatus.OK for s in self.diagnostics), "ready"
        )
        self.wait(lambda: self.images.get_subscription_count() and self.joints.get_subscription_count(), "discovery")

    def request_swap(self, bundle: Path) -> SwapPolicy.Response:
        assert self.swap.wait_for_service(timeout_sec=DEADLINE_S)
        future = self.swap.call_async(SwapPolicy.Request(bundle_path=str(bundle)))
        self.wait(future.done, "an answer to the swap")
        return future.result()


@pytest.fixture
def robot(domain_id: int) -> Iterator[Robot]:
    robot = Robot(domain_id)
    yield robot
    robot.close()


@pytest.fixture
def policy_node(robot: Robot, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = start(TINY, tmp_path / "policy_node.log")
    yield process
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 0


def start(bundle: Path, log: Path, *parameters: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rove_inference.ros.policy_node", "--ros-args", "-p", f"bundle:={bundle}"]
    for parameter in parameters:
        command += ["-p", parameter]
    with log.open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=os.environ.copy())


@pytest.mark.usefixtures("policy_node")
def test_chunks_come_in_rollout_and_answer_observations_taken_after_it_began(robot: Robot) -> None:
    robot.wait_ready()
    since = robot.set_mode(ControlMode.MODE_ROLLOUT)
    robot.wait(lambda: len(robot.chunks) >= 3, "three chunks")
    chunks = robot.chunks[:3]
    assert [chunk.chunk_id for chunk in chunks] == [1, 2, 3]
    assert all(stamps.to_ns(chunk.observation_stamp) >= since for chunk in chunks)
    assert all(chunk.epoch == 1 and chunk.episode_id == "attempt" for chunk in chunks)
    assert all(chunk.policy_id.startswith("tiny@") for chunk in chunks)
    # In the robot's order, whatever the driver's: the model holds the pose and leans .001 rad a step for white.
    data = np.array(chunks[0].data, np.float32).reshape(chunks[0].horizon, chunks[0].dim)
    np.testing.assert_allclose(data, SPACE.clip(SPACE.home + 0.001 * np.arange(50)[:, None]), atol=1e-5)
    # Each is asked for while the one before still has steps left of those it is meant to execute.
    periods = np.diff([stamps.to_ns(chunk.observation_stamp) for chunk in chunks]) * 1e-9
    assert (periods < 16 / 30).all()


@pytest.mark.usefixtures("policy_node")
def test_pause_ends_chunks_and_resume_starts_them_in_the_new_epoch(robot: Robot) -> None:
    robot.wait_ready()
    robot.set_mode(ControlMode.MODE_ROLLOUT)
    robot.wait(lambda: robot.chunks, "a chunk")
    robot.set_mode(ControlMode.MODE_PAUSED)
    since = robot.set_mode(ControlMode.MODE_ROLLOUT)
    robot.wait(lambda: robot.chunks[-1].epoch == 3, "a chunk of the third epoch")
    assert stamps.to_ns(robot.chunks[-1].observation_stamp) >= since


@pytest.mark.usefixtures("policy_node")
def test_an_answer_with_nan_is_never_published(robot: Robot) -> None:
    robot.wait_ready()
    robot.brightness = BLACK
    robot.wait(robot.images.wait_for_all_acked, "old pictures to be gone")
    robot.set_mode(ControlMode.MODE_ROLLOUT)
    robot.wait(lambda: any("nan" in status.message for status in robot.diagnostics), "the diagnosis")
    assert all(np.isfinite(chunk.data).all() for chunk in robot.chunks)
    robot.brightness = WHITE
    count = len(robot.chunks)
    robot.wait(lambda: len(robot.chunks) > count, "a chunk once the model answers again")


@pytest.mark.usefixtures("policy_node")
def test_without_fresh_pictures_there_are_no_chunks_and_the_diagnosis_says_which_camera(robot: Robot) -> None:
    robot.brightness = None
    robot.wait_ready()
    robot.set_mode(ControlMode.MODE_ROLLOUT)
    robot.wait(lambda: any("no picture from camera 'head'" in s.message for s in robot.diagnostics), "the diagnosis")
    assert not robot.chunks


@pytest.mark.usefixtures("policy_node")
def test_a_bundle_is_swapped_while_paused_and_refused_while_it_moves_the_robot(robot: Robot, tmp_path: Path) -> None:
    other = Path(shutil.copytree(TINY, tmp_path / "other"))
    spec = other / "policy.yaml"
    spec.write_text(spec.read_text().replace("name: tiny", "name: other").replace("index: 0", "index: 7"))
    broken = Path(shutil.copytree(TINY, tmp_path / "broken"))
    (broken / "model.onnx").write_bytes(b"not a model")
    robot.wait_ready()
    robot.set_mode(ControlMode.MODE_ROLLOUT)
    robot.wait(lambda: robot.chunks, "a chunk")
    refused = robot.request_swap(other)
    assert not refused.accepted
    assert "ROLLOUT" in refused.reason
    robot.set_mode(ControlMode.MODE_PAUSED)
    robot.wait(lambda: robot.modes.wait_for_all_acked(), "the pause")
    failed = robot.request_swap(broken)
    assert not failed.accepted
    assert "SHA-256" in failed.reason
    assert failed.policy_id.startswith("tiny@")
    swapped = robot.request_swap(other)
    assert swapped.accepted, swapped.reason
    robot.set_mode(ControlMode.MODE_ROLLOUT)
    robot.wait(lambda: robot.chunks[-1].policy_id.startswith("other@"), "a chunk of the new policy")
    assert robot.chunks[-1].policy_index == 7


def test_a_chunk_says_how_it_came_about_and_rtc_continues_the_one_before(robot: Robot, tmp_path: Path) -> None:
    latency = "sensor_latency:=[head=0.02, joints=0.001]"
    process = start(TINY, tmp_path / "policy_node.log", "join:=rtc", latency)
    try:
        robot.wait_ready()
        robot.set_mode(ControlMode.MODE_ROLLOUT)
        robot.wait(lambda: len(robot.chunks) >= 3, "three chunks")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
    first, second = robot.chunks[:2]
    assert (second.backend, second.decoder, second.decoder_steps) == ("onnx", "direct", 1)
    assert (second.join, second.condition, second.cfg_beta, second.round_trip_ms) == ("rtc", "", 1.0, 0.0)
    assert first.frozen == 0
    assert 1 <= second.frozen < 16
    # The robot executes these while the model thinks: they are where the chunk before passes at their times.
    shift = (stamps.to_ns(second.observation_stamp) - stamps.to_ns(first.observation_stamp)) * 1e-9 / first.dt_s
    rows, joint = np.array(first.data).reshape(first.horizon, first.dim), SPACE.index("left_shoulder_pitch")
    along = np.interp(shift + np.arange(second.frozen), np.arange(first.horizon), rows[:, joint])
    data = np.array(second.data).reshape(second.horizon, second.dim)
    np.testing.assert_allclose(data[: second.frozen, joint], along, atol=1e-5)


@pytest.mark.usefixtures("policy_node")
def test_the_diagnostics_say_how_late_the_policy_is(robot: Robot) -> None:
    robot.wait_ready()
    robot.set_mode(ControlMode.MODE_ROLLOUT)
    robot.wait(lambda: len(robot.chunks) >= 3, "three chunks")
    robot.diagnostics.clear()
    robot.wait(lambda: any(status.name == "policy_node" for status in robot.diagnostics), "a report")
    report = next(status for status in robot.diagnostics if status.name == "policy_node")
    values = {item.key: item.value for item in report.values}
    assert 0 < float(values["action_age_p50_ms"]) <= float(values["action_age_p99_ms"])
    assert int(values["delay_estimate_steps"]) >= 1
    assert int(values["chunks"]) >= 3
    assert {"stalls", "skipped", "clipped", "dropped_epoch", "latency_estimate_ms"} <= values.keys()


MAKER = runpy.run_path(str(TINY.parent / "make_sampled.py"))


def test_a_sampled_chunk_can_be_computed_again_from_what_it_says(robot: Robot, tmp_path: Path) -> None:
    bundle = MAKER["flow"](tmp_path / "flow", SPACE)
    process = start(bundle, tmp_path / "policy_node.log", "cfg_beta:=1.5", "seed:=40")
    try:
        robot.wait_ready()
        robot.set_mode(ControlMode.MODE_ROLLOUT)
        robot.wait(lambda: len(robot.chunks) >= 2, "two chunks")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
    policy = load_policy(bundle, SPACE)
    observation = Observation(0, 0, SPACE.home, {"head": np.full((48, 64, 3), WHITE, np.uint8)})
    for chunk in robot.chunks[:2]:
        assert (chunk.decoder, chunk.decoder_steps, chunk.condition, chunk.cfg_beta) == ("flow", 20, "good", 1.5)
        query = Query(condition=chunk.condition, cfg_beta=chunk.cfg_beta, seed=chunk.seed)
        again = policy.predict(observation, query).positions
        np.testing.assert_allclose(np.array(chunk.data).reshape(again.shape), again, atol=1e-6)
    assert robot.chunks[1].seed == robot.chunks[0].seed + 1


def test_what_an_adapter_did_is_in_the_chunk(robot: Robot, tmp_path: Path) -> None:
    bundle = MAKER["consistency"](tmp_path / "adapted", SPACE, adapter_gain=1.0)
    process = start(bundle, tmp_path / "policy_node.log")
    try:
        robot.wait_ready()
        robot.set_mode(ControlMode.MODE_ROLLOUT)
        robot.wait(lambda: robot.chunks, "a chunk")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
    chunk = robot.chunks[0]
    assert (chunk.decoder, chunk.decoder_steps) == ("consistency", 1)
    base, residual = (np.array(part).reshape(chunk.horizon, chunk.dim) for part in (chunk.base, chunk.residual))
    made = SPACE.clip(base + np.array(chunk.gate)[:, None] * residual)
    np.testing.assert_allclose(np.array(chunk.data).reshape(made.shape), made, atol=1e-6)
    assert np.abs(residual).max() > 0


@pytest.mark.parametrize(
    ("parameter", "line"),
    [
        ("sensor_latency:=[haed=0.02]", "the policy has no sensor 'haed'"),
        ("device:=gpu", "device 'gpu': expected cpu, cuda or tensorrt"),
        ("cpus:=4000-4001", "cpus [4000, 4001]: this process may use"),
        ("cfg_beta:=2.0", "cfg_beta 2: policy 'tiny' has no negative condition"),
    ],
)
def test_what_the_policy_cannot_do_fails_to_start_with_one_clear_line(
    domain_id: int, tmp_path: Path, parameter: str, line: str
) -> None:
    process = start(TINY, tmp_path / "policy_node.log", parameter)
    assert process.wait(DEADLINE_S) == 1
    log = (tmp_path / "policy_node.log").read_text()
    assert "Traceback" not in log
    assert line in log


def test_a_bundle_with_a_changed_model_fails_to_start_with_one_clear_line(domain_id: int, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(TINY, tmp_path / "broken"))
    (broken / "model.onnx").write_bytes(b"not a model")
    process = start(broken, tmp_path / "policy_node.log")
    assert process.wait(DEADLINE_S) == 1
    lines = [line for line in (tmp_path / "policy_node.log").read_text().splitlines() if "SHA-256" in line]
    assert len(lines) == 1
    assert "Traceback" not in (tmp_path / "policy_node.log").read_text()


def serve(log: Path, bind: str) -> tuple[subprocess.Popen[bytes], str]:
    """`rove policy serve` with the tiny bundle, and where it can be reached."""
    command = [sys.executable, "-m", "rove_hil.cli.main", "policy", "serve", str(TINY), "--bind", bind]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONUNBUFFERED": "1"}
        )
    end = time.monotonic() + DEADLINE_S
    while " at tcp://" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, "the server is not there"
        time.sleep(0.02)
    return process, log.read_text().split(" at ")[1].split()[0]


def test_a_policy_elsewhere_makes_chunks_none_while_its_server_is_dead_and_again_afterwards(
    robot: Robot, tmp_path: Path
) -> None:
    server, url = serve(tmp_path / "server.log", "tcp://127.0.0.1:0")
    node = None
    try:
        connect = [sys.executable, "-m", "rove_hil.cli.main", "policy", "connect", url, str(tmp_path / "far")]
        subprocess.run(connect, check=True, timeout=DEADLINE_S)
        node = start(tmp_path / "far", tmp_path / "policy_node.log")
        robot.wait_ready()
        robot.set_mode(ControlMode.MODE_ROLLOUT)
        robot.wait(lambda: len(robot.chunks) >= 2, "two chunks")
        assert robot.chunks[0].backend == "rove"
        assert robot.chunks[0].round_trip_ms > robot.chunks[0].inference_ms > 0
        expected = SPACE.clip(SPACE.home + 0.001 * np.arange(50)[:, None])
        np.testing.assert_allclose(np.array(robot.chunks[0].data).reshape(50, 50), expected, atol=1e-5)
        server.kill()
        server.wait()
        robot.diagnostics.clear()
        robot.wait(
            lambda: any("no policy server at" in status.message for status in robot.diagnostics), "the diagnosis"
        )
        made = len(robot.chunks)
        server, _ = serve(tmp_path / "server-2.log", url)
        robot.wait(lambda: len(robot.chunks) > made, "a chunk from the new server")
    finally:
        server.kill()
        server.wait()
        if node is not None:
            node.send_signal(signal.SIGINT)
            assert node.wait(DEADLINE_S) == 0
