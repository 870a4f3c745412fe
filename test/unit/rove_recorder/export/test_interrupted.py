"""Exports that are killed, and networks that are cut, at random moments: nothing is sent twice, nothing is lost.

`make test` interrupts twice per kind of target; `make test-export` ten times and prints a table.
"""

from __future__ import annotations

import json
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rove_recorder.episode_format.hashes import hash_episode
from rove_recorder.export.targets import Target, open_target
from rove_recorder.export.verify import verify

INTERRUPTIONS = int(os.environ.get("ROVE_EXPORT_INTERRUPTIONS", "2"))
ROVE = """
import typer
from rove_recorder.export.cli import register
app = typer.Typer()
app.callback()(lambda: None)
register(app)
app()
"""
DEADLINE_S = 120.0
EXIT_TRY_AGAIN = 75


class Relay:
    """The network between exporter and target: passes bytes on, counts those that are sent, and can be cut."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.sent_bytes = 0
        self.at_bytes: tuple[int, Callable[[], None]] | None = None
        self.up = True
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        """End every connection and let nobody in."""
        with self._lock:
            self.up = False
            for pair in self._pairs:
                for end in pair:
                    with suppress(OSError):  # it ended by itself
                        end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self.up = True

    @property
    def idle(self) -> bool:
        """Nobody is connected."""
        return not self._pairs

    def close(self) -> None:
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if not self.up:
                    near.close()
                    continue
                pair = (near, socket.create_connection(("127.0.0.1", self._to_port)))
                self._pairs.add(pair)
            thread = threading.Thread(target=self._pass, args=(pair,))
            self._threads.append(thread)
            thread.start()

    def _pass(self, pair: tuple[socket.socket, socket.socket]) -> None:
        near, far = pair
        with selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            try:
                while True:
                    for key, _ in selector.select():
                        source: Any = key.fileobj
                        data = source.recv(1 << 16)
                        if not data:
                            return
                        key.data.sendall(data)
                        if source is near:
                            self._count(len(data))
            except OSError:
                return
            finally:
                with self._lock:
                    self._pairs.discard(pair)
                near.close()
                far.close()

    def _count(self, size: int) -> None:
        with self._lock:
            self.sent_bytes += size
            due = self.at_bytes is not None and self.sent_bytes >= self.at_bytes[0]
            action = self.at_bytes[1] if due and self.at_bytes else None
            if due:
                self.at_bytes = None
        if action:
            action()


@dataclass
class Case:
    """One kind of target, reached through the relay.

    Attributes:
        url, words, environment: for the exporter. target: seen without the relay.
        stored: key -> something that changes whenever a file gets its name anew.
        settled: nothing is being stored any more.
        before: what was there after the interruptions so far.
    """

    url: str
    words: list[str]
    environment: dict[str, str]
    relay: Relay
    target: Target
    stored: Callable[[], dict[str, Any]]
    settled: Callable[[], bool]
    before: dict[str, Any] = field(default_factory=dict)
    table: list[str] = field(default_factory=list)


@pytest.fixture(params=["ssh", "s3"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """The exporter's way to a target."""
    server = request.getfixturevalue(f"{request.param}_server")
    relay = Relay(server.port)
    if request.param == "ssh":
        url = server.url_of(server.folder, relay.port)

        def stored() -> dict[str, Any]:
            return {
                path.relative_to(server.folder).as_posix(): path.stat().st_ino
                for path in server.folder.rglob("*")
                if path.is_file() and not path.name.endswith(".part")
            }

        words, environment = ["--ssh-config", str(server.config)], {}
        target = open_target(server.url, 1, server.config)
        yield Case(url, words, environment, relay, target, stored, lambda: True)
    else:
        target = open_target(server.url)

        def counted() -> dict[str, Any]:
            return {key: count for key, count in server.puts.items() if count}

        environment = server.environment(relay.port)
        yield Case(server.url, [], environment, relay, target, counted, lambda: server.in_flight == 0)
    target.close()
    relay.close()


def exporter(case: Case, night: Path) -> subprocess.Popen[str]:
    words = ["export", str(night), "--to", case.url, "--robot", "r1", "--json", *case.words]
    return subprocess.Popen(
        [sys.executable, "-c", ROVE, *words],
        env={**os.environ, **case.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.timeout(900)
def test_an_interrupted_export_goes_on_and_sends_nothing_twice(
    case: Case, night: Path, eventually: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    total = sum(path.stat().st_size for path in night.rglob("*") if path.is_file())
    moments = random.Random(7)  # noqa: S311 - no secret
    for number in range(INTERRUPTIONS):
        kill = number % 2 == 0
        process = exporter(case, night)
        share = moments.uniform(0.02, 0.8 / INTERRUPTIONS)
        before_bytes = case.relay.sent_bytes

        def interrupt(kill: bool = kill, process: subprocess.Popen[str] = process) -> None:
            process.send_signal(signal.SIGKILL) if kill else threading.Thread(target=case.relay.cut).start()

        case.relay.at_bytes = (before_bytes + int(share * total), interrupt)
        _, errors = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == (-signal.SIGKILL if kill else EXIT_TRY_AGAIN), errors
        case.relay.mend()
        eventually(lambda: case.relay.idle and case.settled(), "the server is at rest")
        arrived = case.stored()
        assert not any(key.startswith("manifests/") for key in arrived), "published before all was there"
        sent_mb = (case.relay.sent_bytes - before_bytes) / 1e6
        how = "killed" if kill else "network cut"
        case.table.append(f"{number + 1:3}  {how:<12} {sent_mb:8.1f} MB sent {len(arrived):5} files there")
        assert _stored_again(case.before, arrived) == set(), "sent again after they had arrived"
        case.before = arrived

    before_bytes = case.relay.sent_bytes
    process = exporter(case, night)
    output, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors
    summary = json.loads(output)
    arrived = case.stored()
    case.table.append(
        f"  -  completed    {(case.relay.sent_bytes - before_bytes) / 1e6:8.1f} MB sent {len(arrived):5} files there"
    )
    with capsys.disabled():
        if INTERRUPTIONS > 2:
            print(f"\n{case.target.url.partition(':')[0]}: {total / 1e6:.1f} MB", *case.table, sep="\n")  # noqa: T201
    assert _stored_again(case.before, arrived) == set(), "sent again after they had arrived"
    assert summary["episodes"] == 3
    assert summary["kept_files"] > 0
    result = verify(case.target, hashed=True)
    assert (result.problems, result.episodes) == ([], 3)
    manifest = json.loads(case.target.read(summary["manifest"]))
    local = {path.name: hash_episode(path).sha256 for path in night.glob("*.zarr")}
    assert {Path(entry["path"]).name: entry["sha256"] for entry in manifest["entries"]} == local
    # What was cut while it was on its way is all that went over the network more than once.
    largest = max(path.stat().st_size for path in night.rglob("*") if path.is_file())
    assert case.relay.sent_bytes < 1.1 * total + (INTERRUPTIONS + 1) * 4 * (largest + (1 << 20))


def _stored_again(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """Keys that were there and were stored once more, or are gone."""
    return {key for key, value in before.items() if after.get(key) != value}
