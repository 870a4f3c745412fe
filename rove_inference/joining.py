"""How a new chunk joins the one in force. Pure: times are arguments, all on one clock.

| method | the published chunk |
|---|---|
| replace | is what the policy answered |
| blend | moves linearly from the chunk before to the answer while `execute` steps are executed |
| ensemble | is the weighted mean of all chunks that cover a step (ACT, arXiv 2304.13705) |
| rtc | repeats the chunk before while the network thinks and departs from it softly (arXiv 2506.07339) |

None of them has to care for the moment of arrival: the filter cancels what is left between the chunk in force and the
published one and lets it fade. What differs is how much is left, and how far the newest observation is heeded.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rove_core.chunks import Chunk
from rove_core.clocks import NS_PER_S
from rove_inference.bundle import JoinName
from rove_inference.decoders.prefix import Prefix, soft_weights

FloatArray = npt.NDArray[np.float32]

# Chunks that an ensemble remembers: more than cover one moment when a quarter of each is executed.
ENSEMBLE_CHUNKS = 8
# m of ACT's weights exp(-m i), i = 0 for the oldest: a chunk weighs 1 % more per step that it is older.
ENSEMBLE_RATE = 0.01


@dataclass(frozen=True, slots=True)
class Joined:
    """A chunk as it goes to the robot.

    Attributes:
        positions: [rad], shape (horizon, dim).
        frozen: leading steps that repeat the chunk before, because they are executed during inference.
    """

    positions: FloatArray
    frozen: int


class Joiner:
    """Joins the chunks of one epoch: what was said before another began is never continued.

    The first chunk is published as it is, and so is one that comes when the chunk before is spent.
    An answer that is dropped leaves no trace: only what `published` is told counts.
    """

    def __init__(self, method: JoinName, execute: int) -> None:
        """Args: execute: steps to use of each chunk."""
        self.method = method
        self._execute = execute
        self._answers: deque[Chunk] = deque(maxlen=ENSEMBLE_CHUNKS)
        self._in_force: Chunk | None = None

    def prefix(self, observation_ns: int, horizon: int, dt_s: float, frozen: int) -> Prefix | None:
        """What a policy that is asked now should continue; None when there is nothing, or when it need not.

        Args:
            observation_ns: step 0 of the chunk to come.
            frozen: steps of it that will be executed before it can be there.
        """
        if self.method != "rtc" or self._in_force is None:
            return None
        actions, covered = on_grid(self._in_force, observation_ns, horizon, dt_s)
        if covered == 0:
            return None
        return Prefix(actions, soft_weights(horizon, frozen, covered), min(frozen, covered))

    def join(self, answer: Chunk, ready_ns: int, prefix: Prefix | None = None, *, guided: bool = False) -> Joined:
        """The chunk to publish for a policy's answer.

        Args:
            answer: what the policy said.
            ready_ns: when it said so; the step of that moment is the first that can be executed.
            prefix: what it was given to continue. guided: it heeded that.
        """
        if prefix is not None and guided:
            kept = prefix.frozen
            return Joined(np.concatenate([prefix.actions[:kept], answer.positions[kept:]]), kept)
        if prefix is not None:
            return _continued(prefix, answer, ready_ns)
        if self.method == "blend" and self._in_force is not None:
            return Joined(_blended(self._in_force, answer, ready_ns, self._execute), 0)
        if self.method == "ensemble" and self._answers:
            return Joined(_ensemble(self._answers, answer, self._execute), 0)
        return Joined(answer.positions, 0)

    def published(self, answer: Chunk, joined: Chunk) -> None:
        """`joined` went out for what the policy answered."""
        self._answers.append(answer)
        self._in_force = joined


def on_grid(chunk: Chunk, start_ns: int, horizon: int, dt_s: float) -> tuple[FloatArray, int]:
    """A chunk at the times `start_ns + i * dt_s`, linear between its steps as the filter plays it.

    Returns:
        Positions [rad], shape (horizon, dim), the last one repeated past the chunk's end; and how many of the leading
        steps the chunk covers.
    """
    start = (start_ns - chunk.observation_ns) / (NS_PER_S * chunk.dt_s)
    place = start + np.arange(horizon) * (dt_s / chunk.dt_s)
    last = chunk.horizon - 1
    inside = np.clip(place, 0, last)
    row = np.minimum(inside.astype(np.intp), max(last - 1, 0))
    share = (inside - row)[:, None]
    following = chunk.positions[np.minimum(row + 1, last)]
    positions = chunk.positions[row] * (1 - share) + following * share
    # The small constant is for times that are exactly a step apart, see Chunk.step_at.
    return positions.astype(np.float32), int(np.count_nonzero(place <= last + 1e-6))


def _continued(prefix: Prefix, answer: Chunk, ready_ns: int) -> Joined:
    """For a policy that cannot be guided. It is mixed afterwards, so no estimate is needed: what was executed is known.

    The step under way is frozen together with the one it leads to.
    """
    covered = int(np.count_nonzero(prefix.weights))
    frozen = min(max(answer.step_at(ready_ns), 0) + 2, covered)
    share = soft_weights(answer.horizon, frozen, covered)[:, None]
    return Joined((prefix.actions * share + answer.positions * (1 - share)).astype(np.float32), frozen)


def _blended(before: Chunk, answer: Chunk, ready_ns: int, execute: int) -> FloatArray:
    old, covered = on_grid(before, answer.observation_ns, answer.horizon, answer.dt_s)
    first = max(answer.step_at(ready_ns), 0)
    length = min(execute, covered - first)
    if length <= 0:
        return answer.positions
    share = np.clip((np.arange(answer.horizon) - first) / length, 0.0, 1.0)[:, None]
    return np.asarray(old * (1 - share) + answer.positions * share, dtype=np.float32)


def _ensemble(chunks: deque[Chunk], answer: Chunk, fade: int) -> FloatArray:
    """Each chunk's weight goes to 0 over its last `fade` steps, so that none drops out at once."""
    step = np.arange(answer.horizon)
    total = np.ones((answer.horizon, 1))
    mean = answer.positions.astype(np.float64)
    for chunk in chunks:
        positions, covered = on_grid(chunk, answer.observation_ns, answer.horizon, answer.dt_s)
        older_steps = (answer.observation_ns - chunk.observation_ns) / (NS_PER_S * answer.dt_s)
        weight = np.exp(ENSEMBLE_RATE * older_steps) * np.clip((covered - step) / fade, 0.0, 1.0)[:, None]
        mean += weight * positions
        total += weight
    return (mean / total).astype(np.float32)
