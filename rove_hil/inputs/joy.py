"""A VR controller or gamepad: sensor_msgs/Joy as buttons that go down and up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rove_core.clocks import NS_PER_S
from rove_core.modes import Event
from rove_hil.inputs.button import ButtonState, Moment, Press
from rove_hil.inputs.mapping import JOY_INPUT, JoyMapping

# An axis that was pressed is let go below this share of its threshold: noise must not chatter.
_LET_GO = 0.8


class Joy:
    """One Joy topic and its buttons.

    What is down in the first message, or in the first one after a silence, does nothing until it has been let go.
    When messages stop, holds do not count, and buttons that were down are let go.

    Args:
        name: of the device in the mapping.
        tell: takes lines for people.
    """

    def __init__(
        self, name: str, given: JoyMapping, confirm: Mapping[Event, float], tell: Callable[[str], None]
    ) -> None:
        self.name, self.given = name, given
        self._buttons = {
            key: ButtonState(f"joy:{name}/{key}", button, confirm, given.debounce_s, tell)
            for key, button in given.buttons.items()
        }
        self._down = dict.fromkeys(self._buttons, False)
        self._heard_ns: int | None = None
        self._missing: list[str] = []

    @property
    def heard(self) -> bool:
        """Whether messages arrive."""
        return self._heard_ns is not None

    @property
    def problem(self) -> str:
        """What is wrong, "" for nothing."""
        if not self.heard:
            return f"nothing arrives on {self.given.topic}"
        return f"{self.given.topic} has no {', '.join(self._missing)}" if self._missing else ""

    def update(self, axes: Sequence[float], buttons: Sequence[int], moment: Moment) -> list[Press]:
        """Take a message: `axes` -1 to 1, `buttons` 0 or 1."""
        first = self._heard_ns is None
        self._heard_ns = moment.now_ns
        self._missing = []
        presses = []
        for key, state in self._buttons.items():
            down = self._is_down(key, axes, buttons)
            if first:
                state.sync(down)
            elif down is not self._down[key]:
                presses += state.change(down, moment)
            self._down[key] = down
        return presses

    def poll(self, moment: Moment) -> list[Press]:
        """Time passes: ends of holds, and silence."""
        silence_ns = int(self.given.silence_s * NS_PER_S)
        if self._heard_ns is not None and silence_ns and moment.now_ns - self._heard_ns > silence_ns:
            self._heard_ns = None
            return [press for state in self._buttons.values() for press in state.lose(moment)]
        return [press for state in self._buttons.values() for press in state.poll(moment)]

    def _is_down(self, key: str, axes: Sequence[float], buttons: Sequence[int]) -> bool:
        parts = JOY_INPUT.fullmatch(key)
        values: Sequence[float] = axes if parts is not None and parts["kind"] == "axis" else buttons
        index = int(parts["index"]) if parts is not None else len(values)
        if index >= len(values):
            self._missing.append(key)
            return False
        if values is buttons:
            return bool(values[index])
        value = values[index] if parts is not None and parts["sign"] == "+" else -values[index]
        return value > self.given.axis_pressed * (_LET_GO if self._down[key] else 1.0)
