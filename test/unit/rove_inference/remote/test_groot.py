"""The GR00T client, against a REP socket that keeps the protocol, and breaks it where a test says so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import zmq

from rove_core.errors import ConfigError, PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import Bundle
from rove_inference.observation import Observation
from rove_inference.policy import Policy
from rove_inference.query import Query
from rove_inference.remote import groot_wire
from rove_inference.remote import policy as remote

Far = Callable[..., Bundle]
See = Callable[..., Observation]

LANGUAGE = "annotation.human.task_description"


class GrootServer:
    """Answers one request after another, as a REP socket must. `answer` may give bytes, or None to wait for `go_on`."""

    def __init__(self, space: JointSpace) -> None:
        self.groups = tuple(space.groups)
        self.requests: list[dict[str, Any]] = []
        self.config: Any = {
            "video": {"delta_indices": [0], "modality_keys": ["ego_view"]},
            "state": {"delta_indices": [0], "modality_keys": list(self.groups)},
            "action": {"delta_indices": list(range(50)), "modality_keys": list(self.groups)},
            "language": {"delta_indices": [0], "modality_keys": [LANGUAGE]},
        }
        self.answer: Callable[[dict[str, Any]], bytes | None] = lambda request: self.chunk(request)
        self.go_on = threading.Event()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind("tcp://127.0.0.1:0")
        self.url = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="groot server")
        self._thread.start()

    def chunk(self, request: dict[str, Any]) -> bytes:
        state = request["data"]["observation"]["state"]
        actions = {group: np.repeat(values, 50, axis=1) for group, values in state.items()}
        return groot_wire.encode([actions, {}])  # type: ignore[arg-type]

    def close(self) -> None:
        self._stop.set()
        self.go_on.set()
        self._thread.join()
        self._socket.close()
        self._context.term()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(20):
                request = groot_wire.decode(self._socket.recv())
                self.requests.append(request)
                if request["endpoint"] == "get_modality_config":
                    self._socket.send(groot_wire.encode(self.config))
                    continue
                answer = self.answer(request)
                if answer is None:
                    self.go_on.wait(10)
                    answer = self.chunk(request)
                self._socket.send(answer)


@pytest.fixture
def server(space: JointSpace) -> Iterator[GrootServer]:
    server = GrootServer(space)
    yield server
    server.close()


@pytest.fixture
def bundle(server: GrootServer, far: Far, space: JointSpace) -> Bundle:
    groups = {group: [group] for group in space.groups}
    return far(
        "groot",
        url=server.url,
        images={"head": "ego_view"},
        state=groups,
        action=groups,
        timeout_s=1.2,
        ready_timeout_s=5.0,
    )


@pytest.fixture
def policy(bundle: Bundle, space: JointSpace) -> Iterator[Policy]:
    policy = remote.connect(bundle, space)
    yield policy
    policy.close()


def _works(policy: Policy, observation: Observation) -> bool:
    try:
        policy.predict(observation)
    except PolicyError:
        return False
    return True


def test_an_observation_is_what_groot_expects(
    server: GrootServer, policy: Policy, seeing: See, space: JointSpace
) -> None:
    prediction = policy.predict(seeing(200), Query("wipe the board"))
    request = server.requests[-1]
    observation = request["data"]["observation"]
    assert set(request) == {"endpoint", "data"}
    assert request["data"]["options"] is None
    assert observation["video"]["ego_view"].shape == (1, 1, 24, 32, 3)
    assert observation["video"]["ego_view"].dtype == np.uint8
    assert {name: values.shape for name, values in observation["state"].items()} == {
        name: (1, 1, part.stop - part.start) for name, part in space.groups.items()
    }
    assert all(values.dtype == np.float32 for values in observation["state"].values())
    assert observation["language"] == {LANGUAGE: [["wipe the board"]]}
    np.testing.assert_allclose(prediction.positions, np.tile(space.home, (50, 1)), atol=1e-6)
    assert not any(request["endpoint"] == "kill" for request in server.requests)


def test_the_token_goes_along(
    server: GrootServer, far: Far, space: JointSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROVE_TEST_KEY", "sesame")
    groups = {group: [group] for group in space.groups}
    images = {"head": "ego_view"}
    bundle = far("groot", url=server.url, images=images, state=groups, action=groups, token_env="ROVE_TEST_KEY")  # noqa: S106
    remote.connect(bundle, space).close()
    assert {request["api_token"] for request in server.requests} == {"sesame"}


def test_a_request_that_is_not_answered_costs_the_socket_and_the_next_one_works(
    server: GrootServer, policy: Policy, seeing: See, wait: Callable[..., None]
) -> None:
    server.answer = lambda _: None
    with pytest.raises(PolicyError, match="did not answer in time"):
        policy.predict(seeing())
    server.answer = server.chunk
    server.go_on.set()
    wait(lambda: _works(policy, seeing()), "an answer")
    assert (policy.values()["timeouts"], policy.values()["reconnects"]) == (1, 1)


def test_an_error_there_is_one_line_and_the_connection_stays(server: GrootServer, policy: Policy, seeing: See) -> None:
    server.answer = lambda _: groot_wire.encode({"error": "Unauthorized: Invalid API token\nat line 3"})
    with pytest.raises(PolicyError, match=r"failed: Unauthorized: Invalid API token$"):
        policy.predict(seeing())
    server.answer = server.chunk
    policy.predict(seeing())


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"ERROR", "sent what is no answer"),
        (groot_wire.encode({"left_arm": 3}), "sent what is no answer: dict"),
        (groot_wire.encode([{"left_arm": np.zeros((1, 50, 7))}, {}]), "has no array 'head'"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_answer_is_refused(
    server: GrootServer, policy: Policy, seeing: See, wait: Callable[..., None], answer: bytes, text: str
) -> None:
    server.answer = lambda _: answer
    with pytest.raises(PolicyError, match=text) as caught:
        policy.predict(seeing())
    assert "\n" not in str(caught.value)
    server.answer = server.chunk
    wait(lambda: _works(policy, seeing()), "an answer")


@pytest.mark.parametrize(
    ("kind", "change", "text"),
    [
        ("video", {"modality_keys": ["front"]}, "video front, here ego_view"),
        ("video", {"delta_indices": [-1, 0]}, "2 steps of video, here 1"),
        ("action", {"delta_indices": list(range(16))}, "16 steps of action, here 50"),
        ("state", {"modality_keys": ["left_arm"]}, "state left_arm, here"),
        ("language", {"modality_keys": ["task", "coarse"]}, "say in `remote.prompt_key`"),
    ],
)
def test_a_server_of_something_else_is_not_taken(
    server: GrootServer, bundle: Bundle, space: JointSpace, kind: str, change: dict[str, Any], text: str
) -> None:
    server.config[kind] |= change
    with pytest.raises(PolicyError, match=text):
        remote.connect(bundle, space)


def test_nobody_there_and_no_names_are_one_line(far: Far, space: JointSpace) -> None:
    groups = {group: [group] for group in space.groups}
    bundle = far("groot", url="tcp://127.0.0.1:9", state=groups, action=groups, ready_timeout_s=0.2)
    with pytest.raises(PolicyError, match=r"no GR00T server at tcp://127.0.0.1:9"):
        remote.connect(bundle, space)
    with pytest.raises(ConfigError, match="names of its own"):
        remote.connect(far("groot", url="tcp://127.0.0.1:9"), space)
