"""The simulated robot as a node: the topics of the real one, and the scene that people would see."""

from __future__ import annotations

import array
import time

import numpy as np
from pydantic import Field
from rosgraph_msgs.msg import Clock
from rove_msgs.srv import ResetScene
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Bool, String

from rove_core.config import ConfigModel
from rove_core.errors import RoveError
from rove_core.joint_space import JointSpace
from rove_core.ros import stamps, topics
from rove_core.ros.node import ERROR, OK, WARN, RoveNode
from rove_core.ros.node import main as run
from rove_sim.driver import DriverState
from rove_sim.render import Frame, RenderThread, intrinsics
from rove_sim.scene import SceneState
from rove_sim.simulation import Listener, Simulation
from rove_sim.tasks import TASKS
from rove_sim.world import JointReading, Snapshot

# Subscribers interpolate between clock samples; more per second of wall time only cost them callbacks.
CLOCK_PERIOD_S = 0.0045
# The same refusal again and again is one line per this time [s].
REFUSAL_LOG_S = 2.0


class SimParameters(ConfigModel):
    """Parameters of sim_node."""

    robot: str = Field("iron_r01", description="name of the robot, or the path of its YAML file")
    task: str = Field("whiteboard", description=f"scene to begin with: {', '.join(TASKS)}")
    seed: int = Field(0, ge=0, description="of the first scene's randomisation")
    speed: float = Field(1.0, ge=0.05, le=50.0, description="simulated seconds per second; not 1: publishes /clock")
    cameras: list[str] = Field(["head"], description="cameras to draw, names of the robot's model")
    image_width: int = Field(320, ge=16, le=1920, description="[px]")
    image_height: int = Field(240, ge=16, le=1080, description="[px]")


class SimNode(RoveNode):
    """Publishes what the robot senses and takes what it is commanded."""

    NAME = "sim_node"

    def configure(self) -> None:
        self._p = parameters = self.parameters(SimParameters)
        self._space = JointSpace.load(parameters.robot)
        listener = Listener(self._on_tick, self._on_joints, self._on_capture, self._on_scene, self._on_crash)
        self._simulation = Simulation(self._space, parameters.task, parameters.seed, parameters.speed, listener)
        width, height = parameters.image_width, parameters.image_height
        self._renderer = RenderThread(self._simulation.world.model, parameters.cameras, width, height, self._on_frame)
        self._crashed = ""
        self._next_clock_s = self._next_refusal_log_s = 0.0
        self._names = list(self._space.names)
        self._joints = self.create_publisher(JointState, topics.JOINT_STATES, topics.QOS_JOINT_STATES)
        self._scene = self.create_publisher(String, topics.SCENE, topics.QOS_SCENE)
        self._simulated_clock = (
            self.create_publisher(Clock, "/clock", topics.QOS_COMMAND) if parameters.speed != 1.0 else None
        )
        self._images = {
            name: self.create_publisher(Image, topics.CAMERA_IMAGE.format(name=name), topics.QOS_IMAGE)
            for name in parameters.cameras
        }
        self._infos = {
            name: self.create_publisher(CameraInfo, topics.CAMERA_INFO.format(name=name), topics.QOS_IMAGE)
            for name in parameters.cameras
        }
        self._info = {name: self._camera_info(name) for name in parameters.cameras}
        self.create_subscription(JointState, topics.JOINT_COMMANDS, self._on_command, topics.QOS_COMMAND)
        self.create_subscription(
            Bool, topics.ESTOP, lambda message: self._simulation.set_estop(message.data), topics.QOS_ESTOP
        )
        self.create_service(ResetScene, topics.RESET_SCENE, self._on_reset)
        self.diagnose_with(self._report)

    def activate(self) -> None:
        self._renderer.start()
        self._simulation.start()

    def deactivate(self) -> None:
        self._simulation.close()
        self._renderer.close()

    # What comes in: the executor's thread

    def _on_command(self, message: JointState) -> None:
        refusal = self._simulation.command(message.name, np.array(message.position, dtype=np.float64))
        if refusal and time.monotonic() > self._next_refusal_log_s:
            self._next_refusal_log_s = time.monotonic() + REFUSAL_LOG_S
            self.get_logger().error(f"command refused: {refusal}")

    def _on_reset(self, request: ResetScene.Request, response: ResetScene.Response) -> ResetScene.Response:
        try:
            self._simulation.reset(request.task or self._p.task, int(request.seed), int(request.start_stage))
        except RoveError as error:
            response.reason = str(error)
            return response
        response.accepted = True
        return response

    # What goes out: the physics thread, pictures in the render thread

    def _on_tick(self, stamp_ns: int) -> None:
        if self._simulated_clock is not None and time.monotonic() >= self._next_clock_s:
            self._next_clock_s = time.monotonic() + CLOCK_PERIOD_S
            self._simulated_clock.publish(Clock(clock=stamps.to_msg(stamp_ns)))

    def _on_joints(self, stamp_ns: int, reading: JointReading) -> None:
        message = JointState(name=self._names)
        message.header.stamp = stamps.to_msg(stamp_ns)
        message.position = array.array("d", reading.position.tobytes())
        message.velocity = array.array("d", reading.velocity.tobytes())
        message.effort = array.array("d", reading.effort.tobytes())
        self._joints.publish(message)

    def _on_capture(self, snapshot: Snapshot) -> None:
        self._renderer.submit(snapshot)

    def _on_scene(self, scene: SceneState) -> None:
        self._scene.publish(String(data=scene.model_dump_json()))

    def _on_frame(self, frame: Frame) -> None:
        height, width, _ = frame.rgb.shape
        message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
        message.header.stamp = stamps.to_msg(frame.stamp_ns)
        message.header.frame_id = f"{frame.camera}_camera"
        message.data = array.array("B", frame.rgb.tobytes())
        self._images[frame.camera].publish(message)
        info = self._info[frame.camera]
        info.header = message.header
        self._infos[frame.camera].publish(info)

    def _camera_info(self, camera: str) -> CameraInfo:
        width, height = self._p.image_width, self._p.image_height
        k = intrinsics(self._simulation.world.model, camera, width, height)
        info = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
        info.k = k.ravel()
        info.r = np.eye(3).ravel()
        info.p = np.hstack([k, np.zeros((3, 1))]).ravel()
        return info

    def _on_crash(self, error: RoveError) -> None:
        self._crashed = str(error)
        self.fail(f"{error}" + (f" ({error.hint})" if error.hint else ""))

    def _report(self) -> tuple[bytes, str, dict[str, object]]:
        health = self._simulation.health()
        values: dict[str, object] = {
            "real_time_factor": f"{health.real_time_factor:.3f}",
            "forgiven_s": f"{health.forgiven_s:.3f}",
            "physics_ms_per_step": f"{health.step_ms:.4f}",
            "draw_ms": f"{self._renderer.draw_ms:.2f}",
            "frames": self._renderer.drawn,
            "frames_dropped": self._renderer.dropped,
            "driver": health.state.value,
            "commands_accepted": health.counters.accepted,
            "commands_refused": health.counters.refused,
            "commands_clipped": health.counters.clipped,
            "watchdog_trips": health.counters.watchdog_trips,
        }
        if self._crashed:
            return ERROR, self._crashed, values
        if health.state is DriverState.RESYNCHRONISE and health.mismatch_rad > 0.0:
            return (
                WARN,
                f"waits for commands near the robot: {health.worst_joint} is {health.mismatch_rad:.2f} rad off",
                values,
            )
        if health.state in (DriverState.HOLD, DriverState.ESTOP):
            return (
                WARN,
                f"driver: {health.state.value}" + (f", {health.last_refusal}" if health.last_refusal else ""),
                values,
            )
        if health.real_time_factor < 0.97 * self._p.speed:
            return WARN, "slower than real time", values
        return OK, "", values


def main() -> None:
    """Entry point."""
    run(SimNode)


if __name__ == "__main__":
    main()
