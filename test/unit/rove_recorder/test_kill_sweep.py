"""SIGKILL at random moments of everything that a recorder does. `make test-soak` does it many hundred times."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from rove_core.errors import EpisodeError
from rove_recorder.checking.check import check_episode
from rove_recorder.episode_format.hashes import problems, read_hashes
from rove_recorder.reader import SEALING, open_episode
from rove_recorder.recording.recovery import recover

CHILD = Path(__file__).with_name("killed_recorder.py")
DEADLINE_S = 60.0
# Phase -> how long after its beginning the kill comes at the latest [s]: a little more than the phase lasts.
PHASES = {"opening": 0.15, "appending": 1.2, "closing": 0.5, "sealing": 0.25, "recovering": 0.3}
OPENING, APPENDING, CLOSING, RECOVERING = range(1, 5)
PROGRESS_BYTES = 32
Fork = Callable[[str, Path, Path], int]


@pytest.fixture
def fork() -> Iterator[Fork]:
    """Starts a process that records or recovers, and returns its id."""
    arguments = [sys.executable, str(CHILD)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:

        def start(what: str, session: Path, progress: Path) -> int:
            assert server.stdin is not None
            assert server.stdout is not None
            progress.write_bytes(bytes(PROGRESS_BYTES))
            server.stdin.write(f"{what} {session} {progress}\n")
            server.stdin.flush()
            return int(server.stdout.readline())

        yield start


class Progress(NamedTuple):
    """What killed_recorder.py says of itself."""

    phase: int
    first_ns: int
    last_ns: int
    finished: int


def _read(progress: Path) -> Progress:
    return Progress(*np.fromfile(progress, "<i8").tolist())


def _wait(pid: int, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "not reached in time"
        assert _alive(pid), "the recorder ended by itself"
        os.sched_yield()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _kill_after(pid: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        os.sched_yield()
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it was done already
    deadline = time.monotonic() + DEADLINE_S
    while _alive(pid):
        assert time.monotonic() < deadline
        os.sched_yield()


def _kill(phase: str, session: Path, fork: Fork, rng: np.random.Generator) -> Progress:
    """Kill a recorder in a phase; how far it was."""
    progress = session.parent / "progress"
    begins = {
        "opening": OPENING,
        "appending": APPENDING,
        "closing": CLOSING,
        "sealing": CLOSING,
        "recovering": APPENDING,
    }
    pid = fork("record", session, progress)
    attempts = int(rng.integers(0, 2))
    _wait(pid, lambda: _read(progress).finished >= attempts and _read(progress).phase >= begins[phase])
    if phase == "sealing":
        _wait(pid, lambda: any(session.glob(f"*.open/{SEALING}")))
    _kill_after(pid, rng.uniform(0, PHASES["appending" if phase == "recovering" else phase]))
    killed = _read(progress)
    if phase == "recovering":
        pid = fork("recover", session, progress)
        deadline = time.monotonic() + DEADLINE_S
        while _read(progress).phase != RECOVERING and _alive(pid):
            assert time.monotonic() < deadline
        _kill_after(pid, rng.uniform(0, PHASES[phase]))
    return killed


def _found(session: Path) -> str:
    """What a kill left behind."""
    folders = [*session.glob("*.zarr.open")]
    if not folders:
        return "building" if [*session.glob("*.partial")] else "all finished"
    (folder,) = folders
    try:
        committed = open_episode(folder).attrs["committed"]
    except EpisodeError:
        return "damaged"
    if committed:
        return "committed"
    return "half sealed" if (folder / SEALING).exists() else "appended to"


def test_a_kill_at_any_moment_costs_at_most_the_last_second(
    fork: Fork, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    rng = np.random.default_rng(request.config.getoption("--seed"))
    left: dict[str, Counter[str]] = defaultdict(Counter)
    lost_s: dict[str, list[float]] = defaultdict(list)
    for number in range(request.config.getoption("--kills")):
        phase = list(PHASES)[number % len(PHASES)]
        session = tmp_path / f"{number}" / "session"
        session.mkdir(parents=True)
        killed = _kill(phase, session, fork, rng)
        before = {path.name: read_hashes(path) for path in session.glob("*.zarr")}
        left[phase][_found(session)] += 1
        assert len(before) >= killed.finished, (number, phase)
        recovered = recover(session)
        assert [what for _, what in recovered] == ["recovered"] * len(recovered), (number, phase, recovered)
        assert not [*session.glob("*.open*")], (number, phase)
        for path in sorted(session.glob("*.zarr")):
            episode = open_episode(path)
            assert check_episode(episode) == [], (number, phase)
            assert problems(path) == [], (number, phase)
            assert before.get(path.name) in (None, read_hashes(path)), (number, phase)
        lost_s[phase].append(_lost_s(session / f"attempt-{killed.finished}.zarr", killed))
        assert recover(session) == [], (number, phase)
    _show(left, lost_s)
    assert max(max(values) for values in lost_s.values()) < 1.0


def _lost_s(path: Path, killed: Progress) -> float:
    """Between the last row of the attempt that was killed and the last command that the recorder was given [s]."""
    stamps = open_episode(path).steps["t_mono_ns"] if path.exists() else []
    return max(killed.last_ns - (int(stamps[-1]) if len(stamps) else killed.first_ns), 0) * 1e-9


def _show(left: dict[str, Counter[str]], lost_s: dict[str, list[float]]) -> None:
    sys.stdout.write(f"\n{'killed while':14}{'kills':>6}  {'lost, median / worst [s]':26}left behind\n")
    for phase, found in left.items():
        text = f"{np.median(lost_s[phase]):.2f} / {max(lost_s[phase]):.2f}"
        behind = ", ".join(f"{count} {what}" for what, count in found.most_common())
        sys.stdout.write(f"{phase:14}{found.total():6}  {text:26}{behind}\n")
