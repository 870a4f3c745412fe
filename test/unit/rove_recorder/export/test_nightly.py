"""The files of the nightly export."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rove_core.errors import ExportError
from rove_recorder.export.nightly import cron_line, units, write_units

COMMAND = ["/bin/echo", "export", "send", "/data/my episodes", "--to", "s3://bucket/50%", "--robot", "r1"]


@pytest.mark.parametrize("run_as", ["root", None])
def test_systemd_accepts_the_units(tmp_path: Path, run_as: str | None) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on this machine: install systemd")
    paths = write_units(tmp_path, units(COMMAND, "02:30", run_as))
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--generators=no", *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if "rove-export" in line] == []


def test_the_service_goes_on_after_a_cut_network_and_the_timer_after_a_night_off() -> None:
    content = units(COMMAND, "02:30", "rover")
    service, timer = content["rove-export.service"], content["rove-export.timer"]
    assert 'ExecStart=/bin/echo export send "/data/my episodes" --to s3://bucket/50%% --robot r1\n' in service
    assert "User=rover\n" in service
    assert "RestartForceExitStatus=75\n" in service
    assert "OnCalendar=*-*-* 02:30:00\n" in timer
    assert "Persistent=true\n" in timer


def test_cron_gets_one_line_with_its_percent_signs_escaped() -> None:
    assert cron_line(COMMAND, "2:05") == (
        r"5 2 * * * nice /bin/echo export send '/data/my episodes' --to s3://bucket/50\% --robot r1"
    )


@pytest.mark.parametrize("at", ["24:00", "2", "02:60", "", "soon"])
def test_a_time_that_is_none_is_refused(at: str) -> None:
    with pytest.raises(ExportError, match="time of day"):
        units(COMMAND, at, None)
