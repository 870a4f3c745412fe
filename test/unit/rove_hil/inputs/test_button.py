"""One button over time: what a contact does, and what is pressed."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from rove_core.modes import Event, Mode
from rove_hil.inputs.button import ButtonState, Moment, Press, Seen
from rove_hil.inputs.mapping import Button

MS = 1_000_000
CONFIRM = {Event.FAIL: 0.5}
WALL_NS = 10**18


@dataclass
class Rig:
    """A button, a clock in milliseconds, and what was seen."""

    button: Button
    debounce_s: float = 0.03
    seen: Seen = field(default_factory=lambda: Seen(Mode.ROLLOUT, "e1"))
    told: list[str] = field(default_factory=list)
    pressed: list[Press] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = ButtonState("pedal:p/KEY_A", self.button, CONFIRM, self.debounce_s, self.told.append)

    def moment(self, ms: float) -> Moment:
        return Moment(int(ms * MS), WALL_NS + int(ms * MS), self.seen)

    def down(self, ms: float) -> list[Event]:
        return self._note(self.state.change(True, self.moment(ms)))

    def up(self, ms: float) -> list[Event]:
        return self._note(self.state.change(False, self.moment(ms)))

    def at(self, ms: float) -> list[Event]:
        return self._note(self.state.poll(self.moment(ms)))

    def _note(self, presses: list[Press]) -> list[Event]:
        self.pressed += presses
        return [press.event for press in presses]


def button(**given: object) -> Button:
    return Button.model_validate(given)


def test_a_press_acts_at_once_with_its_stamp_device_and_what_was_seen() -> None:
    rig = Rig(button(press="pause"))
    assert rig.down(5) == [Event.PAUSE]
    assert rig.pressed == [Press(Event.PAUSE, "pedal:p/KEY_A", WALL_NS + 5 * MS, Seen(Mode.ROLLOUT, "e1"))]
    assert rig.up(105) == []


def test_a_bouncing_contact_is_one_press() -> None:
    rig = Rig(button(press="pause", release="resume"))
    assert rig.down(0) == [Event.PAUSE]
    assert [rig.up(2), rig.down(3), rig.up(5), rig.down(9)] == [[], [], [], []]
    assert rig.at(40) == []
    assert rig.up(200) == [Event.RESUME]
    assert [rig.down(201), rig.up(202), rig.at(240)] == [[], [], []]


def test_a_tap_shorter_than_the_debounce_time_is_let_go_after_it() -> None:
    rig = Rig(button(press="pause", release="resume"))
    rig.down(0)
    assert rig.up(10) == []
    assert rig.at(29) == []
    assert rig.at(30) == [Event.RESUME]
    assert rig.pressed[-1].stamp_ns == WALL_NS + 10 * MS, "when the foot left it, not when that was believed"


def test_a_dangerous_event_is_held_and_says_so() -> None:
    rig = Rig(button(press="fail"))
    assert rig.down(0) == []
    assert rig.told == ["pedal:p/KEY_A: hold it 0.5 s for fail"]
    assert rig.at(499) == []
    assert rig.at(500) == [Event.FAIL]
    assert rig.at(1000) == []
    assert rig.up(1100) == []


def test_a_dangerous_event_that_is_let_go_too_soon_is_none() -> None:
    rig = Rig(button(press="fail"))
    rig.down(0)
    assert rig.up(450) == []
    assert rig.at(2000) == []
    assert "too soon" in rig.told[-1]


def test_a_hold_is_meant_for_what_was_seen_when_the_foot_went_down() -> None:
    rig = Rig(button(press="fail"))
    rig.down(0)
    rig.seen = Seen(Mode.FAULT, "e1")
    rig.at(500)
    assert rig.pressed[-1].seen == Seen(Mode.ROLLOUT, "e1")
    assert rig.pressed[-1].stamp_ns == WALL_NS + 500 * MS


def test_tap_and_hold_are_two_events() -> None:
    rig = Rig(button(press="mark_progress", hold="retract_mark", hold_s=0.8))
    assert rig.down(0) == []
    assert rig.up(100) == [Event.MARK_PROGRESS]
    assert rig.down(1000) == []
    assert rig.at(1800) == [Event.RETRACT_MARK]
    assert rig.up(1900) == []


def test_a_tap_is_meant_for_what_was_seen_when_the_foot_went_down() -> None:
    rig = Rig(button(press="mark_progress", hold="retract_mark"))
    rig.down(0)
    rig.seen = Seen(Mode.FAULT, "e1")
    rig.up(100)
    assert rig.pressed[-1].seen == Seen(Mode.ROLLOUT, "e1")


def test_a_release_counts_although_nobody_polled_before_the_next_press() -> None:
    rig = Rig(button(press="fail"))
    rig.down(0)
    rig.up(10)
    assert rig.down(700) == []
    assert rig.at(701) == []
    assert rig.at(1300) == [Event.FAIL]


def test_a_hold_takes_as_long_as_its_event_needs() -> None:
    rig = Rig(button(hold="fail", hold_s=0.1))
    rig.down(0)
    assert rig.at(400) == []
    assert rig.at(500) == [Event.FAIL]


def test_the_mode_that_is_seen_chooses_the_event() -> None:
    rig = Rig(button(press={"ROLLOUT": "pause", "PAUSED": "resume"}))
    assert rig.down(0) == [Event.PAUSE]
    rig.up(100)
    rig.seen = Seen(Mode.PAUSED, "e1")
    assert rig.down(200) == [Event.RESUME]
    rig.up(300)
    rig.seen = Seen(Mode.IDLE, "")
    assert rig.down(400) == []
    assert rig.told == ["pedal:p/KEY_A: does nothing in IDLE"]
    rig.up(500)
    rig.seen = Seen()
    assert rig.down(600) == []
    assert "nobody listens" in rig.told[-1]


def test_an_emergency_stop_needs_nobody_to_be_seen() -> None:
    rig = Rig(button(press="estop"), seen=Seen())
    assert rig.down(0) == [Event.ESTOP]


def test_a_lost_button_has_been_let_go_and_holds_nothing() -> None:
    dead_man = Rig(button(release="operator_lost"))
    dead_man.down(0)
    assert dead_man._note(dead_man.state.lose(dead_man.moment(100))) == [Event.OPERATOR_LOST]
    assert dead_man._note(dead_man.state.lose(dead_man.moment(200))) == []
    held = Rig(button(press="fail"))
    held.down(0)
    assert held.state.lose(held.moment(100)) == []
    assert held.at(1000) == []
    tapped = Rig(button(press="mark_progress", hold="retract_mark"))
    tapped.down(0)
    assert tapped.state.lose(tapped.moment(100)) == []


def test_a_button_that_was_down_before_does_nothing_until_it_was_up() -> None:
    rig = Rig(button(press="pause"))
    rig.state.sync(True)
    assert rig.down(0) == []
    assert rig.up(100) == []
    assert rig.down(200) == [Event.PAUSE]


# Milliseconds until the next change, and whether there is a look at the clock before it.
HISTORY = st.lists(st.tuples(st.integers(0, 900), st.booleans()), max_size=40)


@settings(deadline=None)
@given(HISTORY)
def test_whatever_the_contact_does_a_dangerous_event_follows_only_a_hold(history: list[tuple[int, bool]]) -> None:
    rig = Rig(button(press="fail"))
    now, down = 0, False
    for wait, look in history:
        for moment in (now + wait / 2, now + wait) if look else ():
            rig.at(moment)
        now += wait
        down = not down
        (rig.down if down else rig.up)(now)
    rig.at(now + 2000)
    rig.up(now + 2001)
    for press in rig.pressed:
        end = (press.stamp_ns - WALL_NS) / MS
        # Inside the last half second the contact may have bounced, but nobody let it go for longer than that.
        changes, at = [], 0
        for index, (wait, _) in enumerate(history):
            at += wait
            changes.append((at, index % 2 == 0))
        ups = [
            (start, next((later for later, is_down in changes if is_down and later >= start), end))
            for start, is_down in changes
            if not is_down and end - 500 < start < end
        ]
        assert all(min(stop, end) - start <= 30 for start, stop in ups)


@settings(deadline=None)
@given(HISTORY)
def test_whatever_the_contact_does_presses_and_releases_alternate(history: list[tuple[int, bool]]) -> None:
    rig = Rig(button(press="pause", release="resume"))
    now, down = 0, False
    for wait, look in history:
        if look:
            rig.at(now + wait / 2)
        now += wait
        down = not down
        (rig.down if down else rig.up)(now)
    rig.at(now + 100)
    events = [press.event for press in rig.pressed]
    assert events == [(Event.PAUSE, Event.RESUME)[index % 2] for index in range(len(events))]
    assert len(events) % 2 == (1 if down else 0), "what the contact has come to counts"
    assert [press.stamp_ns for press in rig.pressed] == sorted(press.stamp_ns for press in rig.pressed)
