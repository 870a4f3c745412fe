"""The mapping file: short forms, what is left out, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rove_core.errors import ConfigError
from rove_core.modes import Event, Mode
from rove_hil.inputs.mapping import DEFAULT, PRESSABLE, InputMapping, as_yaml, event_of, load_mapping


@pytest.fixture
def given(tmp_path: Path) -> Path:
    return tmp_path / "lab.yaml"


def test_what_is_shipped_can_be_read_and_written_again(given: Path) -> None:
    shipped = load_mapping()
    assert load_mapping(DEFAULT) == shipped
    given.write_text(as_yaml(shipped))
    assert load_mapping(given) == shipped


def test_the_shipped_keys_press_everything_that_people_press_but_losing_the_operator() -> None:
    keyboard = load_mapping().keyboard
    pressed = {event for action in keyboard.keys.values() for event in action.values()}
    assert pressed == set(PRESSABLE) - {Event.OPERATOR_LOST}


def test_what_must_not_happen_by_a_slip_is_confirmed_as_shipped() -> None:
    assert set(load_mapping().confirm) == {Event.FORCE_GO, Event.CLEAR, Event.RESET, Event.FAIL, Event.ABORT}


def test_three_pedals_lead_from_the_start_to_an_outcome() -> None:
    pedal = load_mapping().pedals["three_pedals"]
    pressed = {event for button in pedal.buttons.values() for action in button.actions for event in action.values()}
    assert {
        Event.START,
        Event.PAUSE,
        Event.RESUME,
        Event.TAKEOVER,
        Event.GO,
        Event.MARK_PROGRESS,
        Event.HAND_BACK,
        Event.SUCCEED,
        Event.FAIL,
    } <= pressed


def test_the_left_pedal_stops_whoever_drives() -> None:
    left = load_mapping().pedals["three_pedals"].buttons["KEY_A"]
    assert [event_of(left.press, mode) for mode in (Mode.ROLLOUT, Mode.TAKEOVER)] == [Event.PAUSE] * 2
    # At once: a hold for the same mode would wait for the foot to leave it.
    assert [event_of(left.hold, mode) for mode in (Mode.ROLLOUT, Mode.TAKEOVER)] == [None] * 2


def test_short_forms_mean_a_press() -> None:
    mapping = InputMapping.model_validate(
        {"pedals": {"p": {"buttons": {"KEY_A": "pause", "KEY_B": {"PAUSED": "resume", "any": "pause"}}}}}
    )
    short, by_mode = mapping.pedals["p"].buttons.values()
    assert event_of(short.press, Mode.TAKEOVER) is Event.PAUSE
    assert event_of(short.press, None) is Event.PAUSE
    assert event_of(by_mode.press, Mode.PAUSED) is Event.RESUME
    assert event_of(by_mode.press, Mode.ROLLOUT) is Event.PAUSE
    assert event_of(by_mode.hold, Mode.ROLLOUT) is None


def test_sections_that_are_left_out_are_as_shipped(given: Path) -> None:
    given.write_text("keyboard: {keys: {1: pause, space: estop}}")
    mapping = load_mapping(given)
    assert list(mapping.keyboard.characters()) == ["1", " "]
    assert mapping.model_copy(update={"keyboard": load_mapping().keyboard}) == load_mapping()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pedal: {}", "unknown key 'pedal', did you mean 'pedals'?"),
        ("keyboard: {keys: {p: puase}}", "no event 'puase' that people press, did you mean 'pause'?"),
        ("keyboard: {keys: {p: policy_stalled}}", "no event 'policy_stalled' that people press"),
        ("keyboard: {keys: {p: {PAUSE: resume}}}", "no mode 'PAUSE', did you mean 'PAUSED'?"),
        ("keyboard: {keys: {pp: pause}}", "no key 'pp'"),
        ("keyboard: {keys: {q: pause}}", "'q' is both quit and an event"),
        ("keyboard: {keys: {x: {ROLLOUT: estop}}}", "keys.x: an emergency stop acts at once and in every mode"),
        ("confirm: {estop: 1}", "confirm.estop: an emergency stop acts at once"),
        ("confirm: {fail: 0}", "'confirm.fail' is 0"),
        ("pedals: {p: {buttons: {KEY_AA: pause}}}", "pedals.p: no key 'KEY_AA'"),
        ("pedals: {p: {buttons: {BTN_SUOTH: pause}}}", "did you mean 'BTN_SOUTH'?"),
        ("pedals: {p: {button: {}}}", "unknown key 'pedals.p.button', did you mean 'buttons'?"),
        ("pedals: {p: {buttons: {KEY_A: {press_: pause}}}}", "did you mean 'press'?"),
        ("pedals: {p: {buttons: {KEY_A: {hold: estop}}}}", "buttons.KEY_A: an emergency stop acts at once"),
        ("pedals: {p: {buttons: {KEY_A: {press: estop, hold: pause}}}}", "an emergency stop acts at once"),
        ("pedals: {p: {buttons: {KEY_A: {release: fail}}}}", "'fail' is confirmed by holding"),
        ("pedals: {p: {buttons: {KEY_A: {press: fail, hold: pause}}}}", "'fail' is confirmed by holding"),
        ("joys: {j: {buttons: {button_a: pause}}}", "no input 'button_a'"),
        ("joys: {j: {buttons: {axis_2: pause}}}", "no input 'axis_2'"),
        ("cues: {say: spd-say}", "'cues.say' is 'spd-say'"),
    ],
)
def test_what_cannot_work_is_one_line_that_names_the_place(given: Path, text: str, message: str) -> None:
    given.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        load_mapping(given)
    assert message in str(refusal.value)
    assert str(refusal.value).startswith(str(given))
    assert "\n" not in str(refusal.value)


def test_a_press_may_be_confirmed_where_its_button_has_no_hold(given: Path) -> None:
    given.write_text("pedals: {p: {buttons: {KEY_A: {press: {FAULT: clear}, hold: {IDLE: start}}}}}")
    assert load_mapping(given).pedals["p"].buttons["KEY_A"].press == {"FAULT": Event.CLEAR}


def test_the_file_explains_itself() -> None:
    assert DEFAULT.read_text(encoding="utf-8").startswith("#")
    assert set(yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))) == set(InputMapping.model_fields)
