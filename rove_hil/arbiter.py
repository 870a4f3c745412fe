"""Who moves the robot in this tick, and to where. Pure: times are arguments, nothing here waits or reads a clock.

Rules, in this order:

1. No fresh word from the supervisor, or a mode in which nobody drives: hold.
2. ROLLOUT: the current chunk's step for now, interpolated; a new chunk joins by fading its offset; spent: hold.
3. TAKEOVER: the operator's joints, per group as they are tracked; stale: hold.

Chunks and targets of another epoch than the mode's are dropped on arrival, and what is stored is dropped when the epoch
changes: a chunk in flight at a takeover cannot move the robot. To hold means to brake at once along the filter's stop
plan and to stay where that ends.
"""

from __future__ import annotations

import numpy as np

from rove_core.chunks import Chunk
from rove_core.clocks import NS_PER_S
from rove_core.errors import PolicyError
from rove_core.joint_space import FloatArray, JointSpace
from rove_core.modes import Mode, Source
from rove_hil.decision import ArbiterConfig, ArbiterCounters, BoolArray, Decision, ModeState, OperatorTarget
from rove_hil.handover import HandOver
from rove_hil.playout import Playout
from rove_hil.target_estimator import TargetEstimator

# A stamp further ahead than this is another clock, not a prediction.
FUTURE_TOLERANCE_NS = NS_PER_S // 10
# Operator targets are carried on at their velocity this long past their sample: two frames of a 60 Hz headset.
EXTRAPOLATION_NS = NS_PER_S // 30

_IDLE_REASONS = {
    Mode.IDLE: "idle",
    Mode.PAUSED: "paused",
    Mode.ALIGNING: "aligning",
    Mode.FAULT: "fault",
    Mode.ESTOP: "emergency stop",
}


class Arbiter:
    """Chooses the source of each tick. Before the first mode everything holds.

    A dropped sample costs nothing until its time limit; a clock that jumps forward makes stored things stale (hold),
    one that jumps back is refused by the stamps' order.
    """

    def __init__(self, space: JointSpace, config: ArbiterConfig) -> None:
        self._space, self._config = space, config
        self.counters = ArbiterCounters()
        self._mode: ModeState | None = None
        self._chunk: Chunk | None = None
        self._joining: Chunk | None = None
        self._early: Chunk | None = None
        self._operator: OperatorTarget | None = None
        self._estimator = TargetEstimator(space, 1 / 60)
        self._playout = Playout()
        self._handover = HandOver(config.handover_s)
        self._join_s = np.full(space.dim, config.chunk_join_s)
        self._driven = np.zeros(space.dim, dtype=np.bool_)
        self._all = np.ones(space.dim, dtype=np.bool_)
        self._driver: tuple[Source, int] = (Source.HOLD, -1)
        self._held = np.zeros(space.dim)

    @property
    def mode(self) -> ModeState | None:
        """The mode in force."""
        return self._mode

    def start(self, position: FloatArray) -> None:
        """Hold at `position` [rad], shape (dim,), until somebody drives."""
        self._held = position.copy()
        self._driven = ~self._all

    # What arrives

    def on_mode(self, mode: ModeState) -> None:
        """The supervisor's word or heartbeat."""
        changed = self._mode is None or mode.epoch != self._mode.epoch
        self._mode = mode
        if not changed:
            return
        self._chunk = self._joining = self._operator = None
        early, self._early = self._early, None
        if early is not None and early.epoch == mode.epoch:
            self.on_chunk(early, mode.heard_ns)

    def on_chunk(self, chunk: Chunk, now_ns: int) -> bool:
        """A chunk whose `observation_ns` is on the control clock; whether it will be used."""
        counters = self.counters
        epoch = -1 if self._mode is None else self._mode.epoch
        if chunk.epoch > epoch:
            # The policy may hear of a new mode before this process does: wait for the mode, use nothing yet.
            self._early = chunk
            return False
        if chunk.epoch != epoch:
            counters.chunks_other_epoch += 1
            return False
        try:
            chunk.check(self._space)
        except PolicyError as error:
            return self._refuse_chunk(str(error))
        if chunk.observation_ns > now_ns + FUTURE_TOLERANCE_NS:
            return self._refuse_chunk(f"chunk {chunk.chunk_id}: observed in the future")
        newest = self._joining or self._chunk
        if newest is not None and chunk.observation_ns <= newest.observation_ns:
            return self._refuse_chunk(f"chunk {chunk.chunk_id}: observed no later than chunk {newest.chunk_id}")
        if chunk.step_at(now_ns) >= chunk.horizon:
            counters.chunks_late += 1
            return False
        self._joining = chunk
        counters.chunks_accepted += 1
        return True

    def _refuse_chunk(self, reason: str) -> bool:
        self.counters.chunks_refused += 1
        self.counters.last_refusal = reason
        return False

    def on_operator(self, target: OperatorTarget, now_ns: int) -> bool:
        """The operator's joints; whether they will be used."""
        counters = self.counters
        if self._mode is None or target.epoch != self._mode.epoch:
            counters.operator_other_epoch += 1
            return False
        last = self._operator
        finite = np.isfinite(target.position) if target.position.shape == self._held.shape else None
        late = last is not None and (target.stamp_ns <= last.stamp_ns or target.source_ns == last.source_ns)
        if finite is None or late or target.stamp_ns > now_ns + FUTURE_TOLERANCE_NS:
            counters.operator_refused += 1
            counters.last_refusal = "operator target out of order, of another clock or of the wrong size"
            return False
        valid = target.valid & finite
        if last is None:
            self._playout.reset()
        gap_ns = self._playout.take(target.source_ns, target.stamp_ns)
        if gap_ns:
            self._estimator.update(np.where(valid, target.position, np.nan), dt_s=gap_ns / NS_PER_S)
        else:
            self._estimator.reset(np.where(finite, target.position, self._held))
        self._operator = OperatorTarget(target.epoch, target.stamp_ns, target.source_ns, target.position, valid)
        counters.operator_accepted += 1
        return True

    # What is done

    def decide(self, now_ns: int, commanded: FloatArray, rest: FloatArray, at_rest: bool) -> Decision:
        """The decision for the tick at `now_ns`.

        Args:
            commanded: the last command [rad], shape (dim,).
            rest: where the filter would come to rest when it brakes now [rad], shape (dim,).
            at_rest: whether the last command moved nothing.
        """
        mode, reason = self._mode, "no supervisor"
        if mode is not None:
            silent = now_ns - mode.heard_ns > self._config.mode_timeout_s * NS_PER_S
            self.counters.mode_stale_ticks += silent
            reason = "supervisor silent" if silent else _IDLE_REASONS.get(mode.mode, "")
        operator = self._fresh_operator(now_ns)
        policy = self._policy_now(now_ns, commanded) if mode is not None and not reason else None
        if mode is not None and not reason and mode.mode is Mode.TAKEOVER:
            return self._operator_drives(now_ns, mode, operator, commanded, rest, at_rest)
        if policy is not None and mode is not None and mode.mode is Mode.ROLLOUT:
            return self._policy_drives(now_ns, mode, policy, operator, commanded)
        if not reason:
            reason = "policy late" if self._chunk is not None else "waiting for the policy"
            self.counters.policy_late_ticks += self._chunk is not None
        return self._hold(reason, operator, rest, at_rest)

    def _fresh_operator(self, now_ns: int) -> OperatorTarget | None:
        operator = self._operator
        if operator is None or now_ns - operator.stamp_ns > self._config.operator_timeout_s * NS_PER_S:
            return None
        return operator

    def _hold(self, reason: str, operator: OperatorTarget | None, rest: FloatArray, at_rest: bool) -> Decision:
        self._let_go(self._all, rest)
        source = Source.HOLD if at_rest else Source.STOP
        position = operator.position if operator is not None else None
        return Decision(source, self._held, np.zeros_like(self._held), self._all, 0, -1, reason, None, position)

    def _let_go(self, where: BoolArray, rest: FloatArray) -> None:
        """Joints `where` are driven no longer: those that were stay where their braking ends."""
        self._held = np.where(where & self._driven, rest, self._held)
        self._driven = self._driven & ~where

    def _take(self, driver: tuple[Source, int]) -> BoolArray:
        """The joints that `driver` has not driven before this tick."""
        if driver != self._driver:
            self._driver = driver
            return self._all
        return ~self._driven

    # The policy

    def _policy_now(self, now_ns: int, commanded: FloatArray) -> tuple[FloatArray, FloatArray, int] | None:
        """The policy's position, velocity and step for now; takes in a chunk that waits to join."""
        old, new = self._chunk, self._joining
        if new is not None:
            self._chunk, self._joining = new, None
            first = _interpolated(new, now_ns)
            if first is None:
                self.counters.chunks_late += 1
                self._chunk = old if old is not None else new
            elif self._driven.all() and self._driver[0] is Source.POLICY:
                before = None if old is None else _interpolated(old, now_ns)
                last = commanded if before is None else before[0] + self._handover.offset(now_ns)[0]
                self._handover.engage(now_ns, self._driven, last, first[0], self._join_s)
        return None if self._chunk is None else _interpolated(self._chunk, now_ns)

    def _policy_drives(
        self,
        now_ns: int,
        mode: ModeState,
        policy: tuple[FloatArray, FloatArray, int],
        operator: OperatorTarget | None,
        commanded: FloatArray,
    ) -> Decision:
        position, velocity, step = policy
        fresh = self._take((Source.POLICY, mode.epoch))
        if fresh.any():
            self._handover.engage(now_ns, fresh, commanded, position, self._config.handover_s)
        self._driven = self._all
        offset, rate = self._handover.offset(now_ns)
        chunk_id = self._chunk.chunk_id if self._chunk is not None else 0
        seen = operator.position if operator is not None else None
        target = self._space.clip(position + offset)
        return Decision(Source.POLICY, target, velocity + rate, ~self._all, chunk_id, step, "", position, seen)

    # The operator

    def _operator_drives(
        self,
        now_ns: int,
        mode: ModeState,
        operator: OperatorTarget | None,
        commanded: FloatArray,
        rest: FloatArray,
        at_rest: bool,
    ) -> Decision:
        if operator is None:
            self.counters.operator_stale_ticks += 1
            late = self._operator is not None
            return self._hold("operator target stale" if late else "waiting for the operator", None, rest, at_rest)
        valid = operator.valid
        if not valid.any():
            return self._hold("operator not tracked", operator, rest, at_rest)
        ahead_ns = self._playout.ahead_ns(now_ns)
        reach_ns = min(max(ahead_ns, -EXTRAPOLATION_NS), EXTRAPOLATION_NS)
        position, velocity = self._estimator.predict(reach_ns / NS_PER_S)
        if ahead_ns != reach_ns:
            velocity = np.zeros_like(velocity)
        fresh = self._take((Source.OPERATOR, mode.epoch)) & valid
        if fresh.any():
            self._handover.engage(now_ns, fresh, commanded, position, self._config.handover_s)
        self._let_go(~valid, rest)
        self._driven = self._driven | valid
        offset, rate = self._handover.offset(now_ns)
        target = np.where(valid, self._space.clip(position + offset), self._held)
        velocity = np.where(valid, velocity + rate, 0.0)
        reason = "" if valid.all() else f"not tracked: {', '.join(self._groups_without(valid))}"
        return Decision(Source.OPERATOR, target, velocity, ~valid, 0, -1, reason, None, operator.position)

    def _groups_without(self, valid: BoolArray) -> list[str]:
        return [name for name, span in self._space.groups.items() if not valid[span].all()]


def _interpolated(chunk: Chunk, now_ns: int) -> tuple[FloatArray, FloatArray, int] | None:
    """Position [rad], velocity [rad/s] and step of `chunk` at `now_ns`; None when it is spent.

    Linear between steps: it never leaves what the policy said. The last step is held for its own dt.
    """
    step = chunk.step_at(now_ns)
    if step >= chunk.horizon:
        return None
    if step < 0:
        return chunk.positions[0].astype(np.float64), np.zeros(chunk.positions.shape[1]), 0
    here = chunk.positions[step].astype(np.float64)
    if step == chunk.horizon - 1:
        return here, np.zeros_like(here), step
    rate = (chunk.positions[step + 1] - here) / chunk.dt_s
    since_s = (now_ns - chunk.observation_ns) / NS_PER_S - step * chunk.dt_s
    return here + rate * max(since_s, 0.0), rate, step
