"""Noise goes, motion stays."""

from __future__ import annotations

import numpy as np
import pytest

from rove_hil.retargeting.target_smoother import LONGEST_GAP_S, TargetSmoother

DT_S = 1 / 72
MOST_M = 0.002


def smoothed(values: np.ndarray, dt_s: float = DT_S) -> np.ndarray:
    """Every sample of `values` (frames, n, d) through one smoother."""
    smoother = TargetSmoother(MOST_M)
    return np.array([smoother.smooth(sample, dt_s) for sample in values])


def noise(shape: tuple[int, ...], sigma: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, sigma, shape)


def reaching(frames: int, seed: int = 1) -> np.ndarray:
    """Four points that move like hands: sines of 30 cm, up to 1.5 m/s."""
    rng = np.random.default_rng(seed)
    rate, phase = rng.uniform(0.2, 0.8, (4, 3)), rng.uniform(0, 2 * np.pi, (4, 3))
    return 0.3 * np.sin(2 * np.pi * rate * np.arange(frames)[:, None, None] * DT_S + phase)


def test_noise_on_a_point_at_rest_is_reduced_to_two_fifths() -> None:
    values = noise((600, 4, 3), 1e-3)
    assert smoothed(values)[100:].std() < 0.4e-3


def test_motion_without_noise_passes_within_a_fraction_of_a_millimetre() -> None:
    values = reaching(600)
    lag = np.linalg.norm(smoothed(values) - values, axis=2)
    assert lag.max() < 1e-3
    assert np.median(lag) < 0.3e-3


@pytest.mark.parametrize("speed", [0.02, 0.1, 0.5, 3.0])
def test_the_lag_is_bounded_at_every_speed(speed: float) -> None:
    sigma = 1e-3
    path = speed * DT_S * np.arange(600)[:, None, None] * np.ones((1, 4, 3)) / np.sqrt(3)
    lag = np.linalg.norm((smoothed(path + noise(path.shape, sigma)) - path)[200:].mean(axis=0), axis=1)
    assert lag.max() < 3.0 * sigma


def test_a_jump_is_followed_at_once_and_is_not_taken_for_noise() -> None:
    values = np.zeros((80, 1, 3))
    values[40:] = 0.5
    result = smoothed(values)
    np.testing.assert_allclose(result[40], values[40], atol=1e-3)
    # The jump may count as some noise, by no more than its limit.
    assert np.abs(result - values).max() < 4 * MOST_M


def test_the_first_sample_and_the_first_after_a_gap_are_taken_as_they_are() -> None:
    smoother = TargetSmoother(MOST_M)
    values = noise((50, 4, 3), 1e-3)
    np.testing.assert_array_equal(smoother.smooth(values[0], DT_S), values[0])
    for sample in values[1:-1]:
        smoother.smooth(sample, DT_S)
    np.testing.assert_array_equal(smoother.smooth(values[-1], 2 * LONGEST_GAP_S), values[-1])
    smoother.reset()
    np.testing.assert_array_equal(smoother.smooth(values[0], DT_S), values[0])


def test_uneven_intervals_are_no_noise() -> None:
    rng = np.random.default_rng(3)
    smoother, time_s = TargetSmoother(MOST_M), 0.0
    for _ in range(200):
        dt_s = float(rng.uniform(0.5, 2.0)) * DT_S
        time_s += dt_s
        value = np.full((1, 3), 0.8 * time_s)
        result = smoother.smooth(value, dt_s)
    np.testing.assert_allclose(result, value, atol=1e-6)
