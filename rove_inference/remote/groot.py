"""A client for Isaac GR00T's policy server (ZeroMQ REQ/REP, N1.6), as that server is."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import zmq

from rove_core.errors import ConfigError, PolicyError, WireError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import Bundle
from rove_inference.preprocess import Image
from rove_inference.query import Query, fill
from rove_inference.remote import groot_wire
from rove_inference.remote.backoff import Backoff
from rove_inference.remote.link import Link, Reply
from rove_inference.remote.names import JointNaming

# Modality configurations and chunks are kilobytes.
MOST_BYTES = 16 << 20
# A connection is made within this, or the server is not there [s].
CONNECT_S = 2.0


class GrootLink(Link):
    """Speaks to an unmodified GR00T server.

    A REQ socket that missed an answer can neither send nor receive any more, so a request that is not answered in time
    costs the socket: it is closed, and the next request makes a new one, after a pause that grows. The server keeps no
    state between requests, and nothing is ever sent to its `kill`.
    """

    def __init__(self, bundle: Bundle, space: JointSpace) -> None:
        """Raises ConfigError when names in the bundle are missing or not the robot's."""
        spec = bundle.spec
        if spec.remote is None:
            raise ConfigError(f"bundle '{bundle.path.name}' has no `remote` part")
        self._spec, self._remote = spec, spec.remote
        if not (self._remote.state and self._remote.action):
            raise ConfigError("a GR00T server has names of its own", "say in `remote.state` and `remote.action` which")
        self._state = JointNaming(self._remote.state, space, spec.state.names, "state")
        self._action = JointNaming(self._remote.action, space, spec.action.names, "action")
        self._action.require_all(space)
        self._images = {camera.name: self._remote.images.get(camera.name, camera.name) for camera in spec.cameras}
        self._prompt_key = self._remote.prompt_key
        self._token = self._remote.token()
        self.counts: Counter[str] = Counter()
        self._backoff = Backoff()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self._round_trip_ms = 0.0

    def connect(self, timeout_s: float) -> None:
        """See Link."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                config = self._call("get_modality_config", None, min(time.monotonic() + CONNECT_S, deadline))
                break
            except PolicyError:
                now_s = time.monotonic()
                if now_s >= deadline:
                    raise
                time.sleep(min(self._backoff.left_s(now_s), deadline - now_s))
        problems = self._mismatches(config)
        if problems:
            raise PolicyError(f"{self._remote.url} serves something else: {'; '.join(problems)}")

    def ask(self, state: npt.NDArray[np.float32], images: Mapping[str, Image], query: Query, timeout_s: float) -> Reply:
        """See Link."""
        deadline = time.monotonic() + timeout_s
        if self._socket is None:
            left_s = self._backoff.left_s(time.monotonic())
            if left_s:
                raise PolicyError(f"no connection to {self._remote.url}, trying again in {left_s:.1f} s")
            self.counts["reconnects"] += 1
        # Everything has a batch and a time axis in front, both 1.
        prompt = fill(self._spec.prompt, query.instruction)
        observation = {
            "video": {self._images[name]: image.transpose(1, 2, 0)[None, None] for name, image in images.items()},
            "state": {name: values[None, None] for name, values in self._state.split(state).items()},
            "language": {self._prompt_key: [[prompt]]},
        }
        self.counts["asked"] += 1
        started = time.monotonic()
        answer = self._call("get_action", {"observation": observation, "options": None}, deadline)
        self._round_trip_ms = (time.monotonic() - started) * 1e3
        return Reply(self._action.join(self._parts(answer), self._spec.horizon))

    def values(self) -> Mapping[str, object]:
        """See Link."""
        return {"connected": self._socket is not None, "round_trip_ms": f"{self._round_trip_ms:.2f}"}

    def close(self) -> None:
        """See Link."""
        self._drop()
        self._context.term()

    def _parts(self, answer: Any) -> dict[str, Any]:
        """The joint groups in the answer, without the batch axis."""
        match answer:
            case [dict() as actions, dict()]:
                parts = {}
                for name, values in actions.items():
                    if isinstance(values, np.ndarray) and values.ndim == 3 and values.shape[0] == 1:
                        parts[name] = values[0]
                return parts
            case _:
                raise PolicyError(f"{self._remote.url} sent what is no answer: {type(answer).__name__}")

    def _mismatches(self, config: Any) -> list[str]:
        """What differs between what is served and the bundle. Takes over the name of the instruction."""
        if not isinstance(config, dict):
            raise PolicyError(f"{self._remote.url} has no modality configuration: is it GR00T N1.6?")
        problems = []
        for kind, ours in (
            ("video", set(self._images.values())),
            ("state", set(self._state.indices)),
            ("action", set(self._action.indices)),
        ):
            names, steps = _modality(config, kind)
            if names != ours:
                problems.append(f"{kind} {_listed(names)}, here {_listed(ours)}")
            expected = self._spec.horizon if kind == "action" else 1
            if steps != expected:
                problems.append(f"{steps} steps of {kind}, here {expected}")
        names, _ = _modality(config, "language")
        if not self._prompt_key and len(names) == 1:
            (self._prompt_key,) = names
        if names != {self._prompt_key}:
            problems.append(f"language {_listed(names)}: say in `remote.prompt_key` which is the instruction")
        return problems

    def _call(self, endpoint: str, data: dict[str, Any] | None, deadline: float) -> Any:
        """One request and its answer; the socket is given up when there is none."""
        request: dict[str, Any] = {"endpoint": endpoint}
        if data is not None:
            request["data"] = data
        if self._token:
            request["api_token"] = self._token
        socket = self._socket or self._open()
        try:
            socket.setsockopt(zmq.SNDTIMEO, _ms_until(min(deadline, time.monotonic() + CONNECT_S)))
            socket.send(groot_wire.encode(request))
        except zmq.ZMQError:
            self._fail("lost")
            raise PolicyError(f"no GR00T server at {self._remote.url}") from None
        try:
            socket.setsockopt(zmq.RCVTIMEO, _ms_until(deadline))
            frame = socket.recv(copy=False)
            parts = socket.getsockopt(zmq.RCVMORE)
        except zmq.ZMQError:
            self._fail("timeouts")
            raise PolicyError(f"{self._remote.url} did not answer in time") from None
        try:
            if parts:
                raise WireError("more than one frame")
            answer = groot_wire.decode(frame.buffer)
        except WireError as error:
            self._fail("garbage")
            raise PolicyError(f"{self._remote.url} sent what is no answer: {error}") from None
        self._backoff.worked()
        if isinstance(answer, dict) and "error" in answer:
            self.counts["refused"] += 1
            lines = str(answer["error"]).strip().splitlines() or ["(no words)"]
            raise PolicyError(f"{self._remote.url} failed: {lines[0][:200]}")
        return answer

    def _open(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.REQ)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing waits for a server that is not there
        socket.setsockopt(zmq.MAXMSGSIZE, MOST_BYTES)
        try:
            socket.connect(self._remote.url)
        except zmq.ZMQError as error:
            socket.close(0)
            raise ConfigError(f"cannot connect to '{self._remote.url}': {error.strerror}") from None
        self._socket = socket
        return socket

    def _fail(self, what: str) -> None:
        self.counts[what] += 1
        self._backoff.failed(time.monotonic())
        self._drop()

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close(0)
            self._socket = None


def _modality(config: Mapping[str, Any], kind: str) -> tuple[set[str], int]:
    """Names and number of steps of one modality; nothing and 0 when the configuration does not say."""
    match config.get(kind):
        case {"modality_keys": [*names], "delta_indices": [*steps]}:
            return {str(name) for name in names}, len(steps)
        case _:
            return set(), 0


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _ms_until(deadline: float) -> int:
    return max(math.ceil((deadline - time.monotonic()) * 1e3), 1)
