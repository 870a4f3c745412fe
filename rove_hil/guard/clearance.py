"""What the robot must keep away from, in one table: its own shapes and the borders of its workspace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.guard.collision import CollisionModel, IntArray
from rove_hil.guard.workspace import Workspace

# Between a hand and anything else that is not a hand, and between all other shapes [m].
BODY_DISTANCE_M = 0.005
# Hands may touch, as people's do: this much overlap is a firm touch of two surfaces that give [m].
HAND_DISTANCE_M = -0.01


@dataclass(frozen=True, slots=True)
class Rows:
    """Things that are near a limit in one pose; n of them, by rising `pair`.

    Attributes:
        pair: number of the pair, the same in every pose, shape (n,).
        gap: distance above the smallest allowed [m], negative when too near, shape (n,).
        jacobian: d gap / d q [m/rad], shape (n, dim). Exactly 0 for joints that do not matter.
    """

    pair: IntArray
    gap: FloatArray
    jacobian: FloatArray

    def __len__(self) -> int:
        return len(self.pair)


class Clearance:
    """Gaps of one robot. Not thread-safe.

    Attributes:
        smallest: the smallest distance allowed of each pair of shapes [m].
        reach: upper bound of how much smaller each gap becomes when a joint turns [m/rad], shape (pairs, dim).

    Args:
        self_collision: whether the robot's own shapes count.
        workspace: YAML file of `workspace`; None for none.
        body_distance_m, hand_distance_m: smallest distance of two shapes, and of two that belong to two hands [m].

    Raises:
        ConfigError: the workspace's file is wrong.
    """

    def __init__(
        self,
        space: JointSpace,
        *,
        self_collision: bool = True,
        workspace: Path | None = None,
        body_distance_m: float = BODY_DISTANCE_M,
        hand_distance_m: float = HAND_DISTANCE_M,
    ) -> None:
        self._self_collision = self_collision
        self._collision = collision = CollisionModel(space)
        self._workspace = None if workspace is None else Workspace(collision, workspace)
        left, right = (collision.shapes_under(f"{side}_palm")[collision.pairs] for side in ("left", "right"))
        hands = (left[:, 0] & right[:, 1]) | (right[:, 0] & left[:, 1])
        self.smallest = np.where(hands, hand_distance_m, body_distance_m)
        self._borders = len(collision.pairs)
        reach = collision.reach()
        if self._workspace is not None:
            reach = np.concatenate((reach, self._workspace.reach()))
        self.reach = reach
        self._nothing = Rows(np.empty(0, dtype=np.intp), np.empty(0), np.empty((0, space.dim)))

    def name(self, pair: int) -> str:
        """What is near what, as "left_palm near torso_1"."""
        if pair >= self._borders and self._workspace is not None:
            return " at the ".join(self._workspace.names[pair - self._borders])
        return " near ".join(self._collision.pair_name(pair))

    def travel(self, poses: FloatArray) -> FloatArray:
        """How much smaller each gap can become on the way through `poses` [rad], shape (n, dim): [m], (pairs,)."""
        own = self._collision.travel(poses)
        if self._workspace is None:
            return own
        return np.concatenate((own, self._workspace.travel(poses)))

    def rows(self, q: FloatArray, gap_m: FloatArray) -> Rows:
        """What has a gap below `gap_m` [m], shape (pairs,), at `q` [rad], shape (dim,), which must be finite."""
        rows = self._own(q, gap_m[: self._borders])
        if self._workspace is None:
            return rows
        gap, jacobian = self._workspace.rows()
        near = np.flatnonzero(gap < gap_m[self._borders :])
        return Rows(
            np.concatenate((rows.pair, self._borders + near)),
            np.concatenate((rows.gap, gap[near])),
            np.concatenate((rows.jacobian, jacobian[near])),
        )

    def _own(self, q: FloatArray, gap_m: FloatArray) -> Rows:
        """The robot's own shapes; leaves the collision model posed at `q`."""
        if not self._self_collision:
            self._collision.pose(q)
            return self._nothing
        near = self._collision.near(q, gap_m + self.smallest)
        return Rows(near.pair, near.distance - self.smallest[near.pair], near.jacobian)
