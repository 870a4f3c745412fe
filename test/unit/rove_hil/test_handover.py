"""Hand-over without a jerk."""

from __future__ import annotations

import numpy as np
import pytest

from rove_hil.command.handover import HandOver

MS = 1_000_000
ALL = np.ones(3, dtype=np.bool_)
LAST, FIRST = np.array([0.0, 1.0, -2.0]), np.array([0.5, 1.0, 1.0])


def engaged(times: tuple[float, float, float] = (0.4, 0.4, 0.1)) -> HandOver:
    handover = HandOver(np.array(times))
    handover.engage(1000 * MS, ALL, LAST, FIRST)
    return handover


def test_the_first_command_is_the_last_one_and_nothing_moves_because_of_the_offset() -> None:
    offset, rate = engaged().offset(1000 * MS)
    np.testing.assert_allclose(FIRST + offset, LAST)
    np.testing.assert_allclose(rate, 0, atol=1e-12)


def test_the_offset_only_shrinks_and_is_gone_after_ten_time_constants() -> None:
    handover = engaged()
    offsets = np.array([handover.offset((1000 + t) * MS)[0] for t in range(0, 4001, 5)])
    assert (np.diff(np.abs(offsets), axis=0) <= 0).all()
    np.testing.assert_allclose(offsets[-1], 0, atol=2e-3)


def test_each_joint_fades_in_its_own_time() -> None:
    offset, _ = engaged().offset(1200 * MS)
    share = offset[[0, 2]] / (LAST - FIRST)[[0, 2]]
    np.testing.assert_allclose(share, [1.5 * np.exp(-0.5), 3 * np.exp(-2.0)])


@pytest.mark.parametrize("t_ms", [0, 5, 100, 400, 2000])
def test_the_rate_is_that_of_the_offset(t_ms: int) -> None:
    handover, now = engaged(), (1000 + t_ms) * MS
    rate = handover.offset(now)[1]
    later, earlier = handover.offset(now + MS // 10)[0], handover.offset(now - MS // 10)[0]
    np.testing.assert_allclose((later - earlier) / 2e-4, rate, atol=2e-3 if t_ms else 0.1)


def test_joints_that_are_not_handed_over_keep_their_offset() -> None:
    handover = engaged()
    before = handover.offset(1100 * MS)[0]
    handover.engage(1100 * MS, np.array([True, False, False]), LAST, LAST + 1.0, np.full(3, 0.2))
    offset = handover.offset(1100 * MS)[0]
    assert offset[0] == -1.0
    np.testing.assert_array_equal(offset[1:], before[1:])


def test_a_clock_that_goes_back_does_not_make_the_offset_grow() -> None:
    np.testing.assert_allclose(engaged().offset(0)[0], LAST - FIRST)
