"""What the doctor says about machines that lack something."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rove_core.errors import ConfigError
from rove_hil.cli import doctor, machine_checks, main
from rove_hil.cli.machine_checks import Status


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main.build(), ["doctor", *arguments])
    return result.exit_code, result.stdout


def test_json_has_one_finding_per_question() -> None:
    code, out = invoke("--only", "disk", "--only", "python", "--json")
    report = json.loads(out)
    assert [finding["name"] for finding in report["findings"]] == ["python", "disk"]
    assert report["findings"][0].keys() == {"name", "status", "message", "hint"}
    assert (code == 0) is report["ok"]


def test_only_what_stops_the_default_run_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTDDS_DEFAULT_PROFILES_FILE", raising=False)
    code, out = invoke("--only", "dds-profile")
    assert code == 0
    assert out.startswith("warning")
    assert "export FASTDDS_DEFAULT_PROFILES_FILE=" in out
    assert Path(out.split("FASTDDS_DEFAULT_PROFILES_FILE=")[-1].strip()).is_file()


def test_an_error_gives_code_1_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "many")
    code, out = invoke("--only", "domain")
    assert code == 1
    assert "ROS_DOMAIN_ID=many is no domain" in out
    assert "-> export ROS_DOMAIN_ID=0 .. 101" in out


@pytest.mark.parametrize(
    ("value", "status"),
    [("0", Status.OK), ("101", Status.OK), ("102", Status.WARNING), ("232", Status.WARNING), ("233", Status.ERROR)],
)
def test_domains(monkeypatch: pytest.MonkeyPatch, value: str, status: Status) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", value)
    assert machine_checks.domain().status is status


def test_a_profile_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "/nowhere/profile.xml")
    assert machine_checks.dds_profile().status is Status.ERROR


def test_another_ros_in_the_shell_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/ros/jazzy/lib")
    finding = machine_checks.mixed_ros()
    assert finding.status is Status.ERROR
    assert "LD_LIBRARY_PATH" in finding.message


def test_a_driver_that_cannot_render_is_an_error_that_names_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    finding = machine_checks.offscreen_gl()
    assert finding.status is Status.ERROR
    assert "libegl1" in finding.hint


def test_both_builds_of_onnx_runtime_are_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # What pip leaves of a distribution, found the way pip's own are.
    for name in ("onnxruntime", "onnxruntime_gpu"):
        metadata = tmp_path / f"{name}-1.0.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    finding = machine_checks.onnx_runtime()
    assert finding.status is Status.ERROR
    assert "keep one" in finding.message


def test_an_unknown_question_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no check 'disc'") as error:
        doctor.chosen(["disc"], doctor.Place.SIM)
    assert error.value.hint == "did you mean 'disk'?"


def test_a_robot_needs_no_off_screen_rendering() -> None:
    everywhere, robot = doctor.chosen([], doctor.Place.SIM), doctor.chosen([], doctor.Place.ROBOT)
    assert set(everywhere) - set(robot) == {"offscreen-gl"}
