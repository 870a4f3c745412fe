"""ROS messages to the recorder's plain records."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
from rove_msgs.msg import ActionChunk, CommandTrace, ControlMode, SupervisorEvent
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState

from rove_core.errors import WireError
from rove_core.joint_space import JointSpace
from rove_core.ros import stamps
from rove_recorder.recording.records import (
    CameraModel,
    ChunkSample,
    CommandSample,
    EpisodeInfo,
    EventSample,
    FrameSample,
    JointSample,
    ModeSample,
)

ENCODINGS = ("rgb8", "bgr8", "mono8")
JPEG_START = b"\xff\xd8\xff"


class JointStateReader:
    """JointState in any order of names to arrays in the robot's order; the names are matched once."""

    def __init__(self, space: JointSpace) -> None:
        self._space = space
        self._names: list[str] = []
        self._order: npt.NDArray[np.intp] = np.arange(space.dim)

    def __call__(self, message: JointState, receive_ns: int) -> JointSample:
        """Raises JointNameError, WireError (no position for every joint)."""
        if message.name != self._names:
            self._order, self._names = self._space.order_of(message.name), list(message.name)
        dim = self._space.dim
        if len(message.position) != dim:
            raise WireError(f"joint state with {len(message.position)} positions for {dim} joints")
        position = np.array(message.position, np.float64)[self._order]
        given = len(message.velocity) == dim
        velocity = np.array(message.velocity, np.float64)[self._order] if given else np.full(dim, np.nan)
        return JointSample(stamps.to_ns(message.header.stamp), receive_ns, position, velocity)


def command(message: CommandTrace, dim: int) -> CommandSample:
    """Raises WireError when an array has not one value per joint."""
    if not len(message.target) == len(message.sent) == len(message.limited) == dim:
        raise WireError(f"command trace with {len(message.target)} joints, expected {dim}")
    return CommandSample(
        t_mono_ns=message.mono_ns,
        t_ros_ns=stamps.to_ns(message.stamp),
        tick=message.tick,
        source=message.source,
        mode=message.mode,
        stage=message.stage,
        epoch=message.epoch,
        episode_id=message.episode_id,
        chunk_id=message.chunk_id,
        chunk_step=message.chunk_step,
        target=np.array(message.target, np.float64),
        sent=np.array(message.sent, np.float64),
        limited=np.array(message.limited, np.uint8),
        operator=_given(message.operator_position, dim),
        policy=_given(message.policy_position, dim),
        step_us=message.step_us,
        hold_reason=message.hold_reason,
        authority=np.array(message.operator_authority, np.float32) if len(message.operator_authority) else None,
    )


def _given(values: Any, dim: int) -> npt.NDArray[np.float64] | None:
    return np.array(values, np.float64) if len(values) == dim else None


def frame(message: Image, camera: str, receive_ns: int) -> FrameSample:
    """Raises WireError for an encoding that is not one of ENCODINGS, or too few bytes."""
    if message.encoding not in ENCODINGS:
        raise WireError(f"camera '{camera}': encoding '{message.encoding}', expected one of {', '.join(ENCODINGS)}")
    channels = 1 if message.encoding == "mono8" else 3
    width, height, step = message.width, message.height, message.step or message.width * channels
    data = np.frombuffer(message.data, np.uint8)
    if step < width * channels or data.size < height * step:
        raise WireError(f"camera '{camera}': {data.size} bytes for {width}x{height} {message.encoding}")
    image = data[: height * step].reshape(height, step)[:, : width * channels].reshape(height, width, channels)
    if message.encoding == "bgr8":
        image = image[:, :, ::-1]
    elif channels == 1:
        image = np.repeat(image, 3, axis=2)
    return FrameSample(camera, stamps.to_ns(message.header.stamp), receive_ns, image)


def compressed_frame(message: CompressedImage, camera: str, receive_ns: int) -> FrameSample:
    """The camera's own JPEG, byte for byte. Raises WireError when it is none."""
    data = bytes(message.data)
    if not data.startswith(JPEG_START):
        raise WireError(f"camera '{camera}': format '{message.format}' is not JPEG, the only one that is recorded")
    return FrameSample(camera, stamps.to_ns(message.header.stamp), receive_ns, jpeg=data)


def camera_model(message: CameraInfo) -> CameraModel:
    """What a camera says of itself."""
    return CameraModel(
        width=message.width,
        height=message.height,
        k=tuple(float(value) for value in message.k),
        distortion_model=message.distortion_model,
        distortion=tuple(float(value) for value in message.d),
        frame_id=message.header.frame_id,
    )


def chunk(message: ActionChunk, receive_ns: int) -> ChunkSample:
    """Raises WireError when the data is not (horizon, dim), or an adapter's part is neither that nor empty."""
    prediction = _steps(message, "data", message.data, (message.horizon, message.dim))
    if not prediction.size:
        raise WireError(f"chunk {message.chunk_id}: no data")
    return ChunkSample(
        chunk_id=message.chunk_id,
        epoch=message.epoch,
        t_observation_ns=stamps.to_ns(message.observation_stamp),
        t_request_ns=stamps.to_ns(message.request_stamp),
        t_ready_ns=stamps.to_ns(message.ready_stamp),
        receive_ns=receive_ns,
        dt_s=message.dt_s,
        execute=message.execute,
        prediction=prediction,
        policy_id=message.policy_id,
        policy_index=message.policy_index,
        condition=message.condition,
        cfg_beta=message.cfg_beta,
        seed=message.seed,
        inference_ms=message.inference_ms,
        backend=message.backend,
        decoder=message.decoder,
        join=message.join,
        decoder_steps=message.decoder_steps,
        frozen=message.frozen,
        skipped=message.skipped,
        clipped=message.clipped,
        round_trip_ms=message.round_trip_ms,
        base=_steps(message, "base", message.base, (message.horizon, message.dim)),
        residual=_steps(message, "residual", message.residual, (message.horizon, message.dim)),
        gate=_steps(message, "gate", message.gate, (message.horizon,)),
    )


def _steps(message: ActionChunk, name: str, values: Any, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """One row per step of the chunk, or none."""
    data = np.array(values, np.float32)
    if not data.size:
        return data.reshape(0, *shape[1:])
    if data.size != np.prod(shape):
        expected = " x ".join(map(str, shape))
        raise WireError(f"chunk {message.chunk_id}: {data.size} values of {name}, expected {expected}")
    return data.reshape(shape)


def event(message: SupervisorEvent, t_ros_ns: int, t_mono_ns: int) -> EventSample:
    """An answered press. A payload that is a JSON object is kept as one."""
    details = {
        "accepted": message.accepted,
        "reason": message.reason,
        "mode_before": message.mode_before,
        "mode_after": message.mode_after,
        "epoch": message.epoch,
        "payload": _payload(message.payload),
    }
    return EventSample(t_mono_ns, t_ros_ns, message.event, message.device, details)


def _payload(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _object(text: str) -> dict[str, Any]:
    """A JSON object; supervisor_node has checked that it is one."""
    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}


def mode(message: ControlMode, t_mono_ns: int) -> ModeSample:
    """The mode with the attempt that is open; its time is when the event happened that led to it."""
    info = EpisodeInfo(
        episode_id=message.episode_id,
        task=message.task,
        instruction=message.instruction,
        start_stage=message.start_stage,
        operator=message.operator_name,
        supervisor=message.supervisor_name,
        demonstration=message.demonstration,
        metadata=_object(message.session_metadata_json),
        takeover_way=message.takeover_way,
        operator_groups=tuple(message.operator_groups),
    )
    return ModeSample(
        t_mono_ns=t_mono_ns,
        t_ros_ns=stamps.to_ns(message.stamp),
        mode=message.mode,
        stage=message.stage,
        epoch=message.epoch,
        event=message.event,
        device=message.event_device,
        reason=message.reason,
        info=info,
    )
