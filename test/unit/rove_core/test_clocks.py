"""Monotonic time, and simulated time that is followed between samples."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rove_core import clocks
from rove_core.clocks import NS_PER_S, FollowedClock, MonotonicClock, system_minus_monotonic_ns

MS = 1_000_000


def test_monotonic_clock_sleeps_until_the_deadline_and_not_past_a_missed_one() -> None:
    clock = MonotonicClock()
    deadline = clock.now_ns() + 5 * MS
    clock.sleep_until_ns(deadline)
    assert clock.now_ns() >= deadline
    clock.sleep_until_ns(clock.now_ns() - NS_PER_S)


class Computer:
    """Both clocks of a computer that takes `takes_ns` between one reading and the next, the last for ever on."""

    AHEAD_NS = 1_000_000 * NS_PER_S

    def __init__(self, *takes_ns: int) -> None:
        self._now_ns, self._takes_ns = 0, list(takes_ns)

    def monotonic_ns(self) -> int:
        self._now_ns += self._takes_ns.pop(0) if len(self._takes_ns) > 1 else self._takes_ns[0]
        return self._now_ns

    def time_ns(self) -> int:
        return self.monotonic_ns() + self.AHEAD_NS


@pytest.mark.parametrize("preempted", [0, 1, 2, 3, 4, 5, 9])
def test_the_clocks_differ_by_the_same_when_somebody_is_preempted_between_them(
    preempted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes_ns = [200] * preempted + [80 * MS] + [200]
    monkeypatch.setattr(clocks, "time", Computer(*takes_ns))
    assert abs(system_minus_monotonic_ns() - Computer.AHEAD_NS) <= 200


def test_a_computer_that_is_always_preempted_gets_an_answer_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "time", Computer(*[MS * (60 - number) for number in range(40)]))
    assert abs(system_minus_monotonic_ns() - Computer.AHEAD_NS) <= 35 * MS


def test_the_clocks_of_this_computer_differ_by_what_they_say() -> None:
    before_ns = time.time_ns() - time.monotonic_ns()
    assert abs(system_minus_monotonic_ns() - before_ns) < NS_PER_S


def test_before_the_first_sample_there_is_no_time() -> None:
    clock = FollowedClock()
    assert not clock.started
    assert clock.now_ns() == 0


def test_one_sample_stands_still_because_the_rate_is_not_known() -> None:
    clock = FollowedClock()
    clock.update(5 * NS_PER_S, time.monotonic_ns())
    assert clock.started
    assert clock.now_ns() == clock.now_ns() == 5 * NS_PER_S


def test_time_runs_on_at_the_rate_of_the_samples_but_only_so_far() -> None:
    clock = FollowedClock(max_ahead_s=0.1)
    now = time.monotonic_ns()
    # The newest sample lies one second back at four times real time: far more than 0.1 s would have passed.
    clock.update(1 * NS_PER_S, now - 2 * NS_PER_S)
    clock.update(5 * NS_PER_S, now - 1 * NS_PER_S)
    assert clock.now_ns() == 5 * NS_PER_S + 100 * MS


def test_between_samples_time_is_interpolated_at_the_simulators_speed() -> None:
    clock = FollowedClock(max_ahead_s=1000.0)
    newest = time.monotonic_ns() - 1 * NS_PER_S
    clock.update(0 + NS_PER_S, newest - 1 * NS_PER_S)
    clock.update(4 * NS_PER_S, newest)
    before = time.monotonic_ns()
    seen = clock.now_ns()
    after = time.monotonic_ns()
    assert 3 * (before - newest) - MS <= seen - 4 * NS_PER_S <= 3 * (after - newest) + MS


@given(st.lists(st.tuples(st.integers(1, 10**12), st.integers(1, 10**12)), max_size=20))
def test_time_never_goes_back_whatever_the_samples(samples: list[tuple[int, int]]) -> None:
    clock = FollowedClock()
    seen = [clock.now_ns()]
    for sim_ns, mono_ns in samples:
        clock.update(sim_ns, mono_ns)
        seen.append(clock.now_ns())
    assert seen == sorted(seen)


def test_a_sample_of_the_past_is_ignored() -> None:
    clock = FollowedClock()
    now = time.monotonic_ns()
    clock.update(10 * NS_PER_S, now)
    clock.update(2 * NS_PER_S, now + 1)
    assert clock.now_ns() == 10 * NS_PER_S


@pytest.mark.timeout(20)
def test_a_sleeper_wakes_when_simulated_time_gets_there_and_not_before() -> None:
    clock = FollowedClock(max_ahead_s=0.001)
    clock.update(1 * NS_PER_S, time.monotonic_ns())
    woke = threading.Event()

    def sleeper() -> None:
        clock.sleep_until_ns(2 * NS_PER_S)
        woke.set()

    thread = threading.Thread(target=sleeper, daemon=True)
    thread.start()
    assert not woke.wait(0.05)  # the simulator is paused: nothing but a sample may wake it
    clock.update(2 * NS_PER_S, time.monotonic_ns())
    assert woke.wait(10.0)
    thread.join()
