"""Whether nodes are there and active, asked without blocking."""

from __future__ import annotations

import time
from collections.abc import Iterable

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future

# A node that did not answer is asked again: it may have been restarted meanwhile [s].
ASK_AGAIN_S = 1.0


class Readiness:
    """Asks nodes for their lifecycle state until each has said "active".

    Call `poll` in the loop that spins `node`.
    """

    def __init__(self, node: Node, names: Iterable[str]) -> None:
        self._node = node
        self._clients: dict[str, Client] = {name: node.create_client(GetState, f"/{name}/get_state") for name in names}
        self._asked: dict[str, tuple[float, Future]] = {}

    @property
    def waiting(self) -> list[str]:
        """Nodes that are not known to be active."""
        return list(self._clients)

    def poll(self) -> bool:
        """Whether all are active."""
        for name, client in list(self._clients.items()):
            asked_s, future = self._asked.get(name, (0.0, None))
            if future is not None and future.done():
                answer = future.result()
                if answer is not None and answer.current_state.id == State.PRIMARY_STATE_ACTIVE:
                    self._node.destroy_client(self._clients.pop(name))
                    continue
                future = None
            if (future is None or time.monotonic() - asked_s > ASK_AGAIN_S) and client.service_is_ready():
                self._asked[name] = (time.monotonic(), client.call_async(GetState.Request()))
        return not self._clients

    def close(self) -> None:
        """Stop asking."""
        for client in self._clients.values():
            self._node.destroy_client(client)
        self._clients.clear()
