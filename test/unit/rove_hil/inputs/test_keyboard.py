"""The terminal keyboard, on a real pseudo terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from rove_hil.inputs.keyboard import Keyboard, KeyboardError, help_lines
from rove_hil.inputs.mapping import load_mapping


class Terminal(NamedTuple):
    """Both ends: what a person types goes into `master`, the program reads `slave`."""

    master: int
    slave: int

    def settings(self) -> list[object]:
        return termios.tcgetattr(self.slave)

    def is_line_wise(self) -> bool:
        flags = self.settings()[3]
        assert isinstance(flags, int)
        return bool(flags & termios.ICANON) and bool(flags & termios.ECHO)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    master, slave = pty.openpty()
    yield Terminal(master, slave)
    for descriptor in (master, slave):
        try:
            os.close(descriptor)
        except OSError:
            continue  # the test hung up


def test_keys_arrive_one_by_one_without_return(terminal: Terminal) -> None:
    with Keyboard(terminal.slave) as keyboard:
        os.write(terminal.master, b" G")
        assert keyboard.read_key(1.0) == " "
        assert keyboard.read_key(1.0) == "G"
        assert keyboard.read_key(0.0) is None


def test_the_terminal_is_given_back(terminal: Terminal) -> None:
    before = terminal.settings()
    with Keyboard(terminal.slave):
        assert not terminal.is_line_wise()
    assert terminal.settings() == before


def test_the_terminal_is_given_back_after_an_error(terminal: Terminal) -> None:
    before = terminal.settings()
    with pytest.raises(RuntimeError), Keyboard(terminal.slave):
        raise RuntimeError
    assert terminal.settings() == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_terminal_is_given_back_when_the_program_is_killed(terminal: Terminal, number: int) -> None:
    before = terminal.settings()
    code = textwrap.dedent("""
        import signal, sys, time
        from rove_hil.inputs.keyboard import Keyboard
        # As in a terminal, also where whoever started the tests had interrupts ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with Keyboard(0):
            print("reading", file=sys.stderr, flush=True)
            time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", code], stdin=terminal.slave, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"reading\n"
        assert not terminal.is_line_wise()
        process.send_signal(number)
    deadline = time.monotonic() + 5
    while terminal.settings() != before:
        assert time.monotonic() < deadline, "the terminal was not given back"
        time.sleep(0.01)


def test_arrow_and_function_keys_do_nothing(terminal: Terminal) -> None:
    with Keyboard(terminal.slave) as keyboard:
        os.write(terminal.master, b"\x1b[A")
        assert keyboard.read_key(1.0) is None
        os.write(terminal.master, b"p")
        assert keyboard.read_key(1.0) == "p"


def test_keys_go_on_after_a_shell_reset_the_terminal(terminal: Terminal) -> None:
    with Keyboard(terminal.slave) as keyboard:
        settings = terminal.settings()
        settings[3] |= termios.ICANON  # type: ignore[operator]
        termios.tcsetattr(terminal.slave, termios.TCSANOW, settings)  # type: ignore[arg-type]
        assert keyboard.read_key(0.0) is None
        os.write(terminal.master, b"x")
        assert keyboard.read_key(1.0) == "x"


def test_a_hang_up_is_an_error_and_not_a_key(terminal: Terminal) -> None:
    with Keyboard(terminal.slave) as keyboard:
        os.close(terminal.master)
        with pytest.raises(KeyboardError, match="closed"):
            keyboard.read_key(1.0)


def test_a_pipe_is_no_keyboard() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(KeyboardError, match="terminal"), Keyboard(reading):
            pass
    finally:
        os.close(reading)
        os.close(writing)


def test_the_screen_shows_every_key_and_which_are_pressed_twice() -> None:
    mapping = load_mapping()
    screen = "\n".join(help_lines(mapping.keyboard, mapping.confirm.keys()))
    assert all(f"[{key}" in screen for key in mapping.keyboard.keys)
    assert "[x] EMERGENCY STOP" in screen
    assert "[R R] reset e-stop" in screen
    assert "[q] quit" in screen
