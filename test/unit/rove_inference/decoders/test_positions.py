from __future__ import annotations

import numpy as np
import pytest

from rove_core.errors import PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.decoders.positions import to_robot

SPACE = JointSpace.load("iron_r01")
ORDER = np.arange(SPACE.dim)


def answer(horizon: int = 4) -> np.ndarray:
    return np.tile(SPACE.home, (1, horizon, 1)).astype(np.float32)


@pytest.mark.parametrize("shape", [(4, SPACE.dim), (2, 4, SPACE.dim), (1, 3, SPACE.dim), (1, 4, SPACE.dim - 1)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PolicyError, match="expected"):
        to_robot(np.zeros(shape, np.float32), SPACE, 4, ORDER, "clip")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_refused_with_its_joint_and_step(value: float) -> None:
    actions = answer()
    actions[0, 2, 9] = value
    with pytest.raises(PolicyError, match="for 'left_elbow' at step 2"):
        to_robot(actions, SPACE, 4, ORDER, "clip")


def test_out_of_limits_is_clipped_and_counted_or_refused() -> None:
    actions = answer()
    actions[0, 1, 9] = SPACE.upper[9] + 0.2
    positions, clipped = to_robot(actions, SPACE, 4, ORDER, "clip")
    assert clipped == 1
    assert positions[1, 9] == pytest.approx(SPACE.upper[9])
    with pytest.raises(PolicyError, match=r"joint 'left_elbow' at step 1: 0\.200 rad is outside"):
        to_robot(actions, SPACE, 4, ORDER, "refuse")


def test_rounding_at_a_limit_is_not_out_of_limits() -> None:
    actions = answer()
    actions[0, :, 9] = SPACE.upper[9] + 1e-6
    positions, clipped = to_robot(actions, SPACE, 4, ORDER, "refuse")
    assert clipped == 0
    assert (positions <= SPACE.upper.astype(np.float32)).all()
