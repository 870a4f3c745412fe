from __future__ import annotations

import json
from pathlib import Path

import pytest

from rove_core.errors import RecordingError
from rove_sim.ground_truth import GroundTruthLog


def test_two_writers_share_one_file_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "session" / "ground_truth.jsonl"
    one, two = GroundTruthLog(path), GroundTruthLog(path)
    for number in range(20):
        (one, two)[number % 2].write("adaptation_end", f"ep{number}", number, profile="expert")
    one.close()
    two.close()
    facts = [json.loads(line) for line in path.read_text().splitlines()]
    assert [fact["episode_id"] for fact in facts] == [f"ep{number}" for number in range(20)]
    assert facts[3] == {"kind": "adaptation_end", "episode_id": "ep3", "t_ros_ns": 3, "profile": "expert"}


def test_no_path_keeps_no_log() -> None:
    GroundTruthLog("").write("policy_failure", "ep", 1)


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="ground truth"):
        GroundTruthLog(tmp_path / "file" / "ground_truth.jsonl")
