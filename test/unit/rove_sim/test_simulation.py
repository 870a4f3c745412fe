"""The simulation at work: stamps, rates in simulated time, resets that nobody's old command undoes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rove_core.clocks import NS_PER_S
from rove_core.errors import ConfigError, RoveError
from rove_core.joint_space import JointSpace
from rove_sim.driver import DriverState
from rove_sim.scene import SceneState
from rove_sim.simulation import Listener, Simulation
from rove_sim.world import JointReading, Snapshot

SPACE = JointSpace.load("iron_r01")
ELBOW = SPACE.index("left_elbow")
DEADLINE_S = 30.0


class Recorder:
    """Keeps what is sensed; `wait` returns when something is so."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.joints: list[tuple[int, JointReading]] = []
        self.captures: list[Snapshot] = []
        self.scenes: list[SceneState] = []
        self.crashes: list[RoveError] = []
        self.listener = Listener(
            on_tick=lambda _: None,
            on_joints=lambda stamp_ns, reading: self._add(self.joints, (stamp_ns, reading)),
            on_capture=lambda snapshot: self._add(self.captures, snapshot),
            on_scene=lambda scene: self._add(self.scenes, scene),
            on_crash=lambda error: self._add(self.crashes, error),
        )

    def _add(self, where: list, item: object) -> None:
        with self._changed:
            where.append(item)
            self._changed.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, DEADLINE_S), self.crashes

    def wait_joints(self, count: int) -> None:
        target = len(self.joints) + count
        self.wait(lambda: len(self.joints) >= target)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def simulation(recorder: Recorder) -> Iterator[Simulation]:
    # Faster than real time, so that seconds of robot time are cheap.
    simulation = Simulation(SPACE, "whiteboard", seed=0, speed=4.0, listener=recorder.listener)
    simulation.start()
    yield simulation
    simulation.close()
    assert not recorder.crashes


def test_everything_comes_at_its_rate_and_is_stamped_with_its_instant(
    simulation: Simulation, recorder: Recorder
) -> None:
    started_ns = time.time_ns()
    recorder.wait(lambda: len(recorder.scenes) >= 31)
    stamps = np.array([stamp for stamp, _ in recorder.joints])
    assert set(np.diff(stamps).tolist()) <= {4_000_000, 6_000_000}
    assert stamps[200] - stamps[0] == NS_PER_S
    captures = np.array([snapshot.stamp_ns for snapshot in recorder.captures])
    assert captures[30] - captures[0] == NS_PER_S
    assert set(captures[:30]) <= set(stamps)
    assert [scene.stamp_ns for scene in recorder.scenes[:30]] == captures[:30].tolist()
    assert abs(stamps[0] - started_ns) < 60 * NS_PER_S, "simulated time begins at the wall's"
    for snapshot in recorder.captures[1:5]:
        assert (snapshot.stamp_ns - captures[0]) * 1e-9 == pytest.approx(snapshot.time_s - recorder.captures[0].time_s)


def test_at_speed_1_stamps_are_the_system_clock(recorder: Recorder) -> None:
    simulation = Simulation(SPACE, "toaster", seed=0, speed=1.0, listener=recorder.listener)
    before_ns = time.time_ns()
    simulation.start()
    try:
        recorder.wait_joints(20)
        after_ns = time.time_ns()
    finally:
        simulation.close()
    stamps = [stamp for stamp, _ in recorder.joints[:20]]
    # An instant is stamped with when it was due; the machine may work it out a little before or after.
    slack_ns = 10_000_000
    assert before_ns - slack_ns <= stamps[0] < stamps[-1] <= after_ns + slack_ns


def test_a_reset_holds_the_start_pose_against_old_commands(simulation: Simulation, recorder: Recorder) -> None:
    old = SPACE.home.copy()
    old[ELBOW] -= 0.9
    stop = threading.Event()
    wanted = [SPACE.home.copy()]

    def command() -> None:
        while not stop.wait(0.002):
            simulation.command(SPACE.names, wanted[0])

    commander = threading.Thread(target=command)
    commander.start()
    try:
        recorder.wait(lambda: simulation.health().state is DriverState.FOLLOW)
        wanted[0] = old
        recorder.wait(lambda: abs(recorder.joints[-1][1].position[ELBOW] - old[ELBOW]) < 0.02)
        simulation.reset("whiteboard", 5, 0)
        first = len(recorder.joints)
        recorder.wait_joints(200)
        moved = np.array([reading.position for _, reading in recorder.joints[first + 1 :]])
        np.testing.assert_allclose(moved, np.broadcast_to(SPACE.home, moved.shape), atol=0.02)
        health = simulation.health()
        assert health.state is DriverState.RESYNCHRONISE
        assert health.worst_joint == "left_elbow"
        wanted[0] = SPACE.home.copy()
        recorder.wait(lambda: simulation.health().state is DriverState.FOLLOW)
    finally:
        stop.set()
        commander.join()


def test_a_reset_is_seen_in_the_scene_and_a_bad_one_is_refused(simulation: Simulation, recorder: Recorder) -> None:
    recorder.wait_joints(1)
    simulation.reset("toaster", 3, 1)
    recorder.wait(lambda: bool(recorder.scenes) and recorder.scenes[-1].task == "toaster")
    scene = recorder.scenes[-1]
    assert (scene.seed, scene.start_stage, scene.grasp["right"]) == (3, 1, "bread")
    with pytest.raises(ConfigError, match="stage"):
        simulation.reset("toaster", 3, 9)


def test_a_simulation_that_breaks_says_so_and_refuses_resets(recorder: Recorder) -> None:
    simulation = Simulation(SPACE, "toaster", seed=0, speed=4.0, listener=recorder.listener)
    simulation.world.data.qvel[0] = np.nan
    simulation.start()
    recorder.wait(lambda: bool(recorder.crashes))
    assert "unstable" in str(recorder.crashes[0])
    simulation.close()
    with pytest.raises(RoveError, match="has ended"):
        simulation.reset("toaster", 0, 0)


def test_a_reset_of_a_simulation_that_does_not_run_fails(recorder: Recorder) -> None:
    simulation = Simulation(SPACE, "toaster", seed=0, speed=1.0, listener=recorder.listener)
    with pytest.raises(RoveError, match="does not answer"):
        simulation.reset("toaster", 0, 0, timeout_s=0.05)
