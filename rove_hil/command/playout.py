"""When a sample of the operator's motion is due, so that a network's jitter does not become the robot's. Pure.

Frames are captured evenly and arrive unevenly. Taking arrival times as motion would make the operator stop and leap
with every late frame. So motion is kept on the sender's capture times and played with a delay that changes slowly; an
offset between the two clocks is just part of that delay.

How long a delay: the mean latency, and as much more as late frames need so that motion is carried on for no longer than
`CARRY_NS` until they come. A quiet network is played at its latency; the measured wireless headset (every 0.2 s a frame
comes 65 ms late, and pushes the next two back) some 50 ms later, instead of stopping the robot five times a second.
"""

from __future__ import annotations

import math

from rove_core.clocks import NS_PER_S

# The delay follows its aim with this time constant: slower than jitter, faster than a clock's drift [s].
FOLLOW_S = 1.0
# How long a human's motion can be carried on from the last frame, a headset's next one included: then it is off by
# 15 mrad in a fast stroke, and twice that after 30 ms.
CARRY_NS = 20 * NS_PER_S // 1000
# Lateness is forgotten with this time constant [s]: several bursts of a busy wireless network.
LATE_S = 2.0
# What is waited for late frames at most: an operator notices it, but less than a robot that stops for every one.
MAX_WAIT_NS = 60 * NS_PER_S // 1000
# A latency this far from the delay is another clock or another network, not jitter: begin anew with it.
JUMP_NS = NS_PER_S // 2
# Two samples further apart than this are not one motion.
MAX_GAP_NS = NS_PER_S // 4


class Playout:
    """Maps capture times to control time.

    The first sample sets the delay; a dropped one costs nothing; a sender's clock that jumps begins a new motion.
    """

    def __init__(self) -> None:
        self._source_ns: int | None = None
        self._known = False
        self._mean_ns = self._late_ns = self._delay_ns = 0.0

    @property
    def delay_ns(self) -> float:
        """From a sample's capture to the moment when it is played [ns], with the offset between the clocks."""
        return self._delay_ns

    def reset(self) -> None:
        """The next sample begins a new motion; the delay stays."""
        self._source_ns = None

    def take(self, source_ns: int, arrival_ns: int) -> int:
        """A sample captured at `source_ns` arrived at `arrival_ns` (control clock).

        Returns:
            Time since the sample before on the sender's clock [ns]; 0 when this one begins a new motion.
        """
        last, self._source_ns = self._source_ns, source_ns
        latency_ns = arrival_ns - source_ns
        gap_ns = 0 if last is None else source_ns - last
        if not self._known or abs(latency_ns - self._delay_ns) > JUMP_NS:
            self._known = True
            self._mean_ns = self._delay_ns = float(latency_ns)
            self._late_ns = 0.0
            return 0
        if not 0 < gap_ns < MAX_GAP_NS:
            return 0
        gap_s = gap_ns / NS_PER_S
        self._mean_ns += (latency_ns - self._mean_ns) * -math.expm1(-gap_s / FOLLOW_S)
        self._late_ns = max(latency_ns + gap_ns - self._mean_ns, self._late_ns * math.exp(-gap_s / LATE_S))
        wait_ns = min(max(self._late_ns - CARRY_NS, 0.0), MAX_WAIT_NS)
        self._delay_ns += (self._mean_ns + wait_ns - self._delay_ns) * -math.expm1(-gap_s / FOLLOW_S)
        return gap_ns

    def ahead_ns(self, now_ns: int) -> int:
        """How far the motion to play at `now_ns` lies after the last sample; negative when that one came early."""
        if self._source_ns is None:
            return 0
        return round(now_ns - self._source_ns - self._delay_ns)
