"""The command's edge: what a user sees of an error, and the exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from rove_core import __version__
from rove_core.errors import ConfigError
from rove_hil.cli import main


def rove(*arguments: str, code: str = "from rove_hil.cli.main import main; main()") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def fails_with(error: BaseException) -> object:
    raise error


def test_an_error_of_ours_is_one_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    code = main.run(lambda: fails_with(ConfigError("seen 2, allowed 1", "use 1")), debug=False)
    assert (code, capsys.readouterr().err) == (1, "error: seen 2, allowed 1\nhint: use 1\n")


def test_a_bug_is_one_line_too_unless_debug_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(lambda: fails_with(KeyError("x\ny")), debug=False) == 2
    quiet = capsys.readouterr().err
    assert main.run(lambda: fails_with(KeyError("x\ny")), debug=True) == 2
    loud = capsys.readouterr().err
    assert "Traceback" not in quiet
    assert quiet.splitlines()[-1] == "hint: run with --debug for the traceback"
    assert "Traceback" in loud


@pytest.mark.parametrize(("code", "expected"), [(None, 0), (0, 0), (3, 3), ("text", 1)])
def test_the_exit_code_of_a_command_is_kept(code: object, expected: int) -> None:
    assert main.run(lambda: fails_with(SystemExit(code)), debug=False) == expected


def test_version_and_help() -> None:
    assert rove("--version").stdout == f"rove {__version__}\n"
    assert "doctor" in rove("--help").stdout


def test_wrong_usage_is_code_2_without_a_traceback() -> None:
    result = rove("doctor", "--no-such-option")
    assert result.returncode == 2
    assert "--no-such-option" in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_counts_at_the_end_of_the_line_too() -> None:
    result = rove("doctor", "--only", "discs", "--debug")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("error: no check 'discs'\nhint: did you mean 'disk'?\n")


def test_ctrl_c_ends_with_130() -> None:
    # A command that says when it is running, then waits for what never comes.
    code = (
        "import signal, threading\n"
        "from rove_hil.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "build = main.build\n"
        "def with_wait():\n"
        "    app = build()\n"
        "    app.command('wait')(lambda: (print('running', flush=True), threading.Event().wait()))\n"
        "    return app\n"
        "main.build = with_wait\n"
        "main.main(['wait'])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "Traceback" not in errors
