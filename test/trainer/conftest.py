"""Demonstrations in miniature, made by the recorder's own parts. Everything here needs torch: `make test-trainer`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_core.modes import Mode, Outcome, Source, Stage
from rove_inference.bundle import CameraSpec
from rove_recorder.recording.episode import Ending, EpisodeRecorder
from rove_recorder.recording.records import CameraModel, CommandSample, EpisodeInfo, FrameSample, JointSample
from rove_recorder.recording.resampler import Resampler
from rove_recorder.recording.writer import EpisodeWriter

SPACE = JointSpace.load("iron_r01")
TICK_NS = 5_000_000
START_MONO_NS = 40_000_000_000
START_ROS_NS = 1_700_000_000_000_000_000
WALL = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
CAMERA_LATE_NS = 3_000_000  # captures fall between the ticks


def position_at(t_s: float) -> np.ndarray:
    """Where the demonstrator has the joints: a straight line in time, so that interpolation is exact."""
    return SPACE.home + 0.01 * t_s


def record(session: Path, name: str, seconds: float, outcome: Outcome = Outcome.SUCCESS, pause_s: float = 0.0) -> Path:
    """One demonstration under the operator's control, with a pause in its middle."""
    session.mkdir(parents=True, exist_ok=True)
    info = EpisodeInfo(name, "whiteboard", "wipe the whiteboard", operator="op", supervisor="sup", demonstration=True)
    writer = EpisodeWriter(session, info, SPACE, {"head": CameraModel(64, 48)}, 30.0, WALL)
    recorder = EpisodeRecorder(writer, Resampler(30.0, SPACE.dim, len(SPACE.groups), ("head",)), 200 / 7, 95)
    ticks, middle = round((seconds + pause_s) * 200), round(seconds * 100)
    for tick in range(ticks):
        paused = middle <= tick < middle + round(pause_s * 200)
        mono_ns, ros_ns = START_MONO_NS + tick * TICK_NS, START_ROS_NS + tick * TICK_NS
        here = position_at(tick * 0.005)
        if tick % 7 == 0:
            capture_ns = ros_ns - CAMERA_LATE_NS
            recorder.feed(FrameSample("head", capture_ns, ros_ns, np.full((48, 64, 3), tick % 200, np.uint8)))
        recorder.feed(JointSample(ros_ns, ros_ns, here, np.zeros(SPACE.dim)))
        recorder.feed(
            CommandSample(
                t_mono_ns=mono_ns,
                t_ros_ns=ros_ns,
                tick=tick,
                source=int(Source.HOLD if paused else Source.OPERATOR),
                mode=(Mode.PAUSED if paused else Mode.TAKEOVER).number,
                stage=int(Stage.NONE if paused else Stage.RECOVERY),
                epoch=1 + (tick >= middle) + (tick >= middle + round(pause_s * 200)) if pause_s else 1,
                episode_id=name,
                chunk_id=0,
                chunk_step=-1,
                target=here,
                sent=here + 0.5,
                limited=np.zeros(SPACE.dim, np.uint8),
                operator=here,
                policy=None,
            )
        )
    return recorder.close(Ending(outcome, "keyboard:test", START_ROS_NS + ticks * TICK_NS, "succeed"), WALL)


@pytest.fixture
def cameras() -> list[CameraSpec]:
    return [CameraSpec(name="head", width=32, height=24)]


@pytest.fixture
def demonstration(tmp_path: Path) -> Callable[..., Path]:
    """Records one: `demonstration("name", seconds=2.0, outcome=..., pause_s=...)`."""
    return lambda name, **how: record(tmp_path / "session", name, **how)


@pytest.fixture
def line() -> Callable[[float], np.ndarray]:
    """Where the demonstrator had the joints at a time since the start [s]."""
    return position_at
