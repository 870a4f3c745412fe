"""Streams of input_event as Linux sends them, through a pipe."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rove_hil.inputs import evdev
from rove_hil.inputs.evdev import (
    EV_KEY,
    EV_SYN,
    EVENT,
    SYN_DROPPED,
    SYN_REPORT,
    Batch,
    DeviceError,
    EvdevDevice,
    EventParser,
    KeyChange,
)
from rove_hil.inputs.key_codes import code_of

A, B = code_of("KEY_A"), code_of("KEY_B")
NS_PER_S = 10**9


@pytest.fixture
def device(pedal_pipe: Any) -> Iterator[EvdevDevice]:
    with closing(EvdevDevice(pedal_pipe.path, grab=True)) as opened:
        yield opened


def event(kind: int, code: int, value: int, stamp_us: int = 0) -> bytes:
    return EVENT.pack(*divmod(stamp_us, 10**6), kind, code, value)


def test_the_calls_are_those_of_the_kernel() -> None:
    # include/uapi/linux/input.h: _IOW('E', 0x90, int), _IOW('E', 0xa0, int), _IOC(_IOC_READ, 'E', 0x18, 96)
    assert (evdev._EVIOCGRAB, evdev._EVIOCSCLOCKID, evdev._EVIOCGKEY) == (0x40044590, 0x400445A0, 0x80604518)
    assert EVENT.size == 24, "on machines with 64 bits"


def test_changes_arrive_with_the_stamps_of_the_kernel(pedal_pipe: Any, device: EvdevDevice) -> None:
    pedal_pipe.key("KEY_A", 1, stamp_us=1_700_000_000_123_456)
    pedal_pipe.key("KEY_A", 0, stamp_us=1_700_000_000_200_000)
    assert device.read().changes == (
        KeyChange(A, True, 1_700_000_000_123_456_000),
        KeyChange(A, False, 1_700_000_000_200_000_000),
    )
    assert device.clock == time.CLOCK_REALTIME, "a pipe cannot be asked for another clock"
    assert device.read() == Batch(())


def test_repetitions_and_what_is_no_key_are_left_out(pedal_pipe: Any, device: EvdevDevice) -> None:
    pedal_pipe.send(4, 4, 0x70004)  # EV_MSC, MSC_SCAN: pedals send it with every key
    pedal_pipe.key("KEY_A", 1)
    for _ in range(3):
        pedal_pipe.key("KEY_A", 2)
    pedal_pipe.send(2, 0, -1)  # EV_REL, REL_X: some pedals are mice too
    assert [change.code for change in device.read().changes] == [A]


def test_a_piece_of_an_event_waits_for_the_rest(pedal_pipe: Any, device: EvdevDevice) -> None:
    whole = event(EV_KEY, A, 1)
    pedal_pipe.write(whole[:10])
    assert device.read() == Batch(())
    pedal_pipe.write(whole[10:])
    assert len(device.read().changes) == 1


def test_after_a_drop_everything_up_to_the_next_report_is_void() -> None:
    parser = EventParser()
    first = event(EV_KEY, A, 1) + event(EV_SYN, SYN_DROPPED, 0) + event(EV_KEY, A, 0)
    assert parser.feed(first) == Batch((), dropped=True)
    second = event(EV_KEY, B, 1) + event(EV_SYN, SYN_REPORT, 0) + event(EV_KEY, A, 1)
    assert parser.feed(second) == Batch((KeyChange(A, True, 0),))


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(1, 50))
def test_garbage_is_only_ever_key_changes(data: bytes, piece: int) -> None:
    parser = EventParser()
    changes = [
        change for start in range(0, len(data), piece) for change in parser.feed(data[start : start + piece]).changes
    ]
    assert len(changes) <= len(data) // EVENT.size
    assert all(0 <= change.code <= 0xFFFF for change in changes)


def test_a_device_that_is_unplugged_is_an_error(pedal_pipe: Any, device: EvdevDevice) -> None:
    pedal_pipe.unplug()
    with pytest.raises(DeviceError, match="closed") as loss:
        device.read()
    assert loss.value.hint == "plug it in again"


def test_a_device_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="No such file") as loss:
        EvdevDevice(tmp_path / "event7", grab=True)
    assert "plug it in" in loss.value.hint


@pytest.mark.parametrize("path", ["/dev/null", "/proc/self/cmdline", "/"])
def test_what_is_no_input_device_is_refused_and_closed_again(path: str) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(DeviceError, match="is not an input device"):
        EvdevDevice(Path(path), grab=True)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_device_that_is_not_permitted_names_the_rule(pedal_pipe: Any) -> None:
    pedal_pipe.path.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)  # root may read everything
        with pytest.raises(DeviceError, match="no permission to read") as refusal:
            EvdevDevice(pedal_pipe.path, grab=True)
    finally:
        os.seteuid(user)
    assert "rove inputs udev" in refusal.value.hint
