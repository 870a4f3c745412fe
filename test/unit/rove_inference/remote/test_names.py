"""Other projects' names for the robot's joints."""

from __future__ import annotations

import numpy as np
import pytest

from rove_core.errors import ConfigError, PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.remote.names import JointNaming


def groups(space: JointSpace) -> dict[str, tuple[str, ...]]:
    return {f"their_{name}": (name,) for name in reversed(list(space.groups))}


def test_parts_split_and_join_to_the_same(space: JointSpace) -> None:
    naming = JointNaming(groups(space), space, space.names, "action")
    naming.require_all(space)
    values = np.arange(space.dim, dtype=np.float32)
    parts = {name: np.tile(part, (7, 1)) for name, part in naming.split(values).items()}
    assert next(iter(parts)) == "their_right_hand"
    np.testing.assert_array_equal(naming.join(parts, 7), np.tile(values, (7, 1)))


def test_an_empty_list_is_the_models_order(space: JointSpace) -> None:
    naming = JointNaming({"state": ()}, space, space.names[::-1], "state")
    np.testing.assert_array_equal(naming.split(np.arange(50, dtype=np.float32))["state"], np.arange(50)[::-1])


def test_names_that_are_none_and_joints_without_an_action_are_told(space: JointSpace) -> None:
    with pytest.raises(ConfigError, match=r"remote.state.s: 'left_amr' is no joint or joint group") as caught:
        JointNaming({"s": ("left_amr",)}, space, space.names, "state")
    assert "left_arm" in caught.value.hint
    with pytest.raises(ConfigError, match=r"every joint of 'iron_r01' once: no head_yaw.*; twice left_elbow"):
        JointNaming({"a": ("left_elbow", "left_arm")}, space, space.names, "action").require_all(space)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({}, "has no array 'all', it has nothing"),
        ({"other": np.zeros((2, 50))}, "it has other"),
        ({"all": [[0.0] * 50] * 2}, "has no array 'all'"),
        ({"all": np.zeros((2, 32), np.float32)}, r"shape \(2, 32\), expected \(2, 50\)"),
        ({"all": np.zeros((2, 50), "U4")}, "has no array 'all'"),
    ],
)
def test_an_answer_without_the_parts_is_refused(space: JointSpace, parts: dict[str, object], text: str) -> None:
    naming = JointNaming({"all": ()}, space, space.names, "action")
    with pytest.raises(PolicyError, match=text):
        naming.join(parts, 2)  # type: ignore[arg-type]
