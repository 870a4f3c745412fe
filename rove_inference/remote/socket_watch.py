"""What a ZeroMQ socket that connects does behind its back: is there a connection, and if not, why."""

from __future__ import annotations

import math
import time
from typing import cast

import zmq
from zmq.utils.monitor import recv_monitor_message

_FAILED = {
    zmq.Event.HANDSHAKE_FAILED_AUTH: "does not let this robot's key in",
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL: "does not speak this way: are the keys right, is it a policy server?",
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL: "ended the handshake: are the keys right?",
}
_WATCHED = zmq.Event.CONNECTED | zmq.Event.DISCONNECTED | zmq.Event.HANDSHAKE_SUCCEEDED
for _event in _FAILED:
    _WATCHED |= _event


class SocketWatch:
    """Follows the connection of a socket that has exactly one. Made before `connect`; one thread at a time.

    Attributes:
        connected: there is a connection whose handshake is done. handshakes: how many there were.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.connected = False
        self.handshakes = 0
        self._refusal = ""
        self._reached = False
        self._socket = socket
        self._events: zmq.Socket[bytes] = socket.get_monitor_socket(_WATCHED)
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        self._poller.register(self._events, zmq.POLLIN)

    def look(self) -> None:
        """Take in what has happened."""
        while self._events.poll(0):
            event = cast("zmq.Event", recv_monitor_message(self._events)["event"])
            if event == zmq.Event.HANDSHAKE_SUCCEEDED:
                self.connected, self._refusal = True, ""
                self.handshakes += 1
            elif event == zmq.Event.CONNECTED:
                self._reached = True
            elif event in _FAILED:
                self.connected, self._refusal = False, _FAILED[event]
            else:
                # Whoever takes a connection and ends it before the handshake refuses it.
                if self._reached and not self.connected and not self._refusal:
                    self._refusal = _FAILED[zmq.Event.HANDSHAKE_FAILED_NO_DETAIL]
                self.connected = self._reached = False

    def readable(self, timeout_s: float) -> bool:
        """Whether a message is there; waits for one, but no longer than the connection lasts or `timeout_s` [s]."""
        ready = dict(self._poller.poll(math.ceil(timeout_s * 1e3)))
        if self._events in ready:
            self.look()
        return self._socket in ready

    def wait(self, timeout_s: float) -> bool:
        """Whether there is a connection; waits up to `timeout_s` [s] for it, but not for one that is refused."""
        deadline = time.monotonic() + timeout_s
        while not self.connected and not self._refusal and (left_s := deadline - time.monotonic()) > 0:
            self._events.poll(math.ceil(left_s * 1e3))
            self.look()
        return self.connected

    def why_not(self, url: str) -> str:
        """Why nothing can be sent, in words."""
        if self.connected:
            return f"{url} takes no more requests"
        return f"{url} {self._refusal}" if self._refusal else f"no policy server at {url}"

    def close(self) -> None:
        """Stop watching; before the socket is closed."""
        self._socket.disable_monitor()
        self._events.close(0)
