"""The operator's motion on the control clock."""

from __future__ import annotations

import numpy as np
import pytest

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.command.decision import ArbiterCounters, OperatorTarget
from rove_hil.command.operator_source import OperatorSource

SPACE = JointSpace.load("iron_r01")
MS = 1_000_000
ALL = np.ones(SPACE.dim, dtype=np.bool_)


def source(counters: ArbiterCounters | None = None) -> OperatorSource:
    result = OperatorSource(SPACE, 0.1, counters or ArbiterCounters())
    result.begin(1)
    return result


def offer(operator: OperatorSource, at_ms: int, position: FloatArray, valid: FloatArray = ALL, epoch: int = 1) -> bool:
    return operator.offer(OperatorTarget(epoch, at_ms * MS, at_ms * MS, position, valid), at_ms * MS)


def test_it_is_silent_until_somebody_speaks_and_after_they_stopped() -> None:
    operator = source()
    assert (operator.sample(0), operator.absence) == (None, "waiting for the operator")
    offer(operator, 0, SPACE.home)
    assert operator.sample(100 * MS) is not None
    assert (operator.sample(101 * MS), operator.absence) == (None, "operator target stale")
    operator.begin(2)
    assert (operator.sample(0), operator.absence) == (None, "waiting for the operator")


def test_motion_goes_on_between_samples() -> None:
    operator = source()
    for at_ms in range(0, 400, 16):
        offer(operator, at_ms, SPACE.home + 1e-3 * at_ms)  # 1 rad/s
    samples = [operator.sample((384 + t) * MS) for t in range(0, 16, 4)]
    moved = [sample.position[0] - SPACE.home[0] for sample in samples if sample is not None]
    np.testing.assert_allclose(np.diff(moved), 4e-3, atol=1e-3)


def test_a_joint_that_is_nan_is_not_valid_and_what_is_played_stays_finite() -> None:
    operator = source()
    broken = SPACE.home.copy()
    broken[3] = np.nan
    offer(operator, 0, broken)
    sample = operator.sample(MS)
    assert sample is not None
    assert np.flatnonzero(~sample.valid).tolist() == [3]
    assert np.isfinite(sample.position).all()


def test_what_was_played_at_a_time() -> None:
    operator = source()
    assert operator.played_at(0) is None
    played = {}
    for at_ms in range(10, 50, 10):
        offer(operator, at_ms, SPACE.home + 1e-3 * at_ms)
        sample = operator.sample(at_ms * MS)
        assert sample is not None
        played[at_ms] = sample.position
    for asked_ms, expected_ms in ((5, 10), (10, 10), (29, 20), (40, 40), (500, 40)):
        found = operator.played_at(asked_ms * MS)
        assert found is not None
        np.testing.assert_array_equal(found, played[expected_ms])


@pytest.mark.parametrize("epoch", [0, 2])
def test_targets_of_another_epoch_are_counted_and_dropped(epoch: int) -> None:
    counters = ArbiterCounters()
    operator = source(counters)
    assert not offer(operator, 0, SPACE.home, epoch=epoch)
    assert counters.operator_other_epoch == 1
    assert operator.newest(0) is None
