"""A recorder to be killed by test_kill_sweep.py: forks one for every line on stdin, which is `what session progress`.

Forked, so that everything is imported once. The child tells how far it is in the memory-mapped file `progress`:
phase, times of the first and the last command of the attempt [ns, control clock], attempts finished.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
import threading
import time
from pathlib import Path

import numpy as np

from rove_core.joint_space import JointSpace
from rove_core.modes import Mode, Source, Stage
from rove_recorder.recording.recorder import Recorder
from rove_recorder.recording.records import (
    ChunkSample,
    CommandSample,
    EpisodeInfo,
    FrameSample,
    JointSample,
    ModeSample,
)
from rove_recorder.recording.recovery import recover
from rove_recorder.recording.settings import RecorderConfig, RecorderState

PROGRESS = struct.Struct("<qqqq")
OPENING, APPENDING, CLOSING, RECOVERING = range(1, 5)
TICK_NS = 5_000_000
ATTEMPT_S = 1.2


class Progress:
    """What the killer sees."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), PROGRESS.size)
        self.phase = self.first_ns = self.last_ns = self.finished = 0

    def tell(self, phase: int) -> None:
        self.phase = phase
        self._map[:] = PROGRESS.pack(self.phase, self.first_ns, self.last_ns, self.finished)


def record(session: Path, progress: Progress) -> None:
    """One short attempt after the other, in real time, until somebody kills this."""
    space = JointSpace.load("iron_r01")
    config = RecorderConfig(out_dir=str(session), min_free_mb=1, camera_hz=200 / 7)
    recorder = Recorder(config, space)
    recorder.start()
    image, nothing = np.full((48, 64, 3), 128, np.uint8), np.zeros(space.dim, np.uint8)
    prediction = np.tile(space.home, (16, 1)).astype(np.float32)
    tick, start_ns, epoch = 0, time.monotonic_ns(), 0

    def change(mode: Mode, stage: Stage, event: str, episode_id: str) -> None:
        now = time.monotonic_ns()
        info = EpisodeInfo(episode_id)
        recorder.put(ModeSample(now, now, mode.number, int(stage), epoch, event, "keyboard:test", "", info))

    def feed(episode_id: str) -> None:
        nonlocal tick
        now = start_ns + tick * TICK_NS
        time.sleep(max(now - time.monotonic_ns(), 0) * 1e-9)
        if tick % 7 == 0:
            recorder.put(FrameSample("head", now, now, image))
        recorder.put(JointSample(now, now, space.home, space.home))
        source, stage = (Source.POLICY, Stage.ROLLOUT) if episode_id else (Source.HOLD, Stage.NONE)
        mode = Mode.ROLLOUT if episode_id else Mode.IDLE
        moved = (int(source), mode.number, int(stage), epoch, episode_id, epoch, 0)
        recorder.put(CommandSample(now, now, tick, *moved, space.home, space.home, nothing))
        tick += 1
        if episode_id:
            progress.first_ns, progress.last_ns = progress.first_ns or now, now

    while True:
        name = f"attempt-{progress.finished}"
        epoch += 1
        feed("")
        progress.first_ns = progress.last_ns = 0
        progress.tell(OPENING)
        change(Mode.ROLLOUT, Stage.ROLLOUT, "start", name)
        now = time.monotonic_ns()
        recorder.put(ChunkSample(epoch, epoch, now, now, now, now, 1 / 30, 8, prediction, "killed@0123"))
        until = tick + round(ATTEMPT_S * 1e9 / TICK_NS)
        while tick < until:
            feed(name)
            progress.tell(APPENDING if recorder.status.state is RecorderState.RECORDING else OPENING)
        epoch += 1
        change(Mode.IDLE, Stage.NONE, "succeed", "")
        progress.tell(CLOSING)
        while not (session / f"{name}.zarr").exists():
            feed("")
        progress.finished += 1


def main() -> None:
    """Fork until stdin ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead need nobody to wait for them
    for line in sys.stdin:
        what, session, path = line.split()
        pid = os.fork()
        if pid:
            sys.stdout.write(f"{pid}\n")
            sys.stdout.flush()
            continue
        progress = Progress(Path(path))
        if what == "record":
            # Ends with whoever reads its progress.
            threading.Timer(60.0, os._exit, (1,)).start()
            record(Path(session), progress)
        progress.tell(RECOVERING)
        recover(Path(session))
        os._exit(0)


if __name__ == "__main__":
    main()
