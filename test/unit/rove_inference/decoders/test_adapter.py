from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rove_inference.decoders.adapter import correction

FLOATS = st.floats(-1e4, 1e4, width=32)


@given(base=hnp.arrays(np.float32, (4, 3), elements=FLOATS), gate=hnp.arrays(np.float32, 4, elements=FLOATS))
def test_an_adapter_of_zeros_leaves_every_bit_of_the_base(base: np.ndarray, gate: np.ndarray) -> None:
    base = base + np.float32(0)  # no negative zeros, as in a chunk: mean + std x
    change = correction(np.zeros((4, 3), np.float32), gate, 0.15)
    assert (base + change.gate[:, None] * change.residual).tobytes() == base.tobytes()


@given(residual=hnp.arrays(np.float32, (4, 3), elements=FLOATS), gate=hnp.arrays(np.float32, 4, elements=FLOATS))
def test_nothing_moves_by_more_than_r_max(residual: np.ndarray, gate: np.ndarray) -> None:
    change = correction(residual, gate, 0.15)
    assert (np.abs(change.residual) <= np.float32(0.15)).all()
    assert ((change.gate >= 0) & (change.gate <= 1)).all()


def test_the_formula() -> None:
    change = correction(np.array([[0.5, -2.0]], np.float32), np.array([-2.0], np.float32), 0.15)
    np.testing.assert_allclose(change.residual, [[0.15 * np.tanh(0.5), 0.15 * np.tanh(-2.0)]], rtol=1e-6)
    np.testing.assert_allclose(change.gate, [1 / (1 + np.exp(2.0))], rtol=1e-6)
