"""ONNX Runtime on the CPU, on a CUDA device, or through TensorRT."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from rove_core.errors import BundleError, PolicyError
from rove_inference.backends import TEXT, Array, TensorInfo, first_line
from rove_inference.backends.placement import Placement
from rove_inference.backends.resident import Resident

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}

_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(double)": np.dtype(np.float64),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(string)": TEXT,
}


class OnnxBackend:
    """A model in an ONNX file.

    Threads are few on purpose and never spin: the control loop and the cameras need their cores. On a GPU, inputs
    are bound once per run and read-only ones stay there (see Resident); answers come back to the host.
    """

    def __init__(self, path: Path, placement: Placement = Placement(), bind: bool | None = None) -> None:  # noqa: B008
        """Open the model.

        Args:
            bind: bind inputs and outputs instead of copying them with every run; None: on a GPU.

        Raises:
            BundleError: the file is not a model that this runtime can load.
            PolicyError: the device is not there.
        """
        providers = _providers(placement)
        try:
            with placement.pinned():
                self._session = ort.InferenceSession(str(path), _options(placement), providers=providers)
        except Exception as error:  # noqa: BLE001 - onnxruntime raises unexported types, straight from Exception
            raise BundleError(f"{path.name} is not a model that ONNX Runtime can load: {first_line(error)}") from None
        # Without its libraries a provider is left out without an error.
        if PROVIDERS[placement.kind] not in self._session.get_providers():
            raise PolicyError(
                f"ONNX Runtime could not start on device '{placement.device}'",
                "check the driver and the CUDA (TensorRT) libraries, or use device cpu",
            )
        self.inputs: Mapping[str, TensorInfo] = {node.name: _info(node) for node in self._session.get_inputs()}
        self.outputs: Mapping[str, TensorInfo] = {node.name: _info(node) for node in self._session.get_outputs()}
        self._output_names = list(self.outputs)
        numeric = all(info.dtype != TEXT for info in (*self.inputs.values(), *self.outputs.values()))
        bind = placement.kind != "cpu" if bind is None else bind
        self._resident = _resident(placement) if bind and numeric else None  # texts cannot be bound

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Evaluate the model. Raises PolicyError when that fails."""
        try:
            if self._resident is None:
                values = self._session.run(self._output_names, dict(tensors))
            else:
                values = self._run_bound(tensors, self._resident)
        except Exception as error:  # noqa: BLE001 - see above
            raise PolicyError(f"inference failed: {first_line(error)}") from None
        return dict(zip(self._output_names, values, strict=True))

    def _run_bound(self, tensors: Mapping[str, Array], resident: Resident[Any]) -> list[Array]:
        binding = self._session.io_binding()
        for name, array in tensors.items():
            binding.bind_ortvalue_input(name, resident.get(name, array))
        for name in self._output_names:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        values: list[Array] = binding.copy_outputs_to_cpu()
        return values


def _options(placement: Placement) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = placement.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # errors come as exceptions; the library's own lines would double them
    return options


def _providers(placement: Placement) -> list[str | tuple[str, dict[str, str]]]:
    """Providers in order of preference; what one cannot run, the next does."""
    cpu, cuda, tensorrt = PROVIDERS.values()
    if placement.kind == "cpu":
        return [cpu]
    available = ort.get_available_providers()
    if cuda not in available:
        raise PolicyError(
            f"device '{placement.device}': this ONNX Runtime is the CPU build",
            "pip uninstall onnxruntime, then pip install onnxruntime-gpu (never both), or use device cpu",
        )
    on_gpu = {"device_id": str(placement.gpu)}
    if placement.kind == "cuda":
        return [(cuda, on_gpu), cpu]
    if tensorrt not in available:
        raise PolicyError(
            f"device '{placement.device}': this ONNX Runtime was built without TensorRT",
            f"it has {', '.join(available)}; use device cuda",
        )
    # Building an engine takes minutes: it is kept between starts, away from the bundle, whose files are hashed.
    engines = _cache_folder()
    engines.mkdir(parents=True, exist_ok=True)
    caching = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(engines)}
    return [(tensorrt, on_gpu | caching), (cuda, on_gpu), cpu]


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rove" / "tensorrt"


def _resident(placement: Placement) -> Resident[Any]:
    device, number = ("cpu", 0) if placement.kind == "cpu" else ("cuda", placement.gpu)
    return Resident(lambda array: ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), device, number))


def _info(node: Any) -> TensorInfo:
    dtype = _DTYPES.get(node.type)
    if dtype is None:
        raise BundleError(f"tensor '{node.name}' is {node.type}; known are: {', '.join(_DTYPES)}")
    # A free dimension is None or a name.
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorInfo(shape, dtype)
