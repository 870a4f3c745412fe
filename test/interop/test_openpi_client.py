"""Our openpi client and codec against the real openpi-client, in its own environment (`make test-interop`)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from rove_core.errors import PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import Bundle, load_bundle
from rove_inference.observation import Observation
from rove_inference.query import Query
from rove_inference.remote import openpi_wire
from rove_inference.remote import policy as remote

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-openpi/bin/python"
PEER = ROOT / "rove_inference/bench/openpi_peer.py"
TINY = ROOT / "test/data/bundles/tiny/policy.yaml"
SPACE = JointSpace.load("iron_r01")
POISON = "fail"

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="openpi-client is not installed: make test-interop")


def theirs(code: str, data: bytes = b"") -> bytes:
    """Run code in openpi-client's environment; standard input and output are bytes."""
    prologue = "import sys, json\nimport numpy as np\nfrom openpi_client import msgpack_numpy\n"
    done = subprocess.run([str(PYTHON), "-c", prologue + code], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture
def url() -> Iterator[str]:
    """openpi's codec on a websocket, as openpi's server does it: holds the state."""
    command = [str(PYTHON), str(PEER), "serve", "50", str(SPACE.dim), POISON]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.fixture
def bundle(tmp_path: Path, url: str) -> Bundle:
    content: dict[str, Any] = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    del content["model"], content["files"]
    content |= {"backend": "openpi", "remote": {"url": url}}
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_bundle(tmp_path, SPACE)


def test_our_requests_are_theirs_byte_for_byte() -> None:
    code = "request = {'observation/head': np.arange(24, dtype=np.uint8).reshape(2, 4, 3),"
    code += " 'observation/state': np.linspace(-1, 1, 5, dtype=np.float32), 'prompt': 'wipe'}\n"
    code += "sys.stdout.buffer.write(msgpack_numpy.packb(request))"
    request = {
        "observation/head": np.arange(24, dtype=np.uint8).reshape(2, 4, 3),
        "observation/state": np.linspace(-1, 1, 5, dtype=np.float32),
        "prompt": "wipe",
    }
    assert theirs(code) == openpi_wire.encode(request)


def test_what_they_write_we_read_and_the_other_way_round() -> None:
    code = "answer = msgpack_numpy.unpackb(sys.stdin.buffer.read())\n"
    code += "answer['n'] = np.float32(.5)\nsys.stdout.buffer.write(msgpack_numpy.packb(answer))"
    sent = {"actions": np.random.default_rng(0).normal(size=(50, 50)), "empty": np.zeros((0, 3), np.int64)}
    back = openpi_wire.decode(theirs(code, openpi_wire.encode(sent)))
    np.testing.assert_array_equal(back["actions"], sent["actions"])
    assert back["empty"].shape == (0, 3)
    assert back["n"] == 0.5


def test_our_client_gets_chunks_from_their_server_and_recovers_from_its_errors(bundle: Bundle) -> None:
    policy = remote.connect(bundle, SPACE)
    observation = Observation(0, 0, SPACE.home, {"head": np.zeros((48, 64, 3), np.uint8)})
    positions = policy.predict(observation, Query("go")).positions
    np.testing.assert_allclose(positions, np.tile(SPACE.home, (50, 1)), atol=1e-6)
    with pytest.raises(PolicyError, match=r"failed: ValueError: prompt 'fail'"):
        policy.predict(observation, Query(POISON))
    again = None
    while again is None:
        try:
            again = policy.predict(observation, Query("go"))
        except PolicyError as error:
            assert "trying again in" in str(error)  # noqa: PT017 - nothing else may go wrong meanwhile
    policy.close()


def test_the_server_of_this_test_is_one_that_their_client_accepts(url: str) -> None:
    command = [str(PYTHON), str(PEER), "ask", url, "5", "32", "24", str(SPACE.dim)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)) == 5
