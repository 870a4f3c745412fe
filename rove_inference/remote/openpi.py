"""A client for openpi's policy server (websocket, msgpack), as that server is."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.sync.client import ClientConnection, connect

from rove_core.errors import ConfigError, PolicyError, WireError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import Bundle
from rove_inference.preprocess import Image
from rove_inference.query import Query, fill
from rove_inference.remote import openpi_wire
from rove_inference.remote.backoff import Backoff
from rove_inference.remote.link import Link, Reply
from rove_inference.remote.names import JointNaming
from rove_inference.remote.spec import OPENPI_ACTIONS, OPENPI_IMAGE, OPENPI_PROMPT, OPENPI_STATE

# Metadata and chunks are kilobytes.
MOST_BYTES = 16 << 20
# A connection is made within this, or the server is not there [s].
CONNECT_S = 2.0


class _NoServerError(PolicyError):
    """Somebody else is at the address."""


class OpenpiLink(Link):
    """Speaks to an unmodified openpi server, which answers in the order that it is asked and says no more.

    There are no numbers in this protocol: an answer that comes late would be taken for the next one. So a request that
    is not answered in time ends the connection, and the next request makes a new one, after a pause that grows.
    """

    def __init__(self, bundle: Bundle, space: JointSpace) -> None:
        """Raises ConfigError when names in the bundle are not the robot's."""
        spec = bundle.spec
        if spec.remote is None:
            raise ConfigError(f"bundle '{bundle.path.name}' has no `remote` part")
        self._spec, self._remote = spec, spec.remote
        self._state = JointNaming(self._remote.state or {OPENPI_STATE: ()}, space, spec.state.names, "state")
        self._action = JointNaming(self._remote.action or {OPENPI_ACTIONS: ()}, space, spec.action.names, "action")
        self._action.require_all(space)
        self._images = {
            camera.name: self._remote.images.get(camera.name, OPENPI_IMAGE.format(camera=camera.name))
            for camera in spec.cameras
        }
        token = self._remote.token()
        self._headers = {"Authorization": f"Api-Key {token}"} if token else {}
        self.counts: Counter[str] = Counter()
        self._backoff = Backoff()
        self._connection: ClientConnection | None = None
        self._network_ms = 0.0

    def connect(self, timeout_s: float) -> None:
        """See Link."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._open(max(deadline - time.monotonic(), 0.01))
                return
            except _NoServerError:
                raise  # and would be none a second later
            except PolicyError:
                now_s = time.monotonic()
                if now_s >= deadline:
                    raise
                time.sleep(min(self._backoff.left_s(now_s), deadline - now_s))

    def ask(self, state: npt.NDArray[np.float32], images: Mapping[str, Image], query: Query, timeout_s: float) -> Reply:
        """See Link."""
        deadline = time.monotonic() + timeout_s
        request = openpi_wire.encode(self._observation(state, images, query))
        if self._connection is None:
            left_s = self._backoff.left_s(time.monotonic())
            if left_s:
                raise PolicyError(f"no connection to {self._remote.url}, trying again in {left_s:.1f} s")
            self._open(timeout_s)
            self.counts["reconnects"] += 1
        self.counts["asked"] += 1
        started = time.monotonic()
        answer = self._exchange(request, deadline)
        actions = self._action.join(answer, self._spec.horizon)
        inference_ms = _inference_ms(answer)
        self._network_ms = (time.monotonic() - started) * 1e3 - inference_ms
        return Reply(actions, inference_ms=inference_ms)

    def values(self) -> Mapping[str, object]:
        """See Link."""
        return {"connected": self._connection is not None, "network_ms": f"{self._network_ms:.2f}"}

    def close(self) -> None:
        """See Link."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # Without the closing handshake: a server that hangs would keep us waiting for its part.
            connection.close_socket()
            connection.recv_events_thread.join()

    def _observation(self, state: npt.NDArray[np.float32], images: Mapping[str, Image], query: Query) -> dict[str, Any]:
        observation: dict[str, Any] = {}
        for camera, image in images.items():
            _put(
                observation,
                self._images[camera],
                image if self._remote.image_layout == "chw" else image.transpose(1, 2, 0),
            )
        for name, values in self._state.split(state).items():
            _put(observation, name, values)
        prompt = fill(self._spec.prompt, query.instruction)
        _put(observation, self._remote.prompt_key or OPENPI_PROMPT, prompt)
        return observation

    def _open(self, timeout_s: float) -> None:
        url, timeout_s = self._remote.url, min(timeout_s, CONNECT_S)
        try:
            self._connection = connect(
                url,
                sock=_socket(url, timeout_s, self._remote.timeout_s),
                ssl=ssl.create_default_context() if url.startswith("wss:") else None,
                additional_headers=self._headers,
                compression=None,
                proxy=None,
                legacy=True,
                open_timeout=timeout_s,
                max_size=MOST_BYTES,
                ping_interval=None,  # the server answers no ping while its model runs; the time limit is what counts
            )
            self._metadata(timeout_s)
        except (OSError, TimeoutError, InvalidHandshake, InvalidMessage, EOFError) as error:
            self._fail()
            raise PolicyError(f"no openpi server at {url}: {_words(error)}") from None
        self._backoff.worked()

    def _metadata(self, timeout_s: float) -> None:
        """The server speaks first."""
        message = self._receive(time.monotonic() + timeout_s)
        if not isinstance(message, bytes):
            self._fail()
            raise _NoServerError(f"{self._remote.url} greets with text: is it an openpi server?")

    def _exchange(self, request: bytes, deadline: float) -> dict[str, Any]:
        if self._connection is None:
            raise PolicyError(f"no connection to {self._remote.url}")
        try:
            self._connection.send(request)
        except (ConnectionClosed, OSError) as error:
            self._fail()
            self.counts["lost"] += 1
            raise PolicyError(f"{self._remote.url} takes no request: {_words(error)}") from None
        message = self._receive(deadline)
        if isinstance(message, str):
            # A traceback, whose last line says what went wrong; then the server closes with 1011.
            self._fail()
            self.counts["refused"] += 1
            lines = message.strip().splitlines() or ["(no words)"]
            raise PolicyError(f"{self._remote.url} failed: {lines[-1][:200]}")
        try:
            return openpi_wire.decode(message)
        except WireError as error:
            self._fail()
            self.counts["garbage"] += 1
            raise PolicyError(f"{self._remote.url} sent what is no answer: {error}") from None

    def _receive(self, deadline: float) -> str | bytes:
        """The next message; without one in time the connection ends."""
        if self._connection is None:
            raise PolicyError(f"no connection to {self._remote.url}")
        try:
            return self._connection.recv(max(deadline - time.monotonic(), 0.0))
        except TimeoutError:
            self._fail()
            self.counts["timeouts"] += 1
            raise PolicyError(f"{self._remote.url} did not answer in time") from None
        except (ConnectionClosed, OSError) as error:
            self._fail()
            self.counts["lost"] += 1
            raise PolicyError(f"{self._remote.url} went away before it answered: {_words(error)}") from None

    def _fail(self) -> None:
        self._backoff.failed(time.monotonic())
        self.close()


def _socket(url: str, connect_s: float, send_s: float) -> socket.socket:
    """A TCP connection whose sends give up: the library's wait for ever when the server stops reading."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    made = socket.create_connection((parts.hostname or "", port), connect_s)
    made.settimeout(None)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    seconds = int(send_s)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", seconds, int((send_s - seconds) * 1e6)))
    return made


def _put(observation: dict[str, Any], path: str, value: object) -> None:
    """Under a name, or under names in maps: `images.cam_high`."""
    *folders, name = path.split(".")
    for folder in folders:
        observation = observation.setdefault(folder, {})
    observation[name] = value


def _inference_ms(answer: Mapping[str, Any]) -> float:
    timing = answer.get("server_timing")
    value = timing.get("infer_ms") if isinstance(timing, dict) else None
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else 0.0


def _words(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
