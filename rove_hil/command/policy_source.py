"""What the policy says for a moment: its chunks, kept until they are spent or their epoch is over. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rove_core.chunks import Chunk
from rove_core.clocks import NS_PER_S
from rove_core.errors import PolicyError
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.command.decision import FUTURE_TOLERANCE_NS, ArbiterCounters

# A chunk is this many times its own length old when even its last step is too far away to be of use.
TOO_LATE_HORIZONS = 2


@dataclass(frozen=True, slots=True)
class PolicySample:
    """The policy's target for one moment.

    Attributes:
        position: [rad], velocity: [rad/s], shape (dim,). Those of the last step, still, when the chunk is spent.
        step: of the chunk. observed_ns: when what the chunk answers was observed, control clock [ns].
        spent: the chunk has nothing to say about this moment any more.
    """

    position: FloatArray
    velocity: FloatArray
    chunk_id: int
    step: int
    observed_ns: int
    spent: bool


class PolicySource:
    """Chunks of the current epoch.

    A chunk of another epoch is dropped, one of the epoch to come waits for it. One that is bad or no newer than
    the one in force is refused and counted. A dropped chunk costs nothing until the one before it is spent.

    A chunk of which all steps are past is counted as late, and its last step is used for one step from now; a chunk
    that comes later than by its own length says nothing about now and is dropped.
    """

    def __init__(self, space: JointSpace, counters: ArbiterCounters) -> None:
        self._space, self._counters = space, counters
        self._epoch = -1
        self._chunk: Chunk | None = None
        self._waiting: Chunk | None = None
        self._early: Chunk | None = None
        self._until_ns = 0  # a late chunk is used until then

    def begin(self, epoch: int, now_ns: int) -> None:
        """A new epoch: nothing of the last one is left."""
        self._epoch = epoch
        self._chunk = self._waiting = None
        early, self._early = self._early, None
        if early is not None and early.epoch == epoch:
            self.offer(early, now_ns)

    def offer(self, chunk: Chunk, now_ns: int) -> bool:
        """A chunk whose `observation_ns` is on the control clock; whether it will be used."""
        counters = self._counters
        if chunk.epoch > self._epoch:
            # The policy may hear of a new mode before this process does: wait for the mode, use nothing yet.
            self._early = chunk
            return False
        if chunk.epoch != self._epoch:
            counters.chunks_other_epoch += 1
            return False
        try:
            chunk.check(self._space)
        except PolicyError as error:
            return self._refuse(str(error))
        if chunk.observation_ns > now_ns + FUTURE_TOLERANCE_NS:
            return self._refuse(f"chunk {chunk.chunk_id}: observed in the future")
        newest = self._waiting or self._chunk
        if newest is not None and chunk.observation_ns <= newest.observation_ns:
            return self._refuse(f"chunk {chunk.chunk_id}: observed no later than chunk {newest.chunk_id}")
        counters.chunks_late += chunk.step_at(now_ns) >= chunk.horizon
        if chunk.step_at(now_ns) >= TOO_LATE_HORIZONS * chunk.horizon:
            return False
        self._waiting = chunk
        counters.chunks_accepted += 1
        return True

    def _refuse(self, reason: str) -> bool:
        self._counters.chunks_refused += 1
        self._counters.last_refusal = reason
        return False

    def switch(self, now_ns: int) -> bool:
        """Put the waiting chunk in force; whether there was one."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return False
        self._chunk = waiting
        self._until_ns = now_ns + int(waiting.dt_s * NS_PER_S)
        return True

    def sample(self, now_ns: int) -> PolicySample | None:
        """What the chunk in force says for `now_ns`; None when there has been none in this epoch.

        Linear between steps: it never leaves what the policy said. The last step is held for its own dt.
        """
        chunk = self._chunk
        if chunk is None:
            return None
        step = chunk.step_at(now_ns)
        row = min(max(step, 0), chunk.horizon - 1)
        position = chunk.positions[row].astype(np.float64)
        velocity = np.zeros_like(position)
        if 0 <= step < chunk.horizon - 1:
            velocity = (chunk.positions[step + 1] - position) / chunk.dt_s
            since_s = (now_ns - chunk.observation_ns) / NS_PER_S - step * chunk.dt_s
            position = position + velocity * max(since_s, 0.0)
        spent = step >= chunk.horizon and now_ns >= self._until_ns
        return PolicySample(position, velocity, chunk.chunk_id, row, chunk.observation_ns, spent)

    @property
    def absence(self) -> str:
        """Why `sample` is None or spent, in words."""
        return "waiting for the policy" if self._chunk is None else "policy late"
