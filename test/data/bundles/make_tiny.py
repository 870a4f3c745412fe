"""Writes the `tiny` bundle, for tests that need a policy and no trainer.

    pip install onnx==1.22.0
    python test/data/bundles/make_tiny.py

Its model holds the pose and leans every joint forward in time in proportion to how bright the picture is:
`actions[i] = state + 0.001 * i * brightness`, brightness in 0 .. 1. A black picture makes every action NaN,
which is how a test gets a policy that goes wrong while it runs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rove_core.joint_space import JointSpace
from rove_inference.bundle import CameraSpec, JointsSpec, PolicySpec, write_bundle

HORIZON = 50
CAMERA = CameraSpec(name="head", width=32, height=24)


def model(dim: int) -> onnx.ModelProto:
    """The graph; everything in it is a few bytes."""
    ramp = (0.001 * np.arange(HORIZON, dtype=np.float32)).reshape(1, HORIZON, 1)
    constants = {
        "ramp": ramp,
        "zero": np.float32(0.0),
        "full": np.float32(255.0),
        "pixels": np.array([1, 2, 3], np.int64),
        "middle": np.array([1], np.int64),
        "column": np.array([0, 1, 1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["image_head"], ["pixel_values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixel_values", "pixels"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "full"], ["brightness"]),
        helper.make_node("Log", ["brightness"], ["darkness"]),  # minus infinity for black
        helper.make_node("Mul", ["darkness", "zero"], ["poison"]),  # 0, or NaN for black
        helper.make_node("Add", ["brightness", "poison"], ["checked"]),
        helper.make_node("Reshape", ["checked", "column"], ["gain"]),
        helper.make_node("Mul", ["gain", "ramp"], ["lean"]),
        helper.make_node("Unsqueeze", ["state", "middle"], ["held"]),
        helper.make_node("Add", ["held", "lean"], ["actions"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("state", TensorProto.FLOAT, ["batch", dim]),
            helper.make_tensor_value_info("image_head", TensorProto.UINT8, ["batch", 3, CAMERA.height, CAMERA.width]),
        ],
        [helper.make_tensor_value_info("actions", TensorProto.FLOAT, ["batch", HORIZON, dim])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    return made


def main() -> None:
    """Write the bundle beside this script."""
    space = JointSpace.load("iron_r01")
    joints = JointsSpec(names=space.names, mean=tuple(map(float, space.home)), std=(0.1,) * space.dim)
    spec = PolicySpec(
        format=1,
        name="tiny",
        robot=space.robot,
        backend="onnx",
        decoder="direct",
        model="model.onnx",
        control_hz=30.0,
        horizon=HORIZON,
        execute=16,
        cameras=(CAMERA,),
        state=joints,
        action=joints,
        files={"model.onnx": ""},
    )
    folder = Path(__file__).parent / "tiny"
    folder.mkdir(exist_ok=True)
    onnx.save(model(space.dim), folder / "model.onnx")
    write_bundle(folder, spec)


if __name__ == "__main__":
    main()
