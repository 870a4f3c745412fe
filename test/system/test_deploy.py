"""`rove deploy` as people run it: real processes, real physics, episodes on disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_recorder.reader import Episode, open_episode

DEADLINE_S = 120.0

# A demonstration: everything but a policy takes part, and somebody moves the robot.
OPTIONS = ("--policy", "none", "--demonstrations", "--operator", "scripted:expert", "--task", "whiteboard")


def until(condition: Callable[[], bool], what: str, limit_s: float = DEADLINE_S) -> None:
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

        until(moving, "a takeover")

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
def begin(tmp_path: Path, domain_id: int) -> Iterator[Callable[..., Session]]:
    sessions: list[Session] = []

    def start(*options: str) -> Session:
        sessions.append(Session(tmp_path / "runs", *options))
        return sessions[-1]

    yield start
    for session in sessions:
        session.close()


def test_a_session_leaves_an_episode_and_no_process(begin: Callable[..., Session]) -> None:
    session = begin("--episodes", "1")
    assert session.ends() == 0, session.output
    assert session.processes() == {}
    (episode,) = session.episodes()
    assert episode.attrs["outcome"]["value"] in ("success", "failure")
    assert episode.attrs["committed"]
    assert episode.episode_id in session.output
    space = JointSpace.load("iron_r01")
    sent = episode.steps["command_sent"]
    assert np.all((sent >= space.lower - 1e-6) & (sent <= space.upper + 1e-6))
    assert np.ptp(sent, axis=0).max() > 0.1, "nobody moved the robot"
    assert len(episode.frames("head")) > 0


def test_an_interrupt_closes_the_attempt_as_aborted_and_leaves_no_process(begin: Callable[..., Session]) -> None:
    session = begin("--episodes", "3")
    session.until_takeover()
    # As a terminal does it: the whole foreground group, twice.
    for _ in range(2):
        os.killpg(session.process.pid, signal.SIGINT)
    assert session.ends() == 130, session.output
    assert session.processes() == {}
    (episode,) = session.episodes()
    assert episode.attrs["outcome"]["value"] == "aborted"


def test_nothing_is_left_when_it_is_killed(begin: Callable[..., Session]) -> None:
    session = begin("--episodes", "1")
    session.until_takeover()
    session.process.kill()
    until(lambda: session.processes() == {}, "all nodes ended", limit_s=20)
    assert len(session.episodes()) == 1


@pytest.mark.parametrize(
    ("node", "sign"),
    [
        ("recorder_node", "-> TAKEOVER"),  # the robot goes on, so nothing new is said
        ("supervisor_node", "supervisor_node restarted during attempt"),
        ("filter_node", "FAULT -> PAUSED"),
    ],
)
def test_a_killed_node_is_replaced_and_what_was_recorded_opens(
    begin: Callable[..., Session], node: str, sign: str
) -> None:
    session = begin("--episodes", "1")
    session.until_takeover()
    rows_on_disk = time.monotonic()
    until(lambda: time.monotonic() - rows_on_disk > 1.5, "something worth keeping")
    victim = session.processes()[node]
    os.kill(victim, signal.SIGKILL)
    until(lambda: session.processes().get(node) not in (None, victim), f"{node} runs again")
    until(lambda: sign in session.log("supervisor_node"), sign)
    session.process.send_signal(signal.SIGINT)
    session.ends()
    assert session.processes() == {}
    assert f"{node}: killed by SIGKILL; started again" in session.output
    episodes = session.episodes()
    assert episodes
    assert not list(session.out.glob("*/*.open"))
    # The attempt up to a second before the kill is there, whoever died.
    assert episodes[0].rows > 15


def test_a_second_session_in_the_domain_is_refused_and_the_first_goes_on(begin: Callable[..., Session]) -> None:
    first = begin("--episodes", "1")
    until(lambda: bool(first.processes()), "the first session")
    argv = [sys.executable, "-m", "rove_hil.cli.main", "deploy", "--out", str(first.out.parent / "second"), *OPTIONS]
    second = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert second.returncode == 1
    assert "another `rove deploy` runs in ROS domain" in second.stderr
    assert first.process.poll() is None
    first.process.send_signal(signal.SIGINT)
    assert first.ends() == 130
    assert first.processes() == {}
