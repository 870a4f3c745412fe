"""A pedal of the mapping: found, opened, read, lost and found again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rove_core.modes import Event
from rove_hil.inputs.button import ButtonState, Moment, Press
from rove_hil.inputs.device_list import find
from rove_hil.inputs.evdev import DeviceError, EvdevDevice, KeyChange
from rove_hil.inputs.key_codes import code_of
from rove_hil.inputs.mapping import PedalMapping


class Pedal:
    """One evdev device and its buttons.

    Starts detached. A key that is down when the device is attached does nothing until it has been let go.
    When the device is lost, holds under way do not count, and buttons that were down are let go.

    Args:
        name: of the device in the mapping.
        tell: takes lines for people.
    """

    def __init__(
        self, name: str, given: PedalMapping, confirm: Mapping[Event, float], tell: Callable[[str], None]
    ) -> None:
        self.name = name
        self._given = given
        self._device: EvdevDevice | None = None
        self._buttons = {
            code_of(key): ButtonState(f"pedal:{name}/{key}", button, confirm, given.debounce_s, tell)
            for key, button in given.buttons.items()
        }

    @property
    def device(self) -> EvdevDevice | None:
        """The open device, None while it is missing."""
        return self._device

    def attach(self) -> Path:
        """Find and open the device; its path.

        Raises:
            DeviceError: it is missing, not permitted or taken.
        """
        path = find(self.name, self._given)
        try:
            device = EvdevDevice(path, grab=self._given.grab)
        except DeviceError as error:
            raise DeviceError(f"pedal '{self.name}': {error}", error.hint) from None
        self._device = device
        self._sync(device)
        return path

    def _sync(self, device: EvdevDevice) -> None:
        """Take the buttons as they are, without effect."""
        try:
            down = device.keys_down()
        except DeviceError:
            return  # gone already: the next read says so
        for code, state in self._buttons.items():
            state.sync(code in down)

    def read(self, moment_of: Callable[[KeyChange | None], Moment]) -> list[Press]:
        """Take what the device sent.

        Args:
            moment_of: when a change happened; None: now.

        Raises:
            DeviceError: the device is gone; call `detach`.
        """
        if self._device is None:
            return []
        batch = self._device.read()
        presses = []
        if batch.dropped:
            now = moment_of(None)
            presses += [press for state in self._buttons.values() for press in state.lose(now)]
            self._sync(self._device)
        for change in batch.changes:
            if (changed := self._buttons.get(change.code)) is not None:
                presses += changed.change(change.down, moment_of(change))
        return presses

    def poll(self, moment: Moment) -> list[Press]:
        """Time passes: ends of holds."""
        return [press for state in self._buttons.values() for press in state.poll(moment)]

    def detach(self, moment: Moment) -> list[Press]:
        """Close the device; what letting go of its buttons presses."""
        if self._device is not None:
            self._device.close()
            self._device = None
        return [press for state in self._buttons.values() for press in state.lose(moment)]
