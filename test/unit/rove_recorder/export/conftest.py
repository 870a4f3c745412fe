"""Targets for the tests: a folder, a real sshd and a real S3 server, each on a free port of this machine."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rove_recorder.export.exporter import Order, export
from rove_recorder.export.summary import Summary
from rove_recorder.export.targets import Target, open_target

DEADLINE_S = 30.0
NOW = datetime(2026, 5, 5, 2, 0, tzinfo=UTC)
SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Look again and again; fails after DEADLINE_S."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.01)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], str], None]:
    """Waits until a condition holds."""
    return wait_until


@dataclass
class S3Server:
    """moto's S3 behind werkzeug, and how often each object was stored.

    Attributes:
        puts: key -> times at which a PUT of it was answered. in_flight: requests that are being answered.
    """

    port: int
    puts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    in_flight: int = 0
    url: str = "s3://bucket/fleet"
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def counting(self, app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        """The server's WSGI application, watched."""

        def watched(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            status: list[str] = []

            def answering(code: str, headers: Any, *rest: Any) -> Any:
                status.append(code)
                return start_response(code, headers, *rest)

            with self._lock:
                self.in_flight += 1
            try:
                answer = list(app(environ, answering))
            finally:
                with self._lock:
                    self.in_flight -= 1
                    if environ["REQUEST_METHOD"] == "PUT" and status and status[0].startswith("200"):
                        self.puts[environ["PATH_INFO"].removeprefix("/bucket/fleet/")] += 1
            return answer

        return watched

    def environment(self, port: int | None = None) -> dict[str, str]:
        """What obstore reads."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }


@pytest.fixture
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A bucket that is empty, and the environment to find it."""
    pytest.importorskip("obstore")
    boto3 = pytest.importorskip("boto3")
    backends = pytest.importorskip("moto.backends")
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    server = S3Server(free_port())
    app = server.counting(DomainDispatcherApplication(create_backend_app))
    http = make_server("127.0.0.1", server.port, app, threaded=True)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="bucket")
    yield server
    http.shutdown()
    thread.join()
    http.server_close()
    backends.get_backend("s3").reset()


@dataclass(frozen=True)
class SshServer:
    """An sshd that lets the user of the tests in by a key of its own."""

    port: int
    config: Path
    folder: Path

    @property
    def url(self) -> str:
        return self.url_of(self.folder)

    def url_of(self, folder: Path, port: int | None = None) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{port or self.port}{folder}"


@pytest.fixture
def ssh_server(tmp_path: Path) -> Iterator[SshServer]:
    """A running sshd. Where there is none the tests are skipped: install openssh-server."""
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("no sshd on this machine: install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd of root wants it for privilege separation
    folder = tmp_path / "sshd"
    folder.mkdir()
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
    port = free_port()
    server = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "user.pub",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "MaxStartups": "100",
        "PidFile": "none",
    }
    client = {
        "IdentityFile": folder / "user",
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": folder / "known_hosts",
        # Behind the relay of a test the server has another port and the same key.
        "HostKeyAlias": "the-target",
    }
    for name, options in (("sshd_config", server), ("ssh_config", client)):
        (folder / name).write_text("".join(f"{option} {value}\n" for option, value in options.items()))
    (folder / "known_hosts").write_text(f"the-target {(folder / 'host.pub').read_text()}")
    with (folder / "log").open("wb") as log:
        sshd = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    try:
        wait_until(lambda: b"listening" in (folder / "log").read_bytes(), "sshd listens")
        yield SshServer(port, folder / "ssh_config", tmp_path / "over-ssh")
    finally:
        sshd.terminate()
        sshd.wait()


@pytest.fixture(params=["local", "ssh", "s3"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    """An empty target of each kind."""
    config = None
    if request.param == "local":
        url = str(tmp_path / "target")
        Path(url).mkdir()
    elif request.param == "ssh":
        server: SshServer = request.getfixturevalue("ssh_server")
        url, config = server.url, server.config
    else:
        url = request.getfixturevalue("s3_server").url
    opened = open_target(url, 2, config)
    yield opened
    opened.close()


@pytest.fixture
def local(tmp_path: Path) -> Target:
    """A folder to export to."""
    return open_target(str(tmp_path / "target"))


@pytest.fixture
def night(takeover_episode: Path) -> Path:
    """A session with three episodes, all finished and labelled."""
    for name in ("second", "third"):
        shutil.copytree(takeover_episode, takeover_episode.with_name(f"{name}.zarr"))
    return takeover_episode.parent


@pytest.fixture
def send(night: Path) -> Callable[..., Summary]:
    """Exports the night as robot `r1`."""

    def run(target: Target, now: datetime = NOW, **changes: Any) -> Summary:
        return export(Order(night, "r1", **changes), target, now)

    return run
