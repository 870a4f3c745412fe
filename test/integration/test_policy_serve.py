"""`rove policy serve` as a process, and what a robot sees when that process is treated badly."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

from rove_core.errors import PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.loading import load_policy
from rove_inference.observation import Observation
from rove_inference.policy import Policy

TINY = Path(__file__).parents[1] / "data" / "bundles" / "tiny"
SPACE = JointSpace.load("iron_r01")
DEADLINE_S = 30.0
SEEN = Observation(0, 0, SPACE.home, {"head": np.full((48, 64, 3), 255, np.uint8)})


def rove(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rove_hil.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


class Server:
    """The process. `url` is what it says it listens at."""

    def __init__(self, log: Path, *options: object, bind: str = "tcp://127.0.0.1:0") -> None:
        command = [sys.executable, "-m", "rove_hil.cli.main", "policy", "serve", str(TINY), "--bind", bind]
        self.log = log
        with log.open("wb") as out:
            environment = os.environ | {"PYTHONUNBUFFERED": "1"}
            self.process = subprocess.Popen(
                [*command, *map(str, options)], stdout=out, stderr=subprocess.STDOUT, env=environment
            )
        wait(lambda: self.process.poll() is not None or "serving" in self.said(), "the server")
        found = re.search(r"at (tcp://\S+)", self.said())
        assert found, self.said()
        self.url = found[1]

    def said(self) -> str:
        return self.log.read_text()

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


class Relay:
    """A wire between a robot and a server that can be cut without either end being told: no FIN, no RST."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._live: list[threading.Event] = []
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """What is connected now stays so, and nothing passes any more; a new connection works."""
        for live in self._live:
            live.clear()

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, far = self._listener.accept()[0], socket.create_connection(self._target)
                live = threading.Event()
                live.set()
                self._live.append(live)
                self._sockets += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other, live), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, live: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                if live.is_set():
                    other.sendall(data)
            if live.is_set():
                other.shutdown(socket.SHUT_WR)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*options: object, **named: str) -> Server:
        servers.append(Server(tmp_path / f"server-{len(servers)}.log", *options, **named))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., Policy]]:
    """`rove policy connect`, and the policy of the bundle that it writes."""
    policies: list[Policy] = []

    def make(server: Server, *options: object) -> Policy:
        done = rove("policy", "connect", server.url, tmp_path / "far", "--timeout-s", "0.5", *options)
        assert done.returncode == 0, done.stderr
        policies.append(load_policy(tmp_path / "far", SPACE))
        return policies[-1]

    yield make
    for policy in policies:
        policy.close()


def wait(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"waited {DEADLINE_S} s for {what}"
        time.sleep(0.02)


def peak_mib(server: Server) -> float:
    """The most memory that the process ever had [MiB]."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def trouble(policy: Policy) -> str:
    """Why there is no answer, "" when there is one. One line, whatever happened."""
    line = ""
    try:
        policy.predict(SEEN)
    except PolicyError as error:
        line = str(error)
    assert "\n" not in line
    return line


def test_a_served_policy_is_connected_to_by_one_command_and_answers(
    serve: Callable[..., Server], connect: Callable[..., Policy]
) -> None:
    server = serve()
    policy = connect(server)
    np.testing.assert_array_equal(policy.predict(SEEN).positions, load_policy(TINY, SPACE).predict(SEEN).positions)
    assert server.end() == 0
    assert re.search(r"\d+ answered", server.said())


def test_keys_made_by_rove_keys_new_encrypt_the_wire(
    serve: Callable[..., Server], connect: Callable[..., Policy], tmp_path: Path
) -> None:
    for name in ("gpu", "robot", "stranger"):
        assert rove("keys", "new", name, "--folder", tmp_path / name).returncode == 0
    key = {name: tmp_path / name / f"{name}.key" for name in ("gpu", "robot", "stranger")}
    secret = {name: tmp_path / name / f"{name}.key_secret" for name in key}
    # A port on all interfaces: allowed, because there are keys.
    server = serve("--own-key", secret["gpu"], "--clients", tmp_path / "robot", bind="tcp://0.0.0.0:0")
    server.url = server.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
    ours = ("--server-key", key["gpu"], "--own-key", secret["robot"])
    assert trouble(connect(server, *ours)) == ""
    refused = rove(
        "policy", "connect", server.url, tmp_path / "b", "--server-key", key["gpu"], "--own-key", secret["stranger"]
    )
    assert refused.returncode == 1
    assert "does not let this robot's key in" in refused.stderr
    open_ = rove("policy", "serve", TINY, "--bind", "tcp://0.0.0.0:0")
    assert open_.returncode == 1
    assert "without keys" in open_.stderr
    assert "rove keys new" in open_.stderr


def test_a_server_that_is_killed_and_started_again_is_found_again(
    serve: Callable[..., Server], connect: Callable[..., Policy]
) -> None:
    server = serve()
    policy = connect(server)
    server.process.send_signal(signal.SIGSTOP)  # so that the request is under way when it dies
    said: list[str] = []
    wait(lambda: said.append(trouble(policy)) or said[-1], "the first failure")
    server.end(signal.SIGKILL)
    wait(lambda: "no policy server at" in trouble(policy), "the end of the connection")
    serve(bind=server.url)
    wait(lambda: trouble(policy) == "", "an answer")


def test_a_stopped_server_costs_one_time_limit_each_and_goes_on_where_it_was(
    serve: Callable[..., Server], connect: Callable[..., Policy]
) -> None:
    server = serve()
    policy = connect(server)
    server.process.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    assert "did not answer in time" in trouble(policy)
    assert time.monotonic() - started < 2.0
    # Heartbeats find out that nobody is behind the connection, and then nothing waits any more.
    wait(lambda: "no policy server" in trouble(policy) or "takes no more" in trouble(policy), "the end of waiting")
    server.process.send_signal(signal.SIGCONT)
    wait(lambda: trouble(policy) == "", "an answer")


def test_a_connection_that_is_half_open_is_given_up_and_made_again(
    serve: Callable[..., Server], connect: Callable[..., Policy]
) -> None:
    """A pulled cable, a firewall that forgot: both ends believe in the connection, and nothing comes through."""
    server = serve()
    relay = Relay(int(server.url.rpartition(":")[2]))
    try:
        server.url = relay.url
        policy = connect(server)
        assert trouble(policy) == ""
        relay.cut()
        assert "did not answer in time" in trouble(policy)
        wait(lambda: trouble(policy) == "", "an answer over a new connection")
        assert policy.values()["reconnects"] == 1
    finally:
        relay.close()


def test_a_gigabyte_is_cut_off_and_memory_stays_flat(
    serve: Callable[..., Server], connect: Callable[..., Policy]
) -> None:
    server = serve()
    policy = connect(server)
    before_mib = peak_mib(server)
    # By hand, because a ZeroMQ socket of ours would hold the gigabyte itself: greeting, NULL handshake, then a frame
    # whose header says 1 GiB (https://rfc.zeromq.org/spec/37).
    host, port = server.url.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port)), DEADLINE_S) as stranger:
        stranger.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00NULL".ljust(23, b"\x00") + bytes(32))
        ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
        stranger.sendall(b"\x04" + bytes([len(ready)]) + ready)
        heard = b""
        while b"READY" not in heard:
            heard += stranger.recv(4096)
        stranger.sendall(b"\x00\x05hello")  # a small frame comes through
        wait(lambda: "a message of 5 bytes" in server.said(), "a word about it")
        stranger.sendall(b"\x02" + (1 << 30).to_bytes(8, "big"))
        sent = 0
        with contextlib.suppress(OSError):  # cut off
            while sent < 1 << 30:
                sent += stranger.send(bytes(1 << 20))
    assert sent < 64 << 20
    assert peak_mib(server) - before_mib < 32
    assert trouble(policy) == ""


def test_garbage_is_told_once_and_does_not_stop_the_server(
    serve: Callable[..., Server], connect: Callable[..., Policy]
) -> None:
    server = serve()
    policy = connect(server)
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.setsockopt(zmq.LINGER, 1000)
        stranger.connect(server.url)
        for _ in range(200):
            stranger.send(b"\x00" * 100)
        wait(lambda: "what is no request" in server.said(), "a word about it")
    assert trouble(policy) == ""
    assert server.said().count("what is no request") < 20
