"""Finding the device that a mapping means, in a tree like that of sysfs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rove_hil.inputs.device_list import find, list_devices
from rove_hil.inputs.evdev import DeviceError
from rove_hil.inputs.key_codes import code_of
from rove_hil.inputs.mapping import PedalMapping

ABC = {"KEY_A": "pause", "KEY_B": "takeover", "KEY_C": "succeed"}
# As sysfs prints what a keyboard can do, and what a mouse can.
KEYBOARD_KEYS = "1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe"
MOUSE_KEYS = "1f0000 0 0 0 0"


class Machine:
    """/dev/input and /sys/class/input of some machine."""

    def __init__(self, root: Path) -> None:
        self.dev, self.sysfs = root / "dev", root / "sys"
        (self.dev / "by-id").mkdir(parents=True)
        self.sysfs.mkdir()

    def plug(self, number: int, name: str, keys: str, by_id: str = "") -> Path:
        folder = self.sysfs / f"event{number}/device"
        (folder / "capabilities").mkdir(parents=True)
        (folder / "name").write_text(name + "\n")
        (folder / "capabilities/key").write_text(keys + "\n")
        node = self.dev / f"event{number}"
        node.touch()
        if by_id:
            (self.dev / "by-id" / by_id).symlink_to(f"../event{number}")
        return node

    def find(self, **given: object) -> Path:
        mapping = PedalMapping.model_validate({"buttons": ABC, **given})
        return find("three_pedals", mapping, list_devices(self.dev, self.sysfs))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.plug(10, "PCsensor FootSwitch Keyboard", KEYBOARD_KEYS, "usb-PCsensor_FootSwitch-event-kbd")
    machine.plug(2, "PCsensor FootSwitch Mouse", MOUSE_KEYS)
    machine.plug(3, "AT Translated Set 2 keyboard", KEYBOARD_KEYS)
    return machine


def test_devices_are_listed_by_number_with_what_they_can_send(machine: Machine) -> None:
    mouse, keyboard, pedal = list_devices(machine.dev, machine.sysfs)
    assert [device.path.name for device in (mouse, keyboard, pedal)] == ["event2", "event3", "event10"]
    assert pedal.name == "PCsensor FootSwitch Keyboard"
    assert pedal.by_id == "usb-PCsensor_FootSwitch-event-kbd"
    assert mouse.by_id == ""
    assert {code_of(f"BTN_{name}") for name in ("LEFT", "RIGHT", "MIDDLE", "SIDE", "EXTRA")} == mouse.keys
    assert code_of("KEY_A") in pedal.keys
    assert all(device.readable for device in (mouse, keyboard, pedal))


def test_a_pedal_is_found_by_its_name_among_the_devices_that_have_its_keys(machine: Machine) -> None:
    assert machine.find(name="PCsensor FootSwitch*").name == "event10"


def test_a_button_box_is_found_by_what_it_can_send_alone(machine: Machine) -> None:
    assert machine.find(buttons={"BTN_LEFT": "pause"}).name == "event2"


def test_two_that_fit_are_refused_with_a_way_out(machine: Machine) -> None:
    with pytest.raises(DeviceError, match=r"could be any of .*event3, .*event10") as refusal:
        machine.find()
    assert "--pedal three_pedals=/dev/input/by-id/" in refusal.value.hint


def test_none_that_fits_says_what_is_missing(machine: Machine) -> None:
    with pytest.raises(DeviceError) as refusal:
        machine.find(name="Boss FS-6")
    assert str(refusal.value) == (
        "pedal 'three_pedals' is missing: there is no device named 'Boss FS-6' that has KEY_A, KEY_B, KEY_C"
    )
    assert "rove inputs list" in refusal.value.hint


def test_a_path_needs_no_list_and_may_have_a_star(machine: Machine) -> None:
    given = PedalMapping(path=str(machine.dev / "by-id/*FootSwitch*-event-kbd"), buttons={})
    assert find("p", given).resolve().name == "event10"
    with pytest.raises(DeviceError, match="no /nowhere/event1"):
        find("p", PedalMapping(path="/nowhere/event1", buttons={}))


def test_a_machine_without_devices_has_none(tmp_path: Path) -> None:
    assert list_devices(tmp_path / "dev", tmp_path / "sys") == []
