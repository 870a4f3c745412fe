"""Another policy for a running policy_node, over DDS: when it is taken, when it is refused, what goes on meanwhile."""

from __future__ import annotations

import array
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future
from rove_msgs.msg import ActionChunk, ControlMode, SupervisorEvent
from rove_msgs.srv import SwapPolicy
from sensor_msgs.msg import Image, JointState

from rove_core.joint_space import JointSpace
from rove_core.ros import stamps, topics
from rove_inference.ros.swap_service import OFFERED_EVENT, SWAPPED_EVENT

TINY = Path(__file__).parents[1] / "data" / "bundles" / "tiny"
SPACE = JointSpace.load("iron_r01")
DEADLINE_S = 30.0
PASSWORD = b"go on"


class Deployment:
    """A policy_node and all that it hears: cameras, joints, a supervisor, and somebody who asks for swaps."""

    def __init__(self, offers: Path) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
        self.node = Node("robot", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.chunks: list[ActionChunk] = []
        self.events: list[SupervisorEvent] = []
        self.diagnosis = DiagnosticStatus()
        hear, say = self.node.create_subscription, self.node.create_publisher
        hear(ActionChunk, topics.CHUNK, self.chunks.append, topics.QOS_CHUNK)
        hear(SupervisorEvent, topics.EVENTS, self.events.append, topics.QOS_EVENTS)
        hear(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, topics.QOS_DIAGNOSTICS)
        self.joints = say(JointState, topics.JOINT_STATES, topics.QOS_JOINT_STATES)
        self.images = say(Image, topics.CAMERA_IMAGE.format(name="head"), topics.QOS_IMAGE)
        self.modes = say(ControlMode, topics.MODE, topics.QOS_MODE)
        self.swap = self.node.create_client(SwapPolicy, topics.SWAP_POLICY)
        self.mode, self.epoch = ControlMode.MODE_IDLE, 0
        self.node.create_timer(1 / 30, self._sense)
        command = [sys.executable, "-m", "rove_inference.ros.policy_node", "--ros-args"]
        self.process = subprocess.Popen([*command, "-p", f"bundle:={TINY}", "-p", f"offers:={offers}"])

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            assert self.process.wait(DEADLINE_S) == 0
        finally:
            self.process.kill()
            self.node.destroy_node()
            rclpy.shutdown(context=self.context)

    def _sense(self) -> None:
        now = stamps.to_msg(time.time_ns())
        joints = JointState(name=SPACE.names, position=array.array("d", SPACE.home.tobytes()))
        image = Image(height=48, width=64, encoding="rgb8", step=192, data=array.array("B", bytes([255] * 9216)))
        joints.header.stamp = image.header.stamp = now
        self.joints.publish(joints)
        self.images.publish(image)

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.name == "policy_node":
                self.diagnosis = status

    @property
    def values(self) -> dict[str, str]:
        return {value.key: value.value for value in self.diagnosis.values}

    def set_mode(self, mode: int) -> None:
        """Change the mode and wait until policy_node has taken it."""
        self.epoch += 1
        now = stamps.to_msg(time.time_ns())
        self.modes.publish(ControlMode(stamp=now, since=now, mode=mode, epoch=self.epoch, episode_id="attempt"))
        self.wait(lambda: self.modes.wait_for_all_acked(), "the mode")

    def wait(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, f"waited {DEADLINE_S} s for {what}; it says {self.diagnosis.message}"
            self.executor.spin_once(timeout_sec=0.02)

    def ask(self, bundle: str | Path) -> Future[Any]:
        assert self.swap.wait_for_service(timeout_sec=DEADLINE_S)
        return self.swap.call_async(SwapPolicy.Request(bundle_path=str(bundle)))

    def answer(self, future: Future[Any]) -> SwapPolicy.Response:
        self.wait(future.done, "an answer to the swap")
        return future.result()

    def event(self, name: str) -> SupervisorEvent:
        self.wait(lambda: any(event.event == name for event in self.events), f"the event {name}")
        return next(event for event in self.events if event.event == name)


@pytest.fixture
def offers(tmp_path: Path) -> Path:
    folder = tmp_path / "offers"
    folder.mkdir()
    return folder


@pytest.fixture
def deployment(domain_id: int, offers: Path) -> Iterator[Deployment]:
    deployment = Deployment(offers)
    try:
        deployment.wait(lambda: deployment.diagnosis.message.endswith("ready"), "ready")
        deployment.wait(deployment.images.get_subscription_count, "the camera to be heard")
        deployment.wait(lambda: deployment.node.count_subscribers(topics.MODE), "the mode to be heard")
        yield deployment
    finally:
        deployment.close()


def bundle(folder: Path, **keys: Any) -> Path:
    """A copy of the tiny bundle under another name."""
    shutil.copytree(TINY, folder)
    file = folder / "policy.yaml"
    spec = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump(spec | {"name": folder.name} | keys, sort_keys=False), encoding="utf-8")
    return folder


def slow_bundle(folder: Path) -> Path:
    """One whose loading waits until it is let: the last of its files is a pipe."""
    files = yaml.safe_load((TINY / "policy.yaml").read_text(encoding="utf-8"))["files"]
    bundle(folder, files=files | {"pipe": hashlib.sha256(PASSWORD).hexdigest()})
    os.mkfifo(folder / "pipe")
    return folder


@contextmanager
def pipe(deployment: Deployment, folder: Path) -> Iterator[Callable[[], object]]:
    """Waits until the bundle is being loaded; what it gives lets loading go on."""
    opened: list[int] = []

    def loading() -> bool:
        with suppress(OSError):  # nobody reads yet
            opened.append(os.open(folder / "pipe", os.O_WRONLY | os.O_NONBLOCK))
        return bool(opened)

    deployment.wait(loading, "the bundle to be loaded")
    yield lambda: os.write(opened[0], PASSWORD)
    os.close(opened[0])


def test_while_a_bundle_loads_the_node_goes_on_and_a_rollout_that_begins_stays_with_the_old_one(
    deployment: Deployment, tmp_path: Path
) -> None:
    slow = slow_bundle(tmp_path / "slow")
    deployment.set_mode(ControlMode.MODE_PAUSED)
    asked = deployment.ask(slow)
    with pipe(deployment, slow) as let_it_load:
        busy = deployment.answer(deployment.ask(TINY))
        assert not busy.accepted
        assert "busy" in busy.reason
        deployment.set_mode(ControlMode.MODE_ROLLOUT)
        deployment.wait(lambda: deployment.chunks, "a chunk while the other bundle loads")
        assert not asked.done()
        let_it_load()
    refused = deployment.answer(asked)
    assert not refused.accepted
    assert "the mode is ROLLOUT" in refused.reason
    count = len(deployment.chunks)
    deployment.wait(lambda: len(deployment.chunks) > count, "a chunk after the refusal")
    assert all(chunk.policy_id.startswith("tiny@") for chunk in deployment.chunks)


def test_a_swap_in_a_pause_is_in_the_next_chunks_and_in_the_record(deployment: Deployment, tmp_path: Path) -> None:
    deployment.set_mode(ControlMode.MODE_ROLLOUT)
    deployment.wait(lambda: deployment.chunks, "a chunk")
    assert not deployment.answer(deployment.ask(TINY)).accepted
    refusal = deployment.event(SWAPPED_EVENT)
    assert not refusal.accepted
    assert "ROLLOUT" in refusal.reason
    deployment.events.clear()
    deployment.set_mode(ControlMode.MODE_PAUSED)
    answer = deployment.answer(deployment.ask(bundle(tmp_path / "better", index=3)))
    assert answer.accepted, answer.reason
    event = deployment.event(SWAPPED_EVENT)
    assert event.accepted
    assert json.loads(event.payload)["policy_id"] == answer.policy_id
    assert (event.mode_after, event.epoch) == (ControlMode.MODE_PAUSED, deployment.epoch)
    deployment.wait(lambda: deployment.values.get("policy_id") == answer.policy_id, "the report for the supervisor")
    assert deployment.values["policy_index"] == "3"
    deployment.set_mode(ControlMode.MODE_ROLLOUT)
    deployment.wait(lambda: deployment.chunks[-1].policy_id == answer.policy_id, "a chunk of the new policy")
    assert deployment.chunks[-1].policy_index == 3


def test_a_corrupt_bundle_leaves_the_old_one_in_force(deployment: Deployment, tmp_path: Path) -> None:
    broken = bundle(tmp_path / "broken")
    model = broken / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    answer = deployment.answer(deployment.ask(broken))
    assert not answer.accepted
    assert "SHA-256" in answer.reason
    assert answer.policy_id.startswith("tiny@")
    blind = bundle(tmp_path / "blind", cameras=[{"name": "wrist", "width": 32, "height": 24}])
    assert "no input 'image_wrist'" in deployment.answer(deployment.ask(blind)).reason
    assert "no policy bundle" in deployment.answer(deployment.ask(tmp_path / "nowhere")).reason
    deployment.set_mode(ControlMode.MODE_ROLLOUT)
    deployment.wait(lambda: deployment.chunks, "a chunk of the old policy")
    assert deployment.chunks[-1].policy_id == answer.policy_id


def test_a_complete_bundle_in_the_watched_folder_is_offered_and_accepted_without_a_name(
    deployment: Deployment, offers: Path
) -> None:
    arriving = bundle(offers / "nightly", index=8)
    model = (arriving / "model.onnx").read_bytes()
    (arriving / "model.onnx").write_bytes(model[:100])  # the copy is under way
    deployment.wait(lambda: "SHA-256" in deployment.values.get("not offered: nightly", ""), "the diagnosis")
    nothing = deployment.answer(deployment.ask(""))
    assert not nothing.accepted
    assert "no bundle is offered" in nothing.reason
    assert not [event for event in deployment.events if event.event == OFFERED_EVENT]
    (arriving / "model.onnx").write_bytes(model)
    offered = json.loads(deployment.event(OFFERED_EVENT).payload)
    assert offered["bundle_path"] == str(arriving)
    command = [sys.executable, "-m", "rove_hil.cli.main", "policy", "accept"]
    accepting = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    deployment.wait(lambda: accepting.poll() is not None, "`rove policy accept`")
    assert accepting.stdout is not None
    assert accepting.stdout.read() == f"{offered['policy_id']} is in force\n"
    deployment.wait(lambda: deployment.values.get("policy_id") == offered["policy_id"], "the diagnosis")
    assert "offered" not in deployment.values
