"""What goes wrong around a takeover, done to the shipped deployment: the robot holds, the record says why."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import zmq

from rove_core.clocks import NS_PER_S
from rove_core.joint_space import JointSpace
from rove_core.modes import Mode
from rove_hil.operator.mocap import MocapFrame, encode
from rove_hil.retargeting.kinematics import Kinematics
from rove_recorder.checking.check import check_episode

SPACE = JointSpace.load("iron_r01")
# One slot of the wire; a frame goes out in every 14th, as a headset's at 72 Hz.
SLOT_S, SLOTS_PER_FRAME = 0.001, 14
SWAY_RAD, SWAY_HZ = 0.08, 0.5


class Headset:
    """A person who stands as the robot does and sways a little, and a wire that can be disturbed.

    `cut`: frames are lost. `garbage`: a thousand messages a second that are no frames. `clock_offset_ns`: of the
    headset's own clock.
    """

    def __init__(self, url: str) -> None:
        self.cut = self.garbage = False
        self.clock_offset_ns = 0
        self._kinematics = Kinematics(SPACE)
        self._rng = np.random.default_rng(0)
        self._stop = threading.Event()
        self._socket = zmq.Context.instance().socket(zmq.PUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(url)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        began = time.monotonic()
        slot = 0
        while not self._stop.wait(max(0.0, began + slot * SLOT_S - time.monotonic())):
            if self.garbage:
                self._socket.send(self._rng.bytes(int(self._rng.integers(0, 2000))))
            if slot % SLOTS_PER_FRAME == 0 and not self.cut:
                self._socket.send(encode(self._frame(slot), "headset"))
            slot += 1
        self._socket.close()

    def _frame(self, slot: int) -> MocapFrame:
        q = SPACE.clip(SPACE.home + SWAY_RAD * np.sin(2 * np.pi * SWAY_HZ * slot * SLOT_S))
        return self._kinematics.frame_from_joints(q, slot, time.time_ns() + self.clock_offset_ns)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def headset(wire_url: str) -> Iterator[tuple[str, Headset]]:
    swaying = Headset(wire_url)
    yield wire_url, swaying
    swaying.close()


def in_mode(supervisor: Any, mode: Mode) -> Callable[[], bool]:
    return lambda: bool(supervisor.mode.mode == mode.number)


def for_seconds(supervisor: Any, seconds: float, mode: Mode) -> None:
    """Time passes, and the mode stays."""
    end = time.monotonic() + seconds

    def over() -> bool:
        assert supervisor.mode.mode == mode.number, supervisor.mode.reason
        return time.monotonic() > end

    supervisor.spin_until(over, "time passes")


def take_over(supervisor: Any) -> None:
    """The two people's flow: ready, gate, go."""
    supervisor.spin_until(in_mode(supervisor, Mode.ALIGNING), "aligning")
    supervisor.press("operator_ready")
    supervisor.spin_until(lambda: supervisor.mode.gate_met, "aligned")
    supervisor.press("go")
    supervisor.spin_until(in_mode(supervisor, Mode.TAKEOVER), "a takeover")


def test_a_disturbed_wire_holds_the_robot_and_leads_back_to_aligning(
    begin: Callable[..., Any], supervisor: Any, headset: tuple[str, Headset]
) -> None:
    url, wire = headset
    session = begin("--operator", f"mocap:{url}", "--supervisor", "none")
    supervisor.start_demonstration()
    take_over(supervisor)
    for_seconds(supervisor, 1.0, Mode.TAKEOVER)

    wire.cut = True  # shorter than anybody would notice
    for_seconds(supervisor, 0.05, Mode.TAKEOVER)
    wire.cut = False
    for_seconds(supervisor, 1.0, Mode.TAKEOVER)

    wire.garbage = True
    for_seconds(supervisor, 2.0, Mode.TAKEOVER)
    wire.garbage = False

    for offset_s in (5, -5):  # the headset's clock, corrected by hand or by NTP
        wire.clock_offset_ns = offset_s * NS_PER_S
        for_seconds(supervisor, 1.0, Mode.TAKEOVER)

    for cut_s in (0.5, 5.0):
        wire.cut = True
        supervisor.spin_until(in_mode(supervisor, Mode.ALIGNING), "operator lost")
        for_seconds(supervisor, cut_s - 0.4, Mode.ALIGNING)
        wire.cut = False
        take_over(supervisor)
        for_seconds(supervisor, 0.5, Mode.TAKEOVER)

    supervisor.press("succeed")
    supervisor.spin_until(lambda: list(session.out.glob("*/*.zarr")) != [], "a closed episode")
    (episode,) = session.episodes()
    assert check_episode(episode) == []
    lost = [event for event in episode.events() if event["type"] == "operator_lost"]
    assert len(lost) == 2
    commands = episode.streams["commands"]
    aligning = commands["mode"][:] == Mode.ALIGNING.number
    held = commands["source"][:] == 0
    assert not (np.diff(commands["sent"][:], axis=0)[(aligning & held)[1:] & (aligning & held)[:-1]]).any()
    assert "refused, the last: motion-capture frame refused" in session.log("retarget_node")
