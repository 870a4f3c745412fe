"""What the recorder is told, and what it tells: configuration and status."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from pydantic import Field

from rove_core.config import ConfigModel
from rove_recorder.recording.quality import StreamQuality


class RecorderConfig(ConfigModel):
    """Settings of the recorder."""

    robot: str = Field("iron_r01", description="Robot name or YAML file")
    out_dir: str = Field("episodes/session", description="Folder of this session; episodes go into it")
    cameras: tuple[str, ...] = Field(("head",), description="Cameras to record")
    compressed: tuple[str, ...] = Field(
        (), description="Cameras that send sensor_msgs/CompressedImage; their JPEG is recorded as it is"
    )
    control_hz: float = Field(30.0, gt=0, le=200, description="Rows per second [Hz]")
    camera_hz: float = Field(30.0, gt=0, le=200, description="Images per second that each camera promises [Hz]")
    jpeg_quality: int = Field(90, ge=1, le=100, description="Quality of stored images")
    mcap: bool = Field(False, description="Also write the raw messages of each attempt to <episode>.mcap beside it")
    mcap_images: bool = Field(True, description="With images, which are 28 MB/s for a raw 640x480 camera at 30 Hz")
    min_free_mb: int = Field(500, ge=1, description="Refuse to record with less free disk [MiB]")
    flush_period_s: float = Field(0.25, gt=0, le=1.0, description="A kill costs at most this and .35 s [s]")
    sync_period_s: float = Field(
        1.0, ge=0, le=60.0, description="A power cut costs at most this more [s]; 0: at the end"
    )
    state_budget_s: float = Field(0.05, gt=0, description="Age of the joint state in a valid row [s]")
    camera_budget_s: float = Field(0.15, gt=0, description="Age of an image in a valid row [s]")
    stale_share: float = Field(0.05, ge=0, le=1, description="Rows that may be older than that before it is flagged")
    dropped_share: float = Field(0.10, ge=0, le=1, description="Missing images or ticks before an episode is flagged")


class RecorderState(IntEnum):
    """Numbers of rove_msgs/EpisodeStatus."""

    IDLE = 0
    RECORDING = 1
    CLOSING = 2
    FAULT = 3


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """What the recorder is doing, for people and for rove_msgs/EpisodeStatus."""

    state: RecorderState = RecorderState.IDLE
    episode_id: str = ""
    path: str = ""
    message: str = ""
    rows: int = 0
    frames: int = 0
    frames_dropped: int = 0
    disk_free_mb: int = 0
    last_outcome: str = ""
    records_dropped: int = 0
    streams: tuple[StreamQuality, ...] = ()
    clipped_share: float = math.nan
    disk_minutes_left: float = math.nan
