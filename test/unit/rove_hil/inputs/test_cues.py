"""Cues: a real command is run, and never waited for."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from rove_core.modes import Mode
from rove_hil.inputs.cues import REFUSED, Speaker
from rove_hil.inputs.mapping import Cues

WRITE = "import sys; open(sys.argv[1], 'a').write(sys.argv[2] + '\\n')"
TEXTS = {"PAUSED": "paused", "refused": "no"}


@pytest.fixture
def heard(tmp_path: Path) -> Path:
    return tmp_path / "heard"


def speaker(heard: Path, told: list[str]) -> Speaker:
    return Speaker(Cues(say=(sys.executable, "-c", WRITE, str(heard), "{text}"), texts=TEXTS), told.append)


def wait_for(heard: Path, text: str) -> None:
    deadline = time.monotonic() + 5
    while not heard.exists() or heard.read_text() != text:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_change_of_mode_is_said_once(heard: Path) -> None:
    told: list[str] = []
    said = speaker(heard, told)
    said.mode(Mode.ROLLOUT)
    said.mode(Mode.PAUSED)
    wait_for(heard, "paused\n")
    said.mode(Mode.PAUSED)
    said.mode(Mode.ROLLOUT)  # nothing is to be said of it
    said.say(REFUSED)
    wait_for(heard, "paused\nno\n")
    said.close()
    assert told == []


def test_what_comes_next_cuts_short_what_is_being_said() -> None:
    slow = Speaker(Cues(say=("sleep", "60"), texts=TEXTS), [].append)
    began = time.monotonic()
    slow.say("PAUSED")
    slow.say("PAUSED")
    slow.close()
    assert time.monotonic() - began < 5


def test_a_command_that_is_not_there_is_told_once() -> None:
    told: list[str] = []
    said = Speaker(Cues(say=("no-such-voice", "{text}"), texts=TEXTS), told.append)
    said.say("PAUSED")
    said.say("PAUSED")
    assert told == ["cues.say: cannot run no-such-voice: No such file or directory"]


def test_without_a_command_it_is_silent() -> None:
    Speaker(Cues(texts=TEXTS), [].append).say("PAUSED")
