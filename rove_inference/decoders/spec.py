"""The decoders' part of `policy.yaml`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rove_core.config import ConfigModel
from rove_inference.network import NetworkSpec

DecoderName = Literal["direct", "flow", "consistency", "diffusion"]


class FlowSpec(ConfigModel):
    """Flow matching; see `decoders.flow`."""

    steps: int = Field(10, ge=1, le=1000, description="steps of the solver from noise to the chunk")
    solver: Literal["euler", "midpoint"] = Field("euler", description="midpoint evaluates the network twice per step")


class ConsistencySpec(ConfigModel):
    """Consistency model; see `decoders.consistency`."""

    steps: int = Field(1, ge=1, le=100, description="evaluations of the network")
    sigma_min: float = Field(0.002, gt=0, description="least noise level of training")
    sigma_max: float = Field(80.0, gt=0, description="greatest noise level of training")
    rho: float = Field(7.0, gt=0, description="bend of the Karras schedule")

    @model_validator(mode="after")
    def _ordered(self) -> ConsistencySpec:
        if not self.sigma_min < self.sigma_max:
            raise ValueError(f"sigma_min {self.sigma_min} must be below sigma_max {self.sigma_max}")
        return self


class DiffusionSpec(ConfigModel):
    """Diffusion sampled with DDIM; see `decoders.diffusion`."""

    steps: int = Field(10, ge=1, le=1000, description="evaluations of the network")
    train_steps: int = Field(100, ge=1, le=10_000, description="noise levels of training")
    schedule: Literal["cosine", "linear"] = Field("cosine", description="noise schedule of training")
    predicts: Literal["epsilon", "v"] = Field(
        "epsilon", description="what the network puts out, and that tensor's name"
    )
    spacing: Literal["trailing", "leading"] = Field("trailing", description="which of the noise levels are visited")
    clip: float | None = Field(None, gt=0, description="bound of the clean chunk during sampling, normalised units")

    @model_validator(mode="after")
    def _enough(self) -> DiffusionSpec:
        if self.steps > self.train_steps:
            raise ValueError(f"{self.steps} steps, but the network was trained on {self.train_steps} noise levels")
        return self


class GuidanceSpec(ConfigModel):
    """Classifier-free guidance towards `condition` and away from `negative`; see `decoders.guidance`."""

    negative: str = Field(description="the other condition text")
    beta: float = Field(1.0, ge=0, le=100, description="0: as the negative, 1: as the condition, above: further")


class AdapterSpec(NetworkSpec):
    """Gated residual adapter; see `decoders.adapter`. Its network has a backend and a model of its own."""

    r_max: float = Field(0.15, gt=0, description="bound of the residual, in units of the actions' std")


Sampler = FlowSpec | ConsistencySpec | DiffusionSpec
