"""The scripted operator as a node: sees robot, scene and display, sends what a headset would send."""

from __future__ import annotations

import threading
import traceback

import numpy as np
from pydantic import Field
from rove_msgs.msg import ControlMode, SupervisorEvent
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from rove_core.clocks import NS_PER_S
from rove_core.config import ConfigModel
from rove_core.joint_space import JointSpace
from rove_core.modes import Event, Mode
from rove_core.ros import stamps, topics
from rove_core.ros.node import OK, WARN, RoveNode
from rove_core.ros.node import main as run
from rove_hil.operator.mocap import MocapFrame
from rove_hil.operator.mocap_wire import MocapPublisher
from rove_sim.ground_truth import GroundTruthLog
from rove_sim.latency import DEFAULT_SERIES, DelayLine, measured_latency_ms
from rove_sim.operator_behaviour import Saying, ScriptedOperator, View
from rove_sim.operator_body import OperatorBody
from rove_sim.operator_model import load_profile
from rove_sim.ros.joint_history import JointHistory
from rove_sim.scene import SceneState

DEVICE = "headset:scripted"
JOIN_S = 2.0


class OperatorParameters(ConfigModel):
    """Parameters of the node."""

    robot: str = Field("iron_r01", description="robot, whose proportions the operator has")
    profile: str = Field("typical", description="expert, typical or clumsy")
    bind_url: str = Field("tcp://127.0.0.1:5571", description="where motion-capture frames are published (ZeroMQ)")
    seed: int = Field(0, ge=0, description="of everything that the operator does at random")
    ground_truth: str = Field("", description="JSON lines file for what truly happened; empty for none")
    rate_hz: float = Field(72.0, ge=30.0, le=120.0, description="of the headset's tracking [Hz]")
    latency: str = Field(DEFAULT_SERIES, description="measured series of headset latencies")


class ScriptedOperatorNode(RoveNode):
    """One operator. Poses are captured and sent by one thread, each sent when its latency has passed."""

    NAME = "scripted_operator"

    def configure(self) -> None:
        given = self.parameters(OperatorParameters)
        self._space = JointSpace.load(given.robot)
        rng = np.random.default_rng(given.seed)
        profile = load_profile(given.profile)
        self._operator = ScriptedOperator(profile, OperatorBody(self._space), rng)
        latency = measured_latency_ms(given.latency)
        self._transit: DelayLine[MocapFrame] = DelayLine(latency, start=int(rng.integers(len(latency))))
        self._period_ns = int(NS_PER_S / given.rate_hz)
        self._bind_url = given.bind_url
        self._truth = GroundTruthLog(given.ground_truth)
        self._profile_name = profile.name
        self._joints = JointHistory(self._space)
        self._scene: SceneState | None = None
        self._mode: ControlMode | None = None
        self._sequence = 0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._requests = self.create_publisher(SupervisorEvent, topics.EVENT_REQUEST, topics.QOS_EVENTS)
        self.create_subscription(JointState, topics.JOINT_STATES, self._on_joints, topics.QOS_JOINT_STATES)
        self.create_subscription(String, topics.SCENE, self._on_scene, topics.QOS_SCENE)
        self.create_subscription(ControlMode, topics.MODE, self._on_mode, topics.QOS_MODE)
        self.diagnose_with(self._report)

    def activate(self) -> None:
        self._publisher = MocapPublisher(self._bind_url)
        self._thread = threading.Thread(target=self._wear_headset, name="headset", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        self._ending.set()
        if self._thread is not None:
            # Simulated time may have stopped for good; the daemon thread then ends with the process.
            self._thread.join(JOIN_S)
            if not self._thread.is_alive():
                self._publisher.close()
        self._truth.close()

    @property
    def mocap_url(self) -> str:
        """Where motion capture is published, with the port that a wildcard became."""
        return self._publisher.url

    def _report(self) -> tuple[bytes, str, dict[str, object]]:
        seen = self._view() is not None
        return OK if seen else WARN, "" if seen else "sees no robot, scene or mode yet", {"frames": self._sequence}

    def _on_joints(self, message: JointState) -> None:
        self._joints.add(message)

    def _on_scene(self, message: String) -> None:
        self._scene = SceneState.model_validate_json(message.data)

    def _on_mode(self, message: ControlMode) -> None:
        self._mode = message

    def _view(self) -> tuple[ControlMode, View] | None:
        mode, scene = self._mode, self._scene
        if mode is None or scene is None or (robot := self._joints.at(scene.stamp_ns)) is None:
            return None
        view = View(
            mode=Mode.from_number(mode.mode),
            epoch=mode.epoch,
            gate_met=mode.gate_met,
            operator_ready=mode.operator_ready,
            demonstration=mode.demonstration,
            robot=robot,
            scene=scene,
        )
        return mode, view

    # Runs in the headset's thread

    def _wear_headset(self) -> None:
        try:
            self._capture_and_send()
        except Exception:  # noqa: BLE001 - the thread's outermost edge
            # Without an operator the robot holds; somebody has to hear why.
            self.fail(traceback.format_exc())

    def _capture_and_send(self) -> None:
        capture_ns = self.clock.now_ns()
        while not self._ending.is_set():
            arrival_ns = self._transit.next_arrival_ns()
            self.clock.sleep_until_ns(capture_ns if arrival_ns is None else min(capture_ns, arrival_ns))
            now_ns = self.clock.now_ns()
            for frame in self._transit.arrived(now_ns):
                self._publisher.send(frame)
            if now_ns >= capture_ns:
                self._capture(now_ns)
                # After a long interruption go on from now: a headset does not catch up.
                capture_ns = max(capture_ns + self._period_ns, now_ns)

    def _capture(self, now_ns: int) -> None:
        view = self._view()
        stamp_ns = self.ros_now_ns()
        if view is not None:
            mode, seen = view
            for said in self._operator.step(now_ns / NS_PER_S, seen):
                self._say(said, mode, stamp_ns)
        frame = self._operator.body.frame(self._sequence, stamp_ns)
        self._sequence += 1
        self._transit.push(frame, now_ns)

    def _say(self, said: Saying, mode: ControlMode, stamp_ns: int) -> None:
        if said is Saying.ADAPTED:
            self._truth.write("adaptation_end", mode.episode_id, stamp_ns, profile=self._profile_name)
            return
        self._requests.publish(
            SupervisorEvent(
                stamp=stamps.to_msg(stamp_ns),
                event=Event.OPERATOR_READY,
                device=DEVICE,
                episode_id=mode.episode_id,
                expected_mode=mode.mode,
            )
        )


def main() -> None:
    """Run the node."""
    run(ScriptedOperatorNode)


if __name__ == "__main__":
    main()
