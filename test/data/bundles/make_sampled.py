"""Bundles whose decoders sample, for tests. Their networks are closed forms, so that every chunk is known beforehand.

The data that they were "trained" on is a Gaussian: a chunk's steps are spread by SPREAD around a goal, in units of
the actions' std. An encoder makes the goal: the measured pose, shifted by how bright the picture is. The condition
shifts it further, by SHIFT (a row per text of CONDITIONS).

    python test/data/bundles/make_sampled.py FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from rove_core.joint_space import JointSpace
from rove_inference.bundle import CameraSpec, JointsSpec, PolicySpec, write_bundle
from rove_inference.decoders.diffusion import signal_shares
from rove_inference.decoders.spec import AdapterSpec, ConsistencySpec, DiffusionSpec, FlowSpec, GuidanceSpec
from rove_inference.network import NetworkSpec

HORIZON = 20
STD_RAD = 0.05
SPREAD = 0.5
CAMERA = CameraSpec(name="head", width=16, height=12)
CONDITIONS = ("bad", "good")
SHIFT = {"bad": -0.2, "good": 0.6}

Tensor = tuple[str, int, Sequence[Any]]


def goal(space: JointSpace, state: np.ndarray, brightness: float, condition: str = "") -> np.ndarray:
    """Where the data's chunks are centred [units of std], shape (dim,)."""
    return (state - space.home) / STD_RAD + brightness + SHIFT.get(condition, 0.0)


def flow(folder: Path, space: JointSpace, steps: int = 10, batch: str | int = "batch") -> Path:
    """Flow matching with classifier-free guidance; `v = (t s^2 - (1 - t)) / (t^2 s^2 + (1 - t)^2) (x - t m) + m`."""
    dim = space.dim
    chunk = [batch, HORIZON, dim]
    nodes = [
        *_centre(),
        _node("Reshape", ["t", "column"], "time"),
        _node("Sub", ["one", "time"], "rest"),
        _node("Mul", ["time", "variance"], "t_s2"),
        _node("Mul", ["time", "t_s2"], "data_part"),
        _node("Mul", ["rest", "rest"], "noise_part"),
        _node("Add", ["data_part", "noise_part"], "total"),
        _node("Sub", ["t_s2", "rest"], "slope"),
        _node("Div", ["slope", "total"], "gain"),
        _node("Mul", ["time", "centre"], "mean"),
        _node("Sub", ["x", "mean"], "offset"),
        _node("Mul", ["gain", "offset"], "pull"),
        _node("Add", ["centre", "pull"], "velocity"),
    ]
    inputs = [
        ("x", TensorProto.FLOAT, chunk),
        ("t", TensorProto.FLOAT, [batch]),
        ("goal", TensorProto.FLOAT, [batch, dim]),
        ("condition", TensorProto.INT64, [batch]),
    ]
    _save(folder, "model.onnx", nodes, inputs, [("velocity", TensorProto.FLOAT, chunk)])
    spec = _spec(
        folder,
        space,
        decoder="flow",
        flow=FlowSpec(steps=steps, solver="midpoint"),
        guidance=GuidanceSpec(negative="bad", beta=2.0),
        condition="good",
        conditions=CONDITIONS,
    )
    return write_bundle(folder, spec)


def consistency(folder: Path, space: JointSpace, adapter_gain: float | None = None) -> Path:
    """One-step consistency, `f = m + s / sqrt(s^2 + sigma^2) (x - m)`; with an adapter of residual `gain * base`."""
    chunk = ["batch", HORIZON, space.dim]
    nodes = [
        _node("Unsqueeze", ["goal", "middle"], "centre"),
        _node("Reshape", ["t", "column"], "sigma"),
        _node("Mul", ["sigma", "sigma"], "sigma2"),
        _node("Add", ["sigma2", "variance"], "total"),
        _node("Div", ["variance", "total"], "share"),
        _node("Sqrt", ["share"], "shrink"),
        _node("Sub", ["x", "centre"], "offset"),
        _node("Mul", ["shrink", "offset"], "kept"),
        _node("Add", ["centre", "kept"], "actions"),
    ]
    inputs = [
        ("x", TensorProto.FLOAT, chunk),
        ("t", TensorProto.FLOAT, ["batch"]),
        ("goal", TensorProto.FLOAT, ["batch", space.dim]),
    ]
    _save(folder, "model.onnx", nodes, inputs, [("actions", TensorProto.FLOAT, chunk)])
    if adapter_gain is None:
        return write_bundle(folder, _spec(folder, space, decoder="consistency", consistency=ConsistencySpec()))
    _adapter(folder, space, adapter_gain)
    spec = _spec(
        folder,
        space,
        decoder="consistency",
        consistency=ConsistencySpec(),
        adapter=AdapterSpec(backend="onnx", model="adapter.onnx", r_max=0.15),
    )
    return write_bundle(folder, spec)


def diffusion(folder: Path, space: JointSpace, steps: int = 50) -> Path:
    """DDIM; `epsilon = sqrt(1 - a) (x - sqrt(a) m) / (a s^2 + 1 - a)` with the share of signal a looked up by level."""
    settings = DiffusionSpec(steps=steps)
    chunk = ["batch", HORIZON, space.dim]
    nodes = [
        _node("Unsqueeze", ["goal", "middle"], "centre"),
        _node("Cast", ["t"], "level", to=TensorProto.INT64),
        _node("Gather", ["shares", "level"], "share"),
        _node("Reshape", ["share", "column"], "a"),
        _node("Sub", ["one", "a"], "rest"),
        _node("Sqrt", ["a"], "signal"),
        _node("Sqrt", ["rest"], "noise"),
        _node("Mul", ["signal", "centre"], "mean"),
        _node("Mul", ["a", "variance"], "data_part"),
        _node("Add", ["data_part", "rest"], "total"),
        _node("Div", ["noise", "total"], "gain"),
        _node("Sub", ["x", "mean"], "offset"),
        _node("Mul", ["gain", "offset"], "epsilon"),
    ]
    inputs = [
        ("x", TensorProto.FLOAT, chunk),
        ("t", TensorProto.FLOAT, ["batch"]),
        ("goal", TensorProto.FLOAT, ["batch", space.dim]),
    ]
    shares = signal_shares(settings.train_steps, settings.schedule).astype(np.float32)
    _save(folder, "model.onnx", nodes, inputs, [("epsilon", TensorProto.FLOAT, chunk)], shares=shares)
    return write_bundle(folder, _spec(folder, space, decoder="diffusion", diffusion=settings))


def _centre() -> list[NodeProto]:
    """`centre`, shape (B, 1, dim): the goal, shifted by the condition."""
    return [
        _node("Gather", ["shifts", "condition"], "shift"),
        _node("Reshape", ["shift", "column"], "shift3"),
        _node("Unsqueeze", ["goal", "middle"], "goal3"),
        _node("Add", ["goal3", "shift3"], "centre"),
    ]


def _adapter(folder: Path, space: JointSpace, gain: float) -> None:
    chunk = ["batch", HORIZON, space.dim]
    nodes = [
        _node("Mul", ["base", "gain"], "residual"),
        _node("ReduceMean", ["residual", "last"], "gate", keepdims=0),
    ]
    inputs = [("base", TensorProto.FLOAT, chunk)]
    outputs = [("residual", TensorProto.FLOAT, chunk), ("gate", TensorProto.FLOAT, ["batch", HORIZON])]
    _save(folder, "adapter.onnx", nodes, inputs, outputs, gain=np.float32(gain))


def _spec(folder: Path, space: JointSpace, **values: Any) -> PolicySpec:
    """`policy.yaml` of everything in the folder, with an encoder that makes `goal`."""
    constants = {"home": space.home.astype(np.float32)[None], "scale": np.float32(STD_RAD)}
    nodes = [
        _node("Cast", ["image_head"], "pixel_values", to=TensorProto.FLOAT),
        _node("ReduceMean", ["pixel_values", "pixels"], "level", keepdims=0),
        _node("Div", ["level", "full"], "brightness"),
        _node("Unsqueeze", ["brightness", "middle"], "lean"),
        _node("Sub", ["state", "home"], "moved"),
        _node("Div", ["moved", "scale"], "pose"),
        _node("Add", ["pose", "lean"], "goal"),
    ]
    inputs = [
        ("state", TensorProto.FLOAT, ["batch", space.dim]),
        ("image_head", TensorProto.UINT8, ["batch", 3, CAMERA.height, CAMERA.width]),
    ]
    _save(folder, "encoder.onnx", nodes, inputs, [("goal", TensorProto.FLOAT, ["batch", space.dim])], **constants)
    joints = JointsSpec(names=space.names, mean=tuple(map(float, space.home)), std=(STD_RAD,) * space.dim)
    return PolicySpec(
        format=1,
        name=folder.name,
        robot=space.robot,
        backend="onnx",
        model="model.onnx",
        encoders=(NetworkSpec(backend="onnx", model="encoder.onnx"),),
        control_hz=30.0,
        horizon=HORIZON,
        execute=8,
        cameras=(CAMERA,),
        state=joints,
        action=joints,
        files={file.name: "" for file in sorted(folder.glob("*.onnx"))},
        **values,
    )


def _node(kind: str, inputs: list[str], output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(kind, inputs, [output], **attributes)


def _save(
    folder: Path, file: str, nodes: list[NodeProto], inputs: list[Tensor], outputs: list[Tensor], **constants: Any
) -> None:
    everywhere = {
        "one": np.float32(1.0),
        "full": np.float32(255.0),
        "variance": np.float32(SPREAD**2),
        "shifts": np.array([SHIFT[name] for name in CONDITIONS], np.float32),
        "pixels": np.array([1, 2, 3], np.int64),
        "middle": np.array([1], np.int64),
        "last": np.array([2], np.int64),
        "column": np.array([-1, 1, 1], np.int64),
    }
    used = {name for node in nodes for name in node.input}
    values = {name: value for name, value in (everywhere | constants).items() if name in used}
    graph = helper.make_graph(
        nodes,
        file.partition(".")[0],
        [helper.make_tensor_value_info(*tensor) for tensor in inputs],
        [helper.make_tensor_value_info(*tensor) for tensor in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(made, folder / file)


def main() -> None:
    """Write one of each kind below the folder that is given."""
    root, space = Path(sys.argv[1]), JointSpace.load("iron_r01")
    flow(root / "flow", space)
    consistency(root / "consistency", space, adapter_gain=1.0)
    diffusion(root / "diffusion", space)


if __name__ == "__main__":
    main()
