"""Chunks that may reach the filter, and which step of one is in force."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rove_core.chunks import Chunk
from rove_core.errors import PolicyError
from rove_core.joint_space import JointSpace

SPACE = JointSpace.load("iron_r01")
HORIZON = 16
GOOD = Chunk(
    chunk_id=7,
    epoch=3,
    observation_ns=1_000_000_000,
    positions=np.tile(SPACE.home, (HORIZON, 1)).astype(np.float32),
    dt_s=1 / 30,
    execute=8,
)


def test_a_good_chunk_passes() -> None:
    GOOD.check(SPACE)
    assert GOOD.horizon == HORIZON


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"positions": np.zeros((HORIZON, SPACE.dim - 1), np.float32)}, r"shape \(16, 49\), expected \(horizon, 50\)"),
        ({"positions": np.zeros(SPACE.dim, np.float32)}, "shape"),
        ({"positions": np.zeros((0, SPACE.dim), np.float32)}, "shape"),
        ({"dt_s": 0.0}, "dt 0.0 s"),
        ({"dt_s": float("nan")}, "dt nan s"),
        ({"execute": 0}, "executes 0 of 16"),
        ({"execute": HORIZON + 1}, "executes 17 of 16"),
    ],
)
def test_a_chunk_that_makes_no_sense_is_refused(change: dict[str, object], reason: str) -> None:
    with pytest.raises(PolicyError, match=f"chunk 7: .*{reason}"):
        dataclasses.replace(GOOD, **change).check(SPACE)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_bad_number_is_found_and_named(value: float) -> None:
    positions = GOOD.positions.copy()
    positions[5, 9] = value
    with pytest.raises(PolicyError, match=f"step 5, joint '{SPACE.names[9]}' is"):
        dataclasses.replace(GOOD, positions=positions).check(SPACE)


@given(st.integers(0, HORIZON - 1), st.sampled_from([1 / 30, 0.02, 1 / 15, 0.05]))
def test_a_step_is_in_force_from_its_own_time_until_the_next(step: int, dt_s: float) -> None:
    chunk = dataclasses.replace(GOOD, dt_s=dt_s)
    begin_ns = chunk.observation_ns + round(step * dt_s * 1e9)
    assert chunk.step_at(begin_ns) == step
    assert chunk.step_at(begin_ns + round(dt_s * 1e9) - 1_000_000) == step


def test_before_the_observation_the_step_is_negative_and_after_the_last_it_is_spent() -> None:
    assert GOOD.step_at(GOOD.observation_ns - 1_000_000) == -1
    assert GOOD.step_at(GOOD.observation_ns + round(HORIZON / 30 * 1e9)) == HORIZON
