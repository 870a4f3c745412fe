"""A pedal from its bytes to its presses, unplugged and plugged in again."""

from __future__ import annotations

from typing import Any

import pytest

from rove_core.errors import ConfigError
from rove_core.modes import Event, Mode
from rove_hil.inputs.button import Moment, Press, Seen
from rove_hil.inputs.evdev import EV_SYN, SYN_DROPPED, SYN_REPORT, DeviceError, KeyChange
from rove_hil.inputs.mapping import PedalMapping, chosen_pedals, load_mapping
from rove_hil.inputs.pedal import Pedal

MS = 1_000_000
SEEN = Seen(Mode.ROLLOUT, "e1")
BUTTONS = {"KEY_A": "pause", "KEY_B": {"release": "operator_lost"}, "KEY_C": "fail"}


class Rig:
    """A pedal, read at moments in milliseconds."""

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        self.given = PedalMapping.model_validate({"path": str(pipe.path), "debounce_s": 0.0, "buttons": BUTTONS})
        self.pedal = Pedal("foot", self.given, {Event.FAIL: 0.5}, [].append)

    def moment(self, ms: int, stamp_ns: int = 0) -> Moment:
        return Moment(ms * MS, stamp_ns, SEEN)

    def read(self, ms: int) -> list[Press]:
        def moment_of(change: KeyChange | None) -> Moment:
            return self.moment(ms, change.stamp_ns if change else 0)

        return self.pedal.read(moment_of)

    def events(self, ms: int) -> list[Event]:
        return [press.event for press in self.read(ms)]


@pytest.fixture
def rig(pedal_pipe: Any) -> Rig:
    rig = Rig(pedal_pipe)
    assert rig.pedal.attach() == pedal_pipe.path
    return rig


def test_bytes_become_presses_of_the_buttons_that_are_mapped(rig: Rig) -> None:
    rig.pipe.key("KEY_A", 1, stamp_us=77)
    rig.pipe.key("KEY_Z", 1)
    assert rig.read(0) == [Press(Event.PAUSE, "pedal:foot/KEY_A", 77_000, SEEN)]
    assert rig.read(1) == []


def test_the_end_of_a_hold_is_polled(rig: Rig) -> None:
    rig.pipe.key("KEY_C", 1)
    assert rig.events(100) == []
    assert rig.pedal.poll(rig.moment(599)) == []
    assert [press.event for press in rig.pedal.poll(rig.moment(600))] == [Event.FAIL]


def test_unplugging_lets_go_of_what_was_down_and_holds_nothing(rig: Rig) -> None:
    rig.pipe.key("KEY_B", 1)
    rig.pipe.key("KEY_C", 1)
    rig.read(0)
    rig.pipe.unplug()
    with pytest.raises(DeviceError, match="closed"):
        rig.read(100)
    assert [press.event for press in rig.pedal.detach(rig.moment(100))] == [Event.OPERATOR_LOST]
    assert rig.pedal.device is None
    assert rig.pedal.poll(rig.moment(1000)) == []
    assert rig.read(1000) == []


def test_it_is_found_again_when_it_is_plugged_in_again(rig: Rig) -> None:
    rig.pipe.unplug()
    rig.pedal.detach(rig.moment(0))
    with pytest.raises(DeviceError, match="pedal 'foot' is missing"):
        rig.pedal.attach()
    rig.pipe.plug_in()
    rig.pedal.attach()
    rig.pipe.key("KEY_A", 1)
    assert rig.events(100) == [Event.PAUSE]


def test_what_the_kernel_dropped_has_been_let_go(rig: Rig) -> None:
    rig.pipe.key("KEY_B", 1)
    rig.pipe.key("KEY_C", 1)
    rig.read(0)
    rig.pipe.send(EV_SYN, SYN_DROPPED, 0)
    rig.pipe.key("KEY_A", 1)
    rig.pipe.send(EV_SYN, SYN_REPORT, 0)
    assert rig.events(100) == [Event.OPERATOR_LOST]
    assert rig.pedal.poll(rig.moment(2000)) == []


def test_pedals_are_chosen_by_name_and_path() -> None:
    mapping = load_mapping()
    chosen = chosen_pedals(mapping, ["three_pedals=/dev/input/event7", "operator_pedal"])
    assert chosen["three_pedals"].path == "/dev/input/event7"
    assert chosen["three_pedals"].buttons == mapping.pedals["three_pedals"].buttons
    assert chosen["operator_pedal"] == mapping.pedals["operator_pedal"]
    with pytest.raises(ConfigError, match="no pedal 'tree_pedals', did you mean 'three_pedals'"):
        chosen_pedals(mapping, ["tree_pedals"])
