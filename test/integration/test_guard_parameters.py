"""The guard's parameters of filter_node."""

from __future__ import annotations

from pathlib import Path

import pytest

from rove_core.errors import ConfigError
from rove_core.joint_space import JointSpace
from rove_hil.guard.command_guard import Guard
from rove_hil.ros.filter_parameters import FilterParameters

SPACE = JointSpace.load("iron_r01")


def test_there_is_no_guard_unless_one_is_asked_for(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("box: {lower: [0, -1, 0], upper: [1, 1, 1]}\n")
    assert FilterParameters().guard_of(SPACE, 0.005) is None
    assert isinstance(FilterParameters(guard="self_collision").guard_of(SPACE, 0.005), Guard)
    assert isinstance(FilterParameters(workspace=str(workspace)).guard_of(SPACE, 0.005), Guard)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (FilterParameters(guard="yes"), "'guard' is 'yes', expected 'off' or 'self_collision'"),
        (FilterParameters(workspace="/nowhere.yaml"), "cannot read /nowhere.yaml"),
    ],
)
def test_a_guard_that_cannot_be_is_refused_in_one_line(parameters: FilterParameters, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parameters.guard_of(SPACE, 0.005)
