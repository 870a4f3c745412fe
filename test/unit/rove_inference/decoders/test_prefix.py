from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rove_inference.decoders.prefix import soft_weights

STEPS = st.integers(0, 60)


def test_weights_are_those_of_the_paper() -> None:
    """H = 8, d = 2, s = 2: written out by hand from equation 5."""
    c = np.array([4, 3, 2, 1]) / 5
    expected = [1, 1, *(c * (np.exp(c) - 1) / (np.e - 1)), 0, 0]
    np.testing.assert_allclose(soft_weights(8, 2, 6), expected, rtol=1e-6)


@given(st.integers(1, 60), STEPS, STEPS)
def test_weights_never_rise_and_end_with_the_overlap(horizon: int, frozen: int, overlap: int) -> None:
    weights = soft_weights(horizon, frozen, overlap)
    assert weights.shape == (horizon,)
    assert (np.diff(weights) <= 0).all()
    assert (weights[: min(frozen, overlap)] == 1).all()
    assert (weights[overlap:] == 0).all()
    assert ((weights >= 0) & (weights <= 1)).all()
