"""From a bundle whose networks run in torch to one whose networks are ONNX files.

A trainer writes what it has: weights as .safetensors and the name of their architecture. ONNX Runtime starts faster,
needs no torch on the robot, and has TensorRT. The vision-language model stays what it is: it is served apart, by the
backend `qwen3_vl`, because text, pictures of any number and weights of gigabytes are what ONNX files are bad at.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rove_core.errors import BundleError
from rove_core.joint_space import JointSpace
from rove_inference.backends import Array, TensorInfo, first_line
from rove_inference.backends.onnx import OnnxBackend
from rove_inference.backends.placement import Placement
from rove_inference.backends.torch_model import TorchBackend, open_torch
from rove_inference.bundle import Bundle, PolicySpec, load_bundle, write_bundle
from rove_inference.network import NetworkSpec

OPSET = 18

# Both compute in float32, with sums in another order: relative to the largest value of a tensor.
PARITY = 1e-4

# Lengths that the example has where the network leaves them free: two rows, and an odd number of whatever else.
EXAMPLE_ROWS = 2
EXAMPLE_LENGTH = 7


@dataclass(frozen=True, slots=True)
class Exported:
    """One network that became an ONNX file. `difference` is relative to the largest value it puts out."""

    model: str
    bytes: int
    difference: float


def export_bundle(source: Path, target: Path, space: JointSpace) -> list[Exported]:
    """Write `target`: the bundle `source` with its torch networks as ONNX files, everything else as it is.

    Files that stay are hard links where the file system allows that, copies otherwise.

    Raises:
        BundleError: `source` cannot be used or has no torch network, `target` exists, or an exported network answers
            differently.
    """
    bundle = load_bundle(source, space)
    if target.exists():
        raise BundleError(f"'{target}' exists already", "export into a new folder: a bundle never changes")
    spec = bundle.spec
    networks = (*spec.encoders, spec)
    if not any(network.backend == "torch" for network in networks):
        raise BundleError(
            f"bundle '{source.name}' has no torch network to export, its backends are "
            + ", ".join(network.backend for network in networks)
        )
    target.mkdir(parents=True)
    try:
        return _export(bundle, target)
    except BaseException:
        shutil.rmtree(target)  # half a bundle is none
        raise


def _export(bundle: Bundle, target: Path) -> list[Exported]:
    spec, done = bundle.spec, []
    changed: dict[str, Any] = {"encoders": []}
    for network in (*spec.encoders, spec):
        keys = network.model_dump(include=set(NetworkSpec.model_fields))
        if network.backend == "torch":
            exported = export_network(bundle, network, target)
            done.append(exported)
            keys = {"backend": "onnx", "model": exported.model, "architecture": "", "config": ""}
        if network is spec:
            changed |= keys
        else:
            changed["encoders"].append(keys)
    gone = {file for network in (*spec.encoders, spec) if network.backend == "torch" for file in network.needs}
    files = [file for file in spec.files if file not in gone]
    for file in files:
        _link(bundle.path / file, target / file)
    changed["files"] = dict.fromkeys([*files, *(exported.model for exported in done)], "")
    write_bundle(target, PolicySpec.model_validate(spec.model_dump() | changed))
    return done


def export_network(bundle: Bundle, network: NetworkSpec, target: Path) -> Exported:
    """Write one torch network into the folder `target` as an ONNX file, and hold the two against each other.

    Raises:
        BundleError: torch cannot export it, or the file answers differently.
    """
    backend = open_torch(bundle, network, Placement())
    name = f"{Path(network.model).stem}.onnx"
    example = example_tensors(backend.inputs)
    try:
        _write(backend, example, target / name)
    except Exception as error:  # noqa: BLE001 - the exporter raises whatever it trips over
        raise BundleError(f"torch cannot export {network.model}: {first_line(error)}") from None
    difference = _difference(backend.run(example), OnnxBackend(target / name).run(example))
    if not difference <= PARITY:
        raise BundleError(f"{name} differs from {network.model} by {difference:.2g} of its largest value")
    return Exported(name, (target / name).stat().st_size, difference)


def example_tensors(inputs: Mapping[str, TensorInfo]) -> dict[str, Array]:
    """Arbitrary but repeatable tensors that fit a network's inputs."""
    generator = np.random.default_rng(0)
    return {name: _example(info, generator) for name, info in inputs.items()}


def _example(info: TensorInfo, generator: np.random.Generator) -> Array:
    free = [EXAMPLE_ROWS, *[EXAMPLE_LENGTH] * len(info.shape)]
    shape = tuple(free[axis] if size is None else size for axis, size in enumerate(info.shape))
    if info.dtype.kind == "f":
        return generator.standard_normal(shape).astype(info.dtype)
    if info.dtype.kind == "b":
        return np.ones(shape, np.bool_)
    return generator.integers(0, 2 if info.dtype.kind == "i" else 256, shape).astype(info.dtype)


def _write(backend: TorchBackend, example: Mapping[str, Array], path: Path) -> None:
    outputs = list(backend.outputs)
    tensors = {**backend.inputs, **backend.outputs}
    free = {
        name: {axis: "rows" if axis == 0 else f"{name}_{axis}" for axis, size in enumerate(info.shape) if size is None}
        for name, info in tensors.items()
    }
    with warnings.catch_warnings():
        # The newer exporter needs two more packages and gives the same graph for networks as plain as these.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _AsTuple(backend.module, outputs).eval(),
            tuple(torch.from_numpy(array) for array in example.values()),
            str(path),
            input_names=list(example),
            output_names=outputs,
            dynamic_axes=free,
            opset_version=OPSET,
            dynamo=False,
        )


class _AsTuple(torch.nn.Module):
    """A module that returns a dict, for an exporter that wants a tuple."""

    def __init__(self, module: Any, outputs: list[str]) -> None:
        super().__init__()
        self.module = module
        self._outputs = outputs

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        answer = self.module(*tensors)
        return tuple(answer[name] for name in self._outputs)


def _difference(torch_answer: Mapping[str, Array], onnx_answer: Mapping[str, Array]) -> float:
    """Largest difference, relative to the largest value of its tensor."""
    differences = [
        float(np.abs(onnx_answer[name] - values).max() / max(float(np.abs(values).max()), 1e-12))
        for name, values in torch_answer.items()
    ]
    return max(differences)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
