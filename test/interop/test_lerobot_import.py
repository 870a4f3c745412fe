"""A dataset that the real LeRobot wrote becomes episodes of ours (`make test-interop`)."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_core.modes import Outcome, Source
from rove_recorder.checking.check import exportable
from rove_recorder.formats.import_lerobot import LeRobotImport, import_lerobot
from rove_recorder.reader import open_episode

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-lerobot/bin/python"
WRITE = Path(__file__).parent / "write_lerobot.py"
SPACE = JointSpace.load("iron_r01")

pytestmark = pytest.mark.skipif(
    not (PYTHON.parent / "lerobot-info").exists(), reason="LeRobot is not installed (Python 3.12): make test-interop"
)


@pytest.mark.parametrize("dtype", ["video", "image"])
def test_a_dataset_of_lerobot_s_own_writer_is_imported_as_it_was_recorded(dtype: str, tmp_path: Path) -> None:
    theirs = list(reversed(SPACE.names))
    (tmp_path / "joints.json").write_text(json.dumps(theirs))
    command = [str(PYTHON), str(WRITE), str(tmp_path / "theirs"), str(tmp_path / "joints.json"), dtype]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]

    how = LeRobotImport(outcome=Outcome.SUCCESS)
    now = datetime(2026, 6, 1, tzinfo=UTC)
    written = import_lerobot(tmp_path / "theirs", tmp_path / "session", "", how, now, lambda _: None)
    assert len(written) == 2
    for number, (path, frames) in enumerate(zip(written, (20, 12), strict=True)):
        episode = open_episode(path)
        assert (episode.rows, episode.control_hz, episode.attrs["instruction"]) == (frames, 20.0, f"task {number}")
        assert episode.attrs["demonstration"]
        assert np.all(episode.steps["control"] == Source.OPERATOR)
        number_of_theirs = np.array([theirs.index(name) for name in SPACE.names])
        state = number + np.arange(frames)[:, None] / 100 + number_of_theirs / 1000
        assert np.array_equal(episode.steps["state"], state.astype(np.float32))
        assert np.array_equal(episode.steps["command_sent"], state.astype(np.float32) + np.float32(0.001))
        for frame in range(frames):
            image = episode.frame_at(frame, "front")
            assert image is not None
            wanted = np.full((96, 128, 3), 90, np.uint8)
            wanted[30:60, 4 * frame : 4 * frame + 40] = (240, 200, 40 * number)
            assert np.abs(image.astype(int) - wanted).mean() < 4
        assert all("position" in problem for problem in exportable(episode))  # the numbers are no posture of a robot
