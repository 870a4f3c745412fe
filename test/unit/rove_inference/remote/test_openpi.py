"""The openpi client, against a websocket server that keeps openpi's protocol, and breaks it where a test says so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as listen

from rove_core.errors import BundleError, ConfigError, PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import Bundle
from rove_inference.observation import Observation
from rove_inference.policy import Policy
from rove_inference.query import Query
from rove_inference.remote import openpi_wire
from rove_inference.remote import policy as remote

Far = Callable[..., Bundle]
See = Callable[..., Observation]
Answering = Callable[[dict[str, Any], ServerConnection], "bytes | str | None"]

TRACEBACK = (
    "Traceback (most recent call last):\n  File \"policy.py\", line 1, in infer\nKeyError: 'observation/state'\n"
)


class OpenpiServer:
    """Metadata first, then an answer to each request. `answer` may say text (an error, then close 1011) or nothing."""

    def __init__(self, space: JointSpace) -> None:
        self._space = space
        self.requests: list[dict[str, Any]] = []
        self.headers: list[str | None] = []
        self.greeting: bytes | str = openpi_wire.encode({"policy": "test"})
        self.answer: Answering = lambda request, _: self.chunk(request)
        self._server = listen(self._handle, "127.0.0.1", 0, compression=None, max_size=None, close_timeout=0.1)
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="openpi server")
        self._thread.start()

    def chunk(self, request: dict[str, Any], **changes: Any) -> bytes:
        """Hold the pose; the tenth of a radian in the first joint of the first step tells whose order it is."""
        actions = np.tile(request["observation/state"], (50, 1)).astype(np.float64)
        return openpi_wire.encode({"actions": actions, "server_timing": {"infer_ms": 0.25}} | changes)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()

    def _handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.headers.append(connection.request.headers.get("Authorization"))
        connection.send(self.greeting)
        for message in connection:
            assert isinstance(message, bytes)
            request = openpi_wire.decode(message)
            self.requests.append(request)
            answer = self.answer(request, connection)
            if answer is not None:
                connection.send(answer)
            if isinstance(answer, str):
                connection.close(1011, "Internal server error. Traceback included in previous frame.")
                return


@pytest.fixture
def server(space: JointSpace) -> Iterator[OpenpiServer]:
    server = OpenpiServer(space)
    yield server
    server.close()


@pytest.fixture
def policy(server: OpenpiServer, far: Far, space: JointSpace) -> Iterator[Policy]:
    policy = remote.connect(far("openpi", url=server.url, timeout_s=1.5), space)
    yield policy
    policy.close()


def _works(policy: Policy, observation: Observation) -> bool:
    try:
        policy.predict(observation)
    except PolicyError:
        return False
    return True


def test_an_observation_is_what_openpi_expects(
    server: OpenpiServer, policy: Policy, seeing: See, space: JointSpace
) -> None:
    prediction = policy.predict(seeing(200), Query("wipe the board"))
    request = server.requests[-1]
    assert request["prompt"] == "wipe the board"
    assert request["observation/head"].shape == (24, 32, 3)
    assert (request["observation/head"] == 200).all()
    np.testing.assert_array_equal(request["observation/state"], space.home.astype(np.float32))
    np.testing.assert_allclose(prediction.positions, np.tile(space.home, (50, 1)), atol=1e-6)
    assert prediction.inference_ms == 0.25
    assert prediction.round_trip_ms > 0


def test_names_shapes_and_orders_are_the_servers(
    server: OpenpiServer, far: Far, space: JointSpace, seeing: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = ["right_arm", "left_arm"]
    rest = [group for group in space.groups if group not in arms]
    monkeypatch.setenv("ROVE_TEST_KEY", "sesame")
    order = [name for group in arms + rest for name in space.names[space.groups[group]]]

    def answer(request: dict[str, Any], _: ServerConnection) -> bytes:
        state = np.concatenate([request["state"], request["rest"]])
        return openpi_wire.encode({"actions": np.tile(state, (50, 1))})

    server.answer = answer
    bundle = far(
        "openpi",
        url=server.url,
        images={"head": "images.cam_high"},
        image_layout="chw",
        state={"state": arms, "rest": rest},
        action={"actions": arms + rest},
        prompt_key="task",
        token_env="ROVE_TEST_KEY",  # noqa: S106 - a name
    )
    policy = remote.connect(bundle, space)
    prediction = policy.predict(seeing())
    request = server.requests[-1]
    assert request["images"]["cam_high"].shape == (3, 24, 32)
    assert set(request) == {"images", "state", "rest", "task"}
    np.testing.assert_allclose(request["state"], [space.home[space.names.index(name)] for name in order[:14]])
    np.testing.assert_allclose(prediction.positions[0], space.home, atol=1e-6)
    assert server.headers == ["Api-Key sesame"]
    policy.close()


def test_an_error_there_is_its_last_line_and_the_next_request_reconnects(
    server: OpenpiServer, policy: Policy, seeing: See, wait: Callable[..., None]
) -> None:
    server.answer = lambda *_: TRACEBACK
    with pytest.raises(PolicyError, match="failed: KeyError: 'observation/state'") as caught:
        policy.predict(seeing())
    assert "\n" not in str(caught.value)
    server.answer = lambda request, _: server.chunk(request)
    with pytest.raises(PolicyError, match=r"trying again in 0.1 s"):
        policy.predict(seeing())
    wait(lambda: _works(policy, seeing()), "an answer")
    assert (policy.values()["refused"], policy.values()["reconnects"]) == (1, 1)


def test_a_late_answer_is_never_taken_for_the_next(
    server: OpenpiServer, policy: Policy, seeing: See, wait: Callable[..., None]
) -> None:
    go_on = threading.Event()

    def late(request: dict[str, Any], _: ServerConnection) -> bytes:
        assert go_on.wait(10)
        return server.chunk(request, server_timing={"infer_ms": 999.0})

    server.answer = late
    with pytest.raises(PolicyError, match="did not answer in time"):
        policy.predict(seeing())
    server.answer = lambda request, _: server.chunk(request)
    go_on.set()
    wait(lambda: _works(policy, seeing()), "an answer")
    assert policy.predict(seeing()).inference_ms == 0.25
    assert policy.values()["timeouts"] == 1


def test_a_server_that_goes_away_is_one_line_and_found_again(
    server: OpenpiServer, policy: Policy, seeing: See, wait: Callable[..., None]
) -> None:
    def leave(_: dict[str, Any], connection: ServerConnection) -> None:
        connection.close_socket()

    server.answer = leave
    with pytest.raises(PolicyError, match="went away before it answered"):
        policy.predict(seeing())
    server.answer = lambda request, _: server.chunk(request)
    wait(lambda: _works(policy, seeing()), "an answer")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda: b"\xc1\xc1", "not msgpack"),
        (lambda: openpi_wire.encode({"action": np.zeros((50, 50))}), "has no array 'actions', it has action"),
        (lambda: openpi_wire.encode({"actions": np.zeros((50, 32))}), r"shape \(50, 32\), expected \(50, 50\)"),
        (lambda: openpi_wire.encode({"actions": np.full((50, 50), np.nan)}), "answered nan for 'head_yaw'"),
        (lambda: bytes(17 << 20), "went away before it answered"),
    ],
)
def test_what_is_no_answer_is_refused(
    server: OpenpiServer,
    policy: Policy,
    seeing: See,
    wait: Callable[..., None],
    answer: Callable[[], bytes],
    text: str,
) -> None:
    server.answer = lambda *_: answer()
    with pytest.raises(PolicyError, match=text) as caught:
        policy.predict(seeing())
    assert "\n" not in str(caught.value)
    server.answer = lambda request, _: server.chunk(request)
    wait(lambda: _works(policy, seeing()), "an answer")


def test_a_server_that_is_none_is_told(server: OpenpiServer, far: Far, space: JointSpace) -> None:
    server.greeting = "hello, this is a chat"
    with pytest.raises(PolicyError, match="is it an openpi server"):
        remote.connect(far("openpi", url=server.url, ready_timeout_s=30.0), space)
    with pytest.raises(PolicyError, match=r"no openpi server at ws://127.0.0.1:9: "):
        remote.connect(far("openpi", url="ws://127.0.0.1:9", ready_timeout_s=0.2), space)


def test_joints_that_nobody_moves_are_told_before_connecting(far: Far, space: JointSpace) -> None:
    with pytest.raises(ConfigError, match=r"remote.action must name every joint"):
        remote.connect(far("openpi", url="ws://127.0.0.1:9", action={"actions": ["left_arm"]}), space)


def test_a_model_that_fails_on_its_first_answer_is_no_policy(server: OpenpiServer, far: Far, space: JointSpace) -> None:
    server.answer = lambda *_: TRACEBACK
    with pytest.raises(BundleError, match=r"warm-up failed: .*KeyError"):
        remote.connect(far("openpi", url=server.url), space)
