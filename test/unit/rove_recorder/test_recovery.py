"""A recorder that is killed at any moment costs no finished episode and at most a second of the open one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rove_core.errors import RecordingError
from rove_core.modes import Mode, Outcome
from rove_recorder.checking.check import check_episode
from rove_recorder.episode_format.hashes import hash_episode, read_hashes
from rove_recorder.reader import SEALING, open_episode
from rove_recorder.recording.recovery import recover, seal_episode
from rove_recorder.recording.session_lock import SessionLock

WRITING_CHILD = """
import sys, time
import numpy as np
from rove_core.joint_space import JointSpace
from rove_core.modes import Mode
from rove_recorder.recording.records import CommandSample, EpisodeInfo, FrameSample, JointSample, ModeSample
from rove_recorder.recording.recorder import Recorder
from rove_recorder.recording.settings import RecorderConfig

space = JointSpace.load("iron_r01")
recorder = Recorder(RecorderConfig(out_dir=sys.argv[1], min_free_mb=1), space)
recorder.start()
info = EpisodeInfo("killed")
image, nothing = np.full((240, 320, 3), 128, np.uint8), np.zeros(space.dim, np.uint8)
recorder.put(ModeSample(0, 0, Mode.ROLLOUT.number, 1, 1, "start", "test", "", info))
start = time.monotonic_ns()
for tick in range(100000):
    now = start + tick * 5_000_000
    if tick % 7 == 0:
        recorder.put(FrameSample("head", now, now, image))
    recorder.put(JointSample(now, now, space.home, space.home))
    recorder.put(CommandSample(now, now, tick, 1, 1, 1, 1, "killed", 1, 0, space.home, space.home, nothing))
    sys.stdout.write(f"{now}\\n")
    sys.stdout.flush()
    time.sleep(max(now + 5_000_000 - time.monotonic_ns(), 0) * 1e-9)
"""

SEALING_CHILD = """
import sys
from pathlib import Path
from rove_recorder.recording.recovery import seal_episode

print("ready", flush=True)
sys.stdin.readline()
seal_episode(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_costs_at_most_a_second(tmp_path: Path, seed: int) -> None:
    session = tmp_path / "session"
    child = subprocess.Popen([sys.executable, "-c", WRITING_CHILD, str(session)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    ticks = int(np.random.default_rng(seed).integers(250, 600))
    last_ns = [int(line) for line, _ in zip(child.stdout, range(ticks), strict=False)][-1]
    child.kill()
    child.wait()
    child.stdout.close()
    ((path, what),) = recover(session)
    assert what == "recovered"
    episode = open_episode(path)
    assert episode.finished
    assert episode.attrs["outcome"]["value"] == "unlabelled"
    assert episode.attrs["recovered"] is True
    assert last_ns - episode.steps["t_mono_ns"][-1] < 1_000_000_000
    assert check_episode(episode) == []
    assert recover(session) == []


def _open_episode_folder(scripted: Callable[[str], Any]) -> Path:
    episode = scripted("sealed")
    for _ in range(300):
        episode.step(Mode.ROLLOUT)
    episode.recorder.flush()
    episode.writer.abandon()
    return Path(episode.writer.path)


def test_recovery_may_itself_be_killed_at_any_moment(scripted: Callable[[str], Any], tmp_path: Path) -> None:
    original = _open_episode_folder(scripted)
    reference = seal_episode(Path(shutil.copytree(original, tmp_path / "reference" / original.name)))
    expected = open_episode(reference)
    for number in range(5):
        folder = tmp_path / f"try{number}" / original.name
        shutil.copytree(original, folder)
        arguments = [sys.executable, "-c", SEALING_CHILD, str(folder)]
        child = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        child.stdin.write("go\n")
        child.stdin.flush()
        deadline = time.monotonic() + 0.02 * number
        while time.monotonic() < deadline:
            os.sched_yield()
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()
        recover(folder.parent)
        episode = open_episode(folder.with_name(reference.name))
        assert episode.rows == expected.rows
        assert check_episode(episode) == []
        assert read_hashes(episode.path) == hash_episode(episode.path)


@pytest.mark.parametrize("arrays", range(0, 60, 6))
def test_sealing_that_stopped_after_some_arrays_is_done_again(
    scripted: Callable[[str], Any], arrays: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sealed array is padded with zeros, which must not be taken for rows the second time."""
    from rove_recorder.episode_format import storage

    folder = _open_episode_folder(scripted)
    rows = open_episode(folder).rows
    seal, sealed = storage.ArrayFolder.seal, []

    def stop_after_some(array: storage.ArrayFolder, count: int) -> bool:
        if len(sealed) == arrays:
            raise OSError("power cut")
        sealed.append(array)
        return seal(array, count)

    with monkeypatch.context() as patch:
        patch.setattr(storage.ArrayFolder, "seal", stop_after_some)
        with pytest.raises(OSError, match="power cut"):
            seal_episode(folder)
    assert (folder / SEALING).exists()
    assert open_episode(folder).rows == rows
    finished = seal_episode(folder)
    assert open_episode(finished).rows == rows
    assert not (finished / SEALING).exists()
    assert read_hashes(finished) == hash_episode(finished)


def test_rows_that_name_an_image_that_was_lost_are_cut(scripted: Callable[[str], Any]) -> None:
    folder = _open_episode_folder(scripted)
    offsets = folder / "cameras" / "head" / "offsets" / "c" / "0"
    with offsets.open("r+b") as file:
        file.truncate(8 * 21)  # 20 images
    episode = open_episode(seal_episode(folder))
    assert len(episode.frames("head")) == 20
    assert episode.rows > 0
    assert episode.steps["camera_index_head"].max() == 19
    assert check_episode(episode) == []


def test_an_outcome_that_was_given_survives_a_kill_before_the_rename(scripted: Callable[[str], Any]) -> None:
    episode = scripted("labelled")
    episode.step(Mode.ROLLOUT)
    path = episode.close(Outcome.FAILURE)
    path.rename(path.with_name(path.name + ".open"))
    recover(path.parent)
    assert open_episode(path).attrs["outcome"]["value"] == "failure"
    assert open_episode(path).attrs["recovered"] is False


def test_an_episode_that_a_running_recorder_writes_is_left_alone(scripted: Callable[[str], Any]) -> None:
    folder = _open_episode_folder(scripted)
    with SessionLock(folder.parent):
        ((path, what),) = recover(folder.parent)
    assert path == folder
    assert "another recorder" in what
    assert folder.exists()


def test_a_damaged_orphan_is_reported_and_kept(tmp_path: Path) -> None:
    orphan = tmp_path / "broken.zarr.open"
    orphan.mkdir()
    ((path, what),) = recover(tmp_path)
    assert path == orphan
    assert what.startswith("not recoverable")
    assert orphan.exists()


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no folder"):
        recover(tmp_path / "nowhere")
