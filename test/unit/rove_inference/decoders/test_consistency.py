from __future__ import annotations

import numpy as np
import pytest

from rove_inference.decoders import consistency
from rove_inference.decoders.inpainting import Known

SHAPE = (30, 4)


def draw(steps: int, seed: int = 3, known: Known | None = None, mean: float = 0.7, spread: float = 0.5) -> np.ndarray:
    """The consistency function of N(m, s^2): along the probability flow (x - m) shrinks with the spread at sigma."""

    def clean(x: np.ndarray, sigma: float) -> np.ndarray:
        return mean + spread / np.hypot(spread, sigma) * (x - mean)

    levels = consistency.noise_levels(steps + 1, 0.002, 80.0, 7.0)
    return consistency.sample(clean, np.random.default_rng(seed), SHAPE, levels, known)


def test_the_schedule_runs_from_the_greatest_to_the_least_level() -> None:
    levels = consistency.noise_levels(40, 0.002, 80.0, 7.0)
    assert levels[0] == pytest.approx(80.0)
    assert levels[-1] == pytest.approx(0.002)
    assert (np.diff(levels) < 0).all()


def test_rho_one_spaces_evenly() -> None:
    np.testing.assert_allclose(consistency.noise_levels(5, 1.0, 9.0, 1.0), [9, 7, 5, 3, 1])


def test_one_step_evaluates_once_at_the_greatest_level_on_its_noise() -> None:
    seen: list[tuple[np.ndarray, float]] = []

    def clean(x: np.ndarray, sigma: float) -> np.ndarray:
        seen.append((x, sigma))
        return np.zeros_like(x)

    consistency.sample(clean, np.random.default_rng(0), (200, 50), consistency.noise_levels(2, 0.002, 80.0, 7.0))
    ((x, sigma),) = seen
    assert sigma == pytest.approx(80.0)
    assert x.std() == pytest.approx(80.0, rel=0.03)


def test_a_further_step_adds_the_noise_that_brings_a_clean_chunk_to_its_level() -> None:
    """A clean chunk holds noise of the least level already: variances add up to sigma squared."""
    spreads = []

    def clean(x: np.ndarray, sigma: float) -> np.ndarray:
        spreads.append(x.std())
        return np.zeros_like(x)

    consistency.sample(clean, np.random.default_rng(0), (500, 100), np.array([5.0, 1.5, 1.0]))
    np.testing.assert_allclose(spreads, [5.0, np.sqrt(1.5**2 - 1.0**2)], rtol=0.02)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_data_that_is_one_chunk_is_that_chunk_after_any_number_of_steps(steps: int) -> None:
    np.testing.assert_allclose(draw(steps, spread=0.0), 0.7, rtol=1e-6)


@pytest.mark.parametrize("steps", [1, 3])
def test_gaussian_data_keep_their_mean_and_spread(steps: int) -> None:
    chunks = np.stack([draw(steps, seed) for seed in range(100)])
    assert chunks.mean() == pytest.approx(0.7, abs=0.02)
    assert chunks.std() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_frozen_step_is_what_was_decided(steps: int) -> None:
    weights = np.zeros((30, 1), np.float32)
    weights[:4] = 1.0
    chunk = draw(steps, known=Known(np.full(SHAPE, -2.0, np.float32), weights))
    np.testing.assert_allclose(chunk[:4], -2.0, rtol=1e-6)
    np.testing.assert_array_equal(chunk[4:], draw(steps)[4:])
