"""From a trained model to a policy bundle that the robot can load."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

from rove_core.errors import BundleError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import CameraSpec, JointsSpec, PolicySpec, write_bundle
from rove_inference.loading import load_policy
from rove_inference.policy import Policy
from rove_trainer.model import DemoPolicy

MODEL_FILE = "model.onnx"
OPSET = 18

# Both compute in float32, with sums in another order.
PARITY_RAD = 1e-4


def export_bundle(
    folder: Path,
    model: DemoPolicy,
    space: JointSpace,
    cameras: Sequence[CameraSpec],
    name: str,
    index: int,
    execute: int,
    control_hz: float,
) -> Policy:
    """Write `model.onnx` and `policy.yaml` into `folder` and load them as the robot will.

    Raises:
        BundleError: the exported model answers differently from the trained one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    inputs = example_inputs(model, cameras)
    names = ["state", *(camera.input_name for camera in cameras)]
    with warnings.catch_warnings():
        # The newer exporter needs two more packages and gives the same graph for a network as plain as this.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            model.eval(),
            tuple(torch.from_numpy(value) for value in inputs),
            str(folder / MODEL_FILE),
            input_names=names,
            output_names=["actions"],
            dynamic_axes={tensor: {0: "batch"} for tensor in [*names, "actions"]},
            opset_version=OPSET,
            dynamo=False,
        )
    _check_parity(folder / MODEL_FILE, model, names, inputs)
    spec = PolicySpec(
        format=1,
        name=name,
        index=index,
        robot=space.robot,
        backend="onnx",
        decoder="direct",
        model=MODEL_FILE,
        control_hz=control_hz,
        horizon=model.horizon,
        execute=execute,
        cameras=tuple(cameras),
        state=_joints(space, model.state_mean, model.state_std),
        action=_joints(space, model.action_mean, model.action_std),
        files={MODEL_FILE: ""},
    )
    write_bundle(folder, spec)
    return load_policy(folder, space)


def example_inputs(model: DemoPolicy, cameras: Sequence[CameraSpec], count: int = 2) -> list[np.ndarray]:
    """Arbitrary but repeatable inputs: states around the mean, noise for pictures."""
    generator = np.random.default_rng(0)
    spread = model.state_std.numpy() * generator.standard_normal((count, model.dim))
    pictures = [generator.integers(0, 256, (count, 3, c.height, c.width), dtype=np.uint8) for c in cameras]
    return [(model.state_mean.numpy() + spread).astype(np.float32), *pictures]


@torch.no_grad()
def _check_parity(path: Path, model: DemoPolicy, names: Sequence[str], inputs: Sequence[np.ndarray]) -> None:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    exported = session.run(["actions"], dict(zip(names, inputs, strict=True)))[0]
    trained = model(*(torch.from_numpy(value) for value in inputs)).numpy()
    difference = float(np.abs(exported - trained).max())
    if not difference <= PARITY_RAD:
        raise BundleError(f"the exported model differs from the trained one by {difference:.2g} rad")


def _joints(space: JointSpace, mean: torch.Tensor, std: torch.Tensor) -> JointsSpec:
    def values(tensor: torch.Tensor) -> tuple[float, ...]:
        return tuple(round(float(value), 6) for value in tensor)

    return JointsSpec(names=space.names, mean=values(mean), std=values(std))
