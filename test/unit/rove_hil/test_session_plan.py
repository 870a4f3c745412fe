"""Attempts per start stage."""

from __future__ import annotations

import pytest

from rove_core.errors import ConfigError
from rove_hil.supervision.session_plan import SessionPlan


def test_works_the_stages_off_in_order() -> None:
    plan = SessionPlan.of("2:1, 0:2")
    assert plan.attempts == 3
    done: dict[int, int] = {}
    order = []
    while not plan.complete(done):
        order.append(plan.next_stage(done))
        done[order[-1]] = done.get(order[-1], 0) + 1
    assert order == [2, 0, 0]
    assert plan.next_stage(done) == 0, "people who go on stay where they are"
    assert plan.shown(2, done) == "stage 2, 1 of 1 done"


def test_an_attempt_from_another_stage_fills_no_quota() -> None:
    plan = SessionPlan.of("0:1,1:1")
    assert plan.counted({3: 5, 0: 4}) == 1
    assert not plan.complete({3: 5, 0: 4})
    assert plan.next_stage({3: 5, 0: 4}) == 1


def test_without_stages_there_is_one_and_without_a_number_no_end() -> None:
    assert SessionPlan.of("", 1, 3) == SessionPlan(((1, 3),))
    assert SessionPlan.of("", 1, 3).shown(1, {}) == ""
    endless = SessionPlan.of("")
    assert (endless.attempts, endless.complete({0: 9}), endless.next_stage({0: 9})) == (0, False, 0)


@pytest.mark.parametrize("text", ["0", "0:", "a:1", "0:0", "0:-1", "0:1,,1:1", "0:1,0:2"])
def test_refuses_what_is_no_plan(text: str) -> None:
    with pytest.raises(ConfigError, match="start stages"):
        SessionPlan.of(text)
