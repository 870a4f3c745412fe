from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rove_inference.scheduler import LATENCY_WINDOW, ReplanScheduler, RunningQuantile

MS = 1_000_000
DT_S = 0.1


def scheduler(margin_s: float = 0.05) -> ReplanScheduler:
    return ReplanScheduler(DT_S, execute=16, horizon=50, margin_s=margin_s)


def test_the_first_request_is_due_at_once_and_after_a_restart_too() -> None:
    plan = scheduler()
    assert plan.due(0)
    plan.published(observation_ns=0, request_ns=10 * MS, ready_ns=40 * MS)
    assert not plan.due(50 * MS)
    plan.restart()
    assert plan.due(50 * MS)


def test_the_request_leaves_latency_and_margin_before_the_executed_steps_are_spent() -> None:
    plan = scheduler()
    plan.published(observation_ns=1000 * MS, request_ns=1010 * MS, ready_ns=1040 * MS)
    due_ms = 1000 + 1600 - 30 - 50
    assert plan.request_at_ns() == due_ms * MS
    assert not plan.due(due_ms * MS - 1)
    assert plan.due(due_ms * MS)


def test_one_slow_answer_does_not_make_every_request_early() -> None:
    plan = scheduler()
    for number in range(LATENCY_WINDOW):
        latency_ms = 900 if number == 3 else 20
        plan.published(number, number, number + latency_ms * MS)
    last = LATENCY_WINDOW - 1
    assert plan.request_at_ns() == last + (1600 - 20 - 50) * MS


def test_a_policy_slower_than_the_executed_part_is_asked_back_to_back() -> None:
    plan = scheduler()
    for _ in range(5):
        plan.published(observation_ns=0, request_ns=0, ready_ns=2000 * MS)
    assert plan.due(2000 * MS)


def test_a_chunk_that_comes_after_the_last_one_is_spent_counts_as_a_stall() -> None:
    plan = scheduler()
    plan.published(0, 0, 100 * MS)
    plan.published(1000 * MS, 1000 * MS, 4900 * MS)
    assert plan.stalls == 0
    plan.published(9000 * MS, 6000 * MS, 9100 * MS)
    assert plan.stalls == 1
    plan.restart()
    plan.published(99_000 * MS, 99_000 * MS, 99_010 * MS)
    assert plan.stalls == 1


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=200), st.floats(0, 1))
def test_the_running_quantile_is_one_of_the_last_values(values: list[float], quantile: float) -> None:
    running = RunningQuantile(window=64)
    for value in values:
        running.add(value)
    assert running.at(quantile) == pytest.approx(np.quantile(values[-64:], quantile, method="lower"))


def test_nothing_is_known_before_the_first_value() -> None:
    assert RunningQuantile().value() == 0.0
