"""The driver trusts nobody: commands, watchdog, emergency stop, resynchronisation."""

from __future__ import annotations

import numpy as np
import pytest

from rove_core.clocks import NS_PER_S
from rove_core.joint_space import JointSpace
from rove_sim.driver import APPROACH_RADPS, MATCH_RAD, SETTLED_RAD, Driver, DriverState

SPACE = JointSpace.load("iron_r01")
NAMES = list(SPACE.names)
DT_S = 0.005
TICK_NS = round(DT_S * NS_PER_S)
ELBOW = SPACE.index("right_elbow")


class Bench:
    """A driver whose servos follow at once."""

    def __init__(self) -> None:
        self.driver = Driver(SPACE, SPACE.home)
        self.now_ns = 0
        self.measured = SPACE.home.copy()

    def tick(self, command: np.ndarray | None = None, count: int = 1) -> np.ndarray:
        for _ in range(count):
            self.now_ns += TICK_NS
            if command is not None:
                assert not self.driver.command(NAMES, command, self.now_ns)
            self.measured = self.driver.step(self.measured, self.now_ns, DT_S)
        return self.measured


def _moved(by_rad: float) -> np.ndarray:
    position = SPACE.home.copy()
    position[ELBOW] -= by_rad
    return position


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.tick(SPACE.home, 2)
    assert bench.driver.state is DriverState.FOLLOW
    return bench


def test_a_command_is_followed(bench: Bench) -> None:
    assert bench.tick(_moved(0.02))[ELBOW] == pytest.approx(SPACE.home[ELBOW] - 0.02)


def test_names_may_come_in_any_order(bench: Bench) -> None:
    position = _moved(0.02)
    assert not bench.driver.command(NAMES[::-1], position[::-1].copy(), bench.now_ns)
    np.testing.assert_allclose(bench.tick(), position)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_command_that_is_not_finite_is_refused_and_does_not_feed_the_watchdog(bench: Bench, bad: float) -> None:
    before = bench.tick(_moved(0.02))
    position = _moved(0.3)
    position[ELBOW] = bad
    for _ in range(30):
        refusal = bench.driver.command(NAMES, position, bench.now_ns)
        assert "right_elbow" in refusal
        np.testing.assert_array_equal(bench.tick(), before)
    assert bench.driver.state is DriverState.HOLD
    assert bench.driver.counters.refused == 30


def test_wrong_names_and_sizes_are_refused(bench: Bench) -> None:
    assert "unknown tail" in bench.driver.command([*NAMES[:-1], "tail"], SPACE.home, bench.now_ns)
    assert "49 positions" in bench.driver.command(NAMES, SPACE.home[:-1], bench.now_ns)


def test_a_target_outside_the_limits_is_clipped(bench: Bench) -> None:
    assert bench.tick(_moved(10.0), 400)[ELBOW] == pytest.approx(SPACE.lower[ELBOW])
    assert bench.driver.counters.clipped == 400


def test_the_reference_never_moves_faster_than_the_joint_may(bench: Bench) -> None:
    before = bench.measured
    after = bench.tick(_moved(0.5))
    assert abs(after - before)[ELBOW] == pytest.approx(SPACE.max_velocity[ELBOW] * DT_S)


def test_the_watchdog_holds_after_100_ms_without_commands_and_commands_end_the_hold(bench: Bench) -> None:
    where = bench.tick(_moved(0.02))
    bench.tick(count=20)
    assert bench.driver.state is DriverState.FOLLOW
    bench.tick()
    assert bench.driver.state is DriverState.HOLD
    np.testing.assert_array_equal(bench.tick(count=100), where)
    assert bench.tick(_moved(0.03))[ELBOW] == pytest.approx(SPACE.home[ELBOW] - 0.03)
    assert bench.driver.counters.watchdog_trips == 1


def test_an_emergency_stop_is_latched_and_commands_are_ignored(bench: Bench) -> None:
    where = bench.tick()
    bench.driver.set_estop(True)
    np.testing.assert_array_equal(bench.tick(_moved(0.5), 100), where)
    assert bench.driver.state is DriverState.ESTOP
    bench.driver.resynchronise(where)
    assert bench.driver.state is DriverState.ESTOP


def test_after_an_emergency_stop_commands_must_come_to_the_robot_first(bench: Bench) -> None:
    bench.driver.set_estop(True)
    where = bench.tick(_moved(0.5), 10)
    bench.driver.set_estop(False)
    np.testing.assert_array_equal(bench.tick(_moved(0.5), 200), where)
    assert bench.driver.state is DriverState.RESYNCHRONISE
    bench.tick(SPACE.home)
    assert bench.driver.state is DriverState.FOLLOW


def test_releasing_an_emergency_stop_that_was_not_set_changes_nothing(bench: Bench) -> None:
    bench.driver.set_estop(False)
    assert bench.driver.state is DriverState.FOLLOW


def test_nothing_moves_between_a_reset_and_commands_that_match_the_new_pose(bench: Bench) -> None:
    bench.tick(_moved(1.0), 200)
    bench.driver.resynchronise(SPACE.home)
    bench.measured = SPACE.home
    np.testing.assert_array_equal(bench.tick(_moved(1.0), 400), SPACE.home)
    assert bench.driver.state is DriverState.RESYNCHRONISE
    assert bench.driver.mismatch_rad == pytest.approx(1.0)
    assert bench.driver.worst_joint == "right_elbow"
    bench.tick(_moved(0.9 * MATCH_RAD))
    assert bench.driver.state is DriverState.FOLLOW


def test_commands_that_stand_still_nearby_are_approached_slowly(bench: Bench) -> None:
    bench.driver.resynchronise(SPACE.home)
    target = _moved(0.9 * SETTLED_RAD)
    np.testing.assert_array_equal(bench.tick(target, 99), SPACE.home)
    before = bench.tick(target, 3)
    assert bench.driver.state is DriverState.APPROACH
    assert abs(bench.tick(target) - before)[ELBOW] == pytest.approx(APPROACH_RADPS * DT_S)
    bench.tick(target, 200)
    assert bench.driver.state is DriverState.FOLLOW
    np.testing.assert_allclose(bench.measured, target)


def test_commands_that_move_nearby_are_not_approached(bench: Bench) -> None:
    bench.driver.resynchronise(SPACE.home)
    for tick in range(300):
        bench.tick(_moved(0.15 + 0.1 * np.sin(0.2 * tick)))
    assert bench.driver.state is DriverState.RESYNCHRONISE
    np.testing.assert_array_equal(bench.measured, SPACE.home)


def test_commands_that_creep_nearby_are_not_standing_still(bench: Bench) -> None:
    bench.driver.resynchronise(SPACE.home)
    for tick in range(300):
        bench.tick(_moved(0.05 + 0.0008 * tick))
    assert bench.driver.state is DriverState.RESYNCHRONISE
