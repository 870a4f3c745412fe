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
from contextlib import ExitStack, contextmanager
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
from rove_inference.policy import Policy
from rove_inference.query import Query
from rove_inference.remote.policy import connect
from rove_inference.remote.spec import RemoteSpec

OPENPI = Path(__file__).parents[2] / ".venv-openpi/bin/python"
PEER = Path(__file__).with_name("openpi_peer.py")
NOT_INSTALLED = "not installed: make bench-peers"

# Width and height of the pictures, which are sent as they are.
PICTURES = {"three_224x224": (224, 224), "three_640x480": (640, 480)}
JPEG_QUALITY = 90
TURNS = 5


def run(quick: bool) -> dict[str, Any]:
    """Times from an observation to a checked chunk. Takes a minute."""
    cv2.setNumThreads(1)  # as in policy_node
    space = JointSpace.load("iron_r01")
    rounds = 60 if quick else 300
    return {name: _compare(space, size, rounds) for name, size in PICTURES.items()}


def _compare(space: JointSpace, size: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Each in turn, several times over: what else the machine does meets all of them."""
    width, height = size
    with ExitStack() as stack:
        url = stack.enter_context(_process(sys.executable, "-m", "rove_inference.bench.remote_server", width, height))
        policies = {"local": dummy_policy(space, width, height=height)}
        for name, quality in (("rove", 0), (f"rove_jpeg_{JPEG_QUALITY}", JPEG_QUALITY)):
            remote = RemoteSpec(url=url, policy=_served_id(space), jpeg_quality=quality)
            policies[name] = connect(_bundle(space, size, "rove", remote), space)
        openpi_url = ""
        if OPENPI.exists():
            openpi_url = stack.enter_context(_process(OPENPI, PEER, "serve", HORIZON, space.dim, "fail"))
            bundle = _bundle(space, size, "openpi", RemoteSpec(url=openpi_url))
            policies["our_client_openpi_server"] = connect(bundle, space)
        times: dict[str, list[float]] = {name: [] for name in policies}
        for _ in range(TURNS):
            for name, policy in policies.items():
                times[name] += _times(policy, space, size, rounds)
            if openpi_url:
                times.setdefault("openpi", []).extend(_stock_client(openpi_url, space, size, rounds))
        for policy in policies.values():
            policy.close()
    figures: dict[str, Any] = {name: _percentiles(np.array(values)) for name, values in times.items()}
    if not openpi_url:
        return figures | {"openpi": NOT_INSTALLED}
    for percentile in ("p50", "p99"):
        ratio = figures["rove"][f"{percentile}_ms"] / figures["openpi"][f"{percentile}_ms"]
        figures[f"rove_over_openpi_{percentile}"] = round(ratio, 2)
    return figures


def _times(policy: Policy, space: JointSpace, size: tuple[int, int], rounds: int) -> list[float]:
    pictures = _pictures(size)
    spent = []
    for number in range(rounds):
        images = {name: pictures[(number + i) % len(pictures)] for i, name in enumerate(CAMERAS)}
        observation = Observation(number, number, space.home, images)
        began = time.perf_counter_ns()
        policy.predict(observation, Query(instruction="hold"))
        spent.append((time.perf_counter_ns() - began) * 1e-6)
    return spent[rounds // 10 :]


def _pictures(size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Smooth as pictures are, for JPEG; noise would be its worst case."""
    coarse = np.random.default_rng(0).integers(0, 256, (8, size[1] // 16, size[0] // 16, 3), np.uint8)
    return np.array([cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC) for picture in coarse], np.uint8)


def _stock_client(url: str, space: JointSpace, size: tuple[int, int], rounds: int) -> list[float]:
    done = subprocess.run(
        [str(OPENPI), str(PEER), "ask", url, str(rounds), *map(str, size), str(space.dim)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise RoveError(f"openpi-client failed: {last}", "`make bench-peers` installs it anew")
    times: list[float] = json.loads(done.stdout)
    return times[rounds // 10 :]


def _percentiles(times_ms: npt.NDArray[np.float64]) -> dict[str, float]:
    p50, p99 = np.percentile(times_ms, [50, 99])
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
