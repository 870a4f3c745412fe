"""A flow policy to measure with: the demo policy's encoder and a head as wide as the demo's, with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.utils import Extractor

from rove_core.joint_space import JointSpace
from rove_inference.bundle import PolicySpec, load_bundle, write_bundle
from rove_inference.decoders.spec import FlowSpec, GuidanceSpec
from rove_inference.network import NetworkSpec

WIDTH = 512  # of the demo's head
CONDITIONS = ("bad", "good")


def flow_bundle(folder: Path, demo_bundle: Path, space: JointSpace, steps: int) -> Path:
    """The demo policy's encoder with a flow head that takes a condition by number; its chunks mean nothing."""
    demo = load_bundle(demo_bundle, space).spec
    features = _encoder(demo_bundle / demo.model, folder / "encoder.onnx")
    onnx.save(_head(features, demo.horizon, space.dim), folder / "model.onnx")
    files = ("encoder.onnx", "model.onnx")
    changed: Mapping[str, Any] = {
        "name": "guided",
        "decoder": "flow",
        "flow": FlowSpec(steps=steps),
        "guidance": GuidanceSpec(negative="bad", beta=2.0),
        "condition": "good",
        "conditions": CONDITIONS,
        "encoders": (NetworkSpec(backend="onnx", model="encoder.onnx"),),
        "files": dict.fromkeys(files, ""),
    }
    return write_bundle(folder, PolicySpec.model_validate(demo.model_dump() | dict(changed)))


def _encoder(model: Path, path: Path) -> int:
    """The demo network up to where its head begins; the number of features that come out."""
    demo = onnx.load(model)
    joined = next(node for node in demo.graph.node if node.op_type == "Gemm" and node.input[1].startswith("head.0"))
    weights = next(tensor for tensor in demo.graph.initializer if tensor.name == joined.input[1])
    inputs = [value.name for value in demo.graph.input]
    encoder = Extractor(onnx.shape_inference.infer_shapes(demo)).extract_model(inputs, [joined.input[0]])
    encoder.graph.node.append(helper.make_node("Identity", [joined.input[0]], ["features"]))
    del encoder.graph.output[:]
    encoder.graph.output.append(
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", weights.dims[1]])
    )
    onnx.save(encoder, path)
    return int(weights.dims[1])


def _head(features: int, horizon: int, dim: int) -> onnx.ModelProto:
    """x, t, condition and features to a velocity, through two hidden layers."""
    generator = np.random.default_rng(0)
    sizes = [horizon * dim + features + 1 + len(CONDITIONS), WIDTH, WIDTH, horizon * dim]
    values: dict[str, Any] = {
        "row": np.array([0, -1], np.int64),
        "column": np.array([-1, 1], np.int64),
        "chunk": np.array([-1, horizon, dim], np.int64),
        "codes": np.eye(len(CONDITIONS), dtype=np.float32),
    }
    nodes = [
        helper.make_node("Reshape", ["x", "row"], ["flat"]),
        helper.make_node("Reshape", ["t", "column"], ["time"]),
        helper.make_node("Gather", ["codes", "condition"], ["code"]),
        helper.make_node("Concat", ["flat", "features", "time", "code"], ["layer0"], axis=1),
    ]
    for number in range(len(sizes) - 1):
        shape = (sizes[number], sizes[number + 1])
        values[f"weight{number}"] = (generator.standard_normal(shape) / np.sqrt(sizes[number])).astype(np.float32)
        values[f"bias{number}"] = np.zeros(shape[1], np.float32)
        inputs = [f"layer{number}", f"weight{number}", f"bias{number}"]
        nodes.append(helper.make_node("Gemm", inputs, [f"sum{number}"]))
        nodes.append(helper.make_node("Relu", [f"sum{number}"], [f"layer{number + 1}"]))
    # The last layer is linear.
    nodes[-1] = helper.make_node("Reshape", [f"sum{len(sizes) - 2}", "chunk"], ["velocity"])
    chunk = ["batch", horizon, dim]
    graph = helper.make_graph(
        nodes,
        "flow_head",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, chunk),
            helper.make_tensor_value_info("t", TensorProto.FLOAT, ["batch"]),
            helper.make_tensor_value_info("condition", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", features]),
        ],
        [helper.make_tensor_value_info("velocity", TensorProto.FLOAT, chunk)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model
