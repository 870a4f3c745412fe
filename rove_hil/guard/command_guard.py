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
moves them as hard as the filter can (`braking`). Pairs that could become too near on the way there
(`stop_check`) are not free: their joints brake, along the very stop that was seen to be clear one tick ago.
Joints that open the pair's gap may go on where that is seen to be clear while the others brake.

**When it starts too near**, the smallest distance of that pair is what it is, and rises with every gain.

All of it needs one query when nothing is near. What is not modelled: the arms' true position behind the command, and
things that are not the robot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.guard.braking import Braking, CommandState
from rove_hil.guard.clearance import Clearance, Rows
from rove_hil.guard.stop_check import Near, Stop, StopCheck

BoolArray = npt.NDArray[np.bool_]

# Targets are pulled back to this much more than the smallest distance [m], so that the brake is seldom needed: what
# an arm at .5 rad/s covers in a tick, and what first order misses.
SLOW_GAP_M = 0.005
# Pairs are looked at this much further away [m] than the joints need to stop.
LOOK_M = 0.02
# A pair that brakes is free again when its gap would stay above this [m].
RELEASE_GAP_M = 0.001
# Being too near may become worse by this [m] through rounding and turning before joints are braked for it.
WORSE_M = 0.001
# A target is aimed at to within this [rad], but the filter smooths: a joint in motion may pass it by so many ticks of
# its velocity, which at speed is no restriction at all.
AIM_RAD = 0.0005
AIM_TICKS = 20.0
# Targets that are pulled back by more than this are told about [rad].
TOLD_RAD = 0.01
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
        self._check = StopCheck(clearance, self._braking)
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
        stop = Stop(motion, *self._braking.ends(motion, held))
        reach = self._check.reach(stop)
        here = self._clearance.rows(motion.position, LOOK_M + reach)
        if not len(here):
            self._too_near, self._braked, self._told = {}, frozenset(), None
            return Verdict(target, velocity, self._nobody, "")
        smallest = self._smallest_gaps(here)
        pulled, share, slowing = self._pull_back(here, smallest, motion.position, target)
        velocity = velocity * share
        aim = pulled + velocity * self._dt_s + self._braking.stop_distance(velocity, 0.0)
        spare = AIM_RAD + np.abs(motion.velocity) * (AIM_TICKS * self._dt_s)
        stop = stop.between(aim - spare, aim + spare)
        near = Near(here, self._needed(here, smallest), reach[here.pair])
        brake, worst = self._judge(near, stop, np.sign(aim - motion.position))
        self._braked = frozenset(worst)
        return Verdict(pulled, velocity, brake, self._tell([*worst, *here.pair[slowing].tolist()]))

    def _judge(self, near: Near, stop: Stop, sense: FloatArray) -> tuple[BoolArray, list[int]]:
        """Which joints must brake, and the pairs they brake for.

        Args:
            sense: the way each joint wants to go, -1, 0 or 1.
        """
        worst = self._check.unsafe(near, stop)
        if not worst:
            return self._nobody, []
        there = np.array(list(worst.values()))
        now = near.rows.jacobian[np.isin(near.rows.pair, list(worst))]
        brake = (there != 0).any(axis=0)
        opening = brake & (there * sense >= 0).all(axis=0) & (now * sense >= 0).all(axis=0)
        opening &= stop.state.velocity * sense >= 0
        # Joints that open these gaps may go on while the others brake, when that is seen to be clear.
        if opening.any() and not self._check.unsafe(near, stop.braking(brake, opening * sense)):
            brake &= ~opening
        return brake, list(worst)

    def _smallest_gaps(self, here: Rows) -> FloatArray:
        """The gap that each pair may have [m], shape (n,): 0, or what it began with when that was too near."""
        smallest = np.zeros(len(here))
        best: dict[int, float] = {}
        for row in np.flatnonzero(here.gap < 0).tolist():
            pair = int(here.pair[row])
            best[pair] = max(float(here.gap[row]), self._too_near.get(pair, -np.inf))
            smallest[row] = best[pair] - WORSE_M
        self._too_near = best
        return smallest

    def _needed(self, here: Rows, smallest: FloatArray) -> FloatArray:
        """The gap below which each pair brakes [m], shape (n,): a little more for those that do already."""
        if not self._braked:
            return smallest
        again = [pair in self._braked for pair in here.pair.tolist()]
        return np.asarray(smallest + RELEASE_GAP_M * (again & (here.gap > smallest + 2 * RELEASE_GAP_M)))

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

    def _tell(self, active: list[int]) -> str:
        """Names one pair and stays with it while it matters."""
        if not active:
            self._told = None
            return ""
        if self._told not in active:
            self._told = active[0]
        return f"held back: {self._clearance.name(self._told)}"
