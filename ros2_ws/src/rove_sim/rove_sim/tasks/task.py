"""What the world asks of a task: to build its things, to place them for a seed, to follow its progress."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np
import numpy.typing as npt

from rove_sim.poses import from_quaternion, to_quaternion, transform
from rove_sim.scene import Mark, Pose

FloatArray = npt.NDArray[np.float64]

# Who collides with whom. The robot's model uses bits 1 (body), 2 (left hand) and 4 (right hand). The room touches
# all of the robot and the objects, objects touch hands and one another.
ROBOT, HANDS, ROOM, OBJECT = 7, 6, 8, 16
ROOM_BITS = {"contype": ROOM, "conaffinity": ROBOT | OBJECT}
OBJECT_BITS = {"contype": OBJECT, "conaffinity": HANDS | OBJECT}
SEEN_ONLY = {"contype": 0, "conaffinity": 0}

TABLE_TOP_M = 0.0  # z of the table top
TABLE_X_M = (0.24, 0.94)
TABLE_Y_M = (-0.70, 0.70)

# Contact that gives way by millimetres instead of exploding when a position-controlled arm presses on it:
# critically damped over 20 ms, full force only after a few millimetres of penetration.
SOFT_CONTACT = {"solref": [0.02, 1.0], "solimp": [0.8, 0.95, 0.004, 0.5, 2.0]}


@dataclass(frozen=True, slots=True)
class Start:
    """How a scene begins: what the world has to do beside placing the objects.

    Attributes:
        T_base_palm: pose of the right palm, or None for the robot's home pose.
        held: the object in the right hand, or None.
    """

    T_base_palm: FloatArray | None = None
    held: str | None = None


class Task(ABC):
    """One task. The world builds it into the model once, then places and follows it attempt by attempt."""

    NAME: ClassVar[str]
    INSTRUCTION: ClassVar[str]
    STAGES: ClassVar[int]  # progress stages, 0 .. STAGES - 1; a scene can start in all but the last
    OBJECTS: ClassVar[Mapping[str, FloatArray]]  # graspable body -> T_object_palm of a good grasp

    @abstractmethod
    def build(self, spec: mujoco.MjSpec) -> None:
        """Add the task's bodies to the world (called once, before the model is compiled)."""

    @abstractmethod
    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator, start_stage: int) -> Start:
        """Put everything where an attempt that starts in `start_stage` finds it; forget the last attempt."""

    @abstractmethod
    def update(self, data: mujoco.MjData, held: frozenset[str], dt_s: float) -> None:
        """Follow the progress: `dt_s` has passed, the objects `held` are in a hand."""

    @property
    @abstractmethod
    def stage(self) -> int:
        """Progress now."""

    @property
    @abstractmethod
    def failed(self) -> str:
        """Why the task cannot be done any more, "" while it can."""

    @property
    def success(self) -> bool:
        """Whether the last stage is reached."""
        return self.stage == self.STAGES - 1

    @abstractmethod
    def poses(self, data: mujoco.MjData) -> dict[str, Pose]:
        """What /sim/scene says about where things are."""

    def marks(self) -> tuple[Mark, ...]:
        """Marks of /sim/scene; none unless the task has some."""
        return ()

    def tints(self) -> Mapping[int, float]:
        """Geom id -> opacity 0 .. 1, for what fades while the task is done."""
        return {}


def body_pose(data: mujoco.MjData, body: str) -> FloatArray:
    """T_base_body, shape (4, 4)."""
    view = data.body(body)
    return transform(view.xpos, view.xmat.reshape(3, 3))


def set_free_pose(data: mujoco.MjData, body: str, pose: FloatArray) -> None:
    """Put a body with a free joint of the same name at rest at `pose`, shape (4, 4)."""
    joint = data.joint(body)
    joint.qpos[:3] = pose[:3, 3]
    joint.qpos[3:] = to_quaternion(pose[:3, :3])
    joint.qvel[:] = 0.0


def set_mocap_pose(model: mujoco.MjModel, data: mujoco.MjData, body: str, pose: FloatArray) -> None:
    """Put a body that nothing pushes (mocap) at `pose`, shape (4, 4)."""
    index = int(model.body(body).mocapid[0])
    data.mocap_pos[index] = pose[:3, 3]
    data.mocap_quat[index] = to_quaternion(pose[:3, :3])


def mocap_pose(model: mujoco.MjModel, data: mujoco.MjData, body: str) -> FloatArray:
    """Where `set_mocap_pose` put it, shape (4, 4); needs no forward kinematics."""
    index = int(model.body(body).mocapid[0])
    return transform(data.mocap_pos[index], from_quaternion(data.mocap_quat[index]))


def out_of_reach(position: FloatArray) -> bool:
    """Whether an object at `position` [m] is gone: off the table or where no arm gets it back."""
    x, y, z = position
    return bool(z < TABLE_TOP_M - 0.10 or x > 0.80 or x < 0.10 or abs(y) > 0.62)
