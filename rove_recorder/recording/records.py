"""What the recorder takes in, one plain record per message. Times are nanoseconds; joints follow JointSpace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rove_core.modes import Source

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JointSample:
    """Measured joints. `position` [rad] and `velocity` [rad/s], shape (dim,); stamps on the ROS clock."""

    t_ros_ns: int
    receive_ns: int
    position: FloatArray
    velocity: FloatArray


@dataclass(frozen=True, slots=True)
class CommandSample:
    """One tick of the command filter: `target` before it and `sent` after it [rad], shape (dim,).

    Attributes:
        operator, policy: what each of them asked for in this tick [rad], None when nothing.
        limited: per joint, the bits of rove_msgs/CommandTrace.
        authority: the operator's share of the target per joint group, 0 to 1; None when it was not said.
        source: rove_core.modes.Source. mode, stage: numbers of rove_msgs/ControlMode.
        chunk_id, chunk_step: of the chunk in force, 0 and -1 when there was none.
    """

    t_mono_ns: int
    t_ros_ns: int
    tick: int
    source: int
    mode: int
    stage: int
    epoch: int
    episode_id: str
    chunk_id: int
    chunk_step: int
    target: FloatArray
    sent: FloatArray
    limited: npt.NDArray[np.uint8]
    operator: FloatArray | None = None
    policy: FloatArray | None = None
    step_us: float = 0.0
    hold_reason: str = ""
    authority: npt.NDArray[np.float32] | None = None

    def operator_authority(self, groups: int) -> npt.NDArray[np.float32]:
        """The operator's share of the target per joint group, shape (groups,); all or nothing when it was not said."""
        if self.authority is not None and len(self.authority) == groups:
            return self.authority
        return np.full(groups, self.source == Source.OPERATOR, np.float32)


@dataclass(frozen=True, slots=True)
class FrameSample:
    """One image: `image` (height, width, 3) uint8 RGB, or `jpeg` when the camera compresses itself."""

    camera: str
    capture_ns: int
    receive_ns: int
    image: npt.NDArray[np.uint8] | None = None
    jpeg: bytes = b""

    @property
    def size(self) -> int:
        """Memory it holds [bytes]."""
        return len(self.jpeg) if self.image is None else self.image.nbytes


@dataclass(frozen=True, slots=True)
class ChunkSample:
    """One chunk of the policy. `prediction` [rad], shape (horizon, dim) float32; stamps on the ROS clock.

    `base` and `residual` [rad], shape (horizon, dim), and `gate`, shape (horizon,), are of a residual adapter; without
    one they have no rows. See ActionChunk.msg for the rest.
    """

    chunk_id: int
    epoch: int
    t_observation_ns: int
    t_request_ns: int
    t_ready_ns: int
    receive_ns: int
    dt_s: float
    execute: int
    prediction: npt.NDArray[np.float32]
    policy_id: str = ""
    policy_index: int = 0
    condition: str = ""
    cfg_beta: float = 1.0
    seed: int = 0
    inference_ms: float = 0.0
    backend: str = ""
    decoder: str = ""
    join: str = ""
    decoder_steps: int = 0
    frozen: int = 0
    skipped: int = 0
    clipped: int = 0
    round_trip_ms: float = 0.0
    base: npt.NDArray[np.float32] | None = None
    residual: npt.NDArray[np.float32] | None = None
    gate: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class EventSample:
    """Something that happened. `details` becomes part of the event's JSON object."""

    t_mono_ns: int
    t_ros_ns: int
    type: str
    device: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EpisodeInfo:
    """What is known of an attempt when it starts."""

    episode_id: str
    task: str = ""
    instruction: str = ""
    start_stage: int = 0
    operator: str = ""
    supervisor: str = ""
    demonstration: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    takeover_way: str = ""
    operator_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModeSample:
    """A change of mode or stage, with the attempt that is open ("" when none)."""

    t_mono_ns: int
    t_ros_ns: int
    mode: int
    stage: int
    epoch: int
    event: str
    device: str
    reason: str
    info: EpisodeInfo


@dataclass(frozen=True, slots=True)
class CameraModel:
    """What is known of a camera. `k` is the 3x3 intrinsic matrix, row-major; empty when not calibrated."""

    width: int = 0
    height: int = 0
    k: tuple[float, ...] = ()
    distortion_model: str = ""
    distortion: tuple[float, ...] = ()
    frame_id: str = ""

    def attributes(self) -> dict[str, Any]:
        """As attributes of the camera's group."""
        return {
            "width": self.width,
            "height": self.height,
            "K": list(self.k),
            "distortion_model": self.distortion_model,
            "distortion": list(self.distortion),
            "frame_id": self.frame_id,
            "encoding": "jpeg",
        }


Record = JointSample | CommandSample | FrameSample | ChunkSample | EventSample | ModeSample
