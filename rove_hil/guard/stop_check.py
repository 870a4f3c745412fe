"""Whether joints can come to rest without two things coming too near on the way.

The way to rest is looked at in samples, and between them by tangents: the distance of convex shapes that are translated
is a convex function, so tangents lie below it, and the crossing of the two neighbouring samples' tangents is its lower
bound. Turning adds r theta^2 / 8 between samples, half a millimetre for a forearm that turns .1 rad. A gap also shrinks
by sum |J_j| h_j at worst where joints may end in intervals of half width h.

Most pairs need no samples: they are further away than anything moves, or first order says enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rove_core.joint_space import FloatArray
from rove_hil.guard.braking import Braking, CommandState
from rove_hil.guard.clearance import Clearance, Rows

# Stops shorter than this [m], all joints added up, are not measured more exactly: looking at more pairs costs less.
COARSE_M = 0.15
# Samples of the way to rest are this far apart [rad] for the joint that goes furthest, but there are no more than so
# many: at full speed a shoulder needs .6 rad.
SAMPLE_RAD = 0.15
MOST_SAMPLES = 4
# Between samples things move on curves: an arc of 1.5 rad, all joints of an arm added up, is this much longer than its
# chord.
CURVED = 1.1
# Samples look this much further than things move [m].
SPARE_M = 0.002
# Further than anything of a robot is from anything else [m].
FAR_M = 10.0

_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Stop:
    """Joints that come to rest somewhere between `low` and `high` [rad], shape (dim,)."""

    state: CommandState
    low: FloatArray
    high: FloatArray

    @property
    def end(self) -> FloatArray:
        """Middle of where they rest [rad]."""
        return np.asarray(0.5 * (self.low + self.high))

    @property
    def half(self) -> FloatArray:
        """Half of the interval's width [rad]."""
        return np.asarray(0.5 * (self.high - self.low))

    def between(self, low: FloatArray, high: FloatArray) -> Stop:
        """When joints go no further than to `low` and `high` [rad] of themselves, but for braking."""
        rest = self.state.rest
        return Stop(
            self.state,
            np.maximum(self.low, np.minimum(low, rest)),
            np.minimum(self.high, np.maximum(high, rest)),
        )

    def braking(self, brake: npt.NDArray[np.bool_], free: FloatArray) -> Stop:
        """When joints `brake` do so now, but for those that are free to go on: -1 down, 1 up, 0 not."""
        rest = self.state.rest
        return Stop(
            self.state,
            np.where(brake & (free >= 0), rest, self.low),
            np.where(brake & (free <= 0), rest, self.high),
        )


@dataclass(frozen=True, slots=True)
class Near:
    """What is near where the joints are now, n rows.

    Attributes:
        needed: the gap that must remain [m]. reach: how much smaller the gap can become at most [m]; shape (n,) each.
    """

    rows: Rows
    needed: FloatArray
    reach: FloatArray


class StopCheck:
    """Checks stops of one robot. Keeps nothing between calls; not thread-safe."""

    def __init__(self, clearance: Clearance, braking: Braking) -> None:
        self._clearance, self._braking = clearance, braking
        self._nowhere = np.full(len(clearance.reach), -FAR_M)

    def reach(self, stop: Stop) -> FloatArray:
        """How much smaller each gap can become at most until joints rest [m], shape (pairs,)."""
        q = stop.state.position
        bound = np.asarray(self._clearance.reach @ np.maximum(stop.high - q, q - stop.low))
        if bound.max() < COARSE_M:
            return bound
        travel = self._clearance.travel(np.concatenate((q[None], self._samples(stop))))
        return np.asarray(CURVED * travel + self._clearance.reach @ stop.half)

    def unsafe(self, near: Near, stop: Stop) -> dict[int, FloatArray]:
        """Pairs that may come too near: number -> Jacobian row where they do."""
        rows, half = near.rows, stop.half
        step = stop.end - stop.state.position
        way = np.abs(step) + half
        # First order, less what the second can take: half of angle times way.
        bend = 0.5 * (self._clearance.reach[rows.pair] @ way) * ((rows.jacobian != 0) @ way)
        least = rows.gap + np.minimum(rows.jacobian @ step, 0.0) - np.abs(rows.jacobian) @ half - bend
        doubtful = np.flatnonzero((rows.gap - near.reach < near.needed) & (least < near.needed))
        if not len(doubtful):
            return {}
        suspects = Rows(rows.pair[doubtful], rows.gap[doubtful], rows.jacobian[doubtful])
        return self._on_the_way(suspects, near.needed[doubtful], stop)

    def _on_the_way(self, suspects: Rows, needed: FloatArray, stop: Stop) -> dict[int, FloatArray]:
        """Look at the way to rest sample by sample; as `unsafe`."""
        reach, half = self._clearance.reach[suspects.pair], stop.half
        poses = self._samples(stop)
        shares = np.arange(1, len(poses) + 1) / len(poses)
        steps = np.diff(poses, axis=0, prepend=stop.state.position[None])
        # What is further away than a step goes cannot come too near in it.
        look = self._nowhere.copy()
        look[suspects.pair] = (np.abs(steps) @ reach.T).max(axis=0) + reach @ half + SPARE_M
        found: dict[int, FloatArray] = {}
        before = suspects
        for share, q, step in zip(shares, poses, steps, strict=True):
            after = self._at(q, suspects, look)
            lowest = lowest_between(before.gap, before.jacobian @ step, after.gap, after.jacobian @ step)
            lowest -= np.abs(after.jacobian) @ half * share
            for row in np.flatnonzero(lowest < needed).tolist():
                found.setdefault(int(suspects.pair[row]), after.jacobian[row])
            before = after
        return found

    def _at(self, q: FloatArray, suspects: Rows, look: FloatArray) -> Rows:
        """The rows of all `suspects` at `q`; those that are not within `look` are far away."""
        rows = self._clearance.rows(q, look)
        place = np.searchsorted(suspects.pair, rows.pair)
        gap, jacobian = np.full(len(suspects), FAR_M), np.zeros(suspects.jacobian.shape)
        gap[place], jacobian[place] = rows.gap, rows.jacobian
        return Rows(suspects.pair, gap, jacobian)

    def _samples(self, stop: Stop) -> FloatArray:
        """Poses on the way to rest [rad], shape (n, dim)."""
        turn = float(np.abs(stop.end - stop.state.position).max())
        count = min(max(int(np.ceil(turn / SAMPLE_RAD)), 1), MOST_SAMPLES)
        return self._braking.way(stop.state, stop.end, np.arange(1, count + 1) / count)


def lowest_between(
    before: FloatArray, slope_before: FloatArray, after: FloatArray, slope_after: FloatArray
) -> FloatArray:
    """Lower bound of convex functions between two samples, from values there and slopes per step, shape (n,)."""
    bend = np.maximum(slope_after - slope_before, _TINY)
    share = np.clip((before + slope_after - after) / bend, 0.0, 1.0)
    return np.asarray(np.minimum(np.minimum(before, after), before + slope_before * share))
