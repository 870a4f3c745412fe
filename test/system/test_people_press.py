"""People press: whole attempts by the bytes of a foot pedal and by the keys of a terminal."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rove_core.modes import Source
from rove_hil.inputs.evdev import EV_KEY, EV_SYN, EVENT, SYN_REPORT
from rove_hil.inputs.key_codes import CODES
from rove_hil.inputs.mapping import Button, as_yaml, load_mapping
from rove_recorder.checking.check import check_episode

Begin = Callable[..., Any]
Until = Callable[..., None]

# A policy that drives, and an operator who takes over; whoever supervises is the test.
PEOPLE = ("--no-demonstrations", "--policy", "whiteboard", "--operator", "scripted:expert", "--episodes", "1")


# No foot is faster, and what is faster is a contact that bounces [s].
FOOT_S = 0.06


class Foot:
    """A pedal that is a named pipe: what Linux would say of it goes in as the same bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next_s = 0.0
        self.plug_in()

    def plug_in(self) -> None:
        os.mkfifo(self.path)
        # Read and write: opening it only for writing would wait for a reader.
        self._pipe = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)

    def unplug(self) -> None:
        """As with a USB plug: the name goes, and whoever has it open reads an error."""
        self.path.unlink()
        os.close(self._pipe)

    def _send(self, key: str, value: int, age_s: float = 0.0) -> None:
        time.sleep(max(self._next_s - time.monotonic(), 0.0))
        self._next_s = time.monotonic() + FOOT_S
        seconds, nanoseconds = divmod(time.time_ns() - int(age_s * 1e9), 10**9)
        stamp = (seconds, nanoseconds // 1000)
        change = EVENT.pack(*stamp, EV_KEY, CODES[key], value)
        os.write(self._pipe, change + EVENT.pack(*stamp, EV_SYN, SYN_REPORT, 0))

    def down(self, key: str) -> None:
        self._send(key, 1)

    def up(self, key: str) -> None:
        self._send(key, 0)

    def tap(self, key: str, age_s: float = 0.0) -> None:
        self._send(key, 1, age_s)
        self.up(key)


@pytest.fixture
def foot(tmp_path: Path) -> Iterator[Foot]:
    pedal = Foot(tmp_path / "usb-pedal-event-kbd")
    yield pedal
    if pedal.path.exists():
        pedal.unplug()


class Console:
    """A terminal with somebody in front of it."""

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (40, 200))
        self._shown: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self._master, 65536):
                self._shown.append(data)
        except OSError:
            return  # nobody has the other end open any more

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    @property
    def text(self) -> str:
        return b"".join(self._shown).decode(errors="replace")

    def close(self) -> None:
        os.close(self.slave)
        self._reader.join()
        os.close(self._master)


@pytest.fixture
def console() -> Iterator[Console]:
    terminal = Console()
    yield terminal
    terminal.close()


class Watcher:
    """Waits for what the supervisor did, one thing after the other."""

    def __init__(self, session: Any, until: Until) -> None:
        self._session, self._until = session, until
        self._read = 0

    def _came(self, what: str) -> bool:
        assert self._session.process.poll() is None, self._session.output
        log = self._session.log("supervisor_node")
        at = log.find(what, self._read)
        if at >= 0:
            self._read = at + len(what)
        return at >= 0

    def sees(self, what: str) -> None:
        """Wait for the next `what`."""
        self._until(lambda: self._came(what), what)

    def presses_until(self, press: Callable[[], None], what: str) -> None:
        """Press once a second, as somebody does who was refused, until `what` comes."""
        next_s = 0.0

        def came() -> bool:
            nonlocal next_s
            if self._came(what):
                return True
            if time.monotonic() >= next_s:
                press()
                next_s = time.monotonic() + 1.0
            return False

        self._until(came, what)


def accepted(episode: Any) -> list[tuple[str, str]]:
    """Event and device of every accepted press that a person made."""
    presses = [event for event in episode.events() if not event["type"].startswith("device_")]
    return [
        (event["type"], event["device"])
        for event in presses
        if event.get("accepted") and event["device"].startswith(("pedal:", "keyboard:"))
    ]


def with_a_fourth_pedal(path: Path) -> Path:
    """The shipped mapping, and a pedal that takes a mark back."""
    mapping = load_mapping()
    three = mapping.pedals["three_pedals"]
    four = three.model_copy(update={"buttons": three.buttons | {"KEY_D": Button.model_validate("retract_mark")}})
    path.write_text(as_yaml(mapping.model_copy(update={"pedals": {"pedals": four}})), encoding="utf-8")
    return path


def commands_between(episode: Any, first: str, last: str, what: str = "sent") -> Any:
    """What the filter's ticks between two events say."""
    at = {event["type"]: event["t_ros_ns"] for event in episode.events()}
    commands = episode.streams["commands"]
    stamps = commands["t_ros_ns"][:]
    return commands[what][:][(stamps > at[first]) & (stamps < at[last])]


def test_a_foot_pedal_leads_through_an_attempt(begin: Begin, until: Until, foot: Foot, tmp_path: Path) -> None:
    mapping = with_a_fourth_pedal(tmp_path / "mapping.yaml")
    session = begin(*PEOPLE, "--supervisor", "pedal", "--pedal", f"pedals={foot.path}", "--mapping", str(mapping))
    watcher = Watcher(session, until)
    # Ready takes a moment; who holds the pedal and is refused holds it again.
    held = False

    def hold_start() -> None:
        nonlocal held
        (foot.up if held else foot.down)("KEY_A")
        held = not held

    watcher.presses_until(hold_start, "IDLE -> ROLLOUT: start by pedal:pedals/KEY_A")
    foot.up("KEY_A")
    # What was pressed long ago and arrives only now is not applied to what goes on now.
    foot.tap("KEY_A", age_s=5.0)
    watcher.sees("refused in ROLLOUT: pause by pedal:pedals/KEY_A")
    foot.tap("KEY_A")
    watcher.sees("ROLLOUT -> PAUSED: pause by pedal:pedals/KEY_A")
    foot.unplug()
    until(lambda: re.search("pedal 'pedals' is (lost|missing)", session.output), "`rove deploy` says so")
    foot.plug_in()
    until(lambda: "pedal 'pedals' is back" in session.output, "it is found again")
    foot.tap("KEY_B")
    watcher.sees("PAUSED -> ALIGNING: takeover")
    watcher.presses_until(lambda: foot.tap("KEY_B"), "ALIGNING -> TAKEOVER: go by pedal:pedals/KEY_B")
    foot.tap("KEY_B")
    watcher.sees("TAKEOVER -> TAKEOVER: mark_progress")
    foot.tap("KEY_D")
    watcher.sees("TAKEOVER -> TAKEOVER: retract_mark")
    # The same press again within a quarter of a second would be taken for a duplicate.
    watcher.presses_until(lambda: foot.tap("KEY_B"), "TAKEOVER -> TAKEOVER: mark_progress")
    foot.down("KEY_B")
    watcher.sees("TAKEOVER -> PAUSED: hand_back")
    watcher.sees("PAUSED -> ROLLOUT")
    foot.up("KEY_B")
    foot.tap("KEY_C")
    assert session.ends() == 0, session.output
    assert session.processes() == {}
    (episode,) = session.episodes()
    assert episode.attrs["outcome"]["value"] == "success"
    assert episode.attrs["outcome"]["by"] == "pedal:pedals/KEY_C"
    left, middle, right, fourth = (f"pedal:pedals/KEY_{letter}" for letter in "ABCD")
    assert accepted(episode) == [
        ("start", left),
        ("pause", left),
        ("takeover", middle),
        ("go", middle),
        ("mark_progress", middle),
        ("retract_mark", fourth),
        ("mark_progress", middle),
        ("hand_back", middle),
        ("succeed", right),
    ]
    moves = np.diff(commands_between(episode, "device_lost", "device_back"), axis=0).any(axis=1)
    stopped = int(np.argmin(moves))  # it was paused just before, and may be braking yet
    assert stopped < min(200, len(moves) - 10)
    assert not moves[stopped:].any(), "paused is standing still, whatever becomes of pedals"
    late = next(event for event in episode.events() if event["type"] == "pause" and not event["accepted"])
    assert "pressed 5." in late["reason"]
    assert check_episode(episode) == []


def attempt_by_keys(console: Console, watcher: Watcher, *, until_takeover: bool = False) -> None:
    watcher.presses_until(lambda: console.type("n"), "IDLE -> ROLLOUT: start by keyboard:")
    console.type(" ")
    watcher.sees("ROLLOUT -> PAUSED: pause by keyboard:")
    console.type("t")
    watcher.sees("PAUSED -> ALIGNING: takeover")
    watcher.presses_until(lambda: console.type("g"), "ALIGNING -> TAKEOVER: go by keyboard:")
    if until_takeover:
        return
    console.type("m")
    watcher.sees("TAKEOVER -> TAKEOVER: mark_progress")
    console.type("h")
    watcher.sees("TAKEOVER -> PAUSED: hand_back")
    watcher.sees("PAUSED -> ROLLOUT")


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed; the pseudo terminal below always runs")
def test_keys_in_tmux_lead_through_an_attempt(
    begin: Begin, until: Until, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("TMUX", raising=False)
    tmux = ["tmux", "-S", str(tmp_path / "tmux"), "-f", "/dev/null"]
    session = begin(*PEOPLE, "--supervisor", "keyboard", terminal=console.slave, inside=[*tmux, "new-session"])
    try:
        watcher = Watcher(session, until)
        attempt_by_keys(console, watcher)
        # A failure is pressed twice, or it does not count.
        console.type("f")
        until(lambda: "again for fail" in console.text, "the keyboard asks again")
        console.type("f")
        until(lambda: session.process.poll() is not None, "the session ends after its attempt")
    finally:
        subprocess.run([*tmux, "kill-server"], capture_output=True, check=False)
    until(lambda: session.processes() == {}, "all nodes ended")
    (episode,) = session.episodes()
    assert episode.attrs["outcome"]["value"] == "failure"
    events = [event for event, device in accepted(episode)]
    assert events == ["start", "pause", "takeover", "go", "mark_progress", "hand_back", "fail"]


def test_a_pedal_that_is_unplugged_is_loud_and_the_keyboard_goes_on(
    begin: Begin, until: Until, foot: Foot, console: Console
) -> None:
    before = termios.tcgetattr(console.slave)
    session = begin(*PEOPLE, "--supervisor", "keyboard", "--pedal", f"three_pedals={foot.path}", terminal=console.slave)
    watcher = Watcher(session, until)
    attempt_by_keys(console, watcher, until_takeover=True)
    foot.unplug()
    until(lambda: "pedal 'three_pedals' is lost" in console.text, "the screen says so")
    until(lambda: session.log("buttons_node").count("[ERROR]") > 1, "somebody is reminded")
    # The operator drives on; the keyboard works.
    console.type("m")
    watcher.sees("TAKEOVER -> TAKEOVER: mark_progress by keyboard:")
    foot.plug_in()
    until(lambda: "pedal 'three_pedals' is back" in console.text, "it is found again")
    foot.down("KEY_B")
    watcher.sees("TAKEOVER -> PAUSED: hand_back by pedal:three_pedals/KEY_B")
    watcher.sees("PAUSED -> ROLLOUT")
    console.type("s")
    assert session.ends() == 0, console.text
    assert termios.tcgetattr(console.slave) == before, "the terminal is given back"
    (episode,) = session.episodes()
    facts = [event for event in episode.events() if event["type"] in ("device_lost", "device_back")]
    assert [fact["type"] for fact in facts] == ["device_lost", "device_back"]
    assert facts[0]["device"] == "pedal:three_pedals"
    sources = commands_between(episode, "device_lost", "device_back", "source")
    assert np.any(sources == Source.OPERATOR), "the operator drove on"
    assert check_episode(episode) == []
