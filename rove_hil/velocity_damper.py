"""Distances that the robot must keep, as inequalities of the retargeting's QP.

What is at a gap g above its smallest distance may lose at most a share of that in one step,

    J dq >= -share g,

the velocity damper of Faverjon and Tournassoud (ICRA 1987): far things do not matter, near ones come to rest at their
distance, and what is too near already is led apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.clearance import Clearance
from rove_hil.kinematics import IntArray

# Above the smallest distance of `clearance`, at which the guard of the command steps in [m].
MARGIN_M = 0.002
# Gaps above this are not looked at [m]: an arm moves about that far in one frame.
LOOKED_AT_M = 0.06
# Share of a gap that one step may take.
SHARE = 0.5
# The fastest that what is too near is led apart in one step [m].
LARGEST_RETREAT_M = 0.002


@dataclass(frozen=True, slots=True)
class Inequalities:
    """jacobian @ step >= least; shapes (n, columns), (n,)."""

    jacobian: FloatArray
    least: FloatArray


class VelocityDamper:
    """Keeps parts of one robot apart. Not thread-safe."""

    def __init__(self, space: JointSpace, clearance: Clearance | None = None) -> None:
        self._clearance = clearance or Clearance(space)

    def inequalities(self, q: FloatArray, columns: IntArray) -> Inequalities:
        """What a step of the joints `columns` from `q` [rad], shape (dim,), must keep to, of what they move."""
        rows = self._clearance.rows(q, LOOKED_AT_M)
        jacobian = rows.jacobian[:, columns]
        moved = np.abs(jacobian).max(axis=1, initial=0.0) > 0.0
        least = np.minimum(-SHARE * (rows.gap[moved] - MARGIN_M), LARGEST_RETREAT_M)
        return Inequalities(np.ascontiguousarray(jacobian[moved]), least)
