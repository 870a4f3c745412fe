"""What a supervisor asks before it says a word: is another one at work, and did one leave an attempt open?"""

from __future__ import annotations

import threading
import time
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rove_msgs.msg import ControlMode, EpisodeStatus

from rove_core.ros import topics

# Discovery mostly takes .1 s on one host, 2 s when a first announcement got lost; a heartbeat comes every .05 s.
LISTEN_S = 2.5

# A recorder, if there is one, says at once what it is doing (latched) and again twice a second.
RECORDER_S = 0.6


def is_supervised(node: Node) -> bool:
    """Whether somebody publishes the mode in this domain.

    What is published now counts, not who is known: a supervisor that was killed stays known for many seconds.
    """
    volatile = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE)
    return _first(node, ControlMode, topics.MODE, volatile, LISTEN_S) is not None


def open_recording(node: Node) -> str:
    """The id of the attempt that the recorder has open, "" when there is none."""
    status = _first(node, EpisodeStatus, topics.EPISODE_STATUS, topics.QOS_EPISODE_STATUS, RECORDER_S)
    recording = status is not None and status.state == EpisodeStatus.STATE_RECORDING
    return str(status.episode_id) if recording else ""


def _first(node: Node, kind: Any, topic: str, qos: QoSProfile, limit_s: float) -> Any:
    """The first message on `topic` within `limit_s` of wall time, else None. For before the node spins."""
    heard: list[Any] = []
    done = threading.Event()

    def take(message: Any) -> None:
        heard.append(message)
        done.set()

    listener = Node(f"{node.get_name()}_listener", use_global_arguments=False)
    listener.create_subscription(kind, topic, take, qos)
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    deadline = time.monotonic() + limit_s
    while not done.is_set() and (remaining := deadline - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=remaining)
    executor.shutdown()
    listener.destroy_node()
    return heard[0] if heard else None
