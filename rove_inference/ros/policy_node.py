"""policy_node: from cameras and joint states to action chunks, while the mode gives the policy the robot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from rove_msgs.msg import ActionChunk, ControlMode
from sensor_msgs.msg import Image, JointState

from rove_core.errors import BundleError, JointNameError, RoveError
from rove_core.joint_space import JointSpace
from rove_core.modes import Mode
from rove_core.ros import stamps, topics
from rove_core.ros.node import ERROR, OK, WARN, RoveNode
from rove_core.ros.node import main as run
from rove_inference.isolation import load_for_robot
from rove_inference.observation import ObservationBuffer
from rove_inference.planner import Answer, Authority
from rove_inference.policy import Policy
from rove_inference.ros.chunk_message import chunk_message
from rove_inference.ros.images import to_rgb
from rove_inference.ros.policy_parameters import Parameters
from rove_inference.ros.swap_service import SwapService
from rove_inference.swap import check_cameras
from rove_inference.worker import PolicyWorker


class PolicyNode(RoveNode):
    """Serves one bundle; `/rove/swap_policy` puts another in its place between attempts."""

    NAME = "policy_node"

    def configure(self) -> None:
        """Load and warm up the bundle; only then are there subscriptions and a chunk topic."""
        self._parameters = parameters = self.parameters(Parameters)
        cv2.setNumThreads(1)  # pictures are small, and the other cores are for the control loop
        self._worker: PolicyWorker | None = None
        self._swaps: SwapService | None = None
        self._problem = "loading the bundle"
        self.diagnose_with(self._report)
        if not parameters.bundle:
            raise BundleError("policy_node has no bundle", "set the parameter `bundle` to the folder of one")
        self._space = JointSpace.load(parameters.robot)
        self._joint_names: tuple[str, ...] = ()
        self._joint_order = np.arange(self._space.dim)
        policy = self._open(parameters.bundle)
        self._cameras = tuple(camera.name for camera in policy.bundle.spec.cameras)
        self._choices = parameters.choices()
        self._choices.check(policy.bundle.spec)
        latencies = parameters.latencies(self._cameras)
        self._observations = ObservationBuffer(self._cameras, parameters.max_age_s, latencies)
        self._chunks = self.create_publisher(ActionChunk, topics.CHUNK, topics.QOS_CHUNK)
        self._worker = PolicyWorker(
            policy, self._observations, self.ros_now_ns, self._publish, self.get_logger().warning, self._choices
        )
        self._swaps = SwapService(self, self._worker, self._load, self._space, parameters.offers)
        self._connect()
        self._problem = ""
        self.get_logger().info(f"{policy.bundle.policy_id} is ready, an answer takes {policy.warm_up_ms:.1f} ms")

    def _connect(self) -> None:
        self.create_subscription(JointState, topics.JOINT_STATES, self._on_joint_state, topics.QOS_JOINT_STATES)
        self.create_subscription(ControlMode, topics.MODE, self._on_mode, topics.QOS_MODE)
        for camera in self._cameras:
            topic = topics.CAMERA_IMAGE.format(name=camera)
            self.create_subscription(Image, topic, self._on_image(camera), topics.QOS_IMAGE)

    def activate(self) -> None:
        """Start inference."""
        if self._worker is not None:
            self._worker.start()
        if self._swaps is not None:
            self._swaps.start()

    def deactivate(self) -> None:
        """End inference."""
        if self._swaps is not None:
            self._swaps.close()
        if self._worker is not None:
            self._worker.close()

    # In

    def _on_joint_state(self, msg: JointState) -> None:
        names = tuple(msg.name)
        if len(msg.position) != len(names):
            self.get_logger().error(
                f"joint state has {len(names)} names and {len(msg.position)} positions", throttle_duration_sec=5.0
            )
            return
        if names != self._joint_names:
            try:
                self._joint_order = self._space.order_of(names)
            except JointNameError as error:
                self._problem = str(error)
                self.get_logger().error(self._problem, throttle_duration_sec=5.0)
                return
            self._joint_names, self._problem = names, ""
        position = np.frombuffer(msg.position, np.float64)[self._joint_order]
        self._observations.add_state(stamps.to_ns(msg.header.stamp), position)
        if not self._cameras and self._worker is not None:
            self._worker.observation_arrived()

    def _on_image(self, camera: str) -> Callable[[Image], None]:
        def take(msg: Image) -> None:
            try:
                image = to_rgb(msg)
            except RoveError as error:
                self.get_logger().error(f"camera '{camera}': {error}", throttle_duration_sec=5.0)
                return
            self._observations.add_image(camera, stamps.to_ns(msg.header.stamp), image)
            if self._worker is not None:
                self._worker.observation_arrived()

        return take

    def _on_mode(self, msg: ControlMode) -> None:
        if self._swaps is not None:
            self._swaps.set_mode(msg)
        if self._worker is not None:
            alone = Mode.from_number(msg.mode) is Mode.ROLLOUT
            since_ns = stamps.to_ns(msg.since)
            self._worker.set_authority(
                Authority(alone or msg.policy_runs, msg.epoch, msg.episode_id, since_ns, msg.instruction, alone)
            )

    # Out

    def _publish(self, answer: Answer) -> None:
        self._chunks.publish(chunk_message(answer))

    def _load(self, path: Path) -> Policy:
        """Another policy for a swap; in a thread of its own."""
        policy = self._open(path)
        try:
            check_cameras(policy, self._cameras)
            self._choices.check(policy.bundle.spec)
        except RoveError:
            policy.close()
            raise
        return policy

    def _open(self, path: str | Path) -> Policy:
        given = self._parameters
        return load_for_robot(path, self._space, given.robot, given.placement())

    # Diagnostics

    def _report(self) -> tuple[bytes, str, Mapping[str, object]]:
        worker = self._worker
        if worker is None or self._problem:
            return ERROR, self._problem or "no bundle loaded", {}
        bundle = worker.policy.bundle
        values: dict[str, object] = {
            "policy_id": bundle.policy_id,
            "policy_index": bundle.spec.index,
            "warm_up_ms": f"{worker.policy.warm_up_ms:.2f}",
        }
        values |= worker.values()
        values |= worker.policy.values()
        if self._swaps is not None:
            values |= self._swaps.values()
        trouble = worker.trouble
        if trouble:
            return WARN, trouble, values
        return OK, f"{bundle.policy_id} ready", values


def main() -> None:
    """Run the node."""
    run(PolicyNode)


if __name__ == "__main__":
    main()
