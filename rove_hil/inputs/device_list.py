"""Which input devices there are, and which one a mapping means.

Names and keys come from sysfs, which everybody may read: a device that is there but not permitted can be named.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from rove_hil.inputs.evdev import DeviceError
from rove_hil.inputs.key_codes import code_of

if TYPE_CHECKING:  # `rove doctor` lists devices also where pydantic is missing
    from rove_hil.inputs.mapping import PedalMapping

DEV = Path("/dev/input")
SYSFS = Path("/sys/class/input")

_WORD_BITS = 64  # of the kernel's unsigned long, which sysfs prints


@dataclass(frozen=True, slots=True)
class InputDevice:
    """An input device of this machine.

    Attributes:
        by_id: its stable name in /dev/input/by-id, "" when it has none.
        keys: codes that it can send.
        readable: whether this user may.
    """

    path: Path
    name: str
    by_id: str
    keys: frozenset[int]
    readable: bool


def list_devices(dev: Path = DEV, sysfs: Path = SYSFS) -> list[InputDevice]:
    """Every event device, in the order of their numbers."""
    names = {link.resolve().name: link.name for link in (dev / "by-id").glob("*") if link.is_symlink()}
    found = []
    for entry in sorted(sysfs.glob("event*"), key=lambda entry: int(entry.name.removeprefix("event"))):
        path = dev / entry.name
        found.append(
            InputDevice(
                path=path,
                name=_text(entry / "device/name"),
                by_id=names.get(entry.name, ""),
                keys=_bits(_text(entry / "device/capabilities/key")),
                readable=os.access(path, os.R_OK),
            )
        )
    return found


def find(where: str, given: PedalMapping, devices: Iterable[InputDevice] | None = None) -> Path:
    """The device that a mapping means.

    Args:
        where: the mapping's name, for messages.
        devices: those of this machine when None.

    Raises:
        DeviceError: none fits, or more than one.
    """
    if given.path:
        return _only(where, given.path, [Path(path) for path in sorted(glob.glob(given.path))])  # noqa: PTH207 - absolute
    wanted = {code_of(key) for key in given.buttons}
    fitting = [
        device.path
        for device in (list_devices() if devices is None else devices)
        if wanted <= device.keys and fnmatchcase(device.name, given.name or "*")
    ]
    named = f"a device named '{given.name}'" if given.name else "a device"
    return _only(where, f"{named} that has {', '.join(given.buttons)}", fitting)


def _only(where: str, what: str, fitting: list[Path]) -> Path:
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        hint = "plug it in; `rove inputs list` shows what there is (a container needs --device /dev/input)"
        raise DeviceError(f"pedal '{where}' is missing: there is no {what.removeprefix('a ')}", hint)
    names = ", ".join(map(str, fitting))
    hint = f"say which: --pedal {where}=/dev/input/by-id/..."
    raise DeviceError(f"pedal '{where}' could be any of {names}", hint)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _bits(words: str) -> frozenset[int]:
    """Numbers of the bits that are set in sysfs' words, the most significant word first."""
    return frozenset(
        _WORD_BITS * index + bit
        for index, word in enumerate(reversed(words.split()))
        for bit in range(_WORD_BITS)
        if int(word, 16) >> bit & 1
    )
