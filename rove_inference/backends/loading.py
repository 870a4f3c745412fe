"""From what `policy.yaml` says about a network to something that runs it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from rove_core.errors import BundleError
from rove_inference.backends import Backend
from rove_inference.backends.placement import Placement
from rove_inference.bundle import Bundle
from rove_inference.network import NetworkSpec

# Kind -> `module:function`, imported when a bundle asks for it: most robots have one of these libraries.
# The function is called with (bundle, network, placement) and returns a Backend.
OPENERS = {
    "onnx": "rove_inference.backends.loading:open_onnx",
    "torch": "rove_inference.backends.torch_model:open_torch",
    "python": "rove_inference.backends.python:open_python",
    "qwen3_vl": "rove_inference.actor.backbone:open_backbone",
}

# Kind -> the extra that brings its libraries, and these.
EXTRAS = {
    "onnx": ("cpu", {"onnxruntime"}),
    "torch": ("torch", {"torch", "safetensors"}),
    "qwen3_vl": ("actor", {"torch", "safetensors", "transformers", "tokenizers", "PIL"}),
}


def open_network(bundle: Bundle, network: NetworkSpec, placement: Placement) -> Backend:
    """Open one network of a bundle.

    Raises:
        BundleError: it cannot be opened, or needs a library that is not installed.
        PolicyError: the device is not there.
    """
    module, _, name = OPENERS[network.backend].partition(":")
    try:
        opener = cast(Callable[[Bundle, NetworkSpec, Placement], Backend], getattr(import_module(module), name))
        return opener(bundle, network, placement)
    except ModuleNotFoundError as error:
        extra, libraries = EXTRAS.get(network.backend, ("", set()))
        missing = (error.name or "").partition(".")[0]
        if missing not in libraries:
            raise
        raise BundleError(
            f"bundle '{bundle.path.name}': backend {network.backend} needs {missing}, which is not installed",
            f"pip install 'rove_hil[{extra}]'",
        ) from None


def open_onnx(bundle: Bundle, network: NetworkSpec, placement: Placement) -> Backend:
    """Open an ONNX file; see OnnxBackend for errors."""
    from rove_inference.backends.onnx import OnnxBackend

    return OnnxBackend(bundle.path / network.model, placement)
