"""Our ReplayBuffer opened with zarr 2.16, as diffusion_policy and UMI open it (`make test-interop`)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from rove_core.modes import Source
from rove_recorder.formats import writer
from rove_recorder.formats.options import parse_options
from rove_recorder.reader import open_episode

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-replay/bin/python"
PROBE = Path(__file__).parent / "read_replay_buffer.py"

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="zarr 2.16 is not installed (Python 3.10): make test-interop"
)


def test_zarr_2_reads_every_row_as_it_was_recorded(attempts: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "buffer.zarr.zip"
    report = writer("replay_buffer")(attempts, out, parse_options([]))
    done = subprocess.run(
        [str(PYTHON), str(PROBE), str(out), str(tmp_path / "found.npz")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "found.npz") as found:
        ends = found["meta_episode_ends"]
        assert ends.dtype == np.int64
        assert len(ends) == report.episodes
        assert ends[-1] == report.rows
        start = 0
        episodes = [open_episode(path) for path in attempts]
        parts_per_attempt = report.episodes // len(episodes)
        for number, end in enumerate(ends):
            steps = episodes[number // parts_per_attempt].steps
            rows = found["row"][start:end]
            assert np.all(np.diff(rows) == 1)
            assert len(np.unique(steps["segment_id"][rows])) == 1
            assert np.array_equal(found["state"][start:end], steps["state"][rows].astype(np.float32))
            assert np.array_equal(found["action"][start:end], steps["command_sent"][rows].astype(np.float32))
            assert np.array_equal(found["intervention"][start:end] == 1, steps["control"][rows] == Source.OPERATOR)
            frames = episodes[number // parts_per_attempt].frames("head")
            wanted = frames[int(steps["camera_index_head"][rows[0]])]
            assert np.array_equal(found["camera_head"][start], wanted)
            start = end
        assert found["meta_success"].sum() == 1
