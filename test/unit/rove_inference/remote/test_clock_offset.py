"""The other clock, from stamps alone."""

from __future__ import annotations

import pytest

from rove_inference.remote.clock_offset import WINDOW, ClockOffset, Exchange

MS = 1_000_000


def exchange(offset_ms: int, there_ms: int, back_ms: int, work_ms: int = 5, at_ms: int = 1000) -> Exchange:
    """What both clocks write down when the way there takes `there_ms` and the way back `back_ms`."""
    received = at_ms + there_ms
    return Exchange(
        at_ms * MS,
        (received + offset_ms) * MS,
        (received + work_ms + offset_ms) * MS,
        (received + work_ms + back_ms) * MS,
    )


def test_a_symmetric_way_gives_the_offset_exactly() -> None:
    clock = ClockOffset()
    clock.add(exchange(offset_ms=-250, there_ms=3, back_ms=3))
    assert clock.offset_ms == pytest.approx(-250)
    assert clock.network_ms == pytest.approx(6)


def test_the_quickest_exchange_counts_and_is_wrong_by_less_than_half_its_way() -> None:
    clock = ClockOffset()
    clock.add(exchange(40, there_ms=80, back_ms=2))
    clock.add(exchange(40, there_ms=3, back_ms=1))
    clock.add(exchange(40, there_ms=30, back_ms=2))
    assert abs(clock.offset_ms - 40) <= 4 / 2
    assert clock.network_ms == pytest.approx(4)


def test_a_clock_that_jumped_is_believed_after_a_window() -> None:
    clock = ClockOffset()
    clock.add(exchange(0, there_ms=1, back_ms=1))
    for _ in range(WINDOW):
        clock.add(exchange(7000, there_ms=5, back_ms=5))
    assert clock.offset_ms == pytest.approx(7000)


def test_nothing_is_known_before_the_first_exchange() -> None:
    assert (ClockOffset().offset_ms, ClockOffset().network_ms) == (0, 0)
