"""`rove deploy` as a process, and what can be seen of it from outside."""

from __future__ import annotations

import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.node import Node
from rove_msgs.msg import ControlMode, EpisodeStatus, SupervisorEvent, TeleopTarget
from rove_msgs.srv import SendEvent, StartEpisode

from rove_core.ros import stamps, topics
from rove_recorder.reader import Episode, open_episode

DEADLINE_S = 120.0
ANSWER_S = 60.0

# A demonstration: everything but a policy takes part, and somebody moves the robot.
OPTIONS = ("--policy", "none", "--demonstrations", "--operator", "scripted:expert", "--task", "whiteboard")


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.05)


class Session:
    """One `rove deploy` and what can be seen of it from outside.

    Args:
        terminal: it runs in this one (a descriptor) instead of writing to a file.
        inside: program and arguments that take its command as one more argument, such as tmux.
    """

    def __init__(self, out: Path, *options: str, terminal: int | None = None, inside: Sequence[str] = ()) -> None:
        self.out = out
        self._output = (out.parent / "output").open("w+")
        argv = [sys.executable, "-m", "rove_hil.cli.main", "deploy", "--out", str(out), *OPTIONS, *options]
        if inside:
            argv = [*inside, shlex.join(argv)]
        shown = self._output if terminal is None else terminal
        self.process = subprocess.Popen(argv, stdin=terminal, stdout=shown, stderr=shown, process_group=0)

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

    def start(*options: str, **more: Any) -> Session:
        sessions.append(Session(tmp_path / "runs", *options, **more))
        return sessions[-1]

    yield start
    for session in sessions:
        session.close()


class Supervisor:
    """A person at the services."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.mode = ControlMode()
        self.targets = 0
        self.rows = 0
        node.create_subscription(ControlMode, topics.MODE, self._on_mode, topics.QOS_MODE)
        node.create_subscription(TeleopTarget, topics.TELEOP_TARGET, self._on_target, topics.QOS_TELEOP_TARGET)
        node.create_subscription(EpisodeStatus, topics.EPISODE_STATUS, self._on_status, topics.QOS_EPISODE_STATUS)
        self._start = node.create_client(StartEpisode, topics.START_EPISODE)
        self._press = node.create_client(SendEvent, topics.SEND_EVENT)

    def _on_mode(self, mode: ControlMode) -> None:
        self.mode = mode

    def _on_target(self, _: TeleopTarget) -> None:
        self.targets += 1

    def _on_status(self, status: EpisodeStatus) -> None:
        self.rows = status.rows

    def spin_for_rows(self, rows: int) -> None:
        """Until so many more rows of this attempt have been recorded."""
        enough = self.rows + rows
        self.spin_until(lambda: self.rows >= enough, f"{rows} more rows")

    def spin_until(self, done: Callable[[], bool], what: str, limit_s: float = ANSWER_S) -> None:
        deadline = time.monotonic() + limit_s
        while not done():
            assert time.monotonic() < deadline, f"not within {limit_s} s: {what}; mode {self.mode.mode}"
            rclpy.spin_once(self.node, timeout_sec=0.02)

    def _ask(self, client: Any, request: Any) -> Any:
        self.spin_until(client.service_is_ready, client.srv_name)
        answer = client.call_async(request)
        self.spin_until(answer.done, client.srv_name)
        return answer.result()

    def start_demonstration(self) -> str:
        """Open a demonstration."""
        return self.start_attempt(demonstration=True)

    def start_attempt(self, *, demonstration: bool = False) -> str:
        """Open an attempt; asks again while something is not ready."""
        request = StartEpisode.Request(task="whiteboard", demonstration=demonstration, device="test")
        deadline = time.monotonic() + ANSWER_S
        while not (answer := self._ask(self._start, request)).accepted:
            assert time.monotonic() < deadline, answer.reason
            rclpy.spin_once(self.node, timeout_sec=0.2)
        return str(answer.episode_id)

    def press(self, event: str, payload: str = "") -> None:
        request = SendEvent.Request()
        request.event = SupervisorEvent(
            stamp=stamps.to_msg(time.time_ns()),
            event=event,
            device="test",
            expected_mode=SupervisorEvent.MODE_ANY,
            payload=payload,
        )
        answer = self._ask(self._press, request)
        assert answer.accepted, answer.reason


@pytest.fixture
def wire_url() -> str:
    """Where motion capture can be published: a port that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def supervisor(domain_id: int) -> Iterator[Supervisor]:
    rclpy.init()
    node = Node("supervisor_in_a_test")
    yield Supervisor(node)
    node.destroy_node()
    rclpy.try_shutdown()
