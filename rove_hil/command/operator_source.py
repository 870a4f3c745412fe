"""What the operator says for a moment: samples that come unevenly, as smooth motion on the control clock. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from rove_core.clocks import NS_PER_S
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.command.decision import FUTURE_TOLERANCE_NS, ArbiterCounters, BoolArray, OperatorTarget
from rove_hil.command.sampled_motion import SampledMotion

# What was played is kept this long: a chunk's horizon and its inference [ticks; 2.5 s at 200 Hz].
HISTORY_TICKS = 500


@dataclass(frozen=True, slots=True)
class OperatorSample:
    """The operator's joints for one moment: position [rad], velocity [rad/s] and whether tracked, shape (dim,)."""

    position: FloatArray
    velocity: FloatArray
    valid: BoolArray


class OperatorSource:
    """Targets of the current epoch.

    Targets of another epoch, out of order or of another clock are refused and counted. A dropped one costs nothing
    until the last is older than the limit; a clock that jumps forward makes the last one stale.
    """

    def __init__(self, space: JointSpace, timeout_s: float, counters: ArbiterCounters) -> None:
        self._dim, self._timeout_ns = space.dim, round(timeout_s * NS_PER_S)
        self._counters = counters
        self._epoch = -1
        self._last: OperatorTarget | None = None
        self._motion = SampledMotion(space)
        self._played: deque[tuple[int, FloatArray]] = deque(maxlen=HISTORY_TICKS)

    def begin(self, epoch: int) -> None:
        """A new epoch: nothing of the last one is left."""
        self._epoch, self._last = epoch, None
        self._played.clear()

    def offer(self, target: OperatorTarget, now_ns: int) -> bool:
        """The operator's joints; whether they will be used."""
        counters, last = self._counters, self._last
        if target.epoch != self._epoch:
            counters.operator_other_epoch += 1
            return False
        late = last is not None and (target.stamp_ns <= last.stamp_ns or target.source_ns == last.source_ns)
        if target.position.shape != (self._dim,) or late or target.stamp_ns > now_ns + FUTURE_TOLERANCE_NS:
            counters.operator_refused += 1
            counters.last_refusal = "operator target out of order, of another clock or of the wrong size"
            return False
        finite = np.isfinite(target.position)
        valid = target.valid & finite
        if last is None:
            self._motion.reset()
        self._motion.take(target.source_ns, target.stamp_ns, np.where(valid, target.position, np.nan))
        self._last = OperatorTarget(target.epoch, target.stamp_ns, target.source_ns, target.position, valid)
        counters.operator_accepted += 1
        return True

    def newest(self, now_ns: int) -> OperatorTarget | None:
        """The last target as it came; None when there is none that is fresh."""
        last = self._last
        return last if last is not None and now_ns - last.stamp_ns <= self._timeout_ns else None

    def sample(self, now_ns: int) -> OperatorSample | None:
        """The operator's motion played at `now_ns`; None when there is no fresh target."""
        newest = self.newest(now_ns)
        if newest is None:
            return None
        position, velocity = self._motion.at(now_ns)
        self._played.append((now_ns, position.copy()))
        return OperatorSample(position, velocity, newest.valid)

    def played_at(self, when_ns: int) -> FloatArray | None:
        """What `sample` said at `when_ns` or last before it [rad], shape (dim,); the oldest kept if that was later."""
        found: FloatArray | None = None
        for now_ns, position in reversed(self._played):
            found = position
            if now_ns <= when_ns:
                break
        return found

    @property
    def absence(self) -> str:
        """Why `sample` is None, in words."""
        return "waiting for the operator" if self._last is None else "operator target stale"
