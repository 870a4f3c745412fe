"""When a driver may relax."""

from __future__ import annotations

from rove_core.modes import Mode
from rove_hil.command.relaxation import Relaxation

MS = 1_000_000


def test_it_relaxes_after_resting_in_a_fault_for_so_long_and_takes_hold_when_the_fault_is_over() -> None:
    relaxation = Relaxation(2.0)
    changes = [t for t in range(0, 5000, 5) if relaxation.update(t * MS, Mode.FAULT, True)]
    assert changes == [2000]
    assert relaxation.update(5000 * MS, Mode.PAUSED, True)
    assert not relaxation.relaxed


def test_never_while_it_moves() -> None:
    relaxation = Relaxation(2.0)
    assert not any(relaxation.update(t * MS, Mode.FAULT, False) for t in range(0, 5000, 5))
    assert not any(relaxation.update(t * MS, Mode.FAULT, True) for t in range(5000, 6995, 5))
    assert relaxation.update(6995 * MS, Mode.FAULT, True)


def test_in_no_other_mode() -> None:
    for mode in (None, *Mode):
        relaxation = Relaxation(0.5)
        relaxed = any(relaxation.update(t * MS, mode, True) for t in range(0, 2000, 5))
        assert relaxed == (mode is Mode.FAULT)


def test_a_clock_that_goes_back_starts_the_wait_again() -> None:
    relaxation = Relaxation(1.0)
    relaxation.update(900 * MS, Mode.FAULT, True)
    relaxation.update(100 * MS, Mode.FAULT, True)
    assert not relaxation.update(1000 * MS, Mode.FAULT, True)
    assert relaxation.update(1100 * MS, Mode.FAULT, True)
