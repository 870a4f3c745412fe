"""`rove policy inspect|check|bench|run|accept`, as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rove_hil.cli.main import main

ROOT = Path(__file__).parents[4]
WHITEBOARD = ROOT / "bundles" / "whiteboard"


def rove(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and everything that was printed."""
    with pytest.raises(SystemExit) as left:
        main(["policy", *(str(argument) for argument in arguments)])
    printed = capsys.readouterr()
    return int(left.value.code or 0), printed.out + printed.err


def test_inspect_says_what_a_bundle_is(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = rove(capsys, "inspect", tiny)
    assert code == 0
    assert text.startswith("tiny@")
    assert "50 steps at 30 Hz (1.67 s), 16 executed" in text
    assert "camera head: 32x24" in text
    assert "action: 50 joints (head 3, waist 3, left_arm 7, right_arm 7, left_hand 15, right_hand 15)" in text
    code, text = rove(capsys, "inspect", tiny, "--json")
    facts = json.loads(text)
    assert facts["files"][0] | {"sha256": ""} == {
        "file": "model.onnx",
        "bytes": (tiny / "model.onnx").stat().st_size,
        "sha256": "",
        "state": "ok",
    }


def test_inspect_names_changed_and_missing_files(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tiny / "model.onnx").write_bytes(b"changed")
    code, text = rove(capsys, "inspect", tiny)
    assert (code, text.rstrip().endswith("changed")) == (1, True)
    (tiny / "model.onnx").unlink()
    code, text = rove(capsys, "inspect", tiny)
    assert (code, text.rstrip().endswith("missing")) == (1, True)


def test_check_passes_a_sound_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = rove(capsys, "check", WHITEBOARD)
    assert code == 0, text
    assert "is sound on iron_r01" in text


def test_check_finds_the_picture_that_makes_a_policy_go_wrong(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = rove(capsys, "check", tiny)
    assert code == 1
    assert "black pictures, home pose: the model answered nan" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"horizon": 40}, "output 'actions'"),
        ({"robot": "walker"}, "for robot 'walker', this is 'iron_r01'"),
        ({"horizons": 3}, "unknown key 'horizons'"),
    ],
)
def test_check_says_in_one_line_why_a_bundle_cannot_be_used(
    edited: Callable[..., Path], capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
) -> None:
    code, text = rove(capsys, "check", edited(**change))
    assert code == 1
    assert said in text
    assert len(text.splitlines()) == 1


def test_bench_has_a_row_per_device_and_number_of_threads(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = rove(capsys, "bench", tiny, "--threads", "1,2", "--runs", "10", "--json")
    assert code == 0
    rows = json.loads(text)
    assert [(row["device"], row["threads"], row["runs"]) for row in rows] == [("cpu", 1, 10), ("cpu", 2, 10)]
    for row in rows:
        assert 0 < row["network_p50_ms"] <= row["network_p99_ms"]
        assert row["network_p50_ms"] < row["total_p50_ms"]
    assert rove(capsys, "bench", tiny, "--threads", "none")[0] == 1


def test_run_refuses_what_is_no_episode(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = rove(capsys, "run", tiny, tiny)
    assert code == 1
    assert "no finished episode" in text
    assert "Traceback" not in text


def test_every_command_of_the_group_can_be_imported(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = rove(capsys, "--help")
    assert code == 0
    assert "not available" not in text
    for name in ("inspect", "check", "bench", "run", "accept"):
        assert f"\n  {name} " in text
