"""A policy that costs nothing: what is measured with it is everything but the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rove_core.joint_space import JointSpace
from rove_inference.backends import Array, TensorInfo
from rove_inference.bundle import Bundle, CameraSpec, JoinName, JointsSpec, PolicySpec
from rove_inference.policy import Policy

CAMERAS = ("head", "left_wrist", "right_wrist")
HORIZON, EXECUTE, CONTROL_HZ = 50, 16, 30.0


class Constant:
    """A backend that always says the same, for any picture of the right size."""

    def __init__(self, spec: PolicySpec, positions: Array) -> None:
        """Args: positions: [rad], shape (dim,)."""
        dim = len(positions)
        self.inputs: Mapping[str, TensorInfo] = {"state": TensorInfo((1, dim), np.dtype(np.float32))} | {
            camera.input_name: TensorInfo((1, 3, camera.height, camera.width), np.dtype(np.uint8))
            for camera in spec.cameras
        }
        self.outputs: Mapping[str, TensorInfo] = {"actions": TensorInfo((1, spec.horizon, dim), np.dtype(np.float32))}
        self._answer = np.tile(positions.astype(np.float32), (1, spec.horizon, 1))

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:  # noqa: ARG002
        """The same, whatever is seen."""
        return {"actions": self._answer.copy()}


def dummy_spec(space: JointSpace, size: int, join: JoinName = "replace", height: int = 0) -> PolicySpec:
    """Three cameras of `size` x `size` pixels (or `height`), 16 of 50 steps at 30 Hz, direct chunks."""
    joints = JointsSpec(names=space.names, mean=(0.0,) * space.dim, std=(1.0,) * space.dim)
    return PolicySpec(
        format=1,
        name="dummy",
        robot=space.robot,
        backend="onnx",
        decoder="direct",
        model="none.onnx",
        control_hz=CONTROL_HZ,
        horizon=HORIZON,
        execute=EXECUTE,
        join=join,
        cameras=tuple(CameraSpec(name=name, width=size, height=height or size) for name in CAMERAS),
        state=joints,
        action=joints,
        files={"none.onnx": ""},
    )


def dummy_policy(space: JointSpace, size: int = 224, join: JoinName = "replace", height: int = 0) -> Policy:
    """A policy that is on no disk and holds the home pose."""
    spec, order = dummy_spec(space, size, join, height), np.arange(space.dim)
    bundle = Bundle(Path("dummy"), spec, "0" * 64, order, order)
    return Policy(bundle, Constant(spec, space.home), space)
