"""One button over time: bounces, taps, holds and releases become presses of events.

Pure: times come as arguments. All durations are measured on the control clock at which a change was *read*, never
by stamps of the device: a jump of the device's clock must not look like a long hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rove_core.clocks import NS_PER_S
from rove_core.modes import Event, Mode
from rove_hil.inputs.mapping import Button, event_of


@dataclass(frozen=True, slots=True)
class Seen:
    """What somebody saw when pressing: an event is meant for that, and for nothing that comes later.

    Attributes:
        mode: None when no supervisor was heard.
    """

    mode: Mode | None = None
    episode_id: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was read, and what was seen then.

    Attributes:
        now_ns: control clock [ns].
        stamp_ns: ROS clock, when it happened [ns].
    """

    now_ns: int
    stamp_ns: int
    seen: Seen


@dataclass(frozen=True, slots=True)
class Press:
    """An event that a button pressed.

    Attributes:
        device: which button of which device.
        stamp_ns: ROS clock [ns]: of the change that pressed it, or of the end of a hold.
    """

    event: Event
    device: str
    stamp_ns: int
    seen: Seen


class ButtonState:
    """Follows one button.

    The first change acts at once, so nothing waits for a contact to come to rest; changes within the debounce time
    after it are bounces, and what the contact has come to then counts. What the button will do is settled when it
    goes down, from what was seen then.

    Args:
        device: of the presses.
        confirm: how long a button is held before an event counts [s].
        tell: takes a line for people: what a button waits for, or that it does nothing now.
    """

    def __init__(
        self,
        device: str,
        button: Button,
        confirm: Mapping[Event, float],
        debounce_s: float,
        tell: Callable[[str], None],
    ) -> None:
        self._device, self._button, self._confirm, self._tell = device, button, confirm, tell
        self._debounce_ns = int(debounce_s * NS_PER_S)
        self._down = False
        self._raw: tuple[bool, Moment] | None = None
        self._quiet_ns = 0
        # What happens at the end of a hold, and when; what happens when it is let go before.
        self._hold: tuple[Event, int] | None = None
        self._tap: Event | None = None
        self._seen = Seen()

    def change(self, down: bool, moment: Moment) -> list[Press]:
        """The button went down or up."""
        # What the contact had come to before counts, also when nobody had time to poll.
        presses = self._settle(moment.now_ns)
        self._raw = (down, moment)
        return presses + self._settle(moment.now_ns)

    def poll(self, moment: Moment) -> list[Press]:
        """Time passes. Call it after everything that was there to read was given to `change`."""
        presses = self._settle(moment.now_ns)
        if self._hold is not None and moment.now_ns >= self._hold[1]:
            event, self._hold, self._tap = self._hold[0], None, None
            presses.append(Press(event, self._device, moment.stamp_ns, self._seen))
        return presses

    def lose(self, moment: Moment) -> list[Press]:
        """Nobody knows any more: a hold or tap does not count, and a button that was down has been let go."""
        self._raw = self._hold = self._tap = None
        was_down, self._down = self._down, False
        return self._now(event_of(self._button.release, moment.seen.mode), moment) if was_down else []

    def sync(self, down: bool) -> None:
        """Take the button as it is, without effect: it was down before anybody listened."""
        self._raw = self._hold = self._tap = None
        self._down = down

    def _settle(self, now_ns: int) -> list[Press]:
        if self._raw is None or self._raw[0] is self._down or now_ns < self._quiet_ns:
            return []
        self._down, moment = self._raw
        self._quiet_ns = now_ns + self._debounce_ns
        return self._pressed(moment) if self._down else self._released(moment)

    def _pressed(self, moment: Moment) -> list[Press]:
        mode = self._seen_mode(moment)
        press, hold = event_of(self._button.press, mode), event_of(self._button.hold, mode)
        if hold is not None:
            self._wait(hold, max(self._button.hold_s, self._confirm.get(hold, 0.0)), moment)
            self._tap = press
        elif press is not None and press in self._confirm:
            self._wait(press, self._confirm[press], moment)
            self._tell(f"{self._device}: hold it {self._confirm[press]:g} s for {press}")
        elif press is not None:
            return self._now(press, moment)
        elif event_of(self._button.release, mode) is None:
            self._tell(f"{self._device}: does nothing in {mode}" if mode else f"{self._device}: nobody listens")
        return []

    def _released(self, moment: Moment) -> list[Press]:
        tap, held = self._tap, self._hold is not None
        self._hold = self._tap = None
        presses = []
        if tap is not None:
            # Meant for what was seen when the foot went down.
            presses.append(Press(tap, self._device, moment.stamp_ns, self._seen))
        elif held:
            self._tell(f"{self._device}: let go too soon, nothing happened")
        return presses + self._now(event_of(self._button.release, moment.seen.mode), moment)

    def _seen_mode(self, moment: Moment) -> Mode | None:
        self._seen = moment.seen
        return moment.seen.mode

    def _wait(self, event: Event, hold_s: float, moment: Moment) -> None:
        self._hold = (event, moment.now_ns + int(hold_s * NS_PER_S))

    def _now(self, event: Event | None, moment: Moment) -> list[Press]:
        return [] if event is None else [Press(event, self._device, moment.stamp_ns, moment.seen)]
