"""ONNX Runtime on the CPU or on a CUDA device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from rove_core.errors import BundleError, PolicyError
from rove_inference.backends import Array, TensorInfo

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class OnnxBackend:
    """A model in an ONNX file.

    Threads are few on purpose and never spin: the control loop and the cameras need their cores.
    """

    def __init__(self, path: Path, device: str = "cpu", threads: int = 1) -> None:
        """Open the model.

        Args:
            device: "cpu" or "cuda".
            threads: for one operator; operators run one after another.

        Raises:
            BundleError: the file is not a model that this runtime can load.
            PolicyError: the device is not there.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # errors come as exceptions; the library's own lines would double them
        providers = _providers(device)
        try:
            self._session = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # noqa: BLE001 - onnxruntime raises unexported types, straight from Exception
            raise BundleError(f"{path.name} is not a model that ONNX Runtime can load: {_first_line(error)}") from None
        if device == "cuda" and "CUDAExecutionProvider" not in self._session.get_providers():
            raise PolicyError(
                "ONNX Runtime could not start on the CUDA device",
                "check the driver and CUDA libraries, or use device cpu",
            )
        self.inputs: Mapping[str, TensorInfo] = {node.name: _info(node) for node in self._session.get_inputs()}
        self.outputs: Mapping[str, TensorInfo] = {node.name: _info(node) for node in self._session.get_outputs()}
        self._output_names = list(self.outputs)

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Evaluate the model. Raises PolicyError when that fails."""
        try:
            values = self._session.run(self._output_names, dict(tensors))
        except Exception as error:  # noqa: BLE001 - see above
            raise PolicyError(f"inference failed: {_first_line(error)}") from None
        return dict(zip(self._output_names, values, strict=True))


def _providers(device: str) -> list[str]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise PolicyError(
            "device 'cuda': this ONNX Runtime is the CPU build",
            "pip uninstall onnxruntime, then pip install onnxruntime-gpu (never both), or use device cpu",
        )
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]


def _info(node: Any) -> TensorInfo:
    dtype = _DTYPES.get(node.type)
    if dtype is None:
        raise BundleError(f"tensor '{node.name}' is {node.type}; known are: {', '.join(_DTYPES)}")
    # A free dimension is None or a name.
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorInfo(shape, np.dtype(dtype))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
