"""The motion-capture wire: frames over ZeroMQ. The source binds a PUB socket, receivers connect.

With keys the wire is encrypted and authenticated by CURVE (RFC 26 of ZeroMQ): the receiver knows the source's public
key, so nobody else can send it frames; a source that is given a folder of public keys lets only those receivers in.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from pathlib import Path
from uuid import uuid4

import zmq

from rove_core.curve import encrypt_client, encrypt_server, open_door
from rove_core.errors import WireError
from rove_core.keys import KeyPair
from rove_hil.operator.mocap import FrameRefusedError, MocapFrame, decode, encode


class MocapPublisher:
    """The source's end of the wire. Not thread-safe: one thread sends.

    Args:
        bind_url: ZeroMQ endpoint, e.g. "tcp://127.0.0.1:5571".
        source: name of this source; a new one at every start unless given, so that sequences may begin again at 0.
        keys: the source's own; without them the wire is open.
        receivers: folder of public keys (`*.key`) of those who may receive; None lets in whoever knows the source's.

    Raises:
        WireError: the endpoint cannot be bound.
        ConfigError: `receivers` without `keys`, or holds no key.
    """

    # Frames that wait for a slow receiver; beyond it the newest is dropped, so keep it near nothing.
    QUEUE = 4

    def __init__(
        self, bind_url: str, source: str = "", keys: KeyPair | None = None, receivers: str | Path | None = None
    ) -> None:
        self._source = source or f"mocap-{uuid4().hex[:12]}"
        # A context of its own: who may come in is decided per context.
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._door = open_door(self._context, receivers, keys)
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.SNDHWM, self.QUEUE)
        self._socket.setsockopt(zmq.LINGER, 0)
        if keys is not None:
            encrypt_server(self._socket, keys)
        try:
            self._socket.bind(bind_url)
        except zmq.ZMQError as error:
            self.close()
            raise WireError(f"cannot publish motion capture at {bind_url}: {error.strerror}") from None
        self.url: str = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def send(self, frame: MocapFrame) -> None:
        """Send one frame; never blocks."""
        self._socket.send(encode(frame, self._source), zmq.NOBLOCK)

    def close(self) -> None:
        """Free the endpoint."""
        self._socket.close()
        if self._door is not None:
            self._door.stop()
        self._context.term()


class MocapReceiver:
    """The robot's end of the wire. Has no thread: call `poll` from one thread only.

    A frame that is not newer than the last one of its source is refused; a source that restarts has a new name.
    After a gap or a reconnection it simply goes on with what arrives.

    Args:
        url: ZeroMQ endpoint to connect to.
        source_key: the source's public key in Z85; without it the wire is open.
        keys: the receiver's own pair, for a source that lets only known receivers in; by default a new one.

    Attributes:
        received: valid frames so far. dropped: valid frames that a newer one overtook before anybody looked.
        rejected: refused messages by reason (oversized, malformed, schema, version, values, order).
        last_refusal: the newest refusal in words, "" when there was none.
    """

    QUEUE = 16
    # Messages looked at in one poll: somebody who floods the wire must not keep the caller from its work.
    MOST_PER_POLL = 64
    # Anything larger than this is not even received: ZeroMQ cuts the sender off.
    HARD_LIMIT_BYTES = 1 << 20
    # Sources whose last sequence is remembered.
    SOURCES = 16

    def __init__(self, url: str, source_key: bytes | None = None, keys: KeyPair | None = None) -> None:
        self.received = 0
        self.dropped = 0
        self.rejected: Counter[str] = Counter()
        self.last_refusal = ""
        self._last: OrderedDict[str, int] = OrderedDict()
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, self.QUEUE)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, self.HARD_LIMIT_BYTES)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        if source_key is not None:
            encrypt_client(self._socket, source_key, keys)
        try:
            self._socket.connect(url)
        except zmq.ZMQError as error:
            self._socket.close()
            raise WireError(f"cannot receive motion capture from '{url}': {error.strerror}") from None

    def poll(self, timeout_s: float) -> MocapFrame | None:
        """The newest valid frame, waiting up to `timeout_s` [s] for a message; None when there is none."""
        if not self._socket.poll(max(0, math.ceil(timeout_s * 1e3))):
            return None
        newest: MocapFrame | None = None
        for _ in range(self.MOST_PER_POLL):
            try:
                data = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            frame = self._accept(data)
            if frame is not None:
                self.dropped += newest is not None
                newest = frame
        return newest

    def _accept(self, data: bytes) -> MocapFrame | None:
        try:
            frame = decode(data)
            last = self._last.get(frame.source, -1)
            if frame.sequence <= last:
                raise FrameRefusedError("order", f"sequence {frame.sequence} after {last} of source '{frame.source}'")
        except FrameRefusedError as refusal:
            self.rejected[refusal.reason] += 1
            self.last_refusal = str(refusal)
            return None
        self._last[frame.source] = frame.sequence
        self._last.move_to_end(frame.source)
        if len(self._last) > self.SOURCES:
            self._last.popitem(last=False)
        self.received += 1
        return frame

    def close(self) -> None:
        """Stop receiving."""
        self._socket.close()
