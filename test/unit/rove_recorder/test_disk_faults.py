"""A disk that is really full, and one that really becomes read-only: a small file system that the test mounts."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rove_core.errors import RecordingError
from rove_core.joint_space import JointSpace
from rove_core.modes import Mode
from rove_recorder.checking.check import check_episode
from rove_recorder.episode_format.hashes import problems
from rove_recorder.episode_format.schema import OPEN_SUFFIX
from rove_recorder.reader import open_episode
from rove_recorder.recording.recorder import Recorder
from rove_recorder.recording.records import CommandSample, FrameSample, ModeSample
from rove_recorder.recording.recovery import recover
from rove_recorder.recording.settings import RecorderConfig, RecorderState

DEADLINE_S = 20.0
MakeMode = Callable[..., ModeSample]


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.005)


def mounted(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mounted("-t", "tmpfs", "-o", "size=16m", "none", str(folder)):
        pytest.skip("this user may not mount a file system: needs root with CAP_SYS_ADMIN")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Attempt:
    """Feeds a recorder with images that fill the disk."""

    def __init__(self, recorder: Recorder, name: str, mode_sample: MakeMode) -> None:
        self.recorder, self.name, self.make = recorder, name, mode_sample
        self.tick = 0
        self.epoch = int(name[-1]) * 2
        recorder.put(mode_sample(Mode.ROLLOUT, self.epoch, "start", episode_id=name))

    def go_on(self, until: Callable[[], object], image_every: int = 20) -> None:
        """Until something happens."""
        home = JointSpace.load("iron_r01").home
        noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
        deadline = time.monotonic() + DEADLINE_S
        while not until():
            assert time.monotonic() < deadline, self.recorder.status
            t_ns = 10**10 + self.tick * 5_000_000
            nothing = np.zeros(len(home), np.uint8)
            moved = (1, 1, 1, self.epoch, self.name, 0, -1)
            self.recorder.put(CommandSample(t_ns, t_ns, self.tick, *moved, home, home, nothing))
            if self.tick % image_every == 0:
                self.recorder.put(FrameSample("head", t_ns, t_ns, noise))
            self.tick += 1
            time.sleep(0.002)

    def rows(self) -> int:
        """How many have been recorded."""
        status = self.recorder.status
        return status.rows if status.episode_id == self.name else 0

    def end(self) -> None:
        """As a success, and wait until it is closed."""
        self.recorder.put(self.make(Mode.IDLE, self.epoch + 1, "succeed", episode_id=""))
        wait(lambda: self.recorder.status.episode_id != self.name)


@pytest.fixture
def recorder(disk: Path) -> Iterator[Recorder]:
    config = RecorderConfig(out_dir=str(disk / "session"), min_free_mb=1, sync_period_s=0, camera_hz=200.0)
    made = Recorder(config, JointSpace.load("iron_r01"))
    made.start()
    yield made
    made.close()


def test_a_full_disk_is_one_line_and_keeps_what_was_recorded(
    recorder: Recorder, disk: Path, mode_sample: MakeMode
) -> None:
    first = Attempt(recorder, "attempt-1", mode_sample)
    first.go_on(lambda: first.rows() >= 8, image_every=5)
    first.end()
    assert recorder.status.last_outcome == "success"
    second = Attempt(recorder, "attempt-2", mode_sample)
    written = disk / "session" / f"attempt-2{OPEN_SUFFIX}" / "steps" / "t_mono_ns" / "c"
    second.go_on(lambda: written.exists() and any(written.iterdir()))
    second.go_on(lambda: recorder.status.state is RecorderState.FAULT, image_every=1)
    assert "No space left on device" in recorder.status.message or "MiB free" in recorder.status.message
    assert "\n" not in recorder.status.message
    second.end()
    # Somebody makes room: the first attempt has been copied elsewhere.
    kept = disk / "session" / "attempt-1.zarr"
    assert check_episode(open_episode(kept)) == []
    assert problems(kept) == []
    subprocess.run(["rm", "-r", str(kept)], check=True)
    wait(lambda: recorder.status.state is RecorderState.IDLE)
    third = Attempt(recorder, "attempt-3", mode_sample)
    third.go_on(lambda: third.rows() >= 4)
    third.end()
    assert recorder.status.last_outcome == "success"
    recorder.close()
    assert all(what == "recovered" for _, what in recover(disk))
    paths = sorted((disk / "session").glob("*.zarr"))
    assert [path.stem for path in paths] == ["attempt-2", "attempt-3"]
    second_path, third_path = paths
    for path in (second_path, third_path):
        assert check_episode(open_episode(path)) == []
        assert problems(path) == []
    assert open_episode(second_path).rows > 0
    assert open_episode(second_path).attrs["outcome"]["value"] == "unlabelled"


def test_a_disk_that_becomes_read_only_is_one_line_and_recording_goes_on_when_it_is_writable(
    recorder: Recorder, disk: Path, mode_sample: MakeMode
) -> None:
    first = Attempt(recorder, "attempt-1", mode_sample)
    first.go_on(lambda: first.rows() >= 8)
    first.end()
    assert recorder.status.last_outcome == "success"
    (disk / "session" / ".reserve").unlink()
    assert mounted("-o", "remount,ro", str(disk))
    wait(lambda: recorder.status.state is RecorderState.FAULT)
    assert recorder.status.message.endswith("Read-only file system: check the disk")
    refused = Attempt(recorder, "attempt-2", mode_sample)
    refused.end()
    assert mounted("-o", "remount,rw", str(disk))
    wait(lambda: recorder.status.state is RecorderState.IDLE)
    third = Attempt(recorder, "attempt-3", mode_sample)
    third.go_on(lambda: third.rows() >= 4)
    third.end()
    assert check_episode(open_episode(disk / "session" / "attempt-1.zarr")) == []


def test_a_recorder_does_not_start_on_a_read_only_disk(disk: Path) -> None:
    (disk / "session").mkdir()
    assert mounted("-o", "remount,ro", str(disk))
    recorder = Recorder(RecorderConfig(out_dir=str(disk / "session")), JointSpace.load("iron_r01"))
    with pytest.raises(RecordingError, match="Read-only file system"):
        recorder.start()
    assert mounted("-o", "remount,rw", str(disk))
