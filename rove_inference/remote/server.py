"""The server's end of the policy wire: one policy, any number of robots, one answer at a time."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from rove_core.curve import encrypt_server, open_door
from rove_core.errors import ConfigError, PolicyError, RoveError, WireError
from rove_core.joint_space import JointSpace
from rove_core.keys import KeyPair
from rove_inference.backends import Array
from rove_inference.bundle import Bundle, Crop
from rove_inference.decoders.prefix import Prefix
from rove_inference.observation import Observation
from rove_inference.policy import Policy
from rove_inference.preprocess import Image
from rove_inference.query import Query
from rove_inference.remote import jpeg, wire
from rove_inference.remote.spec import require_encryption
from rove_inference.remote.welcome import Welcome

# Requests per robot that wait; a robot has one under way, so the others are ones that it gave up.
QUEUE = 4
# Messages taken in between two answers: somebody who floods the server must not keep it from answering the others.
MOST_PER_ROUND = 64
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 500, 2000


@dataclass(frozen=True, slots=True)
class _Request:
    """A message that waits for its answer."""

    peer: bytes
    message: wire.Message
    number: int
    epoch: int
    received_ns: int


class PolicyServer:
    """Answers robots one after another, each with the answer to the newest that it asked.

    A request that a newer one of the same robot overtook is not answered: its observation is old. A frame that is not
    the wire's is refused in one line where it says who wants to know, and counted. Not thread-safe.

    Attributes:
        counts: `answered`, `overtaken`, `refused`, `garbage`, `undelivered`.
        url: where it can be reached, with the port that the system chose for port 0.
    """

    def __init__(
        self,
        policy: Policy,
        space: JointSpace,
        bind: str,
        keys: KeyPair | None = None,
        clients: str | Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Args:
        policy: ready to answer; from now on it takes pictures as robots send them, cropped.
        bind: tcp://ADDRESS:PORT or ipc://PATH.
        keys: the server's own; without them only this machine may ask.
        clients: folder of public keys of the robots that may ask; None: whoever knows the server's key.
        say: told of what is refused.

        Raises:
            ConfigError: no keys where they are needed, or the address cannot be had.
        """
        require_encryption(bind, encrypted=keys is not None)
        self.counts: Counter[str] = Counter()
        self._policy, self._space, self._say = policy, space, say
        self._welcome = Welcome.of(policy.bundle, space).fields()
        policy.bundle = _for_cropped_images(policy.bundle)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._door = None
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.SNDHWM, QUEUE),
            (zmq.RCVHWM, QUEUE),
            (zmq.MAXMSGSIZE, most_bytes(policy.bundle, space)),
            (zmq.HANDSHAKE_IVL, HEARTBEAT_TIMEOUT_MS),
            (zmq.HEARTBEAT_IVL, HEARTBEAT_MS),
            (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS),
        ):
            self._socket.setsockopt(option, value)
        try:
            self._door = open_door(self._context, clients, keys)
            if keys is not None:
                encrypt_server(self._socket, keys)
            self._socket.bind(bind)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"cannot serve at {bind}: {error.strerror}") from None
        except ConfigError:
            self.close()
            raise
        self.url: str = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def serve(self, timeout_s: float) -> None:
        """Answer what has come; waits up to `timeout_s` [s] for something."""
        if not self._socket.poll(math.ceil(timeout_s * 1e3)):
            return
        waiting: dict[bytes, _Request] = {}
        for _ in range(MOST_PER_ROUND):
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            request = self._take(parts)
            if request is not None:
                self.counts["overtaken"] += request.peer in waiting
                waiting[request.peer] = request
        for request in waiting.values():
            self._send(request, self._answer(request))

    def close(self) -> None:
        """Free the address."""
        self._socket.close(0)
        if self._door is not None:
            self._door.stop()
        self._context.term()

    def _take(self, parts: list[zmq.Frame]) -> _Request | None:
        """A request, or None when nobody could be answered."""
        received_ns = time.time_ns()
        try:
            if len(parts) != 2:
                raise WireError(f"a message of {len(parts) - 1} frames")
            message = wire.decode(parts[1].buffer)
            return _Request(parts[0].bytes, message, message.integer("number"), message.integer("epoch"), received_ns)
        except WireError as error:
            self.counts["garbage"] += 1
            self._say(f"a robot sent what is no request: {error}")
            return None

    def _answer(self, request: _Request) -> wire.Message:
        try:
            if request.message.kind == wire.HELLO:
                return wire.Message(wire.WELCOME, self._welcome)
            if request.message.kind != wire.ASK:
                raise WireError(f"'{request.message.kind}' is nothing to ask a server")
            answer = self._predict(request.message)
        except RoveError as error:
            self.counts["refused"] += 1
            self._say(f"refused: {error}")
            return wire.Message(wire.REFUSAL, {"reason": str(error), "hint": error.hint})
        self.counts["answered"] += 1
        return answer

    def _predict(self, message: wire.Message) -> wire.Message:
        wanted, serves = message.text("policy"), self._policy.bundle.policy_id
        if wanted != serves:
            raise PolicyError(f"{serves} is served here, not {wanted}", "`rove policy connect` makes a bundle for it")
        prediction = self._policy.predict(self._observation(message), self._query(message))
        arrays: dict[str, Array] = {"actions": prediction.positions}
        for name in ("base", "residual", "gate"):
            values = np.asarray(getattr(prediction, name), np.float32)
            arrays |= {name: values} if values.size else {}
        fields: dict[str, Any] = {
            "inference_ms": prediction.inference_ms,
            "clipped": prediction.clipped,
            "guided": prediction.guided,
            "decoder_steps": prediction.decoder_steps,
        }
        return wire.Message(wire.ANSWER, fields, arrays)

    def _observation(self, message: wire.Message) -> Observation:
        images: dict[str, Image] = {}
        for camera in self._policy.bundle.spec.cameras:
            if f"jpeg_{camera.name}" in message.arrays:
                data = message.array(f"jpeg_{camera.name}", None, "|u1").reshape(-1)
                image = jpeg.expand(data, camera.height, camera.width)
            else:
                image = message.array(f"image_{camera.name}", (3, camera.height, camera.width), "|u1")
            images[camera.name] = image.transpose(1, 2, 0)
        state = message.array("state", (self._space.dim,), "<f4")
        if not np.isfinite(state).all():
            raise WireError("joint positions are not finite")
        return Observation(0, 0, state.astype(np.float64), images)

    def _query(self, message: wire.Message) -> Query:
        prefix = None
        if "prefix" in message.arrays:
            horizon = self._policy.bundle.spec.horizon
            actions = message.array("prefix", (horizon, self._space.dim), "<f4")
            weights = message.array("prefix_weights", (horizon,), "<f4")
            frozen = message.integer("prefix_frozen")
            if not (np.isfinite(actions).all() and np.isfinite(weights).all() and 0 <= frozen <= horizon):
                raise WireError("a prefix that is not finite, or longer than the chunk")
            prefix = Prefix(actions, weights, frozen)
        return Query(
            instruction=message.text("instruction"),
            condition=message.text("condition"),
            cfg_beta=message.number("cfg_beta"),
            seed=message.integer("seed"),
            epoch=message.integer("epoch"),
            prefix=prefix,
        )

    def _send(self, request: _Request, answer: wire.Message) -> None:
        own = {
            "number": request.number,
            "epoch": request.epoch,
            "received_ns": request.received_ns,
            "answered_ns": time.time_ns(),
        }
        frame = wire.encode(wire.Message(answer.kind, {**answer.fields, **own}, answer.arrays))
        try:
            self._socket.send_multipart([request.peer, frame], zmq.NOBLOCK)
        except zmq.ZMQError:
            self.counts["undelivered"] += 1  # the robot takes nothing: it asks again


def _for_cropped_images(bundle: Bundle) -> Bundle:
    """The bundle for pictures that the robot has cropped already."""
    cameras = tuple(camera.model_copy(update={"crop": Crop()}) for camera in bundle.spec.cameras)
    return replace(bundle, spec=bundle.spec.model_copy(update={"cameras": cameras}))


def most_bytes(bundle: Bundle, space: JointSpace) -> int:
    """The largest request that makes sense for a bundle; ZeroMQ ends the connection of whoever sends more."""
    spec = bundle.spec
    pictures = sum(3 * camera.width * camera.height for camera in spec.cameras)
    return pictures + (space.dim + spec.horizon * (space.dim + 1)) * 4 + wire.MOST_HEADER_BYTES
