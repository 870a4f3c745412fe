"""Questions and answers over the policy wire: a DEALER socket, which an answer that got lost does not block."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import zmq

from rove_core.curve import encrypt_client
from rove_core.errors import ConfigError, PolicyError, WireError
from rove_core.keys import read_pair, read_public
from rove_inference.backends import Array
from rove_inference.remote import wire
from rove_inference.remote.clock_offset import ClockOffset, Exchange
from rove_inference.remote.socket_watch import SocketWatch
from rove_inference.remote.spec import require_encryption

# Requests that wait to leave; one is under way at a time, a second one means that nobody takes them.
QUEUE = 2
# Tried again after so long, twice as long each time, up to the second [ms].
RECONNECT_MS, RECONNECT_MOST_MS = 100, 2000
# A peer that does not say that it lives for this long does not [ms]: a pulled cable, a stopped process.
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 500, 2000
# ZeroMQ gives a connection up for good when the other side broke the protocol; a socket without one for so long is
# replaced [s]. Longer than a handshake over a bad link.
REPLACE_S = 2.0


class Channel:
    """One connection to a policy server, which makes itself again, waiting longer each time.

    A question that is not answered in time is given up. Its answer, should it come, is known by its number, thrown away
    and counted, and so is an answer that carries another epoch than it was asked in. One thread at a time.

    Attributes:
        counts: see Link. clock: the server's, against ours.
    """

    def __init__(self, url: str, server_key: str | Path, own_key: str | Path, most_answer_bytes: int) -> None:
        """Args:
        server_key: file of the server's public key; "" in the clear, which only this machine may be asked in.
        own_key: file of our key pair; "" for a new one.

        Raises:
            ConfigError: a key cannot be read, or there is none where there must be, or the url is none.
        """
        require_encryption(url, encrypted=bool(server_key))
        self.url = url
        self.counts: Counter[str] = Counter()
        self.clock = ClockOffset()
        self._most_bytes = most_answer_bytes + wire.MOST_HEADER_BYTES
        self._keys = (read_public(server_key), read_pair(own_key) if own_key else None) if server_key else None
        self._encoder = wire.Encoder()
        self._number = 0
        self._connections = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._begin()

    def _begin(self) -> None:
        """A new socket, which begins to connect."""
        self._since_s = time.monotonic()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._watch = SocketWatch(self._socket)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.SNDHWM, QUEUE),
            (zmq.RCVHWM, QUEUE),
            (zmq.IMMEDIATE, 1),  # nothing waits for a server that is not there: it would be old when it came
            (zmq.MAXMSGSIZE, self._most_bytes),
            (zmq.RECONNECT_IVL, RECONNECT_MS),
            (zmq.RECONNECT_IVL_MAX, RECONNECT_MOST_MS),
            (zmq.HANDSHAKE_IVL, HEARTBEAT_TIMEOUT_MS),
            (zmq.HEARTBEAT_IVL, HEARTBEAT_MS),
            (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS),
        ):
            self._socket.setsockopt(option, value)
        if self._keys is not None:
            encrypt_client(self._socket, *self._keys)
        try:
            self._socket.connect(self.url)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"cannot connect to '{self.url}': {error.strerror}") from None

    def _look(self) -> None:
        """Take in what happened to the connection, and replace a socket that will have none any more."""
        self._watch.look()
        now_s = time.monotonic()
        if self._watch.connected:
            self._since_s = now_s
        elif now_s - self._since_s > REPLACE_S:
            self._end()
            self._begin()

    def _end(self) -> None:
        self._connections += self._watch.handshakes
        self._watch.close()
        self._socket.close(0)

    def open(self, timeout_s: float) -> None:
        """Wait for the connection.

        Raises:
            PolicyError: nobody is there in time, or we are not let in.
        """
        if not self._watch.wait(timeout_s):
            raise PolicyError(
                self._watch.why_not(self.url), "is `rove policy serve` running there, are the keys right?"
            )

    def exchange(
        self, kind: str, fields: Mapping[str, object], arrays: Mapping[str, Array], epoch: int, timeout_s: float
    ) -> wire.Message:
        """Ask, and wait for the answer of this question and this epoch.

        Raises:
            PolicyError: no connection, no answer in time, a refusal, or an answer that is none.
        """
        deadline = time.monotonic() + timeout_s
        self._number += 1
        asked_ns = time.time_ns()
        own = {"number": self._number, "epoch": epoch, "asked_ns": asked_ns}
        frame = self._encoder.encode(wire.Message(kind, {**fields, **own}, arrays))
        self._look()
        try:
            self._socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            raise PolicyError(self._watch.why_not(self.url)) from None
        while True:
            answer = self._receive(deadline)
            back_ns = time.time_ns()
            try:
                if answer.integer("number") != self._number:
                    self.counts["late"] += 1
                elif answer.integer("epoch") != epoch:
                    self.counts["old_epoch"] += 1
                else:
                    received_ns, answered_ns = answer.integer("received_ns"), answer.integer("answered_ns")
                    self.clock.add(Exchange(asked_ns, received_ns, answered_ns, back_ns))
                    if answer.kind == wire.REFUSAL:
                        raise PolicyError(f"{self.url}: {answer.text('reason')[:200]}", answer.text("hint")[:200])
                    return answer
            except WireError as error:
                raise self.garbage(error) from None

    def garbage(self, error: WireError) -> PolicyError:
        """Count an answer that is none; the error to raise for it."""
        self.counts["garbage"] += 1
        return PolicyError(f"{self.url} sent what is no answer: {error}", error.hint)

    def values(self) -> Mapping[str, object]:
        """What people may want to see."""
        return {
            "connected": self._watch.connected,
            "reconnects": max(self._connections + self._watch.handshakes - 1, 0),
            "network_ms": f"{self.clock.network_ms:.2f}",
            "clock_offset_ms": f"{self.clock.offset_ms:.2f}",
        }

    def close(self) -> None:
        """End the connection."""
        self._end()
        self._context.term()

    def _receive(self, deadline: float) -> wire.Message:
        """The next message. Raises PolicyError when there is none in time or the connection goes."""
        while True:
            left_s = deadline - time.monotonic()
            if left_s > 0 and self._watch.readable(left_s):
                parts = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
                try:
                    if len(parts) != 1:
                        raise WireError(f"a message of {len(parts)} frames")
                    return wire.decode(parts[0].buffer)
                except WireError as error:
                    raise self.garbage(error) from None
            if not self._watch.connected:
                self.counts["lost"] += 1
                raise PolicyError(f"{self.url} went away before it answered")
            if left_s <= 0:
                self.counts["timeouts"] += 1
                raise PolicyError(f"{self.url} did not answer in time")
