"""Continuing a chunk without a gradient, against the paper's method on a network whose gradient is known.

The data are smooth trajectories: a Gaussian process over the steps of a chunk, covariance C. The posterior mean of a
chunk given x_t = t a + (1 - t) e is M x with M = t C (t^2 C + (1 - t)^2 I)^-1, which is also its Jacobian.
"""

from __future__ import annotations

import numpy as np
import pytest

from rove_inference.decoders import flow
from rove_inference.decoders.inpainting import Known
from rove_inference.decoders.prefix import soft_weights

HORIZON, FROZEN, OVERLAP, JOINTS, STEPS = 50, 6, 34, 60, 10
LENGTHS = (5.0, 15.0)  # over how many steps trajectories bend


def covariance(length: float) -> np.ndarray:
    step = np.arange(HORIZON)
    return np.exp(-0.5 * ((step[:, None] - step) / length) ** 2) + 1e-6 * np.eye(HORIZON)


def estimator(length: float, t: float) -> np.ndarray:
    c = covariance(length)
    return t * c @ np.linalg.inv(t**2 * c + (1 - t) ** 2 * np.eye(HORIZON))


def with_gradient(length: float, noise: np.ndarray, known: Known, max_weight: float) -> np.ndarray:
    """Equations 2 to 4 of arXiv 2506.07339."""
    x, dt = noise, 1.0 / STEPS
    for number in range(STEPS):
        t = number * dt
        m = estimator(length, t)
        clean = m @ x
        r2 = (1 - t) ** 2 / (t**2 + (1 - t) ** 2)
        weight = min(max_weight, (1 - t) / (t * r2)) if t else max_weight
        x = x + dt * ((clean - x) / (1 - t) + weight * m.T @ (known.weights * (known.actions - clean)))
    return x


def without_gradient(length: float, noise: np.ndarray, known: Known | None) -> np.ndarray:
    return flow.sample(lambda x, t: (estimator(length, t) @ x - x) / (1 - t), noise, STEPS, "euler", known)


def setting(length: float) -> tuple[np.ndarray, np.ndarray, Known]:
    """The chunk before, the noise of the new one, and what of the former it is given."""
    generator = np.random.default_rng(0)
    before = np.linalg.cholesky(covariance(length)) @ generator.standard_normal((HORIZON, JOINTS))
    weights = soft_weights(HORIZON, FROZEN, OVERLAP)[:, None].astype(float)
    return before, generator.standard_normal((HORIZON, JOINTS)), Known(np.where(weights > 0, before, 0.0), weights)


def bend(chunk: np.ndarray, before: np.ndarray) -> float:
    """Mean over joints of the largest second difference where the frozen steps end."""
    executed = np.concatenate([before[:FROZEN], chunk[FROZEN:]])
    return float(np.abs(np.diff(executed, 2, axis=0))[FROZEN - 2 : FROZEN].max(axis=0).mean())


@pytest.mark.parametrize("length", LENGTHS)
def test_the_joint_bends_no_more_than_the_data(length: float) -> None:
    before, noise, known = setting(length)
    natural = float(np.abs(np.diff(before, 2, axis=0)).max(axis=0).mean())
    assert bend(without_gradient(length, noise, known), before) <= natural
    assert bend(without_gradient(length, noise, None), before) > 5 * natural


@pytest.mark.parametrize("length", LENGTHS)
def test_it_joins_as_well_as_with_the_gradient(length: float) -> None:
    before, noise, known = setting(length)
    ours = without_gradient(length, noise, known)
    paper = with_gradient(length, noise, known, 5.0)
    assert bend(ours, before) <= bend(paper, before)
    assert np.abs(ours - before)[:FROZEN].max() < 1e-9 < np.abs(paper - before)[:FROZEN].max()


@pytest.mark.parametrize("length", LENGTHS)
def test_soft_weights_are_what_makes_it_smooth(length: float) -> None:
    """Inpainting the frozen steps alone leaves a step behind them."""
    before, noise, known = setting(length)
    hard = Known(known.actions, (known.weights == 1).astype(float))
    assert bend(without_gradient(length, noise, hard), before) > 3 * bend(
        without_gradient(length, noise, known), before
    )


@pytest.mark.parametrize("length", LENGTHS)
def test_the_end_of_the_chunk_is_free(length: float) -> None:
    before, noise, known = setting(length)
    chunk = without_gradient(length, noise, known)
    free = without_gradient(length, noise, None)
    assert np.abs(chunk - before)[-5:].mean() > 0.5 * np.abs(free - before)[-5:].mean()
