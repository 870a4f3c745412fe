"""policy_node: from cameras and joint states to action chunks, while the mode gives the policy the robot."""

from __future__ import annotations

import array
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from pydantic import Field
from rove_msgs.msg import ActionChunk, ControlMode
from sensor_msgs.msg import Image, JointState

from rove_core.config import ConfigModel
from rove_core.errors import BundleError, JointNameError, RoveError
from rove_core.joint_space import JointSpace
from rove_core.modes import Mode
from rove_core.ros import stamps, topics
from rove_core.ros.node import ERROR, OK, WARN, RoveNode
from rove_core.ros.node import main as run
from rove_inference.observation import ObservationBuffer
from rove_inference.policy import Policy
from rove_inference.ros.images import to_rgb
from rove_inference.ros.swap_service import SwapService
from rove_inference.swap import check_cameras
from rove_inference.worker import Answer, Authority, PolicyWorker

# Cameras run at 30 Hz: with one frame to spare there is a fresh picture when the request is due.
REPLAN_MARGIN_S = 0.034


class Parameters(ConfigModel):
    """Parameters of policy_node."""

    robot: str = Field("iron_r01", description="robot of rove_core/robots, or a YAML file")
    bundle: str = Field("", description="folder of the policy bundle")
    device: str = Field("cpu", pattern="^(cpu|cuda)$", description="where the model runs: cpu or cuda")
    threads: int = Field(1, ge=1, le=64, description="threads for one operator of the model")
    offers: str = Field("", description="folder to watch for new bundles; empty: none")
    max_age_s: float = Field(0.3, gt=0, le=5, description="how old a picture or joint state may be [s]")


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
        policy = Policy.load(parameters.bundle, self._space, parameters.device, parameters.threads)
        self._cameras = tuple(camera.name for camera in policy.bundle.spec.cameras)
        self._observations = ObservationBuffer(self._cameras, parameters.max_age_s)
        self._chunks = self.create_publisher(ActionChunk, topics.CHUNK, topics.QOS_CHUNK)
        self._worker = PolicyWorker(
            policy, self._observations, self.ros_now_ns, self._publish, self.get_logger().warning, REPLAN_MARGIN_S
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
            active = Mode.from_number(msg.mode) is Mode.ROLLOUT or msg.policy_runs
            self._worker.set_authority(Authority(active, msg.epoch, msg.episode_id, stamps.to_ns(msg.since)))

    # Out

    def _publish(self, answer: Answer) -> None:
        chunk, bundle = answer.chunk, answer.policy.bundle
        self._chunks.publish(
            ActionChunk(
                observation_stamp=stamps.to_msg(chunk.observation_ns),
                request_stamp=stamps.to_msg(answer.request_ns),
                ready_stamp=stamps.to_msg(answer.ready_ns),
                epoch=chunk.epoch,
                episode_id=answer.episode_id,
                chunk_id=chunk.chunk_id,
                dt_s=chunk.dt_s,
                horizon=chunk.horizon,
                dim=self._space.dim,
                execute=chunk.execute,
                data=array.array("f", chunk.positions.tobytes()),
                policy_id=bundle.policy_id,
                policy_index=bundle.spec.index,
                condition=bundle.spec.condition,
                cfg_beta=1.0,
                seed=0,
                inference_ms=answer.prediction.inference_ms,
            )
        )

    def _load(self, path: Path) -> Policy:
        """Another policy for a swap; in a thread of its own."""
        policy = Policy.load(path, self._space, self._parameters.device, self._parameters.threads)
        check_cameras(policy, self._cameras)
        return policy

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
            "stalls": worker.stalls,
        }
        for name, times in (("model", worker.model_ms), ("overhead", worker.overhead_ms)):
            values[f"{name}_p50_ms"] = f"{times.at(0.5):.2f}"
            values[f"{name}_p99_ms"] = f"{times.at(0.99):.2f}"
        for name in ("chunks", "dropped_epoch", "refused", "clipped", "missing"):
            values[name] = worker.counts[name]
        if self._swaps is not None:
            values |= self._swaps.values()
        if worker.trouble:
            return WARN, worker.trouble, values
        return OK, f"{bundle.policy_id} ready", values


def main() -> None:
    """Run the node."""
    run(PolicyNode)


if __name__ == "__main__":
    main()
