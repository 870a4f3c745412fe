"""The robot's table and the order that every array follows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rove_core.errors import ConfigError, JointNameError
from rove_core.joint_space import ROBOTS, JointSpace

SPACE = JointSpace.load("iron_r01")

TWO_JOINTS = {
    "name": "tiny",
    "groups": {
        "arm": {
            "noise_scale": 0.5,
            "limits": {"max_velocity": 1.0, "max_acceleration": 2.0, "max_jerk": 3.0},
            "joints": {
                "shoulder": {"lower": -1.0, "upper": 1.0, "home": 0.0},
                "elbow": {
                    "lower": 0.0,
                    "upper": 2.0,
                    "home": 1.0,
                    "limits": {"max_velocity": 9.0, "max_acceleration": 8.0, "max_jerk": 7.0},
                },
            },
        }
    },
}


def write(folder: Path, table: object) -> Path:
    path = folder / "robot.yaml"
    path.write_text(yaml.safe_dump(table, sort_keys=False), encoding="utf-8")
    return path


def test_iron_r01_has_fifty_joints_in_its_six_groups() -> None:
    sizes = {name: span.stop - span.start for name, span in SPACE.groups.items()}
    assert sizes == {"head": 3, "waist": 3, "left_arm": 7, "right_arm": 7, "left_hand": 15, "right_hand": 15}
    assert SPACE.dim == 50


def test_groups_are_contiguous_and_cover_every_joint_once() -> None:
    covered = [index for span in SPACE.groups.values() for index in range(span.start, span.stop)]
    assert covered == list(range(SPACE.dim))


@pytest.mark.parametrize("name", ["lower", "upper", "home", "max_velocity", "max_jerk", "noise_scale"])
def test_arrays_cannot_be_written(name: str) -> None:
    with pytest.raises(ValueError, match="read-only"):
        getattr(SPACE, name)[0] = 1.0


def test_home_is_inside_the_limits_and_the_limits_are_positive() -> None:
    assert np.all(SPACE.lower < SPACE.upper)
    assert np.all((SPACE.lower <= SPACE.home) & (SPACE.home <= SPACE.upper))
    assert min(SPACE.max_velocity.min(), SPACE.max_acceleration.min(), SPACE.max_jerk.min()) > 0


def test_left_and_right_are_mirrored_within_limits() -> None:
    for name in SPACE.names:
        if name.startswith("left_"):
            left, right = SPACE.index(name), SPACE.index(name.replace("left_", "right_", 1))
            assert SPACE.max_velocity[left] == SPACE.max_velocity[right]
            assert SPACE.upper[left] - SPACE.lower[left] == pytest.approx(SPACE.upper[right] - SPACE.lower[right])


@given(st.permutations(range(SPACE.dim)))
def test_order_of_undoes_any_permutation(order: list[int]) -> None:
    names = [SPACE.names[index] for index in order]
    values = np.array(order, dtype=float)
    assert values[SPACE.order_of(names)].tolist() == list(range(SPACE.dim))


def test_order_of_lists_every_missing_doubled_and_unknown_name() -> None:
    names = [*SPACE.names[2:], SPACE.names[5], "tail"]
    with pytest.raises(JointNameError) as error:
        SPACE.order_of(names)
    assert error.value.missing == SPACE.names[:2]
    assert error.value.doubled == (SPACE.names[5],)
    assert error.value.unknown == ("tail",)
    assert all(name in str(error.value) for name in (*SPACE.names[:2], SPACE.names[5], "tail"))


def test_index_of_an_unknown_joint_names_it() -> None:
    with pytest.raises(JointNameError, match="tail"):
        SPACE.index("tail")


def test_group_of_finds_the_group() -> None:
    assert all(SPACE.group_of(SPACE.names[span.start]) == group for group, span in SPACE.groups.items())
    assert all(SPACE.group_of(SPACE.names[span.stop - 1]) == group for group, span in SPACE.groups.items())


def test_clip_brings_positions_inside() -> None:
    beyond = np.stack([SPACE.upper + 1, SPACE.lower - 1])
    np.testing.assert_array_equal(SPACE.clip(beyond), np.stack([SPACE.upper, SPACE.lower]))


def test_unknown_robot_names_the_nearest() -> None:
    with pytest.raises(ConfigError) as error:
        JointSpace.load("iron_r1")
    assert "iron_r01" in error.value.hint


def test_a_joint_may_override_the_limits_of_its_group(tmp_path: Path) -> None:
    space = JointSpace.load(write(tmp_path, TWO_JOINTS))
    assert space.max_velocity.tolist() == [1.0, 9.0]
    assert space.max_jerk.tolist() == [3.0, 7.0]
    assert space.noise_scale.tolist() == [0.5, 0.5]


def test_a_joint_in_two_groups_is_refused(tmp_path: Path) -> None:
    table = {**TWO_JOINTS, "groups": {**TWO_JOINTS["groups"], "again": TWO_JOINTS["groups"]["arm"]}}  # type: ignore[dict-item,index]
    with pytest.raises(ConfigError, match="more than one group: shoulder, elbow"):
        JointSpace.load(write(tmp_path, table))


@pytest.mark.parametrize(
    ("joint", "reason"),
    [
        ({"lower": 1.0, "upper": -1.0, "home": 0.0}, "must be below"),
        ({"lower": -1.0, "upper": 1.0, "home": 1.5}, "outside"),
        ({"lower": float("nan"), "upper": 1.0, "home": 0.0}, "finite"),
    ],
)
def test_a_joint_that_makes_no_sense_is_refused(tmp_path: Path, joint: dict[str, float], reason: str) -> None:
    table = yaml.safe_load(yaml.safe_dump(TWO_JOINTS))
    table["groups"]["arm"]["joints"]["shoulder"] = joint
    with pytest.raises(ConfigError, match=reason):
        JointSpace.load(write(tmp_path, table))


def test_every_robot_in_the_box_loads() -> None:
    robots = list(ROBOTS.glob("*.yaml"))
    assert robots
    assert [JointSpace.load(path.stem).robot for path in robots] == [path.stem for path in robots]
