"""What the robot is told while chunks join: through the joiner of the policy's side and the arbiter of the robot's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rove_core.chunks import Chunk
from rove_core.joint_space import JointSpace
from rove_core.modes import Mode, Source
from rove_inference.bundle import JoinName
from rove_inference.joining import Joiner

SPACE = JointSpace.load("iron_r01")
MS = 1_000_000
METHODS: tuple[JoinName, ...] = ("replace", "blend", "ensemble", "rtc")
DT_S, HORIZON, EXECUTE = 0.033, 50, 16

# The robot is this far behind its target when it is observed, and a policy begins its chunk where the robot is.
BEHIND_RAD = 0.06
SPEED_RADPS = 0.2
LATENCY_TICKS = 40  # 200 ms
PERIOD_TICKS = 100


def chunks(bench: Any, method: JoinName) -> Iterator[Chunk]:
    """One per observation; the caller lets the latency pass in between and offers it."""
    joiner = Joiner(method, EXECUTE)
    for number in range(1, 9):
        observed_ns = bench.now_ns
        moved = SPEED_RADPS * (bench.now_ns - 1000 * MS) * 1e-9 + SPEED_RADPS * DT_S * np.arange(HORIZON)
        behind = BEHIND_RAD * (number > 1) * (1 if number % 2 else -1)
        positions = (SPACE.home + (moved - behind)[:, None]).astype(np.float32)
        said = Chunk(number, 1, observed_ns, positions, DT_S, EXECUTE)
        prefix = joiner.prefix(observed_ns, HORIZON, DT_S, frozen=7)
        ready_ns = observed_ns + LATENCY_TICKS * 5 * MS
        joined = joiner.join(said, ready_ns, prefix)
        chunk = Chunk(number, 1, observed_ns, joined.positions, DT_S, EXECUTE)
        yield chunk
        joiner.published(said, chunk)


@pytest.mark.parametrize("method", METHODS)
def test_no_chunk_yanks_the_target_however_it_joins(bench: Any, method: JoinName) -> None:
    """Chunks disagree by 120 mrad; the target moves no more than 4 mrad in a tick, 1 of which is its own speed."""
    joint = SPACE.index("left_shoulder_pitch")
    bench.say(Mode.ROLLOUT, 1)
    targets: list[float] = []
    for chunk in chunks(bench, method):
        for tick in range(LATENCY_TICKS + PERIOD_TICKS):
            if tick == LATENCY_TICKS:
                assert bench.arbiter.on_chunk(chunk, bench.now_ns)
            decision = bench.tick()
            if decision.source is Source.POLICY:
                targets.append(decision.target[joint])
            bench.say(Mode.ROLLOUT, 1)
    steps = np.abs(np.diff(targets))
    assert steps.max() < 0.004
    bench.check_limits()


def test_of_a_chunk_that_is_all_past_the_last_step_is_used_for_one_step(bench: Any) -> None:
    bench.say(Mode.ROLLOUT, 1)
    rows = SPACE.home + 0.1 * np.ones((10, SPACE.dim))
    assert bench.chunk(rows, 1, dt_s=0.02, age_ns=250 * MS)  # spent for 50 ms
    decision = bench.tick()
    assert (decision.source, decision.chunk_id, decision.chunk_step) == (Source.POLICY, 1, 9)
    assert bench.arbiter.counters.chunks_late == 1
    decision = bench.tick(4)
    assert (decision.source, decision.hold_reason) == (Source.STOP, "policy late")


def test_a_chunk_that_is_late_by_more_than_its_own_length_is_dropped(bench: Any) -> None:
    bench.say(Mode.ROLLOUT, 1)
    assert not bench.chunk(SPACE.home + np.zeros((10, 1)), 1, dt_s=0.02, age_ns=400 * MS)
    assert bench.tick().hold_reason == "waiting for the policy"
    assert bench.arbiter.counters.chunks_late == 1
