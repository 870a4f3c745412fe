"""How far the operator's pose is from the robot's, in radians, metres and the moves that a person would make.

Both poses are joint positions of the robot: the operator's as retargeted, the robot's as measured. Positions and
rotations are of the parts that these joints put somewhere, by the robot's kinematics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import mujoco
import numpy as np

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.operator.mocap import FINGERS, SIDES
from rove_hil.retargeting.kinematics import Kinematics


class Motion(Enum):
    """What a `Move` is, and the unit of its vector."""

    SHIFT = "m"  # of a point, in the base frame
    SWING = "rad"  # of a limb's direction: change of its unit vector, in the base frame
    TURN = "rad of rotation"  # rotation vector in the base frame
    OPEN = "m of opening"  # one number: a fingertip's distance from its palm grows


@dataclass(frozen=True, slots=True)
class Move:
    """What the operator would have to do with one part of the body to be where the robot is.

    Attributes:
        part: as people call it: "right elbow".
        vector: x forward, y left, z up; OPEN has one component. Unit as `motion` says.
    """

    part: str
    motion: Motion
    vector: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class GroupDifference:
    """The operator against the robot in one joint group.

    Attributes:
        rms_rad, max_rad: over the group's joints [rad].
        position_m: palm of an arm, head, worst fingertip of a hand relative to its palm [m]; NaN for other groups.
        rotation_rad: palm of an arm, head [rad]; NaN for other groups.
        moves: what would bring the operator there; empty where nobody could say.
    """

    rms_rad: float
    max_rad: float
    position_m: float = math.nan
    rotation_rad: float = math.nan
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True, slots=True)
class _Parts:
    """Where the parts are in the base frame; pairs are (left, right). Positions [m], rotations part to base."""

    head: FloatArray  # (3,)
    head_rotation: FloatArray  # (3, 3)
    upper_arms: FloatArray  # (2, 3), unit vectors from shoulder to elbow
    palms: FloatArray  # (2, 3)
    palm_rotations: FloatArray  # (2, 3, 3)
    tips: FloatArray  # (2, 5, 3), in the palm's frame


class PoseComparison:
    """Compares poses of one robot. Not thread-safe."""

    def __init__(self, space: JointSpace) -> None:
        self._space = space
        self._kinematics = Kinematics(space)
        self._sites = {
            part: self._kinematics.sites(*(f"{side}_{part}_site" for side in SIDES))
            for part in ("shoulder", "elbow", "palm")
        }
        self._head = self._kinematics.sites("head_site")
        self._tips = self._kinematics.sites(*(f"{side}_{finger}_tip" for side in SIDES for finger in FINGERS))

    def compare(
        self, operator: FloatArray, robot: FloatArray, groups: tuple[str, ...] = ()
    ) -> Mapping[str, GroupDifference]:
        """The difference in every joint group.

        Args:
            operator, robot: joint positions [rad], shape (dim,).
            groups: what the operator is going to drive; empty for everything. The other joints stay the robot's,
                so positions are measured as if the operator stood with them; of the other groups only radians are told.
        """
        spans = self._space.groups
        driven = [group for group in groups if group in spans] or list(spans)
        assumed = robot.copy()
        for group in driven:
            assumed[spans[group]] = operator[spans[group]]
        here, there = self._parts(assumed), self._parts(robot)
        waist = self._waist_turn(robot - assumed)
        difference = operator - robot
        parts = {group: self._difference(group, difference[spans[group]], here, there, waist) for group in driven}
        return {**self.in_radians(operator, robot), **parts}

    def in_radians(self, operator: FloatArray, robot: FloatArray) -> dict[str, GroupDifference]:
        """The difference of the joints alone, which costs a tenth."""
        difference = operator - robot
        return {group: GroupDifference(*_rms_and_max(difference[span])) for group, span in self._space.groups.items()}

    def _parts(self, q: FloatArray) -> _Parts:
        kinematics = self._kinematics
        kinematics.forward(q)
        palms = kinematics.site_positions(self._sites["palm"])
        rotations = kinematics.site_rotations(self._sites["palm"])
        upper = kinematics.site_positions(self._sites["elbow"]) - kinematics.site_positions(self._sites["shoulder"])
        tips = kinematics.site_positions(self._tips).reshape(len(SIDES), len(FINGERS), 3)
        return _Parts(
            head=kinematics.site_positions(self._head)[0],
            head_rotation=kinematics.site_rotations(self._head)[0],
            upper_arms=upper / np.linalg.norm(upper, axis=1, keepdims=True),
            palms=palms,
            palm_rotations=rotations,
            tips=(tips - palms[:, None]) @ rotations,
        )

    def _waist_turn(self, change: FloatArray) -> FloatArray:
        """Rotation vector of the torso for a small `change` of all joints [rad], in the base frame, of the last pose.

        The sum of the waist's axes, each turned by its joint: exact for one joint, good enough for words.
        """
        span = self._space.groups.get("waist", slice(0, 0))
        return np.asarray(change[span] @ self._kinematics.joint_axes()[span])

    def _difference(
        self, group: str, difference: FloatArray, here: _Parts, there: _Parts, waist: FloatArray
    ) -> GroupDifference:
        rms, worst = _rms_and_max(difference)
        if group == "head":
            shift, turn = there.head - here.head, _turn(here.head_rotation, there.head_rotation)
            # The head's place is the waist's doing: only its rotation is for the neck to change.
            moves = [Move("head", Motion.TURN, tuple(turn))]
            return GroupDifference(rms, worst, _length(shift), _length(turn), tuple(moves))
        if group == "waist":
            return GroupDifference(rms, worst, moves=(Move("torso", Motion.TURN, tuple(waist)),))
        side, _, limb = group.partition("_")
        if side not in SIDES or limb not in ("arm", "hand"):
            return GroupDifference(rms, worst)
        index = SIDES.index(side)
        if limb == "arm":
            shift = there.palms[index] - here.palms[index]
            turn = _turn(here.palm_rotations[index], there.palm_rotations[index])
            swing = there.upper_arms[index] - here.upper_arms[index]
            moves = [
                Move(f"{side} hand", Motion.SHIFT, tuple(shift)),
                Move(f"{side} elbow", Motion.SWING, tuple(swing)),
                Move(f"{side} hand", Motion.TURN, tuple(turn)),
            ]
            return GroupDifference(rms, worst, _length(shift), _length(turn), tuple(moves))
        off = np.linalg.norm(there.tips[index] - here.tips[index], axis=1)
        opening = np.linalg.norm(there.tips[index], axis=1) - np.linalg.norm(here.tips[index], axis=1)
        fingers = [Move(f"{side} {name}", Motion.OPEN, (float(by),)) for name, by in zip(FINGERS, opening, strict=True)]
        together = Move(f"{side} fingers", Motion.OPEN, (float(opening.mean()),))
        return GroupDifference(rms, worst, float(off.max()), moves=(together, *fingers))


def _rms_and_max(difference: FloatArray) -> tuple[float, float]:
    return float(np.sqrt(np.mean(difference**2))), float(np.abs(difference).max())


def _length(vector: FloatArray) -> float:
    return float(np.linalg.norm(vector))


def _turn(now: FloatArray, goal: FloatArray) -> FloatArray:
    """Rotation vector [rad] in the base frame that turns `now` into `goal`, both (3, 3); at most half a turn."""
    quaternion, vector = np.empty(4), np.empty(3)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(goal @ now.T).reshape(9))
    mujoco.mju_quat2Vel(vector, quaternion, 1.0)
    return vector
