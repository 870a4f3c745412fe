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


def test_an_answer_of_which_all_steps_are_past_is_a_stall_even_when_it_is_the_first() -> None:
    plan = scheduler()
    plan.published(0, 0, 5000 * MS)
    assert plan.stalls == 1


def test_until_there_was_an_answer_the_expected_time_counts() -> None:
    plan = ReplanScheduler(DT_S, execute=16, horizon=50, margin_s=0.05, expected_s=0.3)
    assert plan.latency_ms == pytest.approx(300)
    assert plan.delay_steps == 3 + 1
    plan.published(observation_ns=0, request_ns=20 * MS, ready_ns=120 * MS)
    assert plan.latency_ms == pytest.approx(100)
    assert plan.delay_steps == 2 + 1


def test_the_delay_counts_from_the_observation_and_one_spike_does_not_pin_it() -> None:
    plan = scheduler()
    for number in range(LATENCY_WINDOW):
        ready_ms = 1500 if number == 5 else 190
        plan.published(number * MS, (number + 50) * MS, (number + ready_ms) * MS)
    assert plan.delay_steps == 2 + 1
    for number in range(5):
        plan.published(number * MS, (number + 50) * MS, (number + 700) * MS)
    assert plan.delay_steps == 7 + 1


def test_the_age_of_an_action_is_that_of_its_observation_while_the_chunk_is_in_force() -> None:
    plan = scheduler()
    plan.published(0, 0, 100 * MS)
    plan.published(1000 * MS, 1000 * MS, 1500 * MS)
    assert plan.age_ms.at(0) == pytest.approx(100)
    assert plan.age_ms.at(1) == pytest.approx(1500)
    plan.published(9000 * MS, 9000 * MS, 9100 * MS)
    assert plan.age_ms.at(1) == pytest.approx(5000), "nothing is executed once the chunk is spent"


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=200), st.floats(0, 1))
def test_the_running_quantile_is_one_of_the_last_values(values: list[float], quantile: float) -> None:
    running = RunningQuantile(window=64)
    for value in values:
        running.add(value)
    assert running.at(quantile) == pytest.approx(np.quantile(values[-64:], quantile, method="lower"))


def test_nothing_is_known_before_the_first_value() -> None:
    assert RunningQuantile().value() == 0.0
