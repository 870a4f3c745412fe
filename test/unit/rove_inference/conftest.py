"""The `tiny` bundle and copies of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rove_core.joint_space import JointSpace

TINY = Path(__file__).parents[2] / "data" / "bundles" / "tiny"


@pytest.fixture(scope="session")
def space() -> JointSpace:
    return JointSpace.load("iron_r01")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(TINY, tmp_path / "tiny"))


@pytest.fixture
def edited(tiny: Path) -> Callable[..., Path]:
    """Sets keys of `policy.yaml`, as in `edited(horizon=40)`."""

    def edit(**values: Any) -> Path:
        file = tiny / "policy.yaml"
        content = yaml.safe_load(file.read_text(encoding="utf-8")) | values
        file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return tiny

    return edit
