"""What a supervisor asks before it says a word: is another one at work, and what did one leave behind?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rove_msgs.msg import CommandTrace, ControlMode, EpisodeStatus

from rove_core.ros import topics

# Discovery mostly takes .1 s on one host, 2 s when a first announcement got lost; a heartbeat comes every .05 s.
LISTEN_S = 2.5

# A recorder, if there is one, says at once what it is doing (latched) and again twice a second; a filter 200 times.
LEGACY_S = 0.6


@dataclass(frozen=True, slots=True)
class Legacy:
    """What a supervisor before this one left behind.

    Attributes:
        attempt: id of the attempt that the recorder has open, "" when there is none.
        epoch: the newest that the filter has heard of, 0 when there is no filter.
    """

    attempt: str = ""
    epoch: int = 0


def is_supervised(node: Node) -> bool:
    """Whether somebody publishes the mode in this domain.

    What is published now counts, not who is known: a supervisor that was killed stays known for many seconds.
    """
    volatile = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE)
    return topics.MODE in _firsts(node, {topics.MODE: (ControlMode, volatile)}, LISTEN_S)


def legacy(node: Node) -> Legacy:
    """What the recorder and the filter still know of an earlier supervisor."""
    sources = {
        topics.EPISODE_STATUS: (EpisodeStatus, topics.QOS_EPISODE_STATUS),
        topics.COMMAND_TRACE: (CommandTrace, topics.QOS_COMMAND_TRACE),
    }
    heard = _firsts(node, sources, LEGACY_S)
    status, trace = heard.get(topics.EPISODE_STATUS), heard.get(topics.COMMAND_TRACE)
    attempt = status.episode_id if status is not None and status.state == EpisodeStatus.STATE_RECORDING else ""
    return Legacy(str(attempt), int(trace.epoch) if trace is not None else 0)


def _firsts(node: Node, sources: Mapping[str, tuple[Any, QoSProfile]], limit_s: float) -> dict[str, Any]:
    """The first message on each topic within `limit_s` of wall time. For before the node spins."""
    heard: dict[str, Any] = {}
    listener = Node(f"{node.get_name()}_listener", use_global_arguments=False)
    for topic, (kind, qos) in sources.items():
        listener.create_subscription(kind, topic, partial(heard.setdefault, topic), qos)
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    deadline = time.monotonic() + limit_s
    while len(heard) < len(sources) and (remaining := deadline - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=remaining)
    executor.shutdown()
    listener.destroy_node()
    return heard
