"""Motion that comes in samples, uneven, late and noisy, as smooth motion for any moment of the control clock. Pure."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from rove_core.clocks import NS_PER_S
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.command.playout import CARRY_NS, MAX_GAP_NS, Playout
from rove_hil.command.target_estimator import TargetEstimator

# Past the time that motion is carried on it comes to rest like this [s]; nobody knows what the operator does there.
COME_TO_REST_S = 0.03
# Samples that may wait to be played: what the longest delay holds at 120 Hz.
KEPT = 24


@dataclass(frozen=True, slots=True)
class _Knot:
    """Estimated motion at a sample: position [rad], velocity, acceleration; shape (3, dim)."""

    source_ns: int
    motion: FloatArray


class SampledMotion:
    """Samples in, motion out: `playout` says when a sample is due, `target_estimator` what it means.

    First sample: motion stands still there. A dropped one is bridged, a late one is waited for by going on with the
    motion for `playout.CARRY_NS` and then coming to rest; a gap of `playout.MAX_GAP_NS` or a jump of the sender's clock
    begins a new motion. NaN leaves that joint standing where it was last.
    """

    def __init__(self, space: JointSpace) -> None:
        self._playout = Playout()
        self._estimator = TargetEstimator(space, 1 / 60)
        self._knots: deque[_Knot] = deque(maxlen=KEPT)

    @property
    def delay_ns(self) -> float:
        """How long after its capture motion is played [ns]; with the offset between the two clocks."""
        return self._playout.delay_ns

    def reset(self) -> None:
        """The next sample begins a new motion."""
        self._playout.reset()

    def take(self, source_ns: int, arrival_ns: int, position: FloatArray) -> None:
        """A sample [rad], shape (dim,), captured at `source_ns` (sender's clock), came at `arrival_ns` (control clock).

        NaN in the first sample of a motion leaves the joint where the last motion had it, 0 before any.
        """
        gap_ns = self._playout.take(source_ns, arrival_ns)
        if gap_ns == 0:
            last = self._knots[-1].motion[0] if self._knots else np.zeros_like(position)
            first = np.where(np.isfinite(position), position, last)
            self._estimator.reset(first)
            self._knots.clear()
            self._knots.append(_Knot(source_ns, np.stack((first, np.zeros_like(first), np.zeros_like(first)))))
            return
        motion, _ = self._estimator.update(position, dt_s=gap_ns / NS_PER_S)
        self._knots.append(_Knot(source_ns, motion))

    def at(self, now_ns: int) -> tuple[FloatArray, FloatArray]:
        """Position [rad] and velocity [rad/s] to be played at `now_ns`, shape (dim,) each; not before `take`."""
        due_ns = self._knots[-1].source_ns + self._playout.ahead_ns(now_ns)
        knots = self._knots
        # The first sample after the moment knows more of it than the last one before.
        knot = next((knot for knot in knots if knot.source_ns >= due_ns), knots[-1])
        reach_ns = max(due_ns - knot.source_ns, -MAX_GAP_NS)
        t = min(reach_ns, CARRY_NS) / NS_PER_S
        position, velocity, acceleration = knot.motion
        position = position + (velocity + acceleration * (t / 2)) * t
        velocity = velocity + acceleration * t
        if reach_ns > CARRY_NS:
            left = math.exp(-(reach_ns - CARRY_NS) / NS_PER_S / COME_TO_REST_S)
            position = position + velocity * (COME_TO_REST_S * (1 - left))
            velocity = velocity * left
        return position, velocity
