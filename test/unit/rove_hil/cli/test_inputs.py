"""`rove inputs`: what people see of their pedals and of their mapping."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rove_core.errors import ConfigError
from rove_hil.cli.inputs import RULES, check_inputs
from rove_hil.cli.main import build, run
from rove_hil.inputs.evdev import EV_KEY, EVENT, DeviceError
from rove_hil.inputs.key_codes import CODES
from rove_hil.inputs.mapping import DEFAULT


def rove(*arguments: str) -> int:
    return run(lambda: build()(["inputs", *arguments], prog_name="rove", standalone_mode=True), debug=False)


def test_a_mapping_is_shown_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert rove("check") == 0
    shown = capsys.readouterr().out
    assert "  x: estop\n" in shown
    assert "  R: reset   (press twice)\n" in shown
    assert "pedal three_pedals\n" in shown
    assert "held 1 s: hand_back in TAKEOVER" in shown


def test_a_mapping_can_be_printed_to_start_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert rove("check", "--yaml") == 0
    assert capsys.readouterr().out == DEFAULT.read_text(encoding="utf-8")


def test_a_wrong_mapping_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text("keyboard: {keys: {p: puase}}")
    assert rove("check", str(path)) == 1
    error = capsys.readouterr().err
    assert (
        error
        == f"error: {path}: 'keyboard.keys.p' is 'puase': no event 'puase' that people press, did you mean 'pause'?\n"
    )


def test_the_rule_is_for_pedals_alone_and_comes_before_access_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert rove("udev") == 0
    rule = capsys.readouterr().out
    assert int(RULES.name.split("-")[0]) < 73, "systemd applies uaccess in 73-seat-late.rules"
    lines = [line for line in rule.splitlines() if line and not line.startswith("#")]
    matches = [line for line in lines if "idVendor" in line]
    assert matches
    assert all(
        re.fullmatch(r'ATTRS\{idVendor\}=="[0-9a-f]{4}", ATTRS\{idProduct\}=="[0-9a-f]{4}", .*', m) for m in matches
    )
    (access,) = (line for line in lines if "MODE" in line)
    assert access.startswith('ENV{ROVE_INPUT}=="1"')


def test_what_a_device_sends_is_printed_with_what_it_would_press(tmp_path: Path) -> None:
    path = tmp_path / "pedal"
    os.mkfifo(path)
    mapping = tmp_path / "lab.yaml"
    mapping.write_text(f"pedals: {{foot: {{path: {path}, buttons: {{KEY_A: pause}}}}}}")
    code = (
        "import sys; from rove_hil.cli.inputs import show; from rove_hil.cli.main import run; "
        "sys.exit(run(lambda: show('foot', sys.argv[1]), debug=False))"
    )
    command = [sys.executable, "-c", code, str(mapping)]
    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{path}: press something; Ctrl-C ends\n"
        os.write(pipe, EVENT.pack(1, 0, EV_KEY, CODES["KEY_A"], 1) + EVENT.pack(1, 0, EV_KEY, 999, 1))
        assert process.stdout.readline().endswith("KEY_A down   pause\n")
        assert process.stdout.readline().endswith("999 down\n")
        os.close(pipe)
        assert process.wait(10) == 1
        assert process.stderr is not None
        assert process.stderr.read() == f"error: {path}: closed\nhint: plug it in again\n"


def test_a_session_without_its_pedal_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="pedal 'three_pedals' is missing"):
        check_inputs(None, [f"three_pedals={tmp_path}/gone"], [])
    with pytest.raises(ConfigError, match="no joy 'pad'"):
        check_inputs(None, [], ["pad"])
    pedal = tmp_path / "pedal"
    os.mkfifo(pedal)
    check_inputs(None, [f"three_pedals={pedal}"], ["gamepad"])
