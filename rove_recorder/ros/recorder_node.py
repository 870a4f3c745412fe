"""recorder_node: every attempt on disk as one episode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import TypeVar

import rclpy.qos
from rclpy.serialization import deserialize_message
from rove_msgs.msg import ActionChunk, CommandTrace, ControlMode, EpisodeStatus, SupervisorEvent
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState

from rove_core.errors import ConfigError, RoveError, nearest
from rove_core.joint_space import JointSpace
from rove_core.ros import stamps, topics
from rove_core.ros.node import ERROR, OK, WARN, RoveNode
from rove_core.ros.node import main as run
from rove_recorder.recording.raw_log import RawLog, Topic
from rove_recorder.recording.recorder import Recorder
from rove_recorder.recording.settings import RecorderConfig, RecorderState, RecorderStatus
from rove_recorder.ros import messages
from rove_recorder.ros.definitions import definition, type_name

STATUS_PERIOD_S = 0.5
# Messages per topic that wait while this process does not get the CPU: a quarter of a second at 200 Hz, and .4 s of
# images at 30 Hz, which are 11 MB per camera.
QUEUE_DEPTH, IMAGE_QUEUE_DEPTH = 50, 12
# A change of state is told this soon.
POLL_PERIOD_S = 0.05
# One complaint about a topic's content per this many seconds.
COMPLAINT_PERIOD_S = 5.0

MessageT = TypeVar("MessageT")


class RecorderNode(RoveNode):
    """Listens to everything and hands it to the recorder's thread; callbacks only convert."""

    NAME = "recorder_node"

    def configure(self) -> None:
        self._config = self.parameters(RecorderConfig)
        for camera in self._config.compressed:
            if camera not in self._config.cameras:
                hint = nearest(camera, self._config.cameras)
                raise ConfigError(f"compressed: '{camera}' is none of the cameras to record", hint)
        space = JointSpace.load(self._config.robot)
        self._dim = space.dim
        self._raw_log = RawLog(self._raw_topics()) if self._config.mcap else None
        self._recorder = Recorder(self._config, space, self._raw_log)
        self._read_joints = messages.JointStateReader(space)
        self._bad_messages = 0
        self._status = self.create_publisher(EpisodeStatus, topics.EPISODE_STATUS, topics.QOS_EPISODE_STATUS)
        self._published: tuple[RecorderState, str, str] | None = None
        self._next_status_ns = 0
        self.diagnose_with(self._report)

    def activate(self) -> None:
        self._recorder.start()
        for path, what in self._recorder.recovered:
            self.get_logger().warning(f"open episode of an earlier run, {what}: {path}")
        self._listen(JointState, topics.JOINT_STATES, topics.QOS_JOINT_STATES, self._joint_state)
        self._listen(CommandTrace, topics.COMMAND_TRACE, topics.QOS_COMMAND_TRACE, self._command)
        self._listen(ActionChunk, topics.CHUNK, topics.QOS_CHUNK, self._chunk)
        self._listen(ControlMode, topics.MODE, topics.QOS_MODE, self._mode)
        self._listen(SupervisorEvent, topics.EVENTS, topics.QOS_EVENTS, self._event)
        for camera in self._config.cameras:
            kind, topic = self._image_topic(camera)
            self._listen(kind, topic, topics.QOS_IMAGE, partial(self._image, camera))
            info = topics.CAMERA_INFO.format(name=camera)
            self._listen(CameraInfo, info, topics.QOS_IMAGE, partial(self._camera_info, camera))
        # Polled on the wall clock: its status matters also when simulated time stands still.
        self._poll = self.create_timer(POLL_PERIOD_S, self._publish_status, clock=self._wall_clock())

    def deactivate(self) -> None:
        self._recorder.close()
        self._publish(self._recorder.status)

    def _image_topic(self, camera: str) -> tuple[type, str]:
        if camera in self._config.compressed:
            return CompressedImage, topics.CAMERA_COMPRESSED.format(name=camera)
        return Image, topics.CAMERA_IMAGE.format(name=camera)

    def _raw_topics(self) -> dict[str, Topic]:
        """What the raw log may hold. Raises RecordingError when a definition is not installed."""
        kinds: dict[str, type] = {
            topics.JOINT_STATES: JointState,
            topics.COMMAND_TRACE: CommandTrace,
            topics.CHUNK: ActionChunk,
            topics.MODE: ControlMode,
            topics.EVENTS: SupervisorEvent,
        }
        for camera in self._config.cameras:
            kinds[topics.CAMERA_INFO.format(name=camera)] = CameraInfo
            if self._config.mcap_images:
                kind, topic = self._image_topic(camera)
                kinds[topic] = kind
        return {name: Topic(name, type_name(kind), definition(type_name(kind))) for name, kind in kinds.items()}

    def _wall_clock(self) -> rclpy.clock.Clock:
        return rclpy.clock.Clock(clock_type=rclpy.clock.ClockType.STEADY_TIME)

    def _listen(
        self, kind: type[MessageT], topic: str, qos: rclpy.qos.QoSProfile, take: Callable[[MessageT], None]
    ) -> None:
        def checked(message: MessageT) -> None:
            try:
                take(message)
            except RoveError as error:
                self._bad_messages += 1
                self.get_logger().error(f"{topic}: {error}", throttle_duration_sec=COMPLAINT_PERIOD_S)

        qos = patient(qos, IMAGE_QUEUE_DEPTH if kind in (Image, CompressedImage) else QUEUE_DEPTH)
        raw_log = self._raw_log
        if raw_log is None or topic not in raw_log.topics:
            self.create_subscription(kind, topic, checked, qos)
            return

        def kept(data: bytes) -> None:
            raw_log.put(topic, data, self.ros_now_ns())
            checked(deserialize_message(data, kind))

        self.create_subscription(kind, topic, kept, qos, raw=True)

    def _joint_state(self, message: JointState) -> None:
        self._recorder.put(self._read_joints(message, self.ros_now_ns()))

    def _command(self, message: CommandTrace) -> None:
        self._recorder.put(messages.command(message, self._dim))

    def _chunk(self, message: ActionChunk) -> None:
        self._recorder.put(messages.chunk(message, self.ros_now_ns()))

    def _mode(self, message: ControlMode) -> None:
        self._recorder.put(messages.mode(message, self.ros_to_control_ns(stamps.to_ns(message.stamp))))

    def _event(self, message: SupervisorEvent) -> None:
        t_ros_ns = stamps.to_ns(message.stamp)
        self._recorder.put(messages.event(message, t_ros_ns, self.ros_to_control_ns(t_ros_ns)))

    def _image(self, camera: str, message: Image | CompressedImage) -> None:
        read = messages.compressed_frame if isinstance(message, CompressedImage) else messages.frame
        self._recorder.put(read(message, camera, self.ros_now_ns()))

    def _camera_info(self, camera: str, message: CameraInfo) -> None:
        self._recorder.camera_model(camera, messages.camera_model(message))

    def _publish_status(self) -> None:
        status = self._recorder.status
        now_ns = self._poll.clock.now().nanoseconds
        changed = (status.state, status.episode_id, status.message) != self._published
        if changed or now_ns >= self._next_status_ns:
            self._next_status_ns = now_ns + int(STATUS_PERIOD_S * 1e9)
            self._publish(status)

    def _publish(self, status: RecorderStatus) -> None:
        if status.state is RecorderState.FAULT and self._published != (status.state, status.episode_id, status.message):
            self.get_logger().error(f"not recording: {status.message}")
        self._published = (status.state, status.episode_id, status.message)
        message = EpisodeStatus(
            state=int(status.state),
            episode_id=status.episode_id,
            path=status.path,
            message=status.message,
            rows=status.rows,
            frames=status.frames,
            frames_dropped=status.frames_dropped,
            disk_free_mb=status.disk_free_mb,
            last_outcome=status.last_outcome,
            records_dropped=status.records_dropped,
            clipped_share=status.clipped_share,
            disk_minutes_left=status.disk_minutes_left,
            streams=[stream.name for stream in status.streams],
            stream_rates_hz=[stream.rate_hz for stream in status.streams],
            stream_ages_s=[stream.age_s for stream in status.streams],
        )
        message.stamp = stamps.to_msg(self.ros_now_ns())
        self._status.publish(message)

    def _report(self) -> tuple[bytes, str, Mapping[str, object]]:
        status = self._recorder.status
        values: dict[str, object] = {
            "episode": status.episode_id,
            "rows": status.rows,
            "frames": status.frames,
            "frames_dropped": status.frames_dropped,
            "records_dropped": status.records_dropped,
            "bad_messages": self._bad_messages,
            "disk_free_mb": status.disk_free_mb,
            "disk_minutes_left": f"{status.disk_minutes_left:.0f}",
            "clipped_share": f"{status.clipped_share:.3f}",
        }
        for stream in status.streams:
            values[f"{stream.name}_hz"] = f"{stream.rate_hz:.1f}"
            values[f"{stream.name}_age_s"] = f"{stream.age_s:.3f}"
        raw_error = ""
        if self._raw_log is not None:
            values["raw_dropped"], raw_error = self._raw_log.dropped, self._raw_log.error
        if status.state is RecorderState.FAULT:
            return ERROR, status.message, values
        if status.message or raw_error:
            return WARN, status.message or raw_error, values
        if status.frames_dropped or status.records_dropped or self._bad_messages:
            return WARN, "something was lost, see the counters", values
        return OK, status.state.name.lower(), values


def patient(qos: rclpy.qos.QoSProfile, depth: int) -> rclpy.qos.QoSProfile:
    """The topic's quality of service with a longer queue: here every message counts, not the newest."""
    # Whoever listens to a topic may queue as much as it likes; a shorter queue loses messages on a busy computer.
    deep = copy(qos)
    deep.depth = max(qos.depth, depth)
    return deep


def main() -> None:
    """Run recorder_node as a process."""
    run(RecorderNode)


if __name__ == "__main__":
    main()
