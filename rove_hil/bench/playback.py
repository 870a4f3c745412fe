"""Chunks through the arbiter and the command filter at 200 Hz, on a clock that only exists here."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from rove_core.chunks import Chunk
from rove_core.clocks import NS_PER_S
from rove_core.joint_space import FloatArray, JointSpace
from rove_core.modes import Mode, Stage
from rove_hil.command.arbiter import Arbiter
from rove_hil.command.decision import ArbiterConfig, ModeState
from rove_hil.joint_filter import JointFilter

TICK_NS = 5_000_000
HANDOVER_S = 0.4


def play(
    space: JointSpace, chunks: Iterable[tuple[int, Chunk]], end_ns: int
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]:
    """What the robot would be told in a rollout of epoch 1 that begins at 0.

    Args:
        chunks: when each one arrives [ns], in that order, and what it says.

    Returns:
        Target before the filter and command after it [rad], shape (ticks, dim); chunk in force per tick, 0 when the
        robot held.
    """
    arbiter = Arbiter(space, ArbiterConfig(np.full(space.dim, HANDOVER_S)))
    arbiter.start(space.home)
    command = JointFilter(space, TICK_NS / NS_PER_S)
    command.reset(space.home)
    ticks = end_ns // TICK_NS
    targets, commands = np.empty((ticks, space.dim)), np.empty((ticks, space.dim))
    in_force = np.zeros(ticks, np.int64)
    waiting = iter(chunks)
    arrival_ns, chunk = next(waiting, (end_ns, None))
    for tick in range(ticks):
        now_ns = tick * TICK_NS
        arbiter.on_mode(ModeState(Mode.ROLLOUT, Stage.ROLLOUT, 1, "bench", now_ns))
        while chunk is not None and arrival_ns <= now_ns:
            arbiter.on_chunk(chunk, now_ns)
            arrival_ns, chunk = next(waiting, (end_ns, None))
        decision = arbiter.decide(now_ns, command.position, command.rest_position, command.at_rest)
        targets[tick] = decision.target
        output = command.step(decision.target, target_velocity=decision.velocity, brake=decision.held)
        commands[tick], in_force[tick] = output.position, decision.chunk_id
    return targets, commands, in_force
