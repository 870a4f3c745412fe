"""A tiny ROVE actor with random weights, in torch and as exported."""

from __future__ import annotations

from pathlib import Path

import pytest

from rove_core.joint_space import JointSpace
from rove_inference.bundle import CameraSpec

CAMERAS = (CameraSpec(name="head", width=96, height=64), CameraSpec(name="left_wrist", width=64, height=64))


@pytest.fixture(scope="session")
def space() -> JointSpace:
    return JointSpace.load("iron_r01")


@pytest.fixture(scope="session")
def actor(tmp_path_factory: pytest.TempPathFactory, space: JointSpace) -> Path:
    """The bundle as a trainer writes it; not to be changed."""
    from rove_inference.actor.random_init import write_random_actor

    guidance = {"negative": "Quality: poor.", "beta": 2.0}
    folder = tmp_path_factory.mktemp("actor") / "tiny"
    return write_random_actor(folder, space, CAMERAS, condition="Quality: good.", guidance=guidance)


@pytest.fixture(scope="session")
def exported(actor: Path, tmp_path_factory: pytest.TempPathFactory, space: JointSpace) -> Path:
    """The same with its head as ONNX; not to be changed."""
    from rove_inference.export import export_bundle

    folder = tmp_path_factory.mktemp("exported") / "tiny"
    export_bundle(actor, folder, space)
    return folder
