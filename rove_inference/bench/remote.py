"""What it costs that a policy runs in another process: ours here, ours over the wire, openpi's own client and server.

All with a model that costs nothing, three cameras and 50 joints, over the loopback interface, one after the other in
the same run. openpi's are left out where they are not installed (`make bench-peers`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rove_core.errors import RoveError
from rove_core.joint_space import JointSpace
from rove_inference.bench.dummy import CAMERAS, HORIZON, dummy_policy, dummy_spec
from rove_inference.bundle import Bundle
from rove_inference.observation import Observation
from rove_inference.policy import Policy, Query
from rove_inference.remote.policy import load
from rove_inference.remote.spec import RemoteSpec

OPENPI = Path(__file__).parents[2] / ".venv-openpi/bin/python"
PEER = Path(__file__).with_name("openpi_peer.py")
NOT_INSTALLED = "not installed: make bench-peers"

# Width and height of the pictures, which are sent as they are.
PICTURES = {"three_224x224": (224, 224), "three_640x480": (640, 480)}
JPEG_QUALITY = 90


def run(quick: bool) -> dict[str, Any]:
    """Times from an observation to a checked chunk. Takes a minute."""
    cv2.setNumThreads(1)  # as in policy_node
    space = JointSpace.load("iron_r01")
    rounds = 200 if quick else 2000
    return {name: _compare(space, size, rounds) for name, size in PICTURES.items()}


def _compare(space: JointSpace, size: tuple[int, int], rounds: int) -> dict[str, Any]:
    width, height = size
    figures: dict[str, Any] = {"local": _times(dummy_policy(space, width, height=height), space, size, rounds)}
    with _process(sys.executable, "-m", "rove_inference.bench.remote_server", width, height) as url:
        for name, quality in (("rove", 0), (f"rove_jpeg_{JPEG_QUALITY}", JPEG_QUALITY)):
            remote = RemoteSpec(url=url, policy=_served_id(space), jpeg_quality=quality)
            figures[name] = _times(load(_bundle(space, size, "rove", remote), space), space, size, rounds)
    if not OPENPI.exists():
        return figures | {"openpi": NOT_INSTALLED}
    with _process(OPENPI, PEER, "serve", HORIZON, space.dim, "fail") as url:
        figures["openpi"] = _stock_client(url, space, size, rounds)
        bundle = _bundle(space, size, "openpi", RemoteSpec(url=url))
        figures["our_client_openpi_server"] = _times(load(bundle, space), space, size, rounds)
    figures["rove_over_openpi_p50"] = round(figures["rove"]["p50_ms"] / figures["openpi"]["p50_ms"], 2)
    figures["rove_over_openpi_p99"] = round(figures["rove"]["p99_ms"] / figures["openpi"]["p99_ms"], 2)
    return figures


def _times(policy: Policy, space: JointSpace, size: tuple[int, int], rounds: int) -> dict[str, float]:
    width, height = size
    pictures = np.random.default_rng(0).integers(0, 256, (8, height, width, 3), np.uint8)
    spent = np.empty(rounds)
    for number in range(rounds):
        images = {name: pictures[(number + i) % len(pictures)] for i, name in enumerate(CAMERAS)}
        observation = Observation(number, number, space.home, images)
        began = time.perf_counter_ns()
        policy.predict(observation, Query(instruction="hold"))
        spent[number] = (time.perf_counter_ns() - began) * 1e-6
    policy.close()
    return _percentiles(spent)


def _stock_client(url: str, space: JointSpace, size: tuple[int, int], rounds: int) -> dict[str, float]:
    done = subprocess.run(
        [str(OPENPI), str(PEER), "ask", url, str(rounds), *map(str, size), str(space.dim)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise RoveError(f"openpi-client failed: {last}", "`make bench-peers` installs it anew")
    return _percentiles(np.array(json.loads(done.stdout)))


def _percentiles(times_ms: npt.NDArray[np.float64]) -> dict[str, float]:
    p50, p99 = np.percentile(times_ms[len(times_ms) // 10 :], [50, 99])
    return {"p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3)}


def _served_id(space: JointSpace) -> str:
    return dummy_policy(space, 8).bundle.policy_id


def _bundle(space: JointSpace, size: tuple[int, int], backend: str, remote: RemoteSpec) -> Bundle:
    spec = dummy_spec(space, size[0], height=size[1])
    far = spec.model_copy(update={"backend": backend, "model": "", "files": {}, "remote": remote})
    bundle = dummy_policy(space, 8).bundle
    return replace(bundle, spec=far)


@contextmanager
def _process(*command: object) -> Iterator[str]:
    """A server as a process; gives the url that it prints first."""
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url:
                raise RoveError(f"a server of the benchmark did not start: {' '.join(map(str, command))}")
            yield url
        finally:
            process.kill()
