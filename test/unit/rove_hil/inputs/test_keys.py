"""Keys of a terminal: twice for what is dangerous, and a held key is not twice."""

from __future__ import annotations

import pytest

from rove_core.modes import Event, Mode
from rove_hil.inputs.button import Moment, Press, Seen
from rove_hil.inputs.keys import Keys
from rove_hil.inputs.mapping import KeyboardMapping

MS = 1_000_000
MAPPING = KeyboardMapping.model_validate(
    {"keys": {"space": "pause", "x": "estop", "f": "fail", "G": "force_go", "h": {"TAKEOVER": "hand_back"}}}
)


class Rig:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.seen = Seen(Mode.ROLLOUT, "e1")
        self.keys = Keys("keyboard:tty", MAPPING, {Event.FAIL, Event.FORCE_GO, Event.CLEAR}, self.told.append)

    def _moment(self, ms: float) -> Moment:
        return Moment(int(ms * MS), int(ms * MS), self.seen)

    def type(self, key: str, ms: float) -> Press | None:
        return self.keys.press(key, self._moment(ms))

    def at(self, ms: float) -> Press | None:
        return self.keys.poll(self._moment(ms))


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_key_presses_at_once_for_what_was_seen(rig: Rig) -> None:
    assert rig.type(" ", 5) == Press(Event.PAUSE, "keyboard:tty", 5 * MS, Seen(Mode.ROLLOUT, "e1"))
    assert rig.at(1000) is None


def test_a_dangerous_key_asks_again_and_is_then_meant_for_what_was_first_seen(rig: Rig) -> None:
    assert rig.type("f", 0) is None
    assert rig.told == ["press 'f' again for fail"]
    rig.seen = Seen(Mode.PAUSED, "e1")
    assert rig.type("f", 400) is None
    assert rig.at(500) is None
    confirmed = rig.at(560)
    assert confirmed is not None
    assert (confirmed.event, confirmed.seen) == (Event.FAIL, Seen(Mode.ROLLOUT, "e1"))
    assert rig.at(2000) is None


@pytest.mark.parametrize("first_repeat_ms", [250, 400, 660])
def test_holding_a_dangerous_key_down_is_not_pressing_it_twice(rig: Rig, first_repeat_ms: int) -> None:
    rig.type("f", 0)
    for ms in range(first_repeat_ms, 4000, 33):
        assert rig.type("f", ms) is None
        assert rig.at(ms + 1) is None
    assert rig.at(10_000) is None


def test_after_holding_it_two_presses_count_again(rig: Rig) -> None:
    for ms in (0, 500, 533, 566):
        rig.type("f", ms)
    assert rig.at(900) is None
    rig.type("f", 1500)
    rig.type("f", 1800)
    assert rig.at(2000) is not None


def test_two_presses_far_apart_are_two_first_ones(rig: Rig) -> None:
    rig.type("f", 0)
    rig.type("f", 2100)
    assert rig.at(2300) is None
    assert rig.told == ["press 'f' again for fail"] * 2


def test_another_key_in_between_takes_it_back(rig: Rig) -> None:
    rig.type("f", 0)
    assert rig.type(" ", 100) is not None
    rig.type("f", 200)
    assert rig.at(400) is None


def test_two_dangerous_keys_do_not_confirm_each_other(rig: Rig) -> None:
    rig.type("G", 0)
    rig.type("f", 100)
    assert rig.at(500) is None
    rig.type("f", 600)
    confirmed = rig.at(1000)
    assert confirmed is not None
    assert confirmed.event is Event.FAIL


def test_an_emergency_stop_is_pressed_once(rig: Rig) -> None:
    rig.type("f", 0)
    press = rig.type("x", 10)
    assert press is not None
    assert press.event is Event.ESTOP


def test_a_key_that_means_nothing_says_so(rig: Rig) -> None:
    assert rig.type("z", 0) is None
    assert rig.type("h", 0) is None
    assert rig.told == ["no such key: 'z'", "'h' does nothing in ROLLOUT"]
