"""What a deployment sets, the nodes declare: ROS would silently ignore a parameter that they do not."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from rove_core.config import ConfigModel
from rove_hil.session.deployment import NodeSpec, describe
from rove_hil.session.settings import Settings

BASE = Settings(
    out_dir=Path("/runs/now"),
    policy=Path("/bundles/demo"),
    operator="scripted:typical",
    supervisor="scripted",
    speed=2.0,
)
SPECS = {
    node.name: node
    for settings in (BASE, replace(BASE, supervisor="keyboard", pedals=("three_pedals",), joys=("gamepad",)))
    for node in describe(settings).nodes
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_every_parameter_is_declared(spec: NodeSpec) -> None:
    module = importlib.import_module(spec.module)
    assert callable(module.main)
    models = [item for item in vars(module).values() if isinstance(item, type) and issubclass(item, ConfigModel)]
    declared = {name for model in models for name in model.model_fields} | {"use_sim_time", "autostart"}
    assert set(spec.ros_parameters()) <= declared
