"""DDIM against the closed form for Gaussian data.

With data N(m, s^2) and share of signal a, x has mean sqrt(a) m and variance a s^2 + 1 - a, the best epsilon is
sqrt(1 - a) (x - sqrt(a) m) / (a s^2 + 1 - a), and the probability flow keeps (x - sqrt(a) m) / sqrt(a s^2 + 1 - a).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rove_inference.decoders import diffusion
from rove_inference.decoders.inpainting import Known

MEAN, SPREAD = 0.8, 0.5
TRAIN_STEPS = 1000
SHARES = diffusion.signal_shares(TRAIN_STEPS, "cosine")
NOISE = np.random.default_rng(0).standard_normal((30, 4))


def best(predicts: str, shares: np.ndarray = SHARES) -> Callable[[np.ndarray, float], np.ndarray]:
    def network(x: np.ndarray, level: float) -> np.ndarray:
        a = shares[int(level)]
        epsilon = np.sqrt(1 - a) * (x - np.sqrt(a) * MEAN) / (a * SPREAD**2 + 1 - a)
        clean = (x - np.sqrt(1 - a) * epsilon) / np.sqrt(a)
        return epsilon if predicts == "epsilon" else np.sqrt(a) * epsilon - np.sqrt(1 - a) * clean

    return network


def draw(steps: int, predicts: Any = "epsilon", spacing: Any = "trailing", **values: Any) -> np.ndarray:
    levels = diffusion.visited_levels(steps, TRAIN_STEPS, spacing)
    return diffusion.sample(best(predicts), NOISE, SHARES, levels, predicts, **values)


@pytest.mark.parametrize("predicts", ["epsilon", "v"])
def test_it_converges_to_the_probability_flow_with_first_order(predicts: str) -> None:
    a = SHARES[-1]
    exact = MEAN + SPREAD * (NOISE - np.sqrt(a) * MEAN) / np.sqrt(a * SPREAD**2 + 1 - a)
    errors = [np.abs(draw(steps, predicts) - exact).max() for steps in (50, 100, 200)]
    assert errors[-1] < 0.01
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 1, atol=0.25)


def test_epsilon_and_v_are_the_same_chunk() -> None:
    np.testing.assert_allclose(draw(10, "epsilon"), draw(10, "v"), atol=1e-9)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_share_of_signal_falls_from_nearly_all_to_nearly_none(schedule: Any) -> None:
    shares = diffusion.signal_shares(1000, schedule)
    assert (np.diff(shares) < 0).all()
    assert shares[0] > 0.999
    assert shares[-1] < 1e-4


def test_the_schedules_are_those_of_the_papers() -> None:
    """First, middle and last value, computed from the formulas in arXiv 2102.09672 and 2006.11239 by hand."""
    cosine = diffusion.signal_shares(2, "cosine")
    start = np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    assert cosine[0] == pytest.approx(np.cos(0.508 / 1.008 * np.pi / 2) ** 2 / start)
    assert cosine[1] == pytest.approx(cosine[0] * 0.001)
    assert diffusion.signal_shares(2, "linear") == pytest.approx([1 - 1e-4, (1 - 1e-4) * (1 - 2e-2)])


def test_trailing_begins_at_the_noisiest_level_and_leading_ends_at_the_cleanest() -> None:
    assert diffusion.visited_levels(4, 100, "trailing").tolist() == [99, 74, 49, 24]
    assert diffusion.visited_levels(4, 100, "leading").tolist() == [75, 50, 25, 0]


@pytest.mark.parametrize("steps", [1, 3, 7, 16, 99, 100])
@pytest.mark.parametrize("spacing", ["trailing", "leading"])
def test_every_level_is_visited_at_most_once(steps: int, spacing: Any) -> None:
    levels = diffusion.visited_levels(steps, 100, spacing)
    assert len(levels) == steps
    assert (np.diff(levels) < 0).all()
    assert 0 <= levels[-1] <= levels[0] <= 99


def test_clipping_bounds_the_chunk() -> None:
    assert np.abs(draw(10)).max() > 1.0
    assert np.abs(draw(10, clip=1.0)).max() <= 1.0


def test_a_frozen_step_is_what_was_decided_and_seen_by_the_network_at_its_level() -> None:
    weights = np.zeros((30, 1))
    weights[:3] = 1.0
    seen: list[tuple[np.ndarray, float]] = []

    def watching(x: np.ndarray, level: float) -> np.ndarray:
        seen.append((x, level))
        return best("epsilon")(x, level)

    levels = diffusion.visited_levels(10, TRAIN_STEPS, "trailing")
    known = Known(np.full((30, 4), 2.0), weights)
    chunk = diffusion.sample(watching, NOISE, SHARES, levels, "epsilon", None, known)
    np.testing.assert_allclose(chunk[:3], 2.0, atol=1e-9)
    np.testing.assert_allclose(chunk[3:], draw(10)[3:], atol=1e-9)
    # The sampler calls what it starts from pure noise, which has a trace of signal at the noisiest level.
    first = SHARES[int(seen[0][1])]
    noise = (NOISE - np.sqrt(first) * 2.0) / np.sqrt(1 - first)
    for x, level in seen:
        a = SHARES[int(level)]
        np.testing.assert_allclose(x[:3], (np.sqrt(a) * 2.0 + np.sqrt(1 - a) * noise)[:3], atol=1e-6)
