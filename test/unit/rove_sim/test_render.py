"""Pictures: what a policy must see is in them, and they are of the instant that was submitted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from queue import Queue

import numpy as np
import numpy.typing as npt
import pytest

from rove_core.errors import ConfigError
from rove_core.joint_space import JointSpace
from rove_sim.render import CameraPainter, Frame, RenderThread, intrinsics
from rove_sim.world import World

SPACE = JointSpace.load("iron_r01")
SIZE = (320, 240)


@pytest.fixture(scope="module")
def world() -> World:
    return World(SPACE, "whiteboard")


@pytest.fixture
def painter(world: World) -> Iterator[CameraPainter]:
    painter = CameraPainter(world.model, *SIZE)
    yield painter
    painter.close()


def _pixel(world: World, point: tuple[float, float, float]) -> tuple[int, int]:
    """Row and column at which the head camera sees a point of the base frame."""
    camera = world.data.camera("head")
    seen = camera.xmat.reshape(3, 3).T @ (np.array(point) - camera.xpos)
    u, v, _ = intrinsics(world.model, "head", *SIZE) @ np.array([seen[0], -seen[1], -seen[2]]) / -seen[2]
    return round(float(v)), round(float(u))


def _darkness(picture: npt.NDArray[np.uint8], at: tuple[int, int]) -> float:
    """How much darker the patch is than a white board."""
    row, column = at
    return 255.0 - float(picture[row - 1 : row + 2, column - 1 : column + 2].max(axis=2).mean())


def test_marks_are_dark_where_the_scene_says_and_fade_while_they_are_wiped(
    world: World, painter: CameraPainter
) -> None:
    snapshot = world.snapshot()
    painter.show(snapshot)
    picture = painter.draw("head").copy()
    # The hand at home hides some of them; the uppermost is in sight.
    mark = max(world.scene().marks, key=lambda mark: mark.position[2])
    at = _pixel(world, mark.position)
    full = _darkness(picture, at)
    assert full > 60
    painter.show(replace(snapshot, tints=dict.fromkeys(snapshot.tints, 0.5)))
    half = _darkness(painter.draw("head"), at)
    painter.show(replace(snapshot, tints=dict.fromkeys(snapshot.tints, 0.0)))
    none = _darkness(painter.draw("head"), at)
    assert full > half > none
    assert none < 40


def test_painting_leaves_the_model_of_the_physics_alone(world: World, painter: CameraPainter) -> None:
    before = world.model.geom_rgba.copy()
    snapshot = world.snapshot()
    painter.show(replace(snapshot, tints=dict.fromkeys(snapshot.tints, 0.0)))
    painter.draw("head")
    np.testing.assert_array_equal(world.model.geom_rgba, before)


def test_the_camera_moves_with_the_head(world: World, painter: CameraPainter) -> None:
    snapshot = world.snapshot()
    painter.show(snapshot)
    ahead = painter.draw("head").copy()
    qpos = snapshot.qpos.copy()
    qpos[int(world.model.joint("head_yaw").qposadr[0])] += 0.4
    painter.show(replace(snapshot, qpos=qpos))
    assert np.abs(painter.draw("head").astype(int) - ahead).mean() > 5


def test_frames_carry_the_stamp_of_their_state_and_a_new_model_is_drawn_when_it_comes(world: World) -> None:
    frames: Queue[Frame] = Queue()
    thread = RenderThread(world.model, ["head", "right_wrist"], *SIZE, frames.put)
    thread.start()
    try:
        thread.submit(replace(world.snapshot(), stamp_ns=42))
        got = [frames.get(timeout=20) for _ in range(2)]
        assert [(frame.camera, frame.stamp_ns) for frame in got] == [("head", 42), ("right_wrist", 42)]
        assert got[0].rgb.shape == (240, 320, 3)
        other = World(SPACE, "toaster")
        thread.submit(replace(other.snapshot(), stamp_ns=43))
        changed = frames.get(timeout=20)
        assert changed.stamp_ns == 43
        assert np.abs(changed.rgb.astype(int) - got[0].rgb).mean() > 5
    finally:
        thread.close()


def test_a_camera_that_the_robot_does_not_have_is_an_error(world: World) -> None:
    with pytest.raises(ConfigError, match="no camera 'hed'") as caught:
        RenderThread(world.model, ["hed"], *SIZE, lambda _: None)
    assert "'head'" in caught.value.hint
