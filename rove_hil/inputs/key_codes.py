"""Names of keys and buttons and their numbers, as in Linux's input-event-codes.h.

Those that pedals, button boxes, keypads, keyboards and gamepads send; for others the number does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from rove_core.errors import ConfigError, nearest

# First number -> names that follow one another; "-" is a number without a name.
_KEYS = {
    1: "ESC 1 2 3 4 5 6 7 8 9 0 MINUS EQUAL BACKSPACE TAB Q W E R T Y U I O P LEFTBRACE RIGHTBRACE ENTER "
    "LEFTCTRL A S D F G H J K L SEMICOLON APOSTROPHE GRAVE LEFTSHIFT BACKSLASH Z X C V B N M COMMA DOT SLASH "
    "RIGHTSHIFT KPASTERISK LEFTALT SPACE CAPSLOCK F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 NUMLOCK SCROLLLOCK KP7 KP8 "
    "KP9 KPMINUS KP4 KP5 KP6 KPPLUS KP1 KP2 KP3 KP0 KPDOT - - 102ND F11 F12",
    96: "KPENTER RIGHTCTRL KPSLASH SYSRQ RIGHTALT LINEFEED HOME UP PAGEUP LEFT RIGHT END DOWN PAGEDOWN INSERT DELETE "
    "MACRO MUTE VOLUMEDOWN VOLUMEUP POWER KPEQUAL KPPLUSMINUS PAUSE",
    125: "LEFTMETA RIGHTMETA COMPOSE",
    183: "F13 F14 F15 F16 F17 F18 F19 F20 F21 F22 F23 F24",
}
_BUTTONS = {
    0x100: "0 1 2 3 4 5 6 7 8 9",
    0x110: "LEFT RIGHT MIDDLE SIDE EXTRA FORWARD BACK TASK",
    0x120: "TRIGGER THUMB THUMB2 TOP TOP2 PINKIE BASE BASE2 BASE3 BASE4 BASE5 BASE6",
    0x130: "SOUTH EAST C NORTH WEST Z TL TR TL2 TR2 SELECT START MODE THUMBL THUMBR",
    0x220: "DPAD_UP DPAD_DOWN DPAD_LEFT DPAD_RIGHT",
    0x2C0: " ".join(f"TRIGGER_HAPPY{number}" for number in range(1, 41)),
}


def _table() -> dict[str, int]:
    return {
        f"{prefix}_{name}": first + offset
        for prefix, rows in (("KEY", _KEYS), ("BTN", _BUTTONS))
        for first, names in rows.items()
        for offset, name in enumerate(names.split())
        if name != "-"
    }


CODES: Mapping[str, int] = MappingProxyType(_table())
_NAMES = {code: name for name, code in CODES.items()}


def code_of(name: str, where: str = "") -> int:
    """The number of a key: KEY_A, BTN_0, or the number itself as text.

    Raises:
        ConfigError: no such key.
    """
    if name.isdigit():
        return int(name)
    try:
        return CODES[name]
    except KeyError:
        raise ConfigError(
            f"{where}: no key '{name}', {_near(name)}", "`rove inputs show` prints what is sent"
        ) from None


def _near(name: str) -> str:
    # The whole list would be 200 names.
    family: Iterable[str] = [code for code in CODES if code.startswith(name[:4].upper())] or ["KEY_A", "BTN_0"]
    text = nearest(name.upper(), family)
    return text if text.startswith("did") else "keys are KEY_A, KEY_F13, KEY_KP1, BTN_0, BTN_SOUTH ... or a number"


def name_of(code: int) -> str:
    """KEY_A for 30; the number as text where there is no name."""
    return _NAMES.get(code, str(code))
