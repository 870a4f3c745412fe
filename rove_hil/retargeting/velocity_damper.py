"""Distances between parts of the robot, as inequalities of the retargeting's QP.

Two parts at a gap g above the smallest distance that they should keep may lose at most a share of it in one step,

    J dq >= -share g,

the velocity damper of Faverjon and Tournassoud (ICRA 1987): far parts do not matter, near ones come to rest at their
distance, and what is too near already is led apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.guard.collision import CollisionModel
from rove_hil.operator.mocap import FINGERS
from rove_hil.retargeting.kinematics import IntArray

# What any two parts keep [m], and what two hands keep, which may touch as people's do: a firm touch of two surfaces
# that give. A little more than the guard of the final command asks for, so that it has nothing to do.
BODY_DISTANCE_M = 0.007
HAND_DISTANCE_M = -0.008
# Gaps above this are not looked at [m]: an arm moves about that far in one frame.
LOOKED_AT_M = 0.06
# Share of a gap that one step may take.
SHARE = 0.5
# The fastest that what is too near is led apart in one step [m].
LARGEST_RETREAT_M = 0.002

_HAND_PARTS = ("palm", *FINGERS)


@dataclass(frozen=True, slots=True)
class Inequalities:
    """jacobian @ step >= least; shapes (n, columns), (n,)."""

    jacobian: FloatArray
    least: FloatArray

    def after(self, step: FloatArray) -> Inequalities:
        """What is left of them for further steps when `step` (columns,) has been made."""
        return Inequalities(self.jacobian, self.least - self.jacobian @ step)


class VelocityDamper:
    """Keeps parts of one robot apart. Not thread-safe."""

    def __init__(self, space: JointSpace) -> None:
        self._model = CollisionModel(space)
        self._smallest: dict[int, float] = {}

    def inequalities(self, q: FloatArray, columns: IntArray) -> Inequalities:
        """What a step of the joints `columns` from `q` [rad], shape (dim,), must keep to, of what they move."""
        near = self._model.near(q, LOOKED_AT_M + max(BODY_DISTANCE_M, HAND_DISTANCE_M))
        gap = near.distance - [self._smallest_of(pair) for pair in near.pair.tolist()]
        jacobian = near.jacobian[:, columns]
        matters = (np.abs(jacobian).max(axis=1, initial=0.0) > 0.0) & (gap < LOOKED_AT_M)
        least = np.minimum(-SHARE * gap[matters], LARGEST_RETREAT_M)
        return Inequalities(np.ascontiguousarray(jacobian[matters]), least)

    def _smallest_of(self, pair: int) -> float:
        if pair not in self._smallest:
            hands = all(any(part in name for part in _HAND_PARTS) for name in self._model.pair_name(pair))
            self._smallest[pair] = HAND_DISTANCE_M if hands else BODY_DISTANCE_M
        return self._smallest[pair]
