"""Joining chunks of one joint on paper: 30 steps of .1 s, times in ms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rove_core.chunks import Chunk
from rove_inference.bundle import JoinName
from rove_inference.decoders.prefix import soft_weights
from rove_inference.joining import ENSEMBLE_RATE, Joiner, on_grid

MS = 1_000_000
DT_S = 0.1
HORIZON, EXECUTE = 30, 10
METHODS: tuple[JoinName, ...] = ("replace", "blend", "ensemble", "rtc")


def chunk(observed_ms: float, positions: Callable[[np.ndarray], np.ndarray], number: int = 1) -> Chunk:
    """A chunk that says `positions(t)` at the times t [s] of its steps."""
    times = observed_ms * 1e-3 + np.arange(HORIZON) * DT_S
    rows = np.asarray(positions(times), np.float32)[:, None]
    return Chunk(number, 1, int(observed_ms * MS), rows, DT_S, EXECUTE)


def constant(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda times: np.full_like(times, value)


def joiner_with(method: JoinName, *before: Chunk) -> Joiner:
    joiner = Joiner(method, EXECUTE)
    for said in before:
        joiner.published(said, said)
    return joiner


def joined(joiner: Joiner, answer: Chunk, ready_ms: float, frozen: int = 0, *, guided: bool = False) -> np.ndarray:
    prefix = joiner.prefix(answer.observation_ns, HORIZON, DT_S, frozen)
    return joiner.join(answer, int(ready_ms * MS), prefix, guided=guided).positions[:, 0]


def test_replace_is_what_the_policy_said() -> None:
    answer = chunk(1000, constant(1.0))
    np.testing.assert_array_equal(joined(joiner_with("replace", chunk(0, constant(0))), answer, 1200), 1.0)


def test_blend_goes_from_the_chunk_before_to_the_answer_while_the_executed_steps_pass() -> None:
    positions = joined(joiner_with("blend", chunk(0, constant(0))), chunk(1000, constant(1.0)), 1250)
    np.testing.assert_allclose(positions[:3], 0)  # step 2 is in force when it is ready
    np.testing.assert_allclose(positions[2:13], np.linspace(0, 1, 11), atol=1e-6)
    np.testing.assert_allclose(positions[13:], 1)


def test_blend_is_done_when_the_chunk_before_ends() -> None:
    positions = joined(joiner_with("blend", chunk(0, constant(0))), chunk(2600, constant(1.0)), 2600)
    np.testing.assert_allclose(positions[:5], [0, 0.25, 0.5, 0.75, 1], atol=1e-6)


def test_an_ensemble_weighs_the_chunks_that_cover_a_step_by_their_age() -> None:
    before = chunk(0, constant(0)), chunk(800, constant(3.0), 2)
    positions = joined(joiner_with("ensemble", *before), chunk(1000, constant(6.0), 3), 1000)
    old, newer = np.exp(ENSEMBLE_RATE * 10), np.exp(ENSEMBLE_RATE * 2)
    assert positions[0] == pytest.approx((old * 0 + newer * 3 + 6) / (old + newer + 1), abs=1e-5)
    assert positions[-1] == pytest.approx(6.0)  # nobody else covers it


def test_no_chunk_drops_out_of_an_ensemble_at_once() -> None:
    positions = joined(joiner_with("ensemble", chunk(0, constant(0))), chunk(1000, constant(1.0)), 1000)
    assert np.abs(np.diff(positions)).max() < 0.1


def test_rtc_repeats_what_is_executed_meanwhile_and_departs_softly_from_the_rest() -> None:
    positions = joined(joiner_with("rtc", chunk(0, constant(0))), chunk(1000, constant(1.0)), 1300, frozen=4)
    # It is ready at step 3, on the way to step 4.
    np.testing.assert_allclose(positions, 1 - soft_weights(HORIZON, 5, 20), atol=1e-6)


def test_rtc_leaves_all_but_the_frozen_steps_to_a_decoder_that_was_guided() -> None:
    joiner = joiner_with("rtc", chunk(0, constant(0)))
    positions = joined(joiner, chunk(1000, constant(1.0)), 1300, frozen=4, guided=True)
    np.testing.assert_array_equal(positions, [0] * 4 + [1] * 26)


def test_rtc_holds_on_for_no_longer_than_the_answer_took() -> None:
    """The estimate is for the worst; a direct answer that comes early is heeded early."""
    positions = joined(joiner_with("rtc", chunk(0, constant(0))), chunk(1000, constant(1.0)), 1000, frozen=15)
    assert positions[1] == 0
    assert positions[2] > 0


def test_rtc_freezes_no_more_than_the_chunk_before_covers() -> None:
    joiner = joiner_with("rtc", chunk(0, constant(0)))
    prefix = joiner.prefix(2700 * MS, HORIZON, DT_S, frozen=9)
    assert prefix is not None
    assert prefix.frozen == 3
    assert joiner.prefix(3000 * MS, HORIZON, DT_S, frozen=9) is None


def test_only_rtc_asks_the_policy_to_continue() -> None:
    before = chunk(0, constant(0))
    for method in METHODS:
        prefix = joiner_with(method, before).prefix(1000 * MS, HORIZON, DT_S, 3)
        assert (prefix is not None) == (method == "rtc")


@pytest.mark.parametrize("method", METHODS)
def test_an_answer_that_was_not_published_leaves_no_trace(method: JoinName) -> None:
    joiner = Joiner(method, EXECUTE)
    joined(joiner, chunk(0, constant(0)), 100)
    np.testing.assert_array_equal(joined(joiner, chunk(1000, constant(1.0)), 1200, frozen=3), 1.0)


@pytest.mark.parametrize("method", METHODS)
@given(st.integers(1, 4000), st.integers(0, 40), st.integers(0, 1000))
def test_chunks_that_agree_stay_as_they_are(method: JoinName, later_ms: int, frozen: int, latency_ms: int) -> None:
    """A straight line is continued whatever the times; where the chunk before ends, nothing of it is used."""
    line: Callable[[np.ndarray], np.ndarray] = lambda times: 0.3 * times - 0.2  # noqa: E731
    answer = chunk(later_ms, line)
    positions = joined(joiner_with(method, chunk(0, line)), answer, later_ms + latency_ms, frozen)
    np.testing.assert_allclose(positions, answer.positions[:, 0], atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@given(st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=3), st.integers(1, 3500), st.integers(0, 40))
def test_what_is_published_lies_between_what_the_policy_said(
    method: JoinName, values: list[float], later_ms: int, frozen: int
) -> None:
    """So joint limits that hold for the answers hold for the chunk."""
    first, second, third = values
    joiner = joiner_with(method, chunk(0, constant(first)), chunk(later_ms, constant(second), 2))
    positions = joined(joiner, chunk(2 * later_ms, constant(third), 3), 2 * later_ms + 200, frozen)
    assert positions.min() >= min(values) - 1e-6
    assert positions.max() <= max(values) + 1e-6


def test_a_chunk_is_read_between_its_steps_and_not_past_its_end() -> None:
    positions, covered = on_grid(chunk(0, lambda times: times), 2650 * MS, 6, DT_S)
    np.testing.assert_allclose(positions[:, 0], [2.65, 2.75, 2.85, 2.9, 2.9, 2.9], atol=1e-6)
    assert covered == 3


def test_a_chunk_of_one_step_can_be_read() -> None:
    positions, covered = on_grid(Chunk(1, 1, 0, np.ones((1, 2), np.float32), DT_S, 1), 0, 3, DT_S)
    np.testing.assert_array_equal(positions, 1)
    assert covered == 1
