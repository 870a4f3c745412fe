"""`rove deploy` as a process, and what can be seen of it from outside."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rove_recorder.reader import Episode, open_episode

DEADLINE_S = 120.0

# A demonstration: everything but a policy takes part, and somebody moves the robot.
OPTIONS = ("--policy", "none", "--demonstrations", "--operator", "scripted:expert", "--task", "whiteboard")


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.05)


class Session:
    """One `rove deploy` and what can be seen of it from outside."""

    def __init__(self, out: Path, *options: str) -> None:
        self.out = out
        self._output = (out.parent / "output").open("w+")
        argv = [sys.executable, "-m", "rove_hil.cli.main", "deploy", "--out", str(out), *OPTIONS, *options]
        self.process = subprocess.Popen(argv, stdout=self._output, stderr=subprocess.STDOUT, process_group=0)

    @property
    def output(self) -> str:
        return (self.out.parent / "output").read_text(encoding="utf-8")

    def log(self, node: str) -> str:
        return "".join(path.read_text(encoding="utf-8") for path in self.out.glob(f"*/logs/{node}.log"))

    def processes(self) -> dict[str, int]:
        """Nodes of this session that run: every one has the session's folder on its command line."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                argv = (entry / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if f"{self.out}/" in " ".join(argv) and "-m" in argv:
                found[argv[argv.index("-m") + 1].rsplit(".", 1)[1]] = int(entry.name)
        return found

    def until_takeover(self) -> None:
        def moving() -> bool:
            assert self.process.poll() is None, self.output
            return "-> TAKEOVER" in self.log("supervisor_node")

        wait_until(moving, "a takeover")

    def deploy_again(self, out: Path) -> subprocess.CompletedProcess[str]:
        """A second `rove deploy` beside this one, to its end."""
        argv = [sys.executable, "-m", "rove_hil.cli.main", "deploy", "--out", str(out), *OPTIONS]
        return subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    def ends(self) -> int:
        return self.process.wait(DEADLINE_S)

    def episodes(self) -> list[Episode]:
        return [open_episode(path) for path in sorted(self.out.glob("*/*.zarr"))]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(DEADLINE_S)
        self._output.close()


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait for a condition, with a deadline and words for when it does not come."""
    return wait_until


@pytest.fixture
def begin(tmp_path: Path, domain_id: int) -> Iterator[Callable[..., Session]]:
    sessions: list[Session] = []

    def start(*options: str) -> Session:
        sessions.append(Session(tmp_path / "runs", *options))
        return sessions[-1]

    yield start
    for session in sessions:
        session.close()
