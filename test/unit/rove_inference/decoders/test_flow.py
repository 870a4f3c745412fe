"""Flow matching against the closed form for Gaussian data.

With data N(m, s^2) and noise N(0, 1), x_t = t a + (1 - t) e has mean t m and variance r^2 = t^2 s^2 + (1 - t)^2; the
velocity is v = m + (t s^2 - (1 - t)) / r^2 (x - t m), and its solution from x_0 = e is x_1 = m + s e.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rove_inference.decoders import flow, guidance
from rove_inference.decoders.inpainting import Known

SPREAD = 0.4
NOISE = np.random.default_rng(0).standard_normal((40, 6))


def velocity(mean: float | np.ndarray, spread: float = SPREAD) -> Callable[[np.ndarray, float], np.ndarray]:
    def at(x: np.ndarray, t: float) -> np.ndarray:
        slope = (t * spread**2 - (1 - t)) / (t**2 * spread**2 + (1 - t) ** 2)
        return mean + slope * (x - t * mean)

    return at


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2)])
def test_the_error_falls_with_the_order_of_the_solver(solver: Any, order: int) -> None:
    """On dx/dt = cos(5 t) x. (For Gaussian data the leading error of the midpoint rule cancels from end to end.)"""
    exact = NOISE * np.exp(np.sin(5.0) / 5.0)
    errors = [
        np.abs(flow.sample(lambda x, t: np.cos(5.0 * t) * x, NOISE, steps, solver) - exact).max()
        for steps in (80, 160, 320)
    ]
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), order, atol=0.15)


@pytest.mark.parametrize(("solver", "steps", "error"), [("euler", 400, 0.01), ("midpoint", 40, 1e-3)])
def test_gaussian_data_are_reached_from_their_noise(solver: Any, steps: int, error: float) -> None:
    np.testing.assert_allclose(flow.sample(velocity(1.5), NOISE, steps, solver), 1.5 + SPREAD * NOISE, atol=error)


def test_data_that_is_one_chunk_is_reached_in_one_step() -> None:
    chunk = np.linspace(-1, 1, 6)
    np.testing.assert_allclose(flow.sample(velocity(chunk, 0.0), NOISE, 1, "euler") - chunk, 0, atol=1e-12)


@pytest.mark.parametrize("solver", ["euler", "midpoint"])
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 3.0])
def test_guidance_between_gaussians_moves_the_mean_and_keeps_the_spread(solver: Any, beta: float) -> None:
    """Both means spread alike: the guided flow is that of a Gaussian at m_neg + beta (m_pos - m_neg)."""
    means = {"bad": -0.3, "good": 0.8}
    rows = [velocity(means[text]) for text in guidance.conditions(beta, "bad", "good")]

    def guided(x: np.ndarray, t: float) -> np.ndarray:
        return guidance.combine(np.stack([row(x, t) for row in rows]), beta)

    chunk = flow.sample(guided, NOISE, 200, solver)
    mean = -0.3 + beta * 1.1
    np.testing.assert_allclose(chunk, flow.sample(velocity(mean), NOISE, 200, solver), atol=1e-9)
    np.testing.assert_allclose(chunk, mean + SPREAD * NOISE, atol=0.02)


@pytest.mark.parametrize("solver", ["euler", "midpoint"])
def test_a_frozen_step_is_what_was_decided_and_a_free_one_is_the_flow(solver: Any) -> None:
    weights = np.zeros((40, 1))
    weights[:5] = 1.0
    known = Known(np.full((40, 6), 7.0), weights)
    chunk = flow.sample(velocity(1.5), NOISE, 10, solver, known)
    np.testing.assert_allclose(chunk[:5], 7.0, atol=1e-12)
    free = flow.sample(velocity(1.5), NOISE, 10, solver)
    np.testing.assert_allclose(chunk[5:], free[5:], atol=1e-12)


def test_the_network_sees_a_frozen_step_as_the_known_action_noised_to_its_level() -> None:
    """Otherwise it is asked about chunks that it has never seen."""
    seen: list[tuple[np.ndarray, float]] = []

    def watching(x: np.ndarray, t: float) -> np.ndarray:
        seen.append((x, t))
        return velocity(1.5)(x, t)

    flow.sample(watching, NOISE, 8, "euler", Known(np.full((40, 6), 7.0), np.ones((40, 1))))
    assert len(seen) == 8
    for x, t in seen:
        np.testing.assert_allclose(x, t * 7.0 + (1 - t) * NOISE, atol=1e-12)


def test_a_network_that_couples_steps_continues_from_the_frozen_ones() -> None:
    """Data whose steps are all alike (rank one): freezing the first tells the rest."""

    def alike(x: np.ndarray, t: float) -> np.ndarray:
        # The posterior mean of the common value c ~ N(0, 1) given x_i = t c + (1 - t) e_i.
        common = t * x.sum(axis=0) / (t**2 * len(x) + (1 - t) ** 2)
        return (common - x) / (1 - t)

    weights = np.zeros((40, 1))
    weights[:20] = 1.0
    chunk = flow.sample(alike, NOISE, 200, "euler", Known(np.full((40, 6), 0.9), weights))
    free = flow.sample(alike, NOISE, 200, "euler")
    assert np.abs(chunk[20:] - 0.9).max() < 0.25 * np.abs(free[20:] - 0.9).max()


def test_a_soft_weight_lies_between() -> None:
    ends = [
        flow.sample(velocity(0.0), NOISE, 20, "euler", Known(np.full((40, 6), 5.0), np.full((40, 1), weight))).mean()
        for weight in (0.0, 0.2, 0.5, 1.0)
    ]
    assert ends == sorted(ends)
    assert ends[-1] == pytest.approx(5.0)
