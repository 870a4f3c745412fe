from __future__ import annotations

import numpy as np
import pytest

from rove_core.errors import ConfigError
from rove_sim.operator_model import PROFILES, Unsteadiness, adaptation, load_profile


@pytest.mark.parametrize("name", PROFILES)
def test_adaptation_lasts_as_long_as_it_should(name: str) -> None:
    strokes = list(adaptation(PROFILES[name], 2.7, np.random.default_rng(1)))
    assert sum(stroke.duration_s for stroke in strokes) == pytest.approx(2.7)


def test_adaptation_begins_by_drawing_back() -> None:
    first = next(iter(adaptation(PROFILES["typical"], 2.0, np.random.default_rng(0))))
    assert first.shift_m[0] < 0 < first.shift_m[2]


def test_clumsy_moves_further_and_longer_than_expert() -> None:
    clumsy, expert = PROFILES["clumsy"], PROFILES["expert"]
    assert clumsy.adaptation_s[0] > expert.adaptation_s[1]

    def way(name: str) -> float:
        strokes = adaptation(PROFILES[name], 3.0, np.random.default_rng(3))
        return float(sum(np.linalg.norm(stroke.shift_m) for stroke in strokes))

    assert way("clumsy") > 2 * way("expert")


def test_unsteadiness_is_smooth_and_of_the_size_of_the_profile() -> None:
    unsteady = Unsteadiness(PROFILES["typical"], np.random.default_rng(2))
    t = np.arange(0, 60, 0.05)
    wander = np.array([unsteady.at(s) for s in t])
    np.testing.assert_allclose(wander.std(axis=0), PROFILES["typical"].drift_m, rtol=0.6)
    step = unsteady.at(1.0 + 1 / 72) - unsteady.at(1.0)
    assert np.abs(step).max() < 0.002


def test_same_seed_same_hand() -> None:
    one, two = (Unsteadiness(PROFILES["clumsy"], np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.at(3.3), two.at(3.3))


def test_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        load_profile("exprt")
    assert "expert" in caught.value.hint
