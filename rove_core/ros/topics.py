"""Every topic and service of the graph: its name and its quality of service, in one place.

Images and joint states use sensor-data QoS, commands and chunks are reliable with depth 1 (only the newest
counts), the mode is latched for late joiners, events are never dropped.
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _qos(depth: int, *, reliable: bool, latched: bool = False) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


# The robot's interface: real drivers and the simulator publish and take the same.
JOINT_STATES = "/joint_states"  # sensor_msgs/JointState, 200 Hz
JOINT_COMMANDS = "/joint_commands"  # sensor_msgs/JointState, from filter_node alone
ESTOP = "/estop"  # std_msgs/Bool to the driver, latched: true stops it
CAMERA_IMAGE = "/camera/{name}/image_raw"  # sensor_msgs/Image, rgb8, header.stamp is the capture time
CAMERA_COMPRESSED = "/camera/{name}/image_raw/compressed"  # sensor_msgs/CompressedImage, JPEG: instead of the image
CAMERA_INFO = "/camera/{name}/camera_info"  # sensor_msgs/CameraInfo

# The stack
MODE = "/rove/mode"  # rove_msgs/ControlMode, from supervisor_node alone
EVENTS = "/rove/events"  # rove_msgs/SupervisorEvent: every request, accepted or refused; devices that come and go
EVENT_REQUEST = "/rove/event_request"  # rove_msgs/SupervisorEvent: anybody may press
CHUNK = "/rove/chunk"  # rove_msgs/ActionChunk
TELEOP_TARGET = "/rove/teleop_target"  # rove_msgs/TeleopTarget
ALIGNMENT = "/rove/alignment"  # rove_msgs/Alignment, from supervisor_node while ALIGNING
GHOST = "/rove/ghost"  # sensor_msgs/JointState: the operator's pose on the robot, for display
COMMAND_TRACE = "/rove/command_trace"  # rove_msgs/CommandTrace
EPISODE_STATUS = "/rove/episode_status"  # rove_msgs/EpisodeStatus
DIAGNOSTICS = "/diagnostics"  # diagnostic_msgs/DiagnosticArray

SEND_EVENT = "/rove/send_event"
START_EPISODE = "/rove/start_episode"
SWAP_POLICY = "/rove/swap_policy"

# Simulation only: what a person sees and does in the room.
SCENE = "/sim/scene"  # std_msgs/String, JSON of rove_sim.scene.SceneState
RESET_SCENE = "/sim/reset_scene"  # rove_msgs/ResetScene

QOS_JOINT_STATES = _qos(5, reliable=False)
QOS_IMAGE = _qos(5, reliable=False)
QOS_COMMAND = _qos(1, reliable=True)
QOS_CHUNK = _qos(1, reliable=True)
QOS_TELEOP_TARGET = _qos(1, reliable=True)
QOS_ALIGNMENT = _qos(1, reliable=True)
QOS_GHOST = _qos(1, reliable=False)
QOS_MODE = _qos(1, reliable=True, latched=True)
QOS_EVENTS = _qos(100, reliable=True)
QOS_COMMAND_TRACE = _qos(50, reliable=False)
QOS_EPISODE_STATUS = _qos(1, reliable=True, latched=True)
QOS_DIAGNOSTICS = _qos(10, reliable=True)
QOS_ESTOP = _qos(1, reliable=True, latched=True)
QOS_SCENE = _qos(1, reliable=False)
