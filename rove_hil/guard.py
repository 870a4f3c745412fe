"""The guard: keeps the final command from running the robot into itself or out of its workspace.

It stands before the command filter and has two means, both of which the filter's guarantee covers: it moves a joint's
target nearer to where the joint is, and it brakes joints along their stop plan. It never makes a joint go where its
source did not want it to go: it slows and holds, it does not push.

**Slow.** For a pair with gap g (distance above the smallest allowed) and Jacobian J, a joint closes in when
J_j (target_j - q_j) < 0. The closing joints' targets are pulled back towards q_j by one factor s, so that together they
close, to first order, no more than g less `SLOW_GAP_M`. A single joint is thus sent to the fixed point where the gap is
that small, and the filter comes to rest there by itself; joints that open the gap are left alone, so a hand slides
along what it must not enter, and leaves it at once. Where the gap is already smaller, closing joints stay and opening
ones move.

**Brake.** The slow part is first order and no guarantee. The invariant is: *when all joints brake now, no gap becomes
negative on the way to rest.* Before every tick the guard looks at where the joints may come to rest when that tick
moves them as hard as the filter can (`rove_hil.braking`). Pairs that could become too near on the way from here to
there are not free: their joints brake, along the very stop that was seen to be clear one tick ago. Joints that open the
pair's gap and move that way need not: opening while the others stop makes no gap smaller.

**The way to rest** is looked at in samples, and between them by tangents: the distance of convex shapes that are
translated is a convex function, so tangents lie below it, and the crossing of the two neighbouring samples' tangents
is its lower bound. Turning adds r theta^2 / 8 between samples, half a millimetre for a forearm that turns .1 rad. A gap
also shrinks by sum |J_j| h_j at worst where joints may end in intervals of half width h.

**When it starts too near**, the smallest distance of that pair is what it is, and rises with every gain.

All of it needs one query when nothing is near. What is not modelled: the arms' true position behind the command, and
things that are not the robot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.braking import Braking, CommandState
from rove_hil.clearance import Clearance, Rows
from rove_hil.collision import IntArray

BoolArray = npt.NDArray[np.bool_]

# Targets are pulled back to this much more than the smallest distance [m], so that the brake is seldom needed: what
# an arm at .5 rad/s covers in a tick, and what first order misses.
SLOW_GAP_M = 0.005
# Pairs are looked at this much further away [m] than the joints need to stop.
LOOK_M = 0.02
# Stops shorter than this [m], all joints added up, are not measured more exactly: looking at more pairs costs less.
COARSE_M = 0.15
# A pair that brakes is free again when its gap would stay above this [m].
RELEASE_GAP_M = 0.001
# Being too near may become worse by this [m] through rounding and turning before joints are braked for it.
WORSE_M = 0.001
# Samples of the way to rest are this far apart [rad] for the joint that goes furthest, but there are no more than so
# many: at full speed a shoulder needs .6 rad.
SAMPLE_RAD = 0.15
MOST_SAMPLES = 4
# Between samples things move on curves: an arc of 1.5 rad, all joints of an arm added up, is this much longer than its
# chord.
CURVED = 1.1
# A target is aimed at to within this [rad], but the filter smooths: a joint in motion may pass it by so many ticks of
# its velocity, which at speed is no restriction at all.
AIM_RAD = 0.0005
AIM_TICKS = 20.0
# Targets that are pulled back by more than this are told about [rad].
TOLD_RAD = 0.01
# Further than anything of a robot is from anything else [m].
FAR_M = 10.0

_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard makes of one tick's target. Arrays of shape (dim,), JointSpace order.

    Attributes:
        target: between the command and the source's target, joint by joint [rad]. velocity: of that target [rad/s].
        brake: joints that must brake in this tick.
        reason: what is held back, "" when nothing is.
    """

    target: FloatArray
    velocity: FloatArray
    brake: BoolArray
    reason: str


class Guard:
    """Judges one command stream, tick by tick; see the module.

    First tick: needs nothing, any pose. A dropped tick, a clock jump or a reset of the filter: nothing is kept but
    which pairs were too near, which braked, and what was told. Not thread-safe.
    """

    def __init__(self, space: JointSpace, dt_s: float, clearance: Clearance) -> None:
        """Args: dt_s: tick of the filter [s]."""
        self._dt_s = dt_s
        self._clearance = clearance
        self._braking = Braking(space, dt_s)
        self._nowhere = np.full(len(clearance.reach), -FAR_M)
        self._nobody = np.zeros(space.dim, dtype=np.bool_)
        self._too_near: dict[int, float] = {}
        self._braked: frozenset[int] = frozenset()
        self._told: int | None = None

    def limit(self, motion: CommandState, target: FloatArray, velocity: FloatArray, held: BoolArray) -> Verdict:
        """Judge the next tick.

        Args:
            motion: the last command.
            target: where the source wants the joints [rad]; where it is no number they are to rest.
            velocity: of the target [rad/s]. held: joints that brake anyway.
        """
        good = np.isfinite(target) & np.isfinite(velocity)
        if not good.all():
            target, velocity = np.where(good, target, motion.rest), np.where(good, velocity, 0.0)
        low, high = self._braking.ends(motion, held)
        reach = self._stopping_reach(motion, low, high)
        here = self._clearance.rows(motion.position, LOOK_M + reach)
        if not len(here):
            self._too_near, self._braked, self._told = {}, frozenset(), None
            return Verdict(target, velocity, self._nobody, "")
        smallest = self._smallest_gaps(here)
        pulled, share, slowing = self._pull_back(here, smallest, motion.position, target)
        velocity = velocity * share
        aim = pulled + velocity * self._dt_s + self._braking.stop_distance(velocity, 0.0)
        spare = AIM_RAD + np.abs(motion.velocity) * (AIM_TICKS * self._dt_s)
        low = np.maximum(low, np.minimum(aim - spare, motion.rest))
        high = np.minimum(high, np.maximum(aim + spare, motion.rest))
        brake, worst = self._judge(here, smallest, motion, low, high, reach, np.sign(aim - motion.position))
        self._braked = frozenset(worst)
        return Verdict(pulled, velocity, brake, self._tell([*worst, *here.pair[slowing].tolist()]))

    def _judge(
        self,
        here: Rows,
        smallest: FloatArray,
        motion: CommandState,
        low: FloatArray,
        high: FloatArray,
        reach: FloatArray,
        sense: FloatArray,
    ) -> tuple[BoolArray, list[int]]:
        """Which joints must brake when they may come to rest between `low` and `high`, and the pairs they brake for.

        Args:
            sense: the way each joint wants to go, -1 or 1.
        """
        worst = self._unsafe(here, smallest, motion, low, high, reach)
        brake = opening = self._nobody
        for row in worst.values():
            brake = brake | (row != 0)
        if not worst:
            return brake, []
        at_worst = np.array(list(worst.values()))
        now = here.jacobian[np.isin(here.pair, list(worst))]
        opening = brake & (at_worst * sense >= 0).all(axis=0) & (now * sense >= 0).all(axis=0)
        opening &= motion.velocity * sense >= 0
        if opening.any():
            # Joints that open these gaps may go on while the others brake, when that is seen to be clear.
            low = np.where(brake & ~(opening & (sense < 0)), motion.rest, low)
            high = np.where(brake & ~(opening & (sense > 0)), motion.rest, high)
            if not self._unsafe(here, smallest, motion, low, high, reach):
                brake = brake & ~opening
        return brake, list(worst)

    def _stopping_reach(self, motion: CommandState, low: FloatArray, high: FloatArray) -> FloatArray:
        """How much smaller each gap can become until joints rest between `low` and `high` [m], shape (pairs,)."""
        bound = np.asarray(self._clearance.reach @ np.maximum(high - motion.position, motion.position - low))
        if bound.max() < COARSE_M:
            return bound
        end, half = 0.5 * (low + high), 0.5 * (high - low)
        poses = np.concatenate((motion.position[None], self._samples(motion, end)))
        return CURVED * self._clearance.travel(poses) + self._clearance.reach @ half

    def _samples(self, motion: CommandState, end: FloatArray) -> FloatArray:
        """Poses on the way to rest at `end` [rad], shape (n, dim)."""
        turn = float(np.abs(end - motion.position).max())
        count = min(max(int(np.ceil(turn / SAMPLE_RAD)), 1), MOST_SAMPLES)
        return self._braking.way(motion, end, np.arange(1, count + 1) / count)

    def _smallest_gaps(self, here: Rows) -> FloatArray:
        """The gap that each pair may have [m], shape (n,): 0, or what it began with when that was too near."""
        smallest = np.zeros(len(here))
        best: dict[int, float] = {}
        for row in np.flatnonzero(here.gap < 0).tolist():
            pair = int(here.pair[row])
            best[pair] = max(float(here.gap[row]), self._too_near.get(pair, -FAR_M))
            smallest[row] = best[pair] - WORSE_M
        self._too_near = best
        return smallest

    def _pull_back(
        self, here: Rows, smallest: FloatArray, q: FloatArray, target: FloatArray
    ) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Targets, the share of the way to them that is left to each joint, and which rows matter."""
        way = target - q
        change = here.jacobian * way
        closing = change < 0
        total = -(change * closing).sum(axis=1)
        room = np.maximum(here.gap - smallest - SLOW_GAP_M, 0.0)
        factor = np.minimum(room / np.maximum(total, _TINY), 1.0)
        share = np.where(closing, factor[:, None], 1.0).min(axis=0)
        back = np.abs(way) * closing * (1 - factor)[:, None]
        return q + share * way, share, back.max(axis=1) > TOLD_RAD

    def _unsafe(
        self,
        here: Rows,
        smallest: FloatArray,
        motion: CommandState,
        low: FloatArray,
        high: FloatArray,
        reach: FloatArray,
    ) -> dict[int, FloatArray]:
        """Pairs that may come too near on the way to rest between `low` and `high`: number -> Jacobian row there."""
        end, half = 0.5 * (low + high), 0.5 * (high - low)
        step = end - motion.position
        way = np.abs(step) + half
        needed = smallest
        if self._braked:
            again = [pair in self._braked for pair in here.pair.tolist()]
            needed = smallest + RELEASE_GAP_M * (again & (here.gap > smallest + 2 * RELEASE_GAP_M))
        # First order, less what the second can take: half of angle times way.
        bend = 0.5 * (self._clearance.reach[here.pair] @ way) * ((here.jacobian != 0) @ way)
        least = here.gap + np.minimum(here.jacobian @ step, 0.0) - np.abs(here.jacobian) @ half - bend
        doubtful = np.flatnonzero((here.gap - reach[here.pair] < needed) & (least < needed))
        if not len(doubtful):
            return {}
        suspects = Rows(here.pair[doubtful], here.gap[doubtful], here.jacobian[doubtful])
        return self._on_the_way(suspects, needed[doubtful], motion, end, half)

    def _on_the_way(
        self, suspects: Rows, needed: FloatArray, motion: CommandState, end: FloatArray, half: FloatArray
    ) -> dict[int, FloatArray]:
        """Look at the way to rest sample by sample; as `_unsafe`."""
        reach = self._clearance.reach[suspects.pair]
        poses = self._samples(motion, end)
        shares = np.arange(1, len(poses) + 1) / len(poses)
        steps = np.diff(poses, axis=0, prepend=motion.position[None])
        # What is further away than a step goes cannot come too near in it.
        look = self._nowhere.copy()
        look[suspects.pair] = (np.abs(steps) @ reach.T).max(axis=0) + reach @ half + RELEASE_GAP_M
        found: dict[int, FloatArray] = {}
        before = suspects
        for share, q, step in zip(shares, poses, steps, strict=True):
            after = _only(suspects.pair, self._clearance.rows(q, look))
            lowest = lowest_between(before.gap, before.jacobian @ step, after.gap, after.jacobian @ step)
            lowest -= np.abs(after.jacobian) @ half * share
            for row in np.flatnonzero(lowest < needed).tolist():
                found.setdefault(int(suspects.pair[row]), after.jacobian[row])
            before = after
        return found

    def _tell(self, active: list[int]) -> str:
        """Names one pair and stays with it while it matters."""
        if not active:
            self._told = None
            return ""
        if self._told not in active:
            self._told = active[0]
        return f"held back: {self._clearance.name(self._told)}"


def lowest_between(
    before: FloatArray, slope_before: FloatArray, after: FloatArray, slope_after: FloatArray
) -> FloatArray:
    """Lower bound of convex functions between two samples, from values there and slopes per step, shape (n,)."""
    bend = np.maximum(slope_after - slope_before, _TINY)
    share = np.clip((before + slope_after - after) / bend, 0.0, 1.0)
    return np.asarray(np.minimum(np.minimum(before, after), before + slope_before * share))


def _only(pairs: IntArray, rows: Rows) -> Rows:
    """The rows of `pairs`, all of them: those that `rows` does not have are far away. Both rise."""
    place = np.searchsorted(pairs, rows.pair)
    gap, jacobian = np.full(len(pairs), FAR_M), np.zeros((len(pairs), rows.jacobian.shape[1]))
    gap[place], jacobian[place] = rows.gap, rows.jacobian
    return Rows(pairs, gap, jacobian)
