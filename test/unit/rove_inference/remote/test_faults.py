"""What goes wrong on the way to our server: one clear line, no chunk, and the next try works."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import zmq

from rove_core.errors import PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import Bundle
from rove_inference.observation import Observation
from rove_inference.policy import Policy
from rove_inference.query import Query
from rove_inference.remote import policy as remote
from rove_inference.remote import wire

Far = Callable[..., Bundle]
See = Callable[..., Observation]
Answering = Callable[[wire.Message], "list[bytes]"]


class Peer:
    """A socket that speaks the wire and answers what a test says: frames for each request."""

    def __init__(self, space: JointSpace) -> None:
        self._space = space
        self.answer: Answering = lambda message: [self.chunk(message)]
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind("tcp://127.0.0.1:0")
        self.url = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="peer")
        self._thread.start()

    def chunk(self, message: wire.Message, **changes: Any) -> bytes:
        """A good answer, with some of its fields changed."""
        fields = {"number": message.integer("number"), "epoch": message.integer("epoch")}
        fields |= {"received_ns": 1, "answered_ns": 2, "inference_ms": 1.0, "clipped": 0, "decoder_steps": 1}
        actions = np.tile(self._space.home.astype(np.float32), (50, 1))
        return wire.encode(wire.Message(wire.ANSWER, fields | changes, {"actions": actions}))

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()
        self._context.term()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(20):
                peer, frame = self._socket.recv_multipart()
                message = wire.decode(frame)
                for answer in [self._welcome(message)] if message.kind == wire.HELLO else self.answer(message):
                    self._socket.send_multipart([peer, answer])

    def _welcome(self, message: wire.Message) -> bytes:
        served = {
            "policy": "tiny@0",
            "robot": self._space.robot,
            "joints": self._space.names,
            "cameras": [{"name": "head", "width": 32, "height": 24}],
            "control_hz": 30.0,
            "horizon": 50,
        }
        fields = {"number": message.integer("number"), "epoch": 0, "received_ns": 1, "answered_ns": 2}
        return wire.encode(wire.Message(wire.WELCOME, fields | {"served": served, "spec": {}}))


@pytest.fixture
def peer(space: JointSpace) -> Iterator[Peer]:
    peer = Peer(space)
    yield peer
    peer.close()


@pytest.fixture
def policy(peer: Peer, far: Far, space: JointSpace) -> Iterator[Policy]:
    policy = remote.connect(far("rove", url=peer.url, policy="tiny@0", timeout_s=0.3), space)
    yield policy
    policy.close()


def test_an_answer_after_its_time_is_thrown_away_and_counted(peer: Peer, policy: Policy, seeing: See) -> None:
    held: list[wire.Message] = []

    def hold(message: wire.Message) -> list[bytes]:
        held.append(message)
        return []

    peer.answer = hold
    with pytest.raises(PolicyError, match="did not answer in time"):
        policy.predict(seeing())
    # The late one comes just before the next answer, and would be taken for it.
    poison = {"inference_ms": 999.0}
    peer.answer = lambda message: [peer.chunk(held[0], **poison), peer.chunk(message)]
    assert policy.predict(seeing()).inference_ms == 1.0
    assert (policy.values()["timeouts"], policy.values()["late"]) == (1, 1)


def test_an_answer_of_another_epoch_is_thrown_away_and_counted(peer: Peer, policy: Policy, seeing: See) -> None:
    peer.answer = lambda message: [peer.chunk(message, epoch=4, inference_ms=999.0), peer.chunk(message)]
    assert policy.predict(seeing(), Query(epoch=5)).inference_ms == 1.0
    assert policy.values()["old_epoch"] == 1


def _foreign(peer: Peer, message: wire.Message) -> bytes:
    return b"HTTP/1.1 400 Bad Request\r\n\r\n"


def _cut_short(peer: Peer, message: wire.Message) -> bytes:
    return peer.chunk(message)[:-40]


def _without_number(peer: Peer, message: wire.Message) -> bytes:
    return wire.encode(wire.Message(wire.ANSWER, {}))


def _wrong_type(peer: Peer, message: wire.Message) -> bytes:
    return peer.chunk(message, clipped="many")


def _wrong_shape(peer: Peer, message: wire.Message) -> bytes:
    fields = wire.decode(peer.chunk(message)).fields
    return wire.encode(wire.Message(wire.ANSWER, fields, {"actions": np.zeros((2, 2), np.float32)}))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (_foreign, "not a message of the policy wire"),
        (_cut_short, "the message has"),
        (_without_number, "no integer 'number'"),
        (_wrong_type, "no integer 'clipped'"),
        (_wrong_shape, r"'actions' is <f4 \(2, 2\), expected <f4 \(50, 50\)"),
    ],
)
def test_garbage_is_one_line_and_counted(
    peer: Peer, policy: Policy, seeing: See, answer: Callable[[Peer, wire.Message], bytes], text: str
) -> None:
    peer.answer = lambda message: [answer(peer, message)]
    with pytest.raises(PolicyError, match=text) as caught:
        policy.predict(seeing())
    assert "\n" not in str(caught.value)
    assert policy.values()["garbage"] == 1
    peer.answer = lambda message: [peer.chunk(message)]
    policy.predict(seeing())


def test_nan_from_there_never_reaches_the_robot(peer: Peer, policy: Policy, seeing: See) -> None:
    def poisoned(message: wire.Message) -> list[bytes]:
        answer = wire.decode(peer.chunk(message))
        actions = answer.arrays["actions"].copy()
        actions[3, 1] = np.nan
        return [wire.encode(wire.Message(wire.ANSWER, answer.fields, {"actions": actions}))]

    peer.answer = poisoned
    with pytest.raises(PolicyError, match="nan for 'head_pitch' at step 3"):
        policy.predict(seeing())


def test_a_frame_beyond_the_limit_ends_the_connection_and_a_new_one_is_made(
    peer: Peer, policy: Policy, seeing: See, wait: Callable[..., None]
) -> None:
    peer.answer = lambda _: [bytes(8 << 20)]
    with pytest.raises(PolicyError, match="went away before it answered"):
        policy.predict(seeing())
    peer.answer = lambda message: [peer.chunk(message)]
    wait(lambda: _works(policy, seeing()), "an answer")
    assert policy.values()["reconnects"] == 1


def test_nobody_there_is_one_line_at_once_and_after(
    space: JointSpace, far: Far, peer: Peer, policy: Policy, seeing: See, wait: Callable[..., None]
) -> None:
    peer.close()
    wait(lambda: not _works(policy, seeing()), "the end of the connection")
    with pytest.raises(PolicyError, match=f"no policy server at {peer.url}"):
        policy.predict(seeing())
    with pytest.raises(PolicyError, match="no policy server at"):
        remote.connect(far("rove", url=peer.url, policy="tiny@0", ready_timeout_s=0.2), space)


def _works(policy: Policy, observation: Observation) -> bool:
    try:
        policy.predict(observation)
    except PolicyError:
        return False
    return True
