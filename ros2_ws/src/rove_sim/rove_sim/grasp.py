"""The grasp assist: what a hand closes around while touching it is held, until the hand opens.

Position-controlled fingers made of capsules do not hold things by friction the way soft, force-controlled ones
do, and this simulation is about deciding and moving, not about finger contact. So a hand that was open, touches
a graspable object with its palm or fingers and closes past a threshold has it: the object is welded to the palm
where it is. Opening the fingers lets go. Nothing is pulled into the hand or aligned.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
import numpy.typing as npt

from rove_core.joint_space import JointSpace
from rove_sim.poses import inverse, to_quaternion
from rove_sim.tasks.task import HANDS, body_pose

FloatArray = npt.NDArray[np.float64]

FINGERS = ("index", "middle", "ring", "little")
# Mean flexion of the four fingers as a share of their range. Home (.18) and a relaxed open hand are open.
CLOSED = 0.42
OPEN = 0.28
# Closing past the threshold and touching make a grasp when they happen within this time of one another [s].
# A fist that bumps into something later does not grasp it.
TOGETHER_S = 0.5
# The object's grip must be inside the hand: this near to the middle of the closed fingers [m].
GRIP_IN_PALM_M = (0.085, 0.0, -0.032)
GRIP_RADIUS_M = 0.075
# After letting go the hand passes through the object for so long, so that opening does not fling it away [s].
CLEAR_S = 0.6
# Soft enough to give a little when the object presses on something, stiff enough not to lag [s, damping ratio].
WELD_SOLREF = (0.015, 1.0)


def weld_name(side: str, name: str) -> str:
    """Name of the equality constraint that holds object `name` in a hand."""
    return f"{side}_holds_{name}"


def add_welds(spec: mujoco.MjSpec, side: str, objects: list[str]) -> None:
    """Add the inactive welds that a `GraspAssist` of this hand switches on and off."""
    for name in objects:
        weld = spec.add_equality(
            name=weld_name(side, name),
            type=mujoco.mjtEq.mjEQ_WELD,
            objtype=mujoco.mjtObj.mjOBJ_BODY,
            name1=f"{side}_palm",
            name2=name,
            active=False,
        )
        weld.solref[:2] = WELD_SOLREF


@dataclass(slots=True)
class _Graspable:
    """An object as one hand sees it."""

    name: str
    body: int
    weld: int
    geoms: npt.NDArray[np.intp]
    conaffinity: npt.NDArray[np.int32]
    T_object_palm: FloatArray


class GraspAssist:
    """The grasp assist of one hand."""

    def __init__(self, model: mujoco.MjModel, space: JointSpace, side: str, objects: dict[str, FloatArray]) -> None:
        self._model = model
        self._palm = int(model.body(f"{side}_palm").id)
        self._hand_geoms = np.zeros(model.ngeom, dtype=bool)
        for geom in range(model.ngeom):
            name = model.body(int(model.geom_bodyid[geom])).name
            self._hand_geoms[geom] = name == f"{side}_palm" or name.startswith(
                tuple(f"{side}_{f}_" for f in (*FINGERS, "thumb"))
            )
        flexions = [f"{side}_{finger}_{part}" for finger in FINGERS for part in ("proximal", "distal")]
        self._flexions = np.array([int(model.joint(name).qposadr[0]) for name in flexions])
        self._range = np.array([space.upper[space.index(name)] for name in flexions])
        self._objects = [self._graspable(side, name, T_object_palm) for name, T_object_palm in objects.items()]
        self.reset()

    def _graspable(self, side: str, name: str, T_object_palm: FloatArray) -> _Graspable:
        body = int(self._model.body(name).id)
        geoms = np.flatnonzero((self._model.geom_bodyid == body) & (self._model.geom_contype != 0))
        conaffinity = self._model.geom_conaffinity[geoms].copy()
        return _Graspable(
            name, body, int(self._model.equality(weld_name(side, name)).id), geoms, conaffinity, T_object_palm
        )

    def reset(self) -> None:
        """Forget everything; `MjData` must have been reset as well, which opens the welds."""
        self.held: str | None = None
        self._closed_s = np.inf  # how long the hand has been closed; a hand that starts closed never was open
        self._touched_s: dict[str, float] = {}  # how long ago the hand touched what
        self._clear_s = 0.0
        for graspable in self._objects:
            self._model.geom_conaffinity[graspable.geoms] = graspable.conaffinity

    def closure(self, data: mujoco.MjData) -> float:
        """Mean flexion of the fingers, 0 open .. 1 fist."""
        return float(np.mean(data.qpos[self._flexions] / self._range))

    def step(self, data: mujoco.MjData, dt_s: float) -> None:
        """Look at the hand after `dt_s` of physics; grasp or let go."""
        closure = self.closure(data)
        if self.held is not None:
            if closure < OPEN:
                self.release(data)
            return
        if self._clear_s > 0.0:
            self._clear_s -= dt_s
            if self._clear_s <= 0.0:
                self._set_touchable(True)
            return
        self._closed_s = 0.0 if closure < CLOSED else self._closed_s + dt_s
        self._touched_s = {name: age + dt_s for name, age in self._touched_s.items() if age + dt_s < TOGETHER_S}
        self._touched_s |= dict.fromkeys(self._touching(data), 0.0)
        if not 0.0 < self._closed_s < TOGETHER_S:
            return
        inside = [item.name for item in self._objects if item.name in self._touched_s and self._in_hand(data, item)]
        if inside:
            self.hold(data, inside[0])

    def hold(self, data: mujoco.MjData, name: str) -> None:
        """Weld the object to the palm as they stand now."""
        item = next(item for item in self._objects if item.name == name)
        palm = body_pose(data, self._model.body(self._palm).name)
        T_palm_object = inverse(palm) @ body_pose(data, name)
        # Weld data: anchor on the object (3), pose of body 2 in body 1 (3 + 4), torque scale.
        self._model.eq_data[item.weld, :3] = 0.0
        self._model.eq_data[item.weld, 3:6] = T_palm_object[:3, 3]
        self._model.eq_data[item.weld, 6:10] = to_quaternion(T_palm_object[:3, :3])
        self._model.eq_data[item.weld, 10] = 1.0
        data.eq_active[item.weld] = 1
        self.held = name
        self._set_touchable(False)

    def release(self, data: mujoco.MjData) -> None:
        """Let go."""
        for item in self._objects:
            data.eq_active[item.weld] = 0
        self.held, self._clear_s = None, CLEAR_S
        self._touched_s.clear()

    def _set_touchable(self, touchable: bool) -> None:
        for item in self._objects:
            self._model.geom_conaffinity[item.geoms] = item.conaffinity if touchable else item.conaffinity & ~HANDS

    def _touching(self, data: mujoco.MjData) -> list[str]:
        if not data.ncon:
            return []
        pairs = data.contact.geom
        hand = self._hand_geoms[pairs]
        other = pairs[:, ::-1][hand]
        bodies = set(self._model.geom_bodyid[other].tolist())
        return [item.name for item in self._objects if item.body in bodies]

    def _in_hand(self, data: mujoco.MjData, item: _Graspable) -> bool:
        """Whether the object's grip is between the palm and the fingers."""
        palm = body_pose(data, self._model.body(self._palm).name)
        grip = body_pose(data, item.name) @ item.T_object_palm @ np.array([*GRIP_IN_PALM_M, 1.0])
        off = inverse(palm) @ grip - np.array([*GRIP_IN_PALM_M, 1.0])
        return bool(np.linalg.norm(off[:3]) < GRIP_RADIUS_M)
