"""`rove inputs`: which pedals there are, what they send, and what a mapping makes of it."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from rove_core.clocks import NS_PER_S
from rove_core.errors import ConfigError
from rove_hil.inputs.device_list import find, list_devices
from rove_hil.inputs.evdev import UDEV_HINT, DeviceError, EvdevDevice
from rove_hil.inputs.key_codes import name_of
from rove_hil.inputs.mapping import (
    ANY,
    DEFAULT,
    Action,
    Button,
    InputMapping,
    PedalMapping,
    chosen_joys,
    chosen_pedals,
    load_mapping,
)

RULES = DEFAULT.with_name("70-rove-inputs.rules")

MappingFile = Annotated[Path | None, typer.Argument(help="Mapping file.", show_default="as shipped")]


def register(app: typer.Typer) -> None:
    """Add `inputs` to the command."""
    inputs = typer.Typer(help="Foot pedals, buttons and keys: what is there and what it presses.", no_args_is_help=True)
    inputs.command("list")(list_)
    inputs.command("show")(show)
    inputs.command("check")(check)
    inputs.command("udev")(udev)
    app.add_typer(inputs, name="inputs")


def check_inputs(mapping: Path | None, pedals: Sequence[str], joys: Sequence[str]) -> None:
    """Refuse a session whose devices are not there, before anything starts.

    Raises:
        ConfigError: the mapping cannot be used, or has no such device.
        DeviceError: a pedal is missing, not permitted or taken.
    """
    loaded = load_mapping(mapping)
    chosen_joys(loaded, joys)
    for name, given in chosen_pedals(loaded, pedals).items():
        EvdevDevice(find(name, given), grab=given.grab).close()


def list_() -> None:
    """Every input device of this machine, and whether this user may read it."""
    devices = list_devices()
    if not devices:
        raise DeviceError(
            "there is no input device on this machine", "plug one in; a container needs --device /dev/input"
        )
    for device in devices:
        where = f"/dev/input/by-id/{device.by_id}" if device.by_id else str(device.path)
        access = "" if device.readable else "   NOT PERMITTED"
        typer.echo(f"{device.path}  '{device.name}'  {len(device.keys)} keys  {where}{access}")
    if not all(device.readable for device in devices):
        typer.echo(f"hint: {UDEV_HINT}", err=True)


def show(
    device: Annotated[str, typer.Argument(help="A path, or a pedal of the mapping.")],
    mapping: Annotated[Path | None, typer.Option(help="Mapping file.", show_default="as shipped")] = None,
) -> None:
    """Print what a device sends and what it would press, until Ctrl-C. Nothing is sent to a robot."""
    loaded = load_mapping(mapping)
    if "/" in device:
        given = PedalMapping(path=device, buttons={})
    else:
        given = chosen_pedals(loaded, (device,))[device]
    with closing(EvdevDevice(find(device, given), grab=given.grab)) as opened:
        typer.echo(f"{opened.path}: press something; Ctrl-C ends")
        for code, down, pressed_s in _changes(opened):
            key = name_of(code)
            button = given.buttons.get(key) or given.buttons.get(str(code))
            meaning = f"   {_describe(button)}" if button else ""
            at = datetime.fromtimestamp(pressed_s).astimezone()
            typer.echo(f"{at:%H:%M:%S.%f}  {key} {'down' if down else 'up'}{meaning if down else ''}")


def _changes(device: EvdevDevice) -> Iterator[tuple[int, bool, float]]:
    """Code, down, and when [s, wall clock], for ever."""
    while True:
        select.select([device], [], [])
        for change in device.read().changes:
            age_ns = time.clock_gettime_ns(device.clock) - change.stamp_ns
            yield change.code, change.down, (time.time_ns() - age_ns) / NS_PER_S


def check(
    mapping: MappingFile = None, as_file: Annotated[bool, typer.Option("--yaml", help="As a file.")] = False
) -> None:
    """Say what a mapping presses, or what is wrong with it."""
    loaded = load_mapping(mapping)
    if as_file:
        sys.stdout.write((mapping or DEFAULT).read_text(encoding="utf-8"))
        return
    for line in _lines(loaded):
        typer.echo(line)


def udev() -> None:
    """Print the rule that lets people read foot pedals without root."""
    if not RULES.is_file():
        raise ConfigError(f"{RULES} is missing", "install rove_hil again")
    sys.stdout.write(RULES.read_text(encoding="utf-8"))


def _lines(mapping: InputMapping) -> Iterator[str]:
    keyboard = mapping.keyboard
    yield "keyboard"
    for key, action in keyboard.keys.items():
        twice = "   (press twice)" if set(action.values()) & mapping.confirm.keys() else ""
        yield f"  {key}: {_words(action)}{twice}"
    yield f"  {keyboard.quit}: quit"
    for kind, devices in (("pedal", mapping.pedals), ("joy", mapping.joys)):
        for name, device in devices.items():
            yield f"{kind} {name}"
            for key, button in device.buttons.items():
                yield f"  {key}: {_describe(button)}"
    yield "held to confirm: " + ", ".join(f"{event} {hold_s:g} s" for event, hold_s in mapping.confirm.items())


def _describe(button: Button) -> str:
    named = {"": button.press, f"held {button.hold_s:g} s: ": button.hold, "let go: ": button.release}
    return "; ".join(f"{when}{_words(action)}" for when, action in named.items() if action)


def _words(action: Action) -> str:
    modes: dict[str, list[str]] = {}
    for mode, event in action.items():
        modes.setdefault(event, []).append(mode)
    return ", ".join(event if ANY in where else f"{event} in {' '.join(where)}" for event, where in modes.items())
