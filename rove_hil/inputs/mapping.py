"""The mapping file: which key, pedal and button presses which event, in which mode, and what needs a confirmation.

One YAML file for every device. A file of the user's replaces the shipped one section by section:
what it leaves out stays as shipped (`default_mapping.yaml`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BeforeValidator, Field, model_validator

from rove_core.config import ConfigModel, load_yaml
from rove_core.errors import ConfigError, nearest
from rove_core.modes import Event, Mode
from rove_hil.inputs.key_codes import code_of

DEFAULT = Path(__file__).with_name("default_mapping.yaml")

# Where an action means every mode that it does not name.
ANY = "any"

# These are said by nodes, or (teleop_start) by what kind of session it is.
_NOT_FOR_PEOPLE = (Event.TELEOP_START, Event.POLICY_STALLED, Event.FAULT)
PRESSABLE = tuple(event for event in Event if event not in _NOT_FOR_PEOPLE)

# Keys of a terminal that cannot stand for themselves in a file.
KEY_NAMES = {"space": " ", "tab": "\t", "enter": "\n", "backspace": "\x7f"}

_ESTOP_RULE, _ESTOP_HINT = "an emergency stop acts at once and in every mode", "write just `estop`"

JOY_INPUT = re.compile(r"(?P<kind>button|axis)_(?P<index>\d+)(?P<sign>[+-]?)")

DeviceT = TypeVar("DeviceT", bound=ConfigModel)


def _spread(given: Any) -> Any:
    """`pause` means `{any: pause}`; names that do not exist are refused with the nearest."""
    if not isinstance(given, dict):
        given = {ANY: given}
    for mode, event in given.items():
        if mode != ANY and mode not in set(Mode):
            raise ValueError(f"no mode '{mode}', {nearest(str(mode), [ANY, *Mode])}")
        if event not in PRESSABLE:
            raise ValueError(f"no event '{event}' that people press, {nearest(str(event), PRESSABLE)}")
    return given


# Mode (or "any") -> event. In YAML also just the name of an event.
Action = Annotated[dict[str, Event], BeforeValidator(_spread)]


def event_of(action: Action, mode: Mode | None) -> Event | None:
    """What `action` presses in `mode` (None: not known), None for nothing."""
    return action.get(mode or ANY, action.get(ANY))


class Button(ConfigModel):
    """What one button does. In YAML also just an event, or a mapping of modes to events: its `press`."""

    press: Action = Field(default_factory=dict, description="when pressed; beside a `hold`: when let go before it")
    hold: Action = Field(default_factory=dict, description="when held for `hold_s`")
    release: Action = Field(default_factory=dict, description="when let go")
    hold_s: float = Field(0.8, gt=0, le=5, description="[s]")

    @model_validator(mode="before")
    @classmethod
    def _from_short(cls, given: Any) -> Any:
        short = isinstance(given, str) or (
            isinstance(given, dict) and any(key == ANY or str(key).isupper() for key in given)
        )
        return {"press": given} if short else given

    @property
    def actions(self) -> tuple[Action, ...]:
        """Everything that it may do."""
        return (self.press, self.hold, self.release)


def _as_text(given: Any) -> Any:
    """YAML reads the key `1` as a number."""
    return {str(key): value for key, value in given.items()} if isinstance(given, dict) else given


class KeyboardMapping(ConfigModel):
    """A terminal. It cannot tell how long a key is held, so what needs a confirmation is pressed twice."""

    keys: Annotated[dict[str, Action], BeforeValidator(_as_text)] = Field(default_factory=dict)
    quit: str = Field("q", description="the key that ends the session")
    twice_within_s: float = Field(2.0, gt=0.5, le=10, description="for the second press [s]")

    def characters(self) -> dict[str, Action]:
        """The keys as a terminal sends them."""
        return {KEY_NAMES.get(key, key): action for key, action in self.keys.items()}


class PedalMapping(ConfigModel):
    """A foot pedal, button box or keypad: anything that Linux has as /dev/input/event*."""

    path: str = Field("", description="/dev/input/by-id/..., * and ? allowed; empty: look for `name` and the keys")
    name: str = Field("", description="as `rove inputs list` shows it, * and ? allowed; empty: whatever has the keys")
    grab: bool = Field(True, description="keep what it sends from every other program")
    debounce_s: float = Field(0.03, ge=0, le=0.5, description="a change sooner after the last is its bounce [s]")
    buttons: dict[str, Button]


class JoyMapping(ConfigModel):
    """A VR controller or gamepad on a sensor_msgs/Joy topic. Inputs are `button_0`, `axis_2+` and `axis_2-`."""

    topic: str = "/joy"
    silence_s: float = Field(1.0, ge=0, description="without a message it is lost; 0: it only speaks when pressed [s]")
    debounce_s: float = Field(0.03, ge=0, le=0.5, description="a change sooner after the last is its bounce [s]")
    axis_pressed: float = Field(0.6, gt=0.1, le=1, description="an axis counts as pressed beyond this")
    buttons: dict[str, Button]


class Cues(ConfigModel):
    """What a person hears without looking."""

    bell: bool = Field(True, description="ring the terminal of the keyboard when a press is refused or a device lost")
    say: tuple[str, ...] = Field((), description="a command and its arguments, run with {text} replaced; empty: silent")
    texts: dict[str, str] = Field(default_factory=dict, description="mode, `refused` or `device_lost` -> what is said")


class InputMapping(ConfigModel):
    """The whole file."""

    confirm: dict[Event, Annotated[float, Field(gt=0, le=5)]] = Field(
        default_factory=dict, description="event -> how long a button is held before it counts [s]; keyboards: twice"
    )
    keyboard: KeyboardMapping = KeyboardMapping()
    pedals: dict[str, PedalMapping] = Field(default_factory=dict)
    joys: dict[str, JoyMapping] = Field(default_factory=dict)
    cues: Cues = Cues()


def load_mapping(path: str | Path | None = None) -> InputMapping:
    """Read a mapping file; without one, what is shipped.

    Raises:
        ConfigError: the file cannot be read, names something that does not exist, or would delay the emergency stop.
    """
    shipped = load_yaml(InputMapping, DEFAULT)
    if not path:
        return shipped
    given = load_yaml(InputMapping, path)
    left_out = set(InputMapping.model_fields) - given.model_fields_set
    mapping = given.model_copy(update={name: getattr(shipped, name) for name in left_out})
    _check(mapping, str(path))
    return mapping


def chosen_pedals(mapping: InputMapping, chosen: Sequence[str]) -> dict[str, PedalMapping]:
    """The pedals that somebody named, each as NAME or NAME=PATH.

    Raises:
        ConfigError: the mapping has no such pedal.
    """
    return _chosen("pedal", mapping.pedals, chosen, "path")


def chosen_joys(mapping: InputMapping, chosen: Sequence[str]) -> dict[str, JoyMapping]:
    """The Joy devices that somebody named, each as NAME or NAME=TOPIC.

    Raises:
        ConfigError: the mapping has no such device.
    """
    return _chosen("joy", mapping.joys, chosen, "topic")


def _chosen(kind: str, devices: Mapping[str, DeviceT], chosen: Sequence[str], place: str) -> dict[str, DeviceT]:
    """Those that were named; what stands after "=" replaces the field `place`. Raises ConfigError."""
    found = {}
    for text in chosen:
        name, _, where = text.partition("=")
        if name not in devices:
            raise ConfigError(f"the mapping has no {kind} '{name}', {nearest(name, devices)}")
        found[name] = devices[name].model_copy(update={place: where}) if where else devices[name]
    return found


def as_yaml(mapping: InputMapping) -> str:
    """The mapping as a file that `load_mapping` would read."""
    return yaml.safe_dump(mapping.model_dump(mode="json"), sort_keys=False)


def _check(mapping: InputMapping, where: str) -> None:
    """What no single key can know. Raises ConfigError."""
    if Event.ESTOP in mapping.confirm:
        raise ConfigError(f"{where}: confirm.estop: {_ESTOP_RULE}", "remove it from `confirm`")
    for key in (*mapping.keyboard.keys, mapping.keyboard.quit):
        if key not in KEY_NAMES and (len(key) != 1 or not key.isprintable() or key == " "):
            raise ConfigError(f"{where}: keyboard: no key '{key}'", f"one character, or {', '.join(KEY_NAMES)}")
    if mapping.keyboard.quit in mapping.keyboard.keys:
        raise ConfigError(f"{where}: keyboard: '{mapping.keyboard.quit}' is both quit and an event")
    for key, action in mapping.keyboard.keys.items():
        if Event.ESTOP in action.values() and set(action) != {ANY}:
            raise ConfigError(f"{where}: keyboard.keys.{key}: {_ESTOP_RULE}", _ESTOP_HINT)
    for name, pedal in mapping.pedals.items():
        for code in pedal.buttons:
            code_of(code, f"{where}: pedals.{name}")
    for name, joy in mapping.joys.items():
        for key in joy.buttons:
            parts = JOY_INPUT.fullmatch(key)
            if parts is None or (parts["kind"] == "axis") != bool(parts["sign"]):
                raise ConfigError(f"{where}: joys.{name}: no input '{key}'", "button_0, axis_2+ or axis_2-")
    for place, button in _buttons(mapping):
        _check_button(f"{where}: {place}", button, mapping.confirm)


def _check_button(where: str, button: Button, confirm: dict[Event, float]) -> None:
    stops = any(Event.ESTOP in action.values() for action in button.actions)
    if stops and (button.press.get(ANY) is not Event.ESTOP or set(button.press) != {ANY} or button.hold):
        raise ConfigError(f"{where}: {_ESTOP_RULE}", _ESTOP_HINT)
    delayed = {event_of(button.press, mode) for mode in Mode if event_of(button.hold, mode)}
    late = [event for event in confirm if event in {*button.release.values(), *delayed}]
    if late:
        message = f"{where}: '{late[0]}' is confirmed by holding, which cannot be done here"
        raise ConfigError(message, "make it the `hold`, or give it a button of its own")


def _buttons(mapping: InputMapping) -> Iterator[tuple[str, Button]]:
    for section, devices in (("pedals", mapping.pedals), ("joys", mapping.joys)):
        for name, device in devices.items():
            for key, button in device.buttons.items():
                yield f"{section}.{name}.buttons.{key}", button
