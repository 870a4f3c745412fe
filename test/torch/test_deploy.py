"""The tiny ROVE actor drives the simulated robot: its actions are meaningless, its shapes and timing are real."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rove_core.modes import Source
from rove_recorder.checking.check import check_episode
from rove_recorder.reader import open_episode

DEADLINE_S = 150.0


@pytest.mark.usefixtures("domain_id")
def test_a_session_with_the_actor_leaves_its_chunks_on_disk(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    command = [
        sys.executable, "-m", "rove_hil.cli.main", "deploy", "--robot", "sim", "--task", "whiteboard",
        "--policy", str(exported), "--operator", "none", "--episodes", "1", "--cameras", "head,left_wrist",
        "--max-attempt-s", "8", "--out", str(out),
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    log = "".join(path.read_text(encoding="utf-8") for path in out.glob("*/logs/policy_node.log"))
    assert result.returncode == 0, result.stdout + result.stderr + log
    (path,) = out.glob("*/*.zarr")
    episode = open_episode(path)
    assert check_episode(episode) == []
    assert episode.attrs["policy"]["id"] == "random-actor-tiny"
    chunks = episode.chunks
    assert len(chunks["chunk_id"]) >= 3, log
    assert set(chunks["decoder_steps"][:]) == {10}
    assert np.isfinite(chunks["prediction"][:]).all()
    assert chunks["prediction"].shape == (50 * len(chunks["chunk_id"]), episode.steps["command_sent"].shape[1])
    driven = episode.steps["control"][:] == Source.POLICY
    moved = np.ptp(episode.steps["command_sent"][:][driven], axis=0).max()
    assert moved > 0.01, "the robot followed the chunks"
