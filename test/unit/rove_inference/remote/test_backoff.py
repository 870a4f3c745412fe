"""Pauses that grow."""

from __future__ import annotations

import pytest

from rove_inference.remote.backoff import FIRST_S, MOST_S, Backoff


def test_pauses_double_up_to_the_longest_and_begin_anew_after_success() -> None:
    backoff = Backoff()
    assert backoff.left_s(100.0) == 0
    pauses = []
    for _ in range(7):
        backoff.failed(100.0)
        pauses.append(backoff.left_s(100.0))
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, MOST_S, MOST_S])
    assert backoff.left_s(101.5) == pytest.approx(0.5)
    assert backoff.left_s(103.0) == 0
    backoff.worked()
    backoff.failed(200.0)
    assert backoff.left_s(200.0) == pytest.approx(FIRST_S)
