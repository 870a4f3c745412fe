from __future__ import annotations

import numpy as np
import pytest

from rove_inference.decoders import guidance

NEGATIVE, POSITIVE = np.random.default_rng(1).standard_normal((2, 5, 3)).astype(np.float32)


@pytest.mark.parametrize(("beta", "texts"), [(0.0, ("bad",)), (1.0, ("good",)), (0.5, ("bad", "good"))])
def test_a_condition_without_a_say_is_not_evaluated(beta: float, texts: tuple[str, ...]) -> None:
    assert guidance.conditions(beta, "bad", "good") == texts


def test_beta_zero_and_one_are_the_network_under_one_condition_to_the_last_bit() -> None:
    np.testing.assert_array_equal(guidance.combine(NEGATIVE[None], 0.0), NEGATIVE)
    np.testing.assert_array_equal(guidance.combine(POSITIVE[None], 1.0), POSITIVE)


@pytest.mark.parametrize("beta", [0.3, 1.5, 4.0])
def test_the_formula(beta: float) -> None:
    guided = guidance.combine(np.stack([NEGATIVE, POSITIVE]), beta)
    np.testing.assert_allclose(guided, NEGATIVE + beta * (POSITIVE - NEGATIVE), rtol=1e-6)
    assert guided.dtype == np.float32
