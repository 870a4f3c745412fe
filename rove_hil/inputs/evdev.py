"""The thin layer over Linux's /dev/input/event*: open, grab, read key changes with the kernel's stamps.

A named pipe that carries the same bytes can stand for a device; what only devices can do (ioctl) is left out there.
See Documentation/input/input.rst and include/uapi/linux/input.h of Linux.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from rove_core.clocks import NS_PER_S
from rove_core.errors import RoveError

# struct input_event: seconds and microseconds (long each), type, code, value.
EVENT = struct.Struct("@llHHi")
EV_SYN, EV_KEY = 0, 1
SYN_REPORT, SYN_DROPPED = 0, 3
UP, DOWN = 0, 1  # the third value of a key, 2, is its repetition while it is held
KEY_MAX = 0x2FF

_READ_EVENTS = 64


def _ioctl(direction: int, number: int, size: int) -> int:
    """_IOC of asm-generic/ioctl.h for the type 'E'; direction 1 writes, 2 reads."""
    return direction << 30 | size << 16 | ord("E") << 8 | number


_EVIOCGRAB = _ioctl(1, 0x90, 4)
_EVIOCSCLOCKID = _ioctl(1, 0xA0, 4)
_EVIOCGKEY = _ioctl(2, 0x18, KEY_MAX // 8 + 1)

UDEV_HINT = (
    "allow it once with `rove inputs udev | sudo tee /etc/udev/rules.d/70-rove-inputs.rules`, then "
    "`sudo udevadm control --reload`, and plug it in again"
)


class DeviceError(RoveError, OSError):
    """An input device that is missing, not permitted, taken or gone."""


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key went down or up.

    Attributes:
        stamp_ns: when, on the clock `EvdevDevice.clock` [ns].
    """

    code: int
    down: bool
    stamp_ns: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What was read at once. `dropped`: the kernel threw something away before `changes`."""

    changes: tuple[KeyChange, ...]
    dropped: bool = False


class EventParser:
    """Cuts a stream of bytes into events. A piece of an event waits for the rest of it."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> Batch:
        """The key changes in `data`. After SYN_DROPPED everything up to the next SYN_REPORT is void, as Linux says."""
        data = self._rest + data
        whole = len(data) - len(data) % EVENT.size
        self._rest = data[whole:]
        changes: list[KeyChange] = []
        dropped = False
        for seconds, microseconds, kind, code, value in EVENT.iter_unpack(data[:whole]):
            if kind == EV_SYN and code == SYN_DROPPED:
                self._skipping = dropped = True
                changes.clear()
            elif kind == EV_SYN and code == SYN_REPORT:
                self._skipping = False
            elif kind == EV_KEY and value in (UP, DOWN) and not self._skipping:
                changes.append(KeyChange(code, value == DOWN, seconds * NS_PER_S + microseconds * 1000))
        return Batch(tuple(changes), dropped)


class EvdevDevice:
    """An open device.

    Stamps are CLOCK_MONOTONIC where the device agrees, because wall time jumps; else Linux's default, CLOCK_REALTIME.

    Args:
        path: /dev/input/event*, a link to it, or a named pipe.
        grab: keep its keys from every other program.

    Attributes:
        clock: of the stamps, for `time.clock_gettime_ns`.

    Raises:
        DeviceError: it is not there, not permitted, no such device, or another program has grabbed it.
    """

    def __init__(self, path: Path, *, grab: bool) -> None:
        self.path = path
        self._parser = EventParser()
        self._descriptor = _open(path)
        self._is_pipe = stat.S_ISFIFO(os.fstat(self._descriptor).st_mode)
        self.clock = time.CLOCK_REALTIME
        try:
            if not self._is_pipe:
                self._set_up(grab=grab)
        except BaseException:
            os.close(self._descriptor)
            raise

    def _set_up(self, *, grab: bool) -> None:
        try:
            # First of all: it empties the queue, whose stamps would be of the other clock.
            fcntl.ioctl(self._descriptor, _EVIOCSCLOCKID, struct.pack("i", time.CLOCK_MONOTONIC))
            self.clock = time.CLOCK_MONOTONIC
        except OSError as error:
            if error.errno == errno.ENOTTY:
                hint = "`rove inputs list` shows what there is"
                raise DeviceError(f"{self.path} is not an input device", hint) from None
        if not grab:
            return
        try:
            fcntl.ioctl(self._descriptor, _EVIOCGRAB, 1)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise DeviceError(f"{self.path}: cannot be grabbed: {error.strerror}") from None
            message = f"{self.path}: another program has grabbed it"
            raise DeviceError(message, "end that program (another session, an input remapper)") from None

    def fileno(self) -> int:
        """For select."""
        return self._descriptor

    def read(self) -> Batch:
        """What has arrived; never waits.

        Raises:
            DeviceError: the device is gone.
        """
        try:
            data = os.read(self._descriptor, _READ_EVENTS * EVENT.size)
        except BlockingIOError:
            return Batch(())
        except OSError as error:
            raise DeviceError(f"{self.path}: {error.strerror}", "plug it in again") from None
        if not data:
            raise DeviceError(f"{self.path}: closed", "plug it in again")
        return self._parser.feed(data)

    def keys_down(self) -> frozenset[int]:
        """Codes of the keys that are down now; none for a pipe, which cannot say."""
        if self._is_pipe:
            return frozenset()
        bits = bytearray(KEY_MAX // 8 + 1)
        try:
            fcntl.ioctl(self._descriptor, _EVIOCGKEY, bits)
        except OSError as error:
            raise DeviceError(f"{self.path}: {error.strerror}", "plug it in again") from None
        return frozenset(code for code in range(KEY_MAX + 1) if bits[code // 8] >> code % 8 & 1)

    def close(self) -> None:
        """Give it back; closing ends the grab."""
        os.close(self._descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise DeviceError(f"no permission to read {path}", UDEV_HINT) from None
    except OSError as error:
        hint = "plug it in; `rove inputs list` shows what there is"
        raise DeviceError(f"{path}: {error.strerror}", hint) from None
