"""torch: archives of `torch.export` (.pt2), and weights (.safetensors) of an architecture that a package declares."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from rove_core.errors import BundleError, PolicyError, nearest
from rove_inference.backends import Array, TensorInfo, first_line
from rove_inference.backends.placement import Placement
from rove_inference.backends.resident import Resident
from rove_inference.bundle import Bundle
from rove_inference.network import NetworkSpec

ARCHITECTURES = "rove.architectures"

# `torch.export.load` unpickles without restriction sample inputs, objects and tensors of unusual classes. An archive
# of graph and plain tensors has none of them, and its members are these.
PLAIN_MEMBER = re.compile(
    r"[^/]+/(archive_format|archive_version|byteorder|version|\.data/\w+|\.format_version|\.storage_alignment"
    r"|models/\w+\.json|data/weights/\w+_config\.json|data/constants/\w+_config\.json"
    r"|data/weights/weight_\d+|data/constants/tensor_\d+|data/sample_inputs/\w+\.pt)"
)


class TorchBackend:
    """A torch module that takes tensors by position and gives them by name."""

    def __init__(
        self,
        module: Any,
        inputs: Mapping[str, TensorInfo],
        outputs: Mapping[str, TensorInfo],
        placement: Placement,
    ) -> None:
        """Move the module to its device.

        Args:
            module: callable with the tensors in the order of `inputs`; returns a mapping with the names of `outputs`.

        Raises:
            PolicyError: the device is not there.
        """
        self._device = torch_device(placement)
        # One setting for the whole process: with several bundles the last one's holds.
        torch.set_num_threads(placement.threads)
        self.module = module.to(self._device)
        self._resident = Resident(self._upload)
        self.inputs, self.outputs = inputs, outputs

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Evaluate the model. Raises PolicyError when that fails."""
        try:
            with torch.inference_mode():
                answer = self.module(*(self._resident.get(name, tensors[name]) for name in self.inputs))
                return {name: answer[name].cpu().numpy() for name in self.outputs}
        except (RuntimeError, ValueError, TypeError, KeyError, AssertionError) as error:
            raise PolicyError(f"inference failed: {first_line(error)}") from None

    def _upload(self, array: Array) -> torch.Tensor:
        # A copy: torch warns of arrays that must not be written, and a decoder may change its own in place.
        return torch.tensor(array, device=self._device)


def torch_device(placement: Placement) -> torch.device:
    """The device in torch's terms. Raises PolicyError when it is not there."""
    if placement.kind == "tensorrt":
        raise PolicyError("device 'tensorrt' runs ONNX models, this one is torch's", "use device cuda")
    if placement.kind == "cuda" and not torch.cuda.is_available():
        raise PolicyError(
            f"device '{placement.device}': torch {torch.__version__} sees no CUDA device",
            "install the CUDA build of torch and check the driver, or use device cpu",
        )
    if placement.kind == "cuda" and placement.gpu >= torch.cuda.device_count():
        raise PolicyError(f"device '{placement.device}': there are {torch.cuda.device_count()} GPUs, counted from 0")
    return torch.device("cpu") if placement.kind == "cpu" else torch.device("cuda", placement.gpu)


def open_torch(bundle: Bundle, network: NetworkSpec, placement: Placement) -> TorchBackend:
    """Open an archive or the weights of an architecture.

    Raises:
        BundleError: it is not what it should be, or holds pickles. PolicyError: the device is not there.
    """
    path = bundle.path / network.model
    if path.suffix == ".pt2":
        program = load_archive(path)
        return TorchBackend(program.module(), *_signature(program, path.name), placement)
    module = build_architecture(network.architecture, bundle.path / network.config if network.config else None)
    load_weights(module, path)
    return TorchBackend(module, module.inputs, module.outputs, placement)


def load_archive(path: Path) -> Any:
    """Read a `torch.export` archive that holds no pickle.

    Raises:
        BundleError: it is no such archive, or holds a pickle or compiled code.
    """
    _refuse_pickles(path)
    try:
        return torch.export.load(str(path))
    except Exception as error:  # noqa: BLE001 - the deserialiser raises whatever it trips over
        why = f"is not an archive that torch {torch.__version__} can load: {first_line(error)}"
        raise BundleError(f"{path.name} {why}") from None


def save_archive(program: Any, path: Path) -> None:
    """Write an archive that `load_archive` takes: without sample inputs, which torch would pickle."""
    program._example_inputs = None
    torch.export.save(program, str(path))


def build_architecture(name: str, config: Path | None) -> Any:
    """Build the module that an installed package declares under `name`, with random weights.

    Its factory is called with the content of `config` (a dict) and returns a torch module in evaluation mode that
    has `inputs` and `outputs`, as a Backend.

    Raises:
        BundleError: nobody declares it, or it cannot be built from this configuration.
    """
    known = {entry.name: entry for entry in entry_points(group=ARCHITECTURES)}
    if name not in known:
        raise BundleError(f"no installed package declares architecture '{name}'", nearest(name, known))
    try:
        values = json.loads(config.read_text(encoding="utf-8")) if config else {}
        return known[name].load()(values).eval()
    except (OSError, ValueError, TypeError) as error:
        raise BundleError(f"architecture '{name}': {error}") from None


def load_weights(module: Any, path: Path) -> None:
    """Fill a module from .safetensors. Raises BundleError, with names, for other tensors than the module has."""
    try:
        weights = load_file(str(path))
    except Exception as error:  # noqa: BLE001 - safetensors raises a type of its own, straight from Exception
        raise BundleError(f"{path.name} is not a safetensors file: {first_line(error)}") from None
    wanted = module.state_dict()
    problems = [
        *(f"no '{name}'" for name in wanted if name not in weights),
        *(f"unknown '{name}'" for name in weights if name not in wanted),
        *(
            f"'{name}' is {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in weights and weights[name].shape != tensor.shape
        ),
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise BundleError(f"{path.name} does not fit its architecture: {'; '.join(problems[:3])}{more}")
    module.load_state_dict(weights)


def _refuse_pickles(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.filename
                pickled = (
                    not PLAIN_MEMBER.fullmatch(name)
                    or (name.endswith(".pt") and member.file_size > 0)
                    or (name.endswith("_config.json") and _uses_pickle(json.loads(archive.read(name))))
                )
                if pickled:
                    raise BundleError(
                        f"{path.name}: {name.partition('/')[2]} is a pickle or compiled code, which runs when it is "
                        "opened",
                        "write the archive with rove_inference.backends.torch_model.save_archive, or export to .onnx",
                    )
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{path.name} is not a torch.export archive: {error}") from None


def _uses_pickle(config: Any) -> bool:
    return any(entry.get("use_pickle") is not False for entry in config["config"].values())


def _signature(program: Any, name: str) -> tuple[dict[str, TensorInfo], dict[str, TensorInfo]]:
    """Inputs and outputs of an exported program; its outputs must be a dict, which names them."""
    nodes = {node.name: node for node in program.graph.nodes}
    inputs = {arg: _info(nodes[arg]) for arg in program.graph_signature.user_inputs}
    keys = program.call_spec.out_spec.context
    results = program.graph_signature.user_outputs
    if not isinstance(keys, list) or len(keys) != len(results):
        raise BundleError(f"{name}: the exported module must return a dict of tensors, whose keys name them")
    return inputs, {str(key): _info(nodes[node]) for key, node in zip(keys, results, strict=True)}


def _info(node: Any) -> TensorInfo:
    value = node.meta["val"]
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return TensorInfo(shape, np.dtype(str(value.dtype).removeprefix("torch.")))
