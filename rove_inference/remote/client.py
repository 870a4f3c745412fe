"""The robot's end of the policy wire: a DEALER socket, which an answer that got lost does not block."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import zmq

from rove_core.curve import encrypt_client
from rove_core.errors import ConfigError, PolicyError, WireError
from rove_core.joint_space import JointSpace
from rove_core.keys import read_pair, read_public
from rove_inference.backends import Array
from rove_inference.bundle import Bundle
from rove_inference.policy import Query
from rove_inference.preprocess import Image
from rove_inference.remote import jpeg, wire
from rove_inference.remote.clock_offset import ClockOffset, Exchange
from rove_inference.remote.link import Link, Reply
from rove_inference.remote.socket_watch import SocketWatch
from rove_inference.remote.welcome import Welcome, mismatches

# Requests that wait to leave; one is under way at a time, a second one means that nobody takes them.
QUEUE = 2
# Tried again after so long, twice as long each time, up to the second [ms].
RECONNECT_MS, RECONNECT_MOST_MS = 100, 2000
# A peer that does not say that it lives for this long does not [ms]: a pulled cable, a stopped process.
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 500, 2000
# An answer holds four arrays of a chunk's size at most, and the header.
ARRAYS_PER_ANSWER = 4


class RoveLink(Link):
    """Asks `rove policy serve`. ZeroMQ makes the connection again by itself, waiting longer each time.

    A request that is not answered in time is given up. Its answer, should it come, is known by its number, thrown away
    and counted, and so is an answer that carries another epoch than it was asked in.
    """

    def __init__(self, bundle: Bundle, space: JointSpace) -> None:
        """Raises ConfigError when a key cannot be read or the url is none."""
        if bundle.spec.remote is None:
            raise ConfigError(f"bundle '{bundle.path.name}' has no `remote` part")
        self._remote = remote = bundle.spec.remote
        self._spec, self._space = bundle.spec, space
        self.counts: Counter[str] = Counter()
        self._clock = ClockOffset()
        self._number = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._watch = SocketWatch(self._socket)
        try:
            self._set_options(bundle.path)
            self._socket.connect(remote.url)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"cannot connect to '{remote.url}': {error.strerror}") from None
        except ConfigError:
            self.close()
            raise

    def _set_options(self, folder: Path) -> None:
        remote, most = self._remote, self._spec.horizon * self._space.dim * 4 * ARRAYS_PER_ANSWER
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.SNDHWM, QUEUE),
            (zmq.RCVHWM, QUEUE),
            (zmq.IMMEDIATE, 1),  # nothing waits for a server that is not there: it would be old when it came
            (zmq.MAXMSGSIZE, most + wire.MOST_HEADER_BYTES),
            (zmq.RECONNECT_IVL, RECONNECT_MS),
            (zmq.RECONNECT_IVL_MAX, RECONNECT_MOST_MS),
            (zmq.HANDSHAKE_IVL, HEARTBEAT_TIMEOUT_MS),
            (zmq.HEARTBEAT_IVL, HEARTBEAT_MS),
            (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS),
        ):
            self._socket.setsockopt(option, value)
        if remote.server_key:
            own = read_pair(folder / remote.own_key) if remote.own_key else None
            encrypt_client(self._socket, read_public(folder / remote.server_key), own)

    def connect(self, timeout_s: float) -> None:
        """See Link."""
        deadline = time.monotonic() + timeout_s
        if not self._watch.wait(timeout_s):
            raise PolicyError(f"{self._watch.why_not(self._remote.url)} ({timeout_s:g} s)")
        answer = self._exchange(wire.HELLO, {}, {}, deadline, 0)
        problems = mismatches(Welcome.read(answer), self._spec, self._space)
        if problems:
            raise PolicyError(
                f"{self._remote.url} serves something else: {'; '.join(problems)}",
                "`rove policy connect` makes a bundle that fits what is served",
            )

    def ask(self, state: npt.NDArray[np.float32], images: Mapping[str, Image], query: Query, timeout_s: float) -> Reply:
        """See Link."""
        deadline = time.monotonic() + timeout_s
        arrays: dict[str, Array] = {"state": state}
        for camera, image in images.items():
            quality = self._remote.jpeg_quality
            arrays |= {f"jpeg_{camera}": jpeg.compress(image, quality)} if quality else {f"image_{camera}": image}
        fields: dict[str, object] = {
            "policy": self._remote.policy,
            "instruction": query.instruction,
            "condition": query.condition,
            "cfg_beta": query.cfg_beta,
            "seed": query.seed,
        }
        if query.prefix is not None:
            arrays |= {"prefix": query.prefix.actions, "prefix_weights": query.prefix.weights}
            fields["prefix_frozen"] = query.prefix.frozen
        self.counts["asked"] += 1
        return self._reply(self._exchange(wire.ASK, fields, arrays, deadline, query.epoch))

    def _exchange(
        self, kind: str, fields: Mapping[str, object], arrays: Mapping[str, Array], deadline: float, epoch: int
    ) -> wire.Message:
        """Send, and wait for the answer of this number and epoch."""
        self._number += 1
        asked_ns = time.time_ns()
        own = {"number": self._number, "epoch": epoch, "asked_ns": asked_ns}
        self._watch.look()
        try:
            self._socket.send(wire.encode(wire.Message(kind, {**fields, **own}, arrays)), zmq.NOBLOCK, copy=False)
        except zmq.Again:
            raise PolicyError(self._watch.why_not(self._remote.url)) from None
        while True:
            frame = self._receive(deadline)
            back_ns = time.time_ns()
            try:
                answer = wire.decode(frame)
                if answer.integer("number") != self._number:
                    self.counts["late"] += 1
                    continue
                if answer.integer("epoch") != epoch:
                    self.counts["old_epoch"] += 1
                    continue
                self._clock.add(
                    Exchange(asked_ns, answer.integer("received_ns"), answer.integer("answered_ns"), back_ns)
                )
                if answer.kind == wire.REFUSAL:
                    raise PolicyError(f"{self._remote.url}: {answer.text('reason')[:200]}", answer.text("hint")[:200])
            except WireError as error:
                self.counts["garbage"] += 1
                raise PolicyError(f"{self._remote.url} sent what is no answer: {error}", error.hint) from None
            return answer

    def _receive(self, deadline: float) -> memoryview:
        """The next frame. Raises PolicyError when there is none in time or the connection goes."""
        while True:
            left_s = deadline - time.monotonic()
            if left_s > 0 and self._watch.readable(left_s):
                parts = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
                if len(parts) != 1:
                    self.counts["garbage"] += 1
                    raise PolicyError(f"{self._remote.url} sent what is no answer: a message of {len(parts)} frames")
                return parts[0].buffer
            if not self._watch.connected:
                self.counts["lost"] += 1
                raise PolicyError(f"{self._remote.url} went away before it answered")
            if left_s <= 0:
                self.counts["timeouts"] += 1
                raise PolicyError(f"{self._remote.url} did not answer in time")

    def _reply(self, answer: wire.Message) -> Reply:
        shape = (self._spec.horizon, self._space.dim)
        if answer.kind != wire.ANSWER:
            raise PolicyError(f"{self._remote.url} answered with '{answer.kind}'")
        try:
            parts = {name: np.zeros(0, np.float32) for name in ("base", "residual", "gate")}
            for name in parts.keys() & answer.arrays.keys():
                parts[name] = answer.array(name, shape[:1] if name == "gate" else shape, "<f4")
            return Reply(
                actions=answer.array("actions", shape, "<f4"),
                inference_ms=answer.number("inference_ms"),
                clipped=answer.integer("clipped"),
                guided=bool(answer.fields.get("guided")),
                decoder_steps=answer.integer("decoder_steps"),
                **parts,
            )
        except WireError as error:
            self.counts["garbage"] += 1
            raise PolicyError(f"{self._remote.url} sent what is no answer: {error}") from None

    def values(self) -> Mapping[str, object]:
        """See Link."""
        return {
            "connected": self._watch.connected,
            "reconnects": max(self._watch.handshakes - 1, 0),
            "network_ms": f"{self._clock.network_ms:.2f}",
            "clock_offset_ms": f"{self._clock.offset_ms:.2f}",
        }

    def close(self) -> None:
        """See Link."""
        self._watch.close()
        self._socket.close(0)
        self._context.term()
