"""What an onlooker makes of a scene: how much is done, and how far away the next step is."""

from __future__ import annotations

import numpy as np

from rove_sim.judgement import Sighting
from rove_sim.poses import FloatArray, from_scene
from rove_sim.scene import SceneState
from rove_sim.tasks.toaster import BREAD, TOASTER, Toaster, slot_pose
from rove_sim.tasks.whiteboard import ERASER

# A mark that is half gone is as good as this many metres nearer to it.
WIPING_COUNTS_M = 0.1
# Nobody grips the middle of a thing: the palm is about this far above what it holds [m].
PALM_ABOVE_M = 0.08


def sighting_of(scene: SceneState, palm: FloatArray) -> Sighting:
    """What can be seen of the task.

    Args:
        palm: where the robot's right palm is [m], shape (3,).
    """
    milestones, distance_m = _toaster(scene, palm) if scene.task == Toaster.NAME else _whiteboard(scene, palm)
    return Sighting(milestones, distance_m, scene.success, bool(scene.failed))


def _whiteboard(scene: SceneState, palm: FloatArray) -> tuple[int, float]:
    eraser = np.array(scene.objects[ERASER].position)
    held = scene.grasp["right"] == ERASER
    milestones = int(held) + sum(mark.erased for mark in scene.marks)
    if not held:
        return milestones, _from_palm(eraser, palm)
    left = [mark for mark in scene.marks if not mark.erased]
    if not left:
        return milestones, 0.0
    nearest = min(float(np.linalg.norm(eraser - np.array(mark.position))) for mark in left)
    return milestones, nearest + WIPING_COUNTS_M * sum(mark.remaining for mark in left)


def _toaster(scene: SceneState, palm: FloatArray) -> tuple[int, float]:
    bread = np.array(scene.objects[BREAD].position)
    if scene.grasp["right"] != BREAD:
        return scene.stage, _from_palm(bread, palm)
    toaster = from_scene(scene.objects[TOASTER])
    slots = [slot_pose(toaster, slot)[:3, 3] for slot in (0, 1)]
    return scene.stage, min(float(np.linalg.norm(bread - slot)) for slot in slots)


def _from_palm(thing: FloatArray, palm: FloatArray) -> float:
    return float(np.linalg.norm(palm - thing - np.array([0.0, 0.0, PALM_ABOVE_M])))
