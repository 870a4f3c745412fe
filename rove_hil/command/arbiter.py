"""Who moves the robot in this tick, and to where. Pure: times are arguments, nothing here waits or reads a clock.

Rules, in this order:

1. No fresh word from the supervisor, or a mode in which nobody drives: hold.
2. A takeover without a fresh operator who is tracked: hold, all joints.
3. Otherwise the epoch's way (`ways`) says which joints are driven and where to. The others hold.

What drives is in `policy_source` and `operator_source`. Both forget everything when the epoch
changes and take nothing of another epoch: a chunk in flight at a takeover cannot move the robot. To hold means to
brake at once along the filter's stop plan and to stay where that ends.

Nothing jumps: where a joint begins to be driven, the offset from the last command to its new target fades while the
target moves on (`handover`), and so does the offset from one chunk to the next.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rove_core.chunks import Chunk
from rove_core.clocks import NS_PER_S
from rove_core.joint_space import FloatArray, JointSpace
from rove_core.modes import Mode, Source, TakeoverWay
from rove_hil.command.decision import ArbiterConfig, ArbiterCounters, BoolArray, Decision, ModeState, OperatorTarget
from rove_hil.command.handover import HandOver
from rove_hil.command.operator_source import OperatorSample, OperatorSource
from rove_hil.command.policy_source import PolicySample, PolicySource
from rove_hil.command.ways import Absolute, Blended, Clutch, Motion, PolicyAlone, Way, joint_motion

_IDLE_REASONS = {
    Mode.IDLE: "idle",
    Mode.PAUSED: "paused",
    Mode.ALIGNING: "aligning",
    Mode.FAULT: "fault",
    Mode.ESTOP: "emergency stop",
}


class Arbiter:
    """Chooses who drives each tick. Before the first mode everything holds.

    A dropped sample costs nothing until its time limit; a clock that jumps forward makes stored things stale (hold),
    one that jumps back is refused by the stamps' order.
    """

    def __init__(self, space: JointSpace, config: ArbiterConfig, motion: Motion = joint_motion) -> None:
        """Args: motion: how the operator's motion becomes joint increments in a relative takeover."""
        self._space, self._config, self._motion = space, config, motion
        self.counters = ArbiterCounters()
        self._policy = PolicySource(space, self.counters)
        self._operator = OperatorSource(space, config.operator_timeout_s, self.counters)
        self._mode: ModeState | None = None
        self._way: Way | None = None
        self._handover = HandOver(config.handover_s)
        self._join_s = np.full(space.dim, config.chunk_join_s)
        self._join = HandOver(self._join_s)
        self._none = np.zeros(space.dim, dtype=np.bool_)
        self._all = ~self._none
        self._weight = np.ones(space.dim) if config.blend_weight is None else config.blend_weight
        self._group_starts = np.array([span.start for span in space.groups.values()])
        self._nobody = np.zeros(len(space.groups))
        self._driven = self._none  # in the last tick
        self._engaged = self._none  # handed over to the present way
        self._held = np.zeros(space.dim)

    @property
    def mode(self) -> ModeState | None:
        """The mode in force."""
        return self._mode

    def start(self, position: FloatArray) -> None:
        """Hold at `position` [rad], shape (dim,), until somebody drives."""
        self._held = position.copy()
        self._driven = self._engaged = self._none

    # What arrives

    def on_mode(self, mode: ModeState) -> None:
        """The supervisor's word or heartbeat."""
        last, self._mode = self._mode, mode
        if last is not None and _same(last, mode):
            return
        self._way = self._way_of(mode)
        self._engaged = self._none
        self._operator.begin(mode.epoch)
        self._policy.begin(mode.epoch, mode.heard_ns)

    def on_chunk(self, chunk: Chunk, now_ns: int) -> bool:
        """A chunk whose `observation_ns` is on the control clock; whether it will be used."""
        return self._policy.offer(chunk, now_ns)

    def on_operator(self, target: OperatorTarget, now_ns: int) -> bool:
        """The operator's joints; whether they will be used."""
        return self._operator.offer(target, now_ns)

    def _way_of(self, mode: ModeState) -> Way | None:
        """How `mode` drives; None when it does not."""
        if mode.mode is Mode.ROLLOUT:
            return PolicyAlone(self._space.dim)
        if mode.mode is not Mode.TAKEOVER:
            return None
        operators = self._none.copy()
        for group in mode.operator_groups or self._space.groups:
            operators[self._space.groups[group]] = True
        if mode.way is TakeoverWay.ABSOLUTE:
            return Absolute(operators, with_policy=mode.policy_runs)
        if mode.way is TakeoverWay.BLENDED and mode.policy_runs:
            return Blended(operators & (self._weight > 0), self._motion, self._weight, self._operator.played_at)
        return Clutch(operators, self._motion, np.ones(self._space.dim), with_policy=mode.policy_runs)

    # What is done

    def decide(self, now_ns: int, commanded: FloatArray, rest: FloatArray, at_rest: bool) -> Decision:
        """The decision for the tick at `now_ns`.

        Args:
            commanded: the last command [rad], shape (dim,).
            rest: where the filter would come to rest when it brakes now [rad], shape (dim,).
            at_rest: whether the last command moved nothing.
        """
        way, reason = self._way, self._idle_reason(now_ns)
        if way is None or reason:
            return self._hold(now_ns, reason, rest, at_rest)
        operator = None
        if way.source is Source.OPERATOR:
            operator = self._operator.sample(now_ns)
            if operator is None:
                self.counters.operator_stale_ticks += 1
                return self._hold(now_ns, self._operator.absence, rest, at_rest)
            if not (way.operators & operator.valid).any():
                nobody = "operator not tracked" if way.operators.any() else "no joint group is the operator's"
                return self._hold(now_ns, nobody, rest, at_rest)
        policy = self._follow_policy(now_ns, way, operator) if way.follows_policy else None
        late = way.follows_policy and (policy is None or policy.spent)
        self.counters.policy_late_ticks += late and policy is not None
        driven = way.driven(policy, operator)
        if not driven.any():
            return self._hold(now_ns, self._policy.absence, rest, at_rest)
        return self._drive(now_ns, way, policy, operator, driven, commanded, rest)

    def _idle_reason(self, now_ns: int) -> str:
        """Why nobody may drive, "" when somebody may."""
        mode = self._mode
        if mode is None:
            return "no supervisor"
        silent = now_ns - mode.heard_ns > self._config.mode_timeout_s * NS_PER_S
        self.counters.mode_stale_ticks += silent
        return "supervisor silent" if silent else _IDLE_REASONS.get(mode.mode, "")

    def _hold(self, now_ns: int, reason: str, rest: FloatArray, at_rest: bool) -> Decision:
        self._let_go(self._none, rest)
        source = Source.HOLD if at_rest else Source.STOP
        newest = self._operator.newest(now_ns)
        seen = None if newest is None else newest.position
        still = np.zeros_like(self._held)
        return Decision(source, self._held, still, self._all, 0, -1, reason, self._nobody, None, seen)

    def _let_go(self, driven: BoolArray, rest: FloatArray) -> None:
        """Only joints `driven` are driven now: others that were until now stay where their braking ends."""
        self._held = np.where(self._driven & ~driven, rest, self._held)
        self._driven = driven
        self._engaged = self._engaged & driven

    def _follow_policy(self, now_ns: int, way: Way, operator: OperatorSample | None) -> PolicySample | None:
        """The policy's word for now. A new chunk takes the place of the last one without a jump."""
        before = self._policy.sample(now_ns)
        if not self._policy.switch(now_ns):
            return before
        policy = self._policy.sample(now_ns)
        joined = self._engaged & way.driven(before, operator) & way.driven(policy, operator)
        if joined.any():
            last = way.reference(before, operator).position + self._join.offset(now_ns)[0]
            fade_s = self._config.handover_s if before is None else self._join_s
            self._join.engage(now_ns, joined, last, way.reference(policy, operator).position, fade_s)
        self._engaged = joined
        return policy

    def _drive(
        self,
        now_ns: int,
        way: Way,
        policy: PolicySample | None,
        operator: OperatorSample | None,
        driven: BoolArray,
        commanded: FloatArray,
        rest: FloatArray,
    ) -> Decision:
        fresh = driven & ~self._engaged
        if fresh.any():
            way.engage(now_ns, fresh, commanded, operator)
        reference = way.reference(policy, operator)
        if fresh.any():
            self._handover.engage(now_ns, fresh, commanded, reference.position)
            self._join.engage(now_ns, fresh, commanded, commanded)
        self._let_go(driven, rest)
        self._engaged = driven
        offset, rate = self._handover.offset(now_ns)
        joining, joining_rate = self._join.offset(now_ns)
        target = self._space.clip(reference.position + offset + joining)
        speaks = policy is not None and not policy.spent
        newest = self._operator.newest(now_ns)
        return Decision(
            source=way.source,
            target=np.where(driven, target, self._held),
            velocity=np.where(driven, reference.velocity + rate + joining_rate, 0.0),
            held=~driven,
            chunk_id=policy.chunk_id if policy is not None and speaks else 0,
            chunk_step=policy.step if policy is not None and speaks else -1,
            hold_reason=self._partly(way, driven, speaks),
            authority=np.minimum.reduceat(np.where(driven, reference.authority, 0.0), self._group_starts),
            policy_position=policy.position if policy is not None and speaks else None,
            operator_position=None if newest is None else newest.position,
        )

    def _partly(self, way: Way, driven: BoolArray, policy_speaks: bool) -> str:
        """Why not all of it moves as it should, "" when it does."""
        lost = way.operators & ~driven
        groups = [name for name, span in self._space.groups.items() if lost[span].any()] if lost.any() else []
        reason = f"not tracked: {', '.join(groups)}" if groups else ""
        if way.follows_policy and not policy_speaks:
            reason = ", ".join(filter(None, (reason, self._policy.absence)))
        return reason


def _same(last: ModeState, now: ModeState) -> bool:
    """Whether nothing changed. The epoch says so; whoever forgets to count it up is still obeyed."""
    return replace(now, stage=last.stage, heard_ns=last.heard_ns) == last
