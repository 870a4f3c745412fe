"""The world: seeded, resettable to every stage, and calm."""

from __future__ import annotations

import numpy as np
import pytest

from rove_core.errors import ConfigError
from rove_core.joint_space import JointSpace
from rove_sim.scene import SceneState
from rove_sim.tasks import TASKS
from rove_sim.world import World

SPACE = JointSpace.load("iron_r01")
STARTS = [(name, stage) for name, task in TASKS.items() for stage in range(task.STAGES - 1)]


@pytest.fixture(scope="module", params=TASKS)
def world(request: pytest.FixtureRequest) -> World:
    return World(SPACE, request.param)


def _look(world: World) -> dict[str, object]:
    return world.scene().model_dump(exclude={"time_s", "resets"})


def test_the_same_seed_gives_the_same_scene_and_another_seed_another(world: World) -> None:
    scenes = []
    for seed in (7, 8, 7):
        world.reset(world.task.NAME, seed, 0)
        world.step(50)
        scenes.append(_look(world))
    assert scenes[0] == scenes[2]
    assert scenes[0]["objects"] != scenes[1]["objects"]


@pytest.mark.parametrize(("task", "stage"), STARTS)
def test_a_scene_starts_at_every_stage_and_stays_there(task: str, stage: int) -> None:
    world = World(SPACE, task)
    for seed in range(5):
        world.reset(task, seed, stage)
        world.step(250)
        scene = world.scene()
        assert (scene.stage, scene.success, scene.failed) == (stage, False, "")
        assert (scene.grasp["right"] is not None) == (stage > 0)


def test_a_robot_that_is_held_at_home_stays_at_home(world: World) -> None:
    world.reset(world.task.NAME, 0, 0)
    world.step(500)
    reading = world.observe()
    np.testing.assert_allclose(reading.position, SPACE.home, atol=2e-3)
    assert np.abs(reading.velocity).max() < 0.01


def test_time_goes_on_through_resets(world: World) -> None:
    world.step(10)
    before = world.time_s
    resets = world.resets
    world.reset(world.task.NAME, 1, 0)
    assert world.time_s == before
    assert world.resets == resets + 1


def test_a_reset_may_change_the_task() -> None:
    world = World(SPACE, "whiteboard")
    model = world.model
    world.reset("toaster", 0, 0)
    assert world.scene().task == "toaster"
    assert world.model is not model


def test_what_cannot_be_reset_is_refused_and_changes_nothing(world: World) -> None:
    before = _look(world)
    with pytest.raises(ConfigError, match="starts at stage 0 to 2, not 3"):
        world.reset(world.task.NAME, 0, 3)
    with pytest.raises(ConfigError, match="no task 'toster'") as caught:
        world.reset("toster", 0, 0)
    assert caught.value.hint == "did you mean 'toaster'?"
    assert _look(world) == before


def test_a_scene_survives_json(world: World) -> None:
    scene = world.scene()
    assert SceneState.model_validate_json(scene.model_dump_json()) == scene
