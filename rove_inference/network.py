"""What runs where: one model of a bundle, as `policy.yaml` names it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from rove_core.config import ConfigModel

# The last three run on another machine.
BackendName = Literal["onnx", "torch", "python", "qwen3_vl", "rove", "openpi", "groot"]

# What torch writes with pickle: whoever made such a file runs code on the machine that opens it.
PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
SUFFIXES = {"onnx": (".onnx",), "torch": (".pt2", ".safetensors"), "qwen3_vl": ("config.json",)}


class NetworkSpec(ConfigModel):
    """One model and what it takes to open it."""

    backend: BackendName
    model: str = Field("", description="model file, one of the bundle's `files`")
    architecture: str = Field("", description="of .safetensors weights: an entry point of `rove.architectures`")
    config: str = Field("", description="JSON file with the sizes of the architecture, one of `files`")
    entry_point: str = Field("", description="of backend python: an entry point of `rove.backends`")

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        suffixes = SUFFIXES.get(self.backend, ())
        if self.model.endswith(PICKLED):
            raise ValueError(
                f"model '{self.model}' is a pickle, which runs code when it is opened: export to .onnx, .pt2 or "
                ".safetensors"
            )
        if suffixes and not self.model.endswith(suffixes):
            raise ValueError(f"backend {self.backend} opens {' or '.join(suffixes)}, model is '{self.model}'")
        weights = self.model.endswith(".safetensors")
        if weights != bool(self.architecture) or (self.config and not weights):
            raise ValueError("`architecture` (and `config`) go with a model in .safetensors, and with nothing else")
        if (self.backend == "python") != bool(self.entry_point):
            raise ValueError("`entry_point` goes with backend python, and with nothing else")
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """The files that opening it reads for sure."""
        return tuple(file for file in (self.model, self.config) if file)
