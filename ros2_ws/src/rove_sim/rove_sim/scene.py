"""What a person standing in the room sees of the task: published as JSON on /sim/scene.

The robot and its policy never get this; the scripted operator and supervisor, who stand for people, do.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rove_core.config import ConfigModel

Vector = Annotated[tuple[float, float, float], Field(description="[m], base frame")]
Quaternion = Annotated[tuple[float, float, float, float], Field(description="wxyz")]


class Pose(ConfigModel):
    """Where a thing is, in the base frame."""

    position: Vector
    quaternion: Quaternion = (1.0, 0.0, 0.0, 0.0)


class Mark(ConfigModel):
    """One mark on the whiteboard. `remaining` falls from 1 to 0 while it is wiped; at 0 it is erased."""

    position: Vector
    erased: bool
    remaining: float = Field(ge=0.0, le=1.0)


class SceneState(ConfigModel):
    """The room at one instant.

    Attributes:
        task: "whiteboard" or "toaster". seed, start_stage: as given to the last reset.
        resets: counts the resets since the simulator started, so that a watcher knows the new scene from the old.
        stage: progress now, 0 .. stages - 1 of the task (see the task's docstring); falls when an object is dropped.
        success: the task is done, as of this instant.
        failed: why it cannot be done any more ("eraser dropped"); "" while it can.
        objects: name -> pose of everything that matters to the task and may stand somewhere else every time.
        grasp: "left" and "right" -> the object held by that hand, or None.
        time_s: simulated time since the simulator started [s].
        stamp_ns: ROS clock of that instant [ns].
    """

    task: str
    seed: int
    start_stage: int
    resets: int
    stage: int
    success: bool
    failed: str
    objects: dict[str, Pose]
    marks: tuple[Mark, ...] = ()
    grasp: dict[str, str | None]
    time_s: float
    stamp_ns: int = 0

    @property
    def marks_left(self) -> int:
        """How many marks are not erased yet."""
        return sum(not mark.erased for mark in self.marks)
