"""A policy server in a thread of the test, and bundles that say where a policy runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from rove_core.joint_space import JointSpace
from rove_core.keys import KeyPair, read_pair, write_pair
from rove_inference.bundle import Bundle, load_bundle
from rove_inference.loading import load_policy
from rove_inference.observation import Observation
from rove_inference.remote.server import PolicyServer

DEADLINE_S = 10.0


class Serving:
    """A real server with the `tiny` policy."""

    def __init__(self, bundle: Path, space: JointSpace, bind: str = "tcp://127.0.0.1:0", **options: Any) -> None:
        self.said: list[str] = []
        self.policy = load_policy(bundle, space)
        self.server = PolicyServer(self.policy, space, bind, say=self.said.append, **options)
        self.url = self.server.url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="server")
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.server.serve(0.02)

    def close(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            self.server.close()


@pytest.fixture
def serve(tiny: Path, space: JointSpace) -> Iterator[Callable[..., Serving]]:
    """Starts servers: `serve(bind=..., keys=...)`."""
    running: list[Serving] = []

    def start(**options: Any) -> Serving:
        running.append(Serving(options.pop("bundle", tiny), space, **options))
        return running[-1]

    yield start
    for serving in running:
        serving.close()


@pytest.fixture
def far(tmp_path: Path, tiny: Path, space: JointSpace) -> Callable[..., Bundle]:
    """A bundle like `tiny` whose policy runs elsewhere: `far("rove", url=...)`."""
    content = yaml.safe_load((tiny / "policy.yaml").read_text(encoding="utf-8"))
    for key in ("model", "files"):
        del content[key]

    def make(backend: str, spec: dict[str, Any] | None = None, **remote: Any) -> Bundle:
        folder = tmp_path / f"far-{backend}"
        folder.mkdir(exist_ok=True)
        text = yaml.safe_dump(content | {"backend": backend, "remote": remote} | (spec or {}))
        (folder / "policy.yaml").write_text(text, encoding="utf-8")
        return load_bundle(folder, space)

    return make


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], tuple[KeyPair, Path]]:
    """Key pairs on disk: `keys("gpu")` is the pair and the stem of its files."""

    def make(name: str) -> tuple[KeyPair, Path]:
        public, secret = write_pair(tmp_path / name, name)
        return read_pair(secret), public.with_suffix("")

    return make


@pytest.fixture
def seeing(space: JointSpace) -> Callable[..., Observation]:
    """At home, before a picture of one brightness: `seeing(255)`."""

    def see(value: int = 255) -> Observation:
        return Observation(0, 0, space.home, {"head": np.full((48, 64, 3), value, np.uint8)})

    return see


@pytest.fixture
def wait() -> Callable[[Callable[[], object], str], None]:
    """Waits for a condition, and fails when it does not come true."""

    def until(condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, f"waited {DEADLINE_S} s for {what}"
            time.sleep(0.002)

    return until
