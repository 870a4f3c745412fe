"""The episode format, version 1: which groups and arrays there are, with type, shape and unit.

`docs/reference/episode-format.md` is the specification; this is its table in code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from rove_core.joint_space import JointSpace

FORMAT = "rove.episode"
SCHEMA_VERSION = 1

SUFFIX = ".zarr"
OPEN_SUFFIX = ".zarr.open"

# A chunk is about this big: small enough for random access, big enough that an episode is not many thousand files.
CHUNK_BYTES = 512 * 1024
MAX_CHUNK_ROWS = 4096

CLOCKS = {
    "t_mono_ns": "control clock: CLOCK_MONOTONIC of the robot's computer, or simulated time",
    "t_ros_ns": "ROS clock: system time since 1970, or simulated time",
    "t_obs_ns": "ROS clock, capture time of the joint state in the row",
    "capture_ns": "ROS clock, capture time of the image",
    "receive_ns": "ROS clock, when the recorder got the message",
    "first_executed_ns": "control clock",
}


class Layout(StrEnum):
    """How the length of an array follows from the number of records n of its group."""

    ROW = "row"  # n rows
    OFFSETS = "offsets"  # n + 1 rows: record i of the ragged array is [offsets[i], offsets[i + 1])
    RAGGED = "ragged"  # offsets[n] rows
    FINAL = "final"  # n rows, written when the episode closes


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One array of a group.

    Attributes:
        dtype: numpy name, which is also zarr's: int64, float32, bool ...
        tail: shape of one row.
        unit: of the values, "" when there is none.
        offsets: for a ragged array, the name of the array that delimits its records.
    """

    name: str
    dtype: str
    tail: tuple[int, ...] = ()
    unit: str = ""
    layout: Layout = Layout.ROW
    offsets: str = ""

    @property
    def row_bytes(self) -> int:
        """Size of a row [bytes]."""
        return int(np.dtype(self.dtype).itemsize * np.prod(self.tail, dtype=np.int64))

    @property
    def chunk_rows(self) -> int:
        """Rows in a chunk."""
        if self.layout is Layout.RAGGED and self.row_bytes == 1:
            return CHUNK_BYTES
        return int(np.clip(CHUNK_BYTES // self.row_bytes, 1, MAX_CHUNK_ROWS))


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """A group of arrays that describe the same records. `path` is relative to the episode, "/" between parts."""

    path: str
    arrays: tuple[ArraySpec, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


def _wide(dim: int, *columns: tuple[str, str, str]) -> tuple[ArraySpec, ...]:
    return tuple(ArraySpec(name, dtype, (dim,), unit) for name, dtype, unit in columns)


def _scalars(**columns: str) -> tuple[ArraySpec, ...]:
    return tuple(ArraySpec(name, dtype, unit="ns" if name.endswith("_ns") else "") for name, dtype in columns.items())


def _ragged(name: str, offsets: str, dtype: str = "uint8", tail: tuple[int, ...] = ()) -> tuple[ArraySpec, ...]:
    return (
        ArraySpec(name, dtype, tail, layout=Layout.RAGGED, offsets=offsets),
        ArraySpec(offsets, "int64", layout=Layout.OFFSETS),
    )


def steps_group(dim: int, groups: int, cameras: Sequence[str]) -> GroupSpec:
    """One row per control step."""
    arrays = (
        _scalars(t_mono_ns="int64", t_ros_ns="int64", t_obs_ns="int64")
        + _wide(
            dim,
            ("state", "float64", "rad"),
            ("state_velocity", "float32", "rad/s"),
            ("command_policy", "float32", "rad"),
            ("command_operator", "float32", "rad"),
            ("command_target", "float64", "rad"),
            ("command_sent", "float64", "rad"),
            ("limited", "uint8", ""),
        )
        + _scalars(
            mode="uint8",
            control="uint8",
            control_group_mask="uint32",
            stage="uint8",
            segment_id="int32",
            epoch="uint64",
            chunk_id="uint64",
            chunk_step="int32",
            policy_index="int32",
            command_index="int64",
            valid="bool",
        )
        + _wide(groups, ("operator_authority", "float32", ""))
    )
    for camera in cameras:
        arrays += _scalars(**{f"camera_index_{camera}": "int64", f"camera_age_ns_{camera}": "int64"})
    return GroupSpec("steps", arrays)


def stream_groups(dim: int, groups: int) -> tuple[GroupSpec, ...]:
    """Joint states and commands at native rate."""
    joint_states = _scalars(t_ros_ns="int64", receive_ns="int64") + _wide(
        dim, ("position", "float64", "rad"), ("velocity", "float32", "rad/s")
    )
    commands = (
        _scalars(
            t_mono_ns="int64",
            t_ros_ns="int64",
            tick="uint64",
            source="uint8",
            mode="uint8",
            stage="uint8",
            epoch="uint64",
            chunk_id="uint64",
            chunk_step="int32",
            step_us="float32",
        )
        + _wide(dim, ("target", "float64", "rad"), ("sent", "float64", "rad"), ("limited", "uint8", ""))
        + _wide(dim, ("policy", "float32", "rad"), ("operator", "float32", "rad"))
        + _wide(groups, ("operator_authority", "float32", ""))
    )
    return (
        GroupSpec("streams"),
        GroupSpec("streams/joint_states", joint_states),
        GroupSpec("streams/commands", commands),
    )


def chunks_group(dim: int) -> GroupSpec:
    """One record per chunk that the policy sent."""
    arrays = (
        _scalars(
            chunk_id="uint64",
            epoch="uint64",
            t_observation_ns="int64",
            t_request_ns="int64",
            t_ready_ns="int64",
            receive_ns="int64",
            dt_s="float64",
            execute="int32",
            policy_index="int32",
            cfg_beta="float32",
            seed="uint64",
            inference_ms="float32",
            decoder_steps="int32",
            frozen="int32",
            skipped="int32",
            clipped="int32",
            round_trip_ms="float32",
        )
        + _ragged("prediction", "prediction_offsets", "float32", (dim,))
        + _ragged("base", "base_offsets", "float32", (dim,))
        + _ragged("residual", "residual_offsets", "float32", (dim,))
        + _ragged("gate", "gate_offsets", "float32")
        + _ragged("info_json", "info_offsets")
        + (ArraySpec("first_executed_ns", "int64", unit="ns", layout=Layout.FINAL),)
    )
    return GroupSpec("chunks", arrays)


def camera_group(name: str, attributes: Mapping[str, Any]) -> GroupSpec:
    """One record per image of a camera, as JPEG."""
    arrays = _ragged("jpeg", "offsets") + _scalars(capture_ns="int64", receive_ns="int64", sequence="int64")
    return GroupSpec(f"cameras/{name}", arrays, attributes)


def events_group() -> GroupSpec:
    """One record per event, as a JSON object."""
    return GroupSpec("events", _scalars(t_mono_ns="int64", t_ros_ns="int64") + _ragged("json", "offsets"))


def episode_groups(dim: int, groups: int, cameras: Mapping[str, Mapping[str, Any]]) -> tuple[GroupSpec, ...]:
    """All groups of an episode, parents before children.

    Args:
        dim: joints. groups: joint groups. cameras: name -> attributes of its group.
    """
    return (
        steps_group(dim, groups, tuple(cameras)),
        *stream_groups(dim, groups),
        chunks_group(dim),
        GroupSpec("cameras"),
        *(camera_group(name, attributes) for name, attributes in cameras.items()),
        events_group(),
        GroupSpec("annotations"),
        GroupSpec("derived"),
    )


def robot_attributes(space: JointSpace) -> dict[str, Any]:
    """What an episode says about the robot: enough to check it without the robot's own file."""
    return {
        "robot": space.robot,
        "joint_names": list(space.names),
        "joint_groups": {name: [span.start, span.stop] for name, span in space.groups.items()},
        "joint_limits": {
            "lower": space.lower.tolist(),
            "upper": space.upper.tolist(),
            "max_velocity": space.max_velocity.tolist(),
            "max_acceleration": space.max_acceleration.tolist(),
            "max_jerk": space.max_jerk.tolist(),
        },
    }
