"""A pedal that is a named pipe: the bytes are those that Linux sends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rove_hil.inputs.evdev import EV_KEY, EV_SYN, EVENT, SYN_REPORT
from rove_hil.inputs.key_codes import CODES


class PedalPipe:
    """The other end of the pipe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plug_in()

    def plug_in(self) -> None:
        os.mkfifo(self.path)
        self._end = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)

    def unplug(self) -> None:
        self.path.unlink()
        os.close(self._end)

    def send(self, kind: int, code: int, value: int, stamp_us: int = 0) -> None:
        os.write(self._end, EVENT.pack(*divmod(stamp_us, 10**6), kind, code, value))

    def key(self, name: str, value: int, stamp_us: int = 0) -> None:
        self.send(EV_KEY, CODES[name], value, stamp_us)
        self.send(EV_SYN, SYN_REPORT, 0, stamp_us)

    def write(self, data: bytes) -> None:
        os.write(self._end, data)


@pytest.fixture
def pedal_pipe(tmp_path: Path) -> Iterator[PedalPipe]:
    pipe = PedalPipe(tmp_path / "usb-PCsensor_FootSwitch-event-kbd")
    yield pipe
    if pipe.path.exists():
        pipe.unplug()
