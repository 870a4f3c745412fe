"""What the keys of a terminal press."""

from __future__ import annotations

from collections.abc import Callable, Set

from rove_core.modes import Event
from rove_hil.inputs.button import Moment, Press
from rove_hil.inputs.double_press import DoublePress
from rove_hil.inputs.mapping import KeyboardMapping, event_of


class Keys:
    """Turns keys into presses. An event of `confirm` is pressed twice.

    Args:
        device: of the presses.
        tell: takes a line for people.
    """

    def __init__(self, device: str, mapping: KeyboardMapping, confirm: Set[Event], tell: Callable[[str], None]) -> None:
        self._device, self._confirm, self._tell = device, confirm, tell
        self._actions = mapping.characters()
        self._twice = DoublePress(mapping.twice_within_s)
        self._waiting: Event | None = None

    @property
    def due_ns(self) -> int | None:
        """When `poll` has something to do, control clock [ns]."""
        return self._twice.due_ns

    def press(self, key: str, moment: Moment) -> Press | None:
        """A key was pressed."""
        action = self._actions.get(key)
        event = event_of(action, moment.seen.mode) if action is not None else None
        if event in self._confirm:
            if self._twice.press(key, moment.seen, moment.now_ns):
                self._waiting = event
                self._tell(f"press {key!r} again for {event}")
            return None
        self._twice.cancel()
        if event is None:
            self._tell(f"no such key: {key!r}" if action is None else f"{key!r} does nothing in {moment.seen.mode}")
            return None
        return Press(event, self._device, moment.stamp_ns, moment.seen)

    def poll(self, moment: Moment) -> Press | None:
        """Time passes: the second press of two is known to have been one when the key is quiet again."""
        confirmed = self._twice.poll(moment.now_ns)
        if confirmed is None or self._waiting is None:
            return None
        return Press(self._waiting, self._device, moment.stamp_ns, confirmed.seen)
