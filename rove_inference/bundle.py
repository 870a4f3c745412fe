"""A policy bundle on disk: `policy.yaml` and the model files that it names.

`docs/reference/policy-bundle.md` is the format. Reading a bundle checks everything that can be checked
without running the model; `rove_inference.policy` does the rest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import Field, field_validator, model_validator

from rove_core.config import ConfigModel, load_yaml
from rove_core.errors import BundleError, ConfigError, nearest
from rove_core.joint_space import JointSpace
from rove_inference.decoders.spec import (
    AdapterSpec,
    ConsistencySpec,
    DecoderName,
    DiffusionSpec,
    FlowSpec,
    GuidanceSpec,
    Sampler,
)
from rove_inference.network import NetworkSpec
from rove_inference.remote.spec import BACKENDS, RemoteSpec

SPEC_FILE = "policy.yaml"
FORMAT = 1

JoinName = Literal["replace", "blend", "ensemble", "rtc"]

IntArray = npt.NDArray[np.intp]


class Crop(ConfigModel):
    """Part of the camera's picture that the policy sees, as fractions of its width and height."""

    left: float = Field(0.0, ge=0.0, lt=1.0)
    top: float = Field(0.0, ge=0.0, lt=1.0)
    right: float = Field(1.0, gt=0.0, le=1.0)
    bottom: float = Field(1.0, gt=0.0, le=1.0)

    @model_validator(mode="after")
    def _ordered(self) -> Crop:
        if not (self.left < self.right and self.top < self.bottom):
            raise ValueError("left must be below right and top below bottom")
        return self


class CameraSpec(ConfigModel):
    """One picture of the policy: cropped first, then resized."""

    name: str = Field(min_length=1, description="camera name; the model's input is image_<name>")
    width: int = Field(ge=1, le=4096, description="[px]")
    height: int = Field(ge=1, le=4096, description="[px]")
    crop: Crop = Crop()

    @property
    def input_name(self) -> str:
        """Name of the model's input tensor."""
        return f"image_{self.name}"


class JointsSpec(ConfigModel):
    """Joints of the state or the action, in the model's order, and their spread in the training data.

    Mean and standard deviation [rad] describe the data; the model takes and gives radians and normalises
    inside its graph, so that there is one place where it can be right or wrong.
    """

    names: tuple[str, ...] = Field(min_length=1)
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @model_validator(mode="after")
    def _same_length(self) -> JointsSpec:
        if not len(self.names) == len(self.mean) == len(self.std):
            raise ValueError(
                f"{len(self.names)} names, {len(self.mean)} means and {len(self.std)} stds must be as many"
            )
        return self


class PolicySpec(NetworkSpec):
    """`policy.yaml`. The network of its own keys is the one that the decoder calls."""

    format: Literal[1]
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="goes into policy ids and file names")
    index: int = Field(0, ge=0, description="training iteration")
    robot: str = Field(description="robot of rove_core/robots")
    decoder: DecoderName
    flow: FlowSpec | None = None
    consistency: ConsistencySpec | None = None
    diffusion: DiffusionSpec | None = None
    guidance: GuidanceSpec | None = Field(None, description="classifier-free guidance, of flow and diffusion")
    adapter: AdapterSpec | None = Field(None, description="network that corrects the decoder's chunk")
    encoders: tuple[NetworkSpec, ...] = Field(
        (), description="networks that run once per observation, in this order; what they put out, later ones take in"
    )
    control_hz: float = Field(gt=0, le=1000, description="steps of a chunk per second")
    horizon: int = Field(ge=1, le=1000, description="steps predicted")
    execute: int = Field(ge=1, description="steps to execute before the next chunk")
    out_of_limits: Literal["clip", "refuse"] = "clip"
    join: JoinName = Field("replace", description="how a new chunk joins the one in force")
    prefix_input: bool = Field(False, description="the network was trained to continue the chunk before")
    cameras: tuple[CameraSpec, ...] = ()
    state: JointsSpec
    action: JointsSpec
    prompt: str = Field("{instruction}", description="template of what the policy is told")
    condition: str = Field("", description="template of the condition text, empty when unconditioned")
    conditions: tuple[str, ...] = Field(
        (), description="condition texts that the networks know by number; empty: they take the text itself"
    )
    remote: RemoteSpec | None = Field(None, description="where the policy runs, when that is another machine")
    files: dict[str, str] = Field(default_factory=dict, description="file in the bundle -> SHA-256 of its bytes")

    @model_validator(mode="after")
    def _consistent(self) -> PolicySpec:
        if self.execute > self.horizon:
            raise ValueError(f"executes {self.execute} of {self.horizon} predicted steps")
        for network in self.networks:
            for file in network.needs:
                if file not in self.files:
                    raise ValueError(f"model '{file}' is not among the files: {', '.join(self.files)}")
        names = [camera.name for camera in self.cameras]
        if len(set(names)) != len(names):
            raise ValueError(f"cameras named twice: {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _decodable(self) -> PolicySpec:
        for name in ("flow", "consistency", "diffusion"):
            if getattr(self, name) is not None and self.decoder != name:
                raise ValueError(f"section '{name}' belongs to decoder {name}, this one is {self.decoder}")
        if self.guidance is not None and self.decoder not in ("flow", "diffusion"):
            raise ValueError(f"section 'guidance' belongs to decoders flow and diffusion, this one is {self.decoder}")
        if self.decoder == "direct":
            if self.adapter is not None:
                raise ValueError("section 'adapter' belongs to decoders flow, consistency and diffusion, not to direct")
            return self
        if min(self.action.std) <= 0:
            joint = self.action.names[int(np.argmin(self.action.std))]
            raise ValueError(f"decoder {self.decoder} samples in units of action.std, which is 0 or less for '{joint}'")
        return self

    @model_validator(mode="after")
    def _conditions_known(self) -> PolicySpec:
        if self.conditions:
            for text in (self.condition, *([self.guidance.negative] if self.guidance else [])):
                if text not in self.conditions:
                    raise ValueError(f"unknown condition '{text}', {nearest(text, self.conditions)}")
        return self

    @model_validator(mode="after")
    def _somewhere(self) -> PolicySpec:
        if (self.backend in BACKENDS) != (self.remote is not None):
            raise ValueError(f"`remote` goes with backend {', '.join(sorted(BACKENDS))}, and with nothing else")
        if self.remote is None and not self.files:
            raise ValueError("names no files")
        if self.remote is not None:
            if self.model or self.encoders:
                raise ValueError(f"backend {self.backend} runs elsewhere: it has no model and no encoders here")
            self.remote.check_for(self.backend)
        return self

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, str]) -> dict[str, str]:
        for file in files:
            path = PurePosixPath(file)
            if path.is_absolute() or ".." in path.parts or "\\" in file:
                raise ValueError(f"'{file}' is not a path inside the bundle")
        return files

    @property
    def dt_s(self) -> float:
        """Time between steps of a chunk [s]."""
        return 1.0 / self.control_hz

    @property
    def networks(self) -> tuple[NetworkSpec, ...]:
        """All that must be opened, in the order in which they run."""
        return (*self.encoders, self, *([self.adapter] if self.adapter else []))

    @property
    def sampler(self) -> Sampler | None:
        """How the chunk is drawn from noise; None when it is not."""
        match self.decoder:
            case "direct":
                return None
            case "flow":
                return self.flow or FlowSpec()
            case "consistency":
                return self.consistency or ConsistencySpec()
            case "diffusion":
                return self.diffusion or DiffusionSpec()

    @property
    def cfg_beta(self) -> float:
        """Guidance weight when nobody asks for another."""
        return self.guidance.beta if self.guidance else 1.0


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files are what `policy.yaml` says they are, and whose joints are the robot's.

    Attributes:
        path: its folder.
        spec: `policy.yaml`.
        sha256: of `policy.yaml`, which holds the hashes of all other files.
        state_order: `robot_values[state_order]` is in the model's order.
        action_order: `model_values[action_order]` is in the robot's order.
    """

    path: Path
    spec: PolicySpec
    sha256: str
    state_order: IntArray
    action_order: IntArray

    @property
    def policy_id(self) -> str:
        """Name and the first 12 digits of the hash: what chunks and episodes carry."""
        return f"{self.spec.name}@{self.sha256[:12]}"

    @property
    def model_path(self) -> Path:
        """The model file."""
        return self.path / self.spec.model


def load_bundle(path: str | Path, space: JointSpace) -> Bundle:
    """Read a bundle and hold it against the robot and its own hashes. Does not open the model.

    Raises:
        BundleError: no bundle there, or a file is missing or changed, or it is for another robot.
        JointNameError: state or action joints are not the robot's.
    """
    bundle = read_bundle(path, space)
    for file, expected in bundle.spec.files.items():
        _verify(bundle.path, file, expected)
    return bundle


def read_bundle(path: str | Path, space: JointSpace) -> Bundle:
    """As `load_bundle`, without a look at the files: for whoever lets another process load them.

    Raises:
        BundleError: no bundle there, or it is for another robot.
        JointNameError: state or action joints are not the robot's.
    """
    folder = Path(path)
    spec = read_spec(folder)
    if spec.robot != space.robot:
        raise BundleError(f"bundle '{folder.name}' is for robot '{spec.robot}', this is '{space.robot}'")
    return Bundle(
        path=folder,
        spec=spec,
        sha256=file_sha256(folder / SPEC_FILE),
        state_order=np.argsort(space.order_of(spec.state.names)),
        action_order=space.order_of(spec.action.names),
    )


def read_spec(folder: Path) -> PolicySpec:
    """`policy.yaml` of a bundle. Raises BundleError when it is not there or cannot be used."""
    if not folder.is_dir():
        raise BundleError(f"no policy bundle at '{folder}'", f"a bundle is a folder that holds {SPEC_FILE}")
    try:
        return load_yaml(PolicySpec, folder / SPEC_FILE)
    except ConfigError as error:
        raise BundleError(str(error), "docs/reference/policy-bundle.md describes the file") from None


def write_bundle(folder: str | Path, spec: PolicySpec) -> Path:
    """Write `policy.yaml` beside model files that are in `folder` already, with their true hashes.

    Args:
        spec: the values of its `files` are replaced.
    """
    folder = Path(folder)
    hashed = spec.model_copy(update={"files": {file: file_sha256(folder / file) for file in spec.files}})
    first = {"format": hashed.format, "name": hashed.name}
    # What is at its default would hide what matters.
    content = first | hashed.model_dump(mode="json", exclude_defaults=True)
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120)
    (folder / SPEC_FILE).write_text(text, encoding="utf-8")
    return folder


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(folder: Path, file: str, expected: str) -> None:
    try:
        actual = file_sha256(folder / file)
    except OSError as error:
        raise BundleError(f"bundle '{folder.name}': cannot read {file}: {error.strerror}") from None
    if actual != expected:
        raise BundleError(
            f"bundle '{folder.name}': {file} has SHA-256 {actual[:12]}..., {SPEC_FILE} says {expected[:12]}...",
            "the file was changed or cut short after export: copy the bundle again",
        )
