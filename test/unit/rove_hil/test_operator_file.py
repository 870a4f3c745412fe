"""Operators by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from rove_core.errors import ConfigError
from rove_hil.operator.operator_calibration import OperatorCalibration
from rove_hil.operator.operator_file import load, names, save
from rove_hil.operator.t_pose import BodySize

SIZE = BodySize(arm=0.61, shoulder_width=0.36, torso=0.5, hand=0.18)
SCALES = OperatorCalibration(0.9, 1.05, 0.88)


def test_an_operator_is_read_as_he_was_measured(tmp_path: Path) -> None:
    path, file = save(tmp_path / "operators", "anna", "iron_r01", SIZE, SCALES)
    again = load(tmp_path / "operators", "anna", "iron_r01")
    assert again == file
    assert again.calibration == SCALES
    assert "arm_m: 0.61" in path.read_text()
    assert names(tmp_path / "operators") == ["anna"]
    # A new measurement replaces the old one.
    save(tmp_path / "operators", "anna", "iron_r01", SIZE, OperatorCalibration(arm_scale=1.1))
    assert load(tmp_path / "operators", "anna", "iron_r01").arm_scale == 1.1


def test_a_name_that_nobody_has_says_who_is_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="anna") as caught:
        load(tmp_path, "anna", "iron_r01")
    assert "rove mocap calibrate" in caught.value.hint
    save(tmp_path, "hanna", "iron_r01", SIZE, SCALES)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "anna", "iron_r01")
    assert "hanna" in caught.value.hint


@pytest.mark.parametrize("name", ["", "../anna", "a/b", ".hidden", "a" * 80])
def test_names_are_file_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no name"):
        save(tmp_path, name, "iron_r01", SIZE, SCALES)


def test_wrong_files_are_one_clear_line(tmp_path: Path) -> None:
    path, _ = save(tmp_path, "anna", "iron_r01", SIZE, SCALES)
    with pytest.raises(ConfigError, match="robot 'iron_r01'"):
        load(tmp_path, "anna", "other")
    path.write_text(path.read_text().replace("arm_scale", "arm_scal"))
    with pytest.raises(ConfigError, match="did you mean 'arm_scale'"):
        load(tmp_path, "anna", "iron_r01")
