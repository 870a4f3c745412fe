from __future__ import annotations

import numpy as np

from rove_hil.command.displacement import Displacement

MS = 1_000_000
HOME = np.zeros(3)


def away(by: float) -> np.ndarray:
    return np.array([0.0, by, 0.0])


def test_a_robot_that_stands_elsewhere_for_a_while_was_put_there() -> None:
    watch = Displacement()
    assert not watch.update(0, HOME, away(0.5))
    assert not watch.update(200 * MS, HOME, away(0.5))
    assert watch.update(250 * MS, HOME, away(0.5))


def test_sag_is_no_displacement() -> None:
    watch = Displacement()
    assert not any(watch.update(t * MS, HOME, away(0.05)) for t in range(0, 2000, 50))


def test_a_robot_that_still_moves_is_waited_for() -> None:
    watch = Displacement()
    assert not any(watch.update(t * MS, HOME, away(0.2 + t * 1e-3)) for t in range(0, 2000, 50))


def test_coming_back_or_being_driven_starts_the_wait_again() -> None:
    watch = Displacement()
    watch.update(0, HOME, away(0.5))
    watch.update(200 * MS, HOME, away(0.0))
    assert not watch.update(400 * MS, HOME, away(0.5))
    watch.reset()
    assert not watch.update(900 * MS, HOME, away(0.5))
