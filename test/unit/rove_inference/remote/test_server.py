"""A policy behind our server answers as if it ran here."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from rove_core.errors import ConfigError, PolicyError
from rove_core.joint_space import JointSpace
from rove_core.keys import KeyPair
from rove_inference.bundle import Bundle, write_bundle
from rove_inference.decoders.prefix import Prefix
from rove_inference.loading import load_policy
from rove_inference.observation import Observation
from rove_inference.policy import Policy
from rove_inference.query import Query
from rove_inference.remote import policy as remote
from rove_inference.remote import wire
from rove_inference.remote.channel import Channel
from rove_inference.remote.client import greet
from rove_inference.remote.server import PolicyServer
from rove_inference.remote.welcome import spec_of

MAKER = Path(__file__).parents[3] / "data" / "bundles" / "make_sampled.py"

Serve = Callable[..., Any]
Far = Callable[..., Bundle]
See = Callable[..., Observation]
Keys = Callable[[str], tuple[KeyPair, Path]]


def test_the_answer_is_the_one_that_the_policy_gives_here(
    serve: Serve, far: Far, tiny: Path, space: JointSpace, seeing: See
) -> None:
    serving = serve()
    policy = remote.connect(far("rove", url=serving.url, policy=serving.policy.bundle.policy_id), space)
    there, here = policy.predict(seeing(200)), load_policy(tiny, space).predict(seeing(200))
    np.testing.assert_array_equal(there.positions, here.positions)
    assert 0 < there.inference_ms < there.round_trip_ms
    assert policy.values()["connected"] is True
    assert abs(float(str(policy.values()["clock_offset_ms"]))) < 50
    policy.close()


def test_pictures_are_cropped_once(serve: Serve, far: Far, edited: Callable[..., Path], space: JointSpace) -> None:
    cameras = [{"name": "head", "width": 32, "height": 24, "crop": {"left": 0.5}}]
    bundle = edited(cameras=cameras)
    serving = serve(bundle=bundle)
    policy = remote.connect(
        far("rove", {"cameras": cameras}, url=serving.url, policy=serving.policy.bundle.policy_id), space
    )
    # Only the right half of the right half is bright: cropped twice it would fill the picture.
    image = np.full((48, 64, 3), 60, np.uint8)
    image[:, 48:] = 200
    observation = Observation(0, 0, space.home, {"head": image})
    here = load_policy(bundle, space).predict(observation)
    np.testing.assert_array_equal(policy.predict(observation).positions, here.positions)
    policy.close()


def test_jpeg_changes_the_picture_little(serve: Serve, far: Far, space: JointSpace, seeing: See, tiny: Path) -> None:
    serving = serve()
    bundle = far("rove", url=serving.url, policy=serving.policy.bundle.policy_id, jpeg_quality=90)
    policy = remote.connect(bundle, space)
    here = load_policy(tiny, space).predict(seeing(200))
    np.testing.assert_allclose(policy.predict(seeing(200)).positions, here.positions, atol=5e-4)
    policy.close()


def test_all_that_is_asked_arrives(
    serve: Serve, far: Far, space: JointSpace, seeing: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = serve()
    policy = remote.connect(far("rove", url=serving.url, policy=serving.policy.bundle.policy_id), space)
    asked: list[Query] = []
    predict = serving.policy.predict

    def listen(observation: Observation, query: Query) -> object:
        asked.append(query)
        return predict(observation)  # `tiny` has no guidance

    monkeypatch.setattr(serving.policy, "predict", listen)
    prefix = Prefix(np.ones((50, 50), np.float32), np.linspace(1, 0, 50, dtype=np.float32), 3)
    policy.predict(seeing(), Query("wipe the board", "good", 1.5, seed=7, epoch=9, prefix=prefix))
    (query,) = asked
    assert (query.instruction, query.condition, query.cfg_beta, query.seed, query.epoch) == (
        "wipe the board",
        "good",
        1.5,
        7,
        9,
    )
    assert query.prefix is not None
    assert query.prefix.frozen == 3
    np.testing.assert_array_equal(query.prefix.actions, prefix.actions)
    np.testing.assert_array_equal(query.prefix.weights, prefix.weights)
    policy.close()


@pytest.mark.parametrize("decoder", ["flow", "consistency"])
def test_what_a_decoder_did_comes_along(
    serve: Serve, space: JointSpace, seeing: See, tmp_path: Path, decoder: str
) -> None:
    options: dict[str, Any] = {"adapter_gain": 1.0} if decoder == "consistency" else {}
    folder = runpy.run_path(str(MAKER))[decoder](tmp_path / decoder, space, **options)
    local = load_policy(folder, space)
    serving = serve(bundle=folder)
    channel = Channel(serving.url, "", "", 0)
    spec = spec_of(greet(channel, 5.0), {"url": serving.url})
    channel.close()
    (tmp_path / "far").mkdir()
    policy = load_policy(write_bundle(tmp_path / "far", spec), space)
    guided = local.bundle.spec.guidance is not None
    query = Query(condition="good" if guided else "", cfg_beta=1.5 if guided else 1.0, seed=11)
    here, there = local.predict(seeing(200), query), policy.predict(seeing(200), query)
    for name in ("positions", "base", "residual", "gate"):
        np.testing.assert_array_equal(getattr(there, name), getattr(here, name))
    assert (there.decoder_steps, there.guided) == (here.decoder_steps, here.guided)
    assert policy.bundle.spec.decoder == decoder
    assert policy.bundle.spec.guidance == local.bundle.spec.guidance
    policy.close()


def test_a_failure_there_is_one_line_here_and_the_next_answer_comes(
    serve: Serve, far: Far, space: JointSpace, seeing: See
) -> None:
    serving = serve()
    policy = remote.connect(far("rove", url=serving.url, policy=serving.policy.bundle.policy_id), space)
    with pytest.raises(PolicyError, match="answered nan for 'head_yaw' at step 0"):
        policy.predict(seeing(0))
    policy.predict(seeing(255))
    assert serving.server.counts["refused"] == 1
    policy.close()


@pytest.mark.parametrize(
    ("spec", "served", "text"),
    [
        ({}, "tiny@000000000000", "policy tiny@.*, here tiny@000000000000"),
        ({"horizon": 40}, "", "horizon 50, here 40"),
        ({"cameras": [{"name": "head", "width": 64, "height": 24}]}, "", "cameras"),
    ],
)
def test_a_server_of_something_else_is_not_taken(
    serve: Serve, far: Far, space: JointSpace, spec: dict[str, Any], served: str, text: str
) -> None:
    serving = serve()
    bundle = far("rove", spec, url=serving.url, policy=served or serving.policy.bundle.policy_id)
    with pytest.raises(PolicyError, match=text):
        remote.connect(bundle, space)


def test_a_server_that_came_back_with_another_policy_is_not_asked_twice(
    serve: Serve, far: Far, edited: Callable[..., Path], space: JointSpace, seeing: See, wait: Callable[..., None]
) -> None:
    first = serve()
    policy = remote.connect(far("rove", url=first.url, policy=first.policy.bundle.policy_id), space)
    first.close()
    serve(bundle=edited(index=8), bind=first.url)
    wait(lambda: _error(policy, seeing()).endswith(f"not {first.policy.bundle.policy_id}"), "the refusal")
    policy.close()


def _error(policy: Policy, observation: Observation) -> str:
    with pytest.raises(PolicyError) as caught:
        policy.predict(observation)
    return str(caught.value)


def test_with_the_right_keys_the_wire_is_encrypted(
    serve: Serve, far: Far, space: JointSpace, seeing: See, keys: Keys, tmp_path: Path
) -> None:
    (gpu, gpu_stem), (_, robot_stem) = keys("gpu"), keys("robot")
    serving = serve(keys=gpu, clients=robot_stem.parent)
    bundle = far(
        "rove",
        url=serving.url,
        policy=serving.policy.bundle.policy_id,
        server_key=f"{gpu_stem}.key",
        own_key=f"{robot_stem}.key_secret",
    )
    policy = remote.connect(bundle, space)
    policy.predict(seeing())
    policy.close()


@pytest.mark.parametrize(
    ("server_key", "own_key", "text"),
    [
        ("gpu", "stranger", "does not let this robot's key in"),
        ("stranger", "robot", "are the keys right"),
        ("", "", "are the keys right"),
    ],
)
def test_wrong_keys_are_one_line(
    serve: Serve, far: Far, space: JointSpace, keys: Keys, server_key: str, own_key: str, text: str
) -> None:
    made = {name: keys(name) for name in ("gpu", "robot", "stranger")}
    serving = serve(keys=made["gpu"][0], clients=made["robot"][1].parent)
    files = {"server_key": f"{made[server_key][1]}.key"} if server_key else {}
    files |= {"own_key": f"{made[own_key][1]}.key_secret"} if own_key else {}
    bundle = far("rove", url=serving.url, policy="tiny@0", ready_timeout_s=3.0, **files)
    with pytest.raises(PolicyError, match=text) as caught:
        remote.connect(bundle, space)
    assert "\n" not in str(caught.value)


def test_without_keys_a_server_is_for_this_machine_only(tiny: Path, space: JointSpace) -> None:
    with pytest.raises(ConfigError, match="without keys"):
        PolicyServer(load_policy(tiny, space), space, "tcp://0.0.0.0:0")


def test_what_is_no_request_is_counted_and_the_server_goes_on(
    serve: Serve, far: Far, space: JointSpace, seeing: See, wait: Callable[..., None]
) -> None:
    serving = serve()
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.setsockopt(zmq.LINGER, 1000)
        stranger.connect(serving.url)
        stranger.send(b"\x80\x02garbage")
        stranger.send_multipart([b"one", b"two"])
        stranger.send(wire.encode(wire.Message(wire.ASK, {})))
        wait(lambda: serving.server.counts["garbage"] == 3, "three refusals")
    policy = remote.connect(far("rove", url=serving.url, policy=serving.policy.bundle.policy_id), space)
    policy.predict(seeing())
    policy.close()


def test_only_the_newest_request_of_a_robot_is_answered(tiny: Path, space: JointSpace) -> None:
    server = PolicyServer(load_policy(tiny, space), space, "tcp://127.0.0.1:0")
    with zmq.Context() as context, context.socket(zmq.DEALER) as robot, context.socket(zmq.DEALER) as other:
        for socket in (robot, other):
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(server.url)
        for number in (1, 2, 3):
            robot.send(wire.encode(wire.Message(wire.HELLO, {"number": number, "epoch": number})))
        other.send(wire.encode(wire.Message(wire.HELLO, {"number": 1, "epoch": 0})))
        answers: list[int] = []
        while 3 not in answers or not other.poll(0):
            server.serve(1.0)
            while robot.poll(10):
                answers.append(wire.decode(robot.recv()).integer("number"))
        assert answers[-1] == 3
        assert len(answers) + server.counts["overtaken"] == 3
    server.close()
