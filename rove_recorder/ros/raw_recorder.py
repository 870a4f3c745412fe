"""What `rove bench recorder` compares with: a node that writes the same topics' raw messages with mcap's own writer.

    python -m rove_recorder.ros.raw_recorder FILE.mcap CAMERA ...

Nothing is decoded, encoded, aligned or checked: the least that recording in Python can cost.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from mcap.writer import CompressionType, Writer
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rove_msgs.msg import ActionChunk, CommandTrace, ControlMode, SupervisorEvent
from sensor_msgs.msg import Image, JointState

from rove_core.ros import topics
from rove_core.ros.node import new_executor
from rove_recorder.ros.definitions import definition, type_name
from rove_recorder.ros.recorder_node import IMAGE_QUEUE_DEPTH, QUEUE_DEPTH, patient


def subscribe(node: Node, writer: Writer, cameras: list[str]) -> None:
    """Every topic that recorder_node records, with the same queues."""
    kinds: list[tuple[type, str, Any]] = [
        (JointState, topics.JOINT_STATES, topics.QOS_JOINT_STATES),
        (CommandTrace, topics.COMMAND_TRACE, topics.QOS_COMMAND_TRACE),
        (ActionChunk, topics.CHUNK, topics.QOS_CHUNK),
        (ControlMode, topics.MODE, topics.QOS_MODE),
        (SupervisorEvent, topics.EVENTS, topics.QOS_EVENTS),
        *((Image, topics.CAMERA_IMAGE.format(name=camera), topics.QOS_IMAGE) for camera in cameras),
    ]

    def writes(channel: int) -> Callable[[bytes], None]:
        def write(data: bytes) -> None:
            now_ns = time.time_ns()
            writer.add_message(channel, now_ns, data, now_ns)

        return write

    for kind, topic, qos in kinds:
        schema = writer.register_schema(type_name(kind), "ros2msg", definition(type_name(kind)).encode())
        channel = writer.register_channel(topic, "cdr", schema)
        depth = IMAGE_QUEUE_DEPTH if kind is Image else QUEUE_DEPTH
        node.create_subscription(kind, topic, writes(channel), patient(qos, depth), raw=True)


def main() -> None:
    """Write until it is interrupted."""
    path, *cameras = sys.argv[1:]
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node, executor = Node("raw_recorder"), new_executor()
    with Path(path).open("wb") as file:
        writer = Writer(file, compression=CompressionType.NONE)
        writer.start(profile="ros2")
        subscribe(node, writer, cameras)
        executor.add_node(node)
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.1)
        writer.finish()  # type: ignore[no-untyped-call]
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
