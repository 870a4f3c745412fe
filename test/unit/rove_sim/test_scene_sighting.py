from __future__ import annotations

import numpy as np

from rove_sim.poses import to_scene, transform
from rove_sim.scene import Mark, SceneState
from rove_sim.scene_sighting import sighting_of
from rove_sim.tasks.toaster import BREAD, TOASTER, slice_in_slot
from rove_sim.tasks.whiteboard import ERASER

FAR = np.array([0.38, -0.2, 0.3])


def whiteboard(held: bool, remaining: tuple[float, ...] = (1.0, 1.0), failed: str = "") -> SceneState:
    places = ((0.5, -0.1, 0.3), (0.5, -0.3, 0.3))
    marks = tuple(Mark(position=p, erased=r == 0.0, remaining=r) for p, r in zip(places, remaining, strict=True))
    return SceneState(
        task="whiteboard", seed=0, start_stage=0, resets=1, stage=0, success=False, failed=failed, marks=marks,
        objects={ERASER: to_scene(transform([0.4, -0.35, 0.02]))}, time_s=0.0,
        grasp={"left": None, "right": ERASER if held else None},
    )  # fmt: skip


def toaster(stage: int, bread_high_m: float, held: bool) -> SceneState:
    objects = {BREAD: to_scene(slice_in_slot(np.eye(4), 0, -bread_high_m)), TOASTER: to_scene(np.eye(4))}
    return SceneState(
        task="toaster", seed=0, start_stage=0, resets=1, stage=stage, success=False, failed="", objects=objects,
        grasp={"left": None, "right": BREAD if held else None}, time_s=0.0,
    )  # fmt: skip


def test_the_palm_nears_what_is_to_be_taken() -> None:
    near = sighting_of(whiteboard(held=False), np.array([0.4, -0.35, 0.11]))
    assert near.distance_m < 0.02 < sighting_of(whiteboard(held=False), FAR).distance_m


def test_taking_and_erasing_are_milestones() -> None:
    seen = [
        sighting_of(scene, FAR).milestones
        for scene in (whiteboard(False), whiteboard(True), whiteboard(True, (0.0, 1.0)), whiteboard(True, (0.0, 0.0)))
    ]
    assert seen == [0, 1, 2, 3]


def test_a_mark_that_fades_is_progress() -> None:
    before, after = (sighting_of(whiteboard(True, left), FAR).distance_m for left in ((1.0, 1.0), (0.4, 1.0)))
    assert after < before - 0.05


def test_what_cannot_be_done_any_more_is_lost() -> None:
    assert sighting_of(whiteboard(False, failed="eraser dropped"), FAR).lost
    assert not sighting_of(whiteboard(False), FAR).lost


def test_bread_nears_the_slot() -> None:
    high, low = (sighting_of(toaster(1, m, held=True), FAR) for m in (0.20, 0.02))
    assert low.distance_m < high.distance_m - 0.1
    assert low.milestones == 1
