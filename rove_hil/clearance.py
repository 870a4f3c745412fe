"""Distances between parts of the robot, as inequalities of the retargeting's QP.

A pair of parts at distance d that is wanted no nearer than d_min may lose at most a share of what is left in one step,

    J dq >= -gain (d - d_min),

the velocity damper of Faverjon and Tournassoud (ICRA 1987): far pairs are free, near ones come to rest at d_min, and
pairs that are too near already are led apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.collision import CollisionModel
from rove_hil.kinematics import IntArray

# What the robot keeps off itself [m]: more than the fingers' thickness is known, less than folded arms need.
KEPT_M = 0.005
# Pairs further apart than this are not looked at [m]: an arm moves about that far in one frame.
LOOKED_AT_M = 0.06
# Share of the remaining distance that one step may take.
GAIN = 0.5
# The fastest that pairs which are too near are led apart in one step [m].
LARGEST_RETREAT_M = 0.002


@dataclass(frozen=True, slots=True)
class Rows:
    """Inequalities jacobian @ step >= least; shapes (n, columns), (n,)."""

    jacobian: FloatArray
    least: FloatArray


class Clearance:
    """Keeps parts of one robot apart. Not thread-safe.

    Args:
        kept_m: least distance of any pair [m].
    """

    def __init__(self, space: JointSpace, kept_m: float = KEPT_M) -> None:
        self._model = CollisionModel(space)
        self._kept_m = kept_m

    def rows(self, q: FloatArray, columns: IntArray) -> Rows:
        """What a step of the joints `columns` from `q` (dim,) must keep to, of the pairs that they move."""
        near = self._model.near(q, LOOKED_AT_M)
        jacobian = near.jacobian[:, columns]
        moved = np.abs(jacobian).max(axis=1, initial=0.0) > 0.0
        least = np.minimum(-GAIN * (near.distance[moved] - self._kept_m), LARGEST_RETREAT_M)
        return Rows(np.ascontiguousarray(jacobian[moved]), least)
