"""Controllers: buttons and axes of sensor_msgs/Joy as buttons that people press."""

from __future__ import annotations

import pytest

from rove_core.errors import ConfigError
from rove_core.modes import Event, Mode
from rove_hil.inputs.button import Moment, Seen
from rove_hil.inputs.joy import Joy
from rove_hil.inputs.mapping import JoyMapping, chosen_joys, load_mapping

MS = 1_000_000
GIVEN = JoyMapping.model_validate(
    {"buttons": {"button_1": "pause", "axis_0+": "takeover", "axis_0-": {"release": "operator_lost"}}}
)


class Rig:
    def __init__(self, given: JoyMapping = GIVEN) -> None:
        self.joy = Joy("pad", given, {}, [].append)

    def _moment(self, ms: int) -> Moment:
        return Moment(ms * MS, ms * MS, Seen(Mode.ROLLOUT, "e1"))

    def says(self, ms: int, axis: float = 0.0, button: int = 0) -> list[Event]:
        presses = self.joy.update([axis], [0, button], self._moment(ms))
        assert all(press.device.startswith("joy:pad/") for press in presses)
        return [press.event for press in presses]

    def at(self, ms: int) -> list[Event]:
        return [press.event for press in self.joy.poll(self._moment(ms))]


def test_a_button_is_pressed_when_it_goes_down() -> None:
    rig = Rig()
    assert rig.says(0) == []
    assert rig.says(100, button=1) == [Event.PAUSE]
    assert rig.says(200, button=1) == []
    assert rig.says(300) == []
    assert rig.says(400, button=1) == [Event.PAUSE]


def test_what_is_down_in_the_first_message_is_no_press() -> None:
    rig = Rig()
    assert rig.says(0, button=1) == []
    assert rig.says(100) == []
    assert rig.says(200, button=1) == [Event.PAUSE]


def test_an_axis_has_two_ends_and_does_not_chatter() -> None:
    rig = Rig()
    rig.says(0)
    assert rig.says(100, axis=0.61) == [Event.TAKEOVER]
    for ms, axis in enumerate((0.59, 0.61, 0.55, 0.62)):
        assert rig.says(200 + 100 * ms, axis=axis) == []
    assert rig.says(700, axis=-0.9) == []
    assert rig.says(800, axis=0.0) == [Event.OPERATOR_LOST]


def test_silence_is_a_loss_and_lets_go() -> None:
    rig = Rig()
    assert rig.joy.problem == "nothing arrives on /joy"
    rig.says(0)
    rig.says(100, axis=-1.0)
    assert rig.joy.problem == ""
    assert rig.at(1000) == []
    assert rig.at(1200) == [Event.OPERATOR_LOST]
    assert not rig.joy.heard
    # Still down when it is heard again: that is no press.
    assert rig.says(2000, axis=1.0) == []


def test_a_driver_that_only_speaks_when_pressed_may_be_silent() -> None:
    rig = Rig(GIVEN.model_copy(update={"silence_s": 0.0}))
    rig.says(0)
    assert rig.at(100_000) == []
    assert rig.joy.heard


def test_an_input_that_the_controller_does_not_have_is_named() -> None:
    joy = Rig().joy
    joy.update([], [0], Moment(0, 0, Seen()))
    assert joy.problem == "/joy has no button_1, axis_0+, axis_0-"


def test_devices_are_chosen_by_name_and_topic() -> None:
    chosen = chosen_joys(load_mapping(), ["headset=/quest/joy", "gamepad"])
    assert {name: joy.topic for name, joy in chosen.items()} == {"headset": "/quest/joy", "gamepad": "/joy"}
    with pytest.raises(ConfigError, match="no joy 'gamepda', did you mean 'gamepad'"):
        chosen_joys(load_mapping(), ["gamepda"])
