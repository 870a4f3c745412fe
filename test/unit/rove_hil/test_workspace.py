"""The workspace's file: what it may say, and what is said when it is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rove_core.errors import ConfigError
from rove_core.joint_space import JointSpace
from rove_hil.guard.collision import CollisionError, CollisionModel
from rove_hil.guard.workspace import Workspace

SPACE = JointSpace.load("iron_r01")
MODEL = CollisionModel(SPACE)


def write(folder: Path, text: str) -> Path:
    file = folder / "workspace.yaml"
    file.write_text(text)
    return file


def test_distances_are_to_the_planes_of_the_box(tmp_path: Path) -> None:
    file = write(tmp_path, "box: {lower: [0.0, -0.6, -0.1], upper: [0.7, 0.6, 0.6]}\nsites: [left_palm_site]\n")
    workspace = Workspace(MODEL, file)
    MODEL.pose(SPACE.home)
    x, y, z = MODEL.site_rows(MODEL.sites("left_palm_site"), np.eye(3)[:1])[0][0]
    inside, jacobian = workspace.rows()
    np.testing.assert_allclose(inside, [x, 0.7 - x, y + 0.6, 0.6 - y, z + 0.1, 0.6 - z])
    np.testing.assert_allclose(jacobian[0], -jacobian[1])
    assert workspace.names[1] == ("left_palm", "front of the workspace")


def test_a_half_spaces_normal_need_not_have_length_one(tmp_path: Path) -> None:
    file = write(tmp_path, "half_spaces: [{name: wall, normal: [-2, 0, 0], offset: -0.5}]\n")
    workspace = Workspace(MODEL, file)
    MODEL.pose(SPACE.home)
    palms = MODEL.site_rows(MODEL.sites("left_palm_site", "right_palm_site"), np.eye(3)[:2])[0]
    np.testing.assert_allclose(workspace.rows()[0], 0.5 - palms[:, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("box: {lower: [0, 0, 0], upper: [1, 0, 1]}", "must be below upper"),
        ("half_spaces: [{name: wall, normal: [0, 0, 0], offset: 1}]", "'wall' has a normal of length 0"),
        ("sites: [left_palm_site]", "no box and no half_spaces"),
        ("boxes: {}", "box"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Workspace(MODEL, write(tmp_path, text))


def test_an_unknown_site_is_named(tmp_path: Path) -> None:
    with pytest.raises(CollisionError, match="no site 'left_foot'"):
        Workspace(MODEL, write(tmp_path, "box: {lower: [0, 0, 0], upper: [1, 1, 1]}\nsites: [left_foot]\n"))
