"""Attempts for benchmarks, made by the recorder's own parts: fifty joints that move, cameras whose images do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from rove_core.joint_space import JointSpace
from rove_core.modes import Mode, Outcome, Source, Stage
from rove_recorder.recording.episode import Ending, EpisodeRecorder
from rove_recorder.recording.records import CameraModel, CommandSample, EpisodeInfo, FrameSample, JointSample
from rove_recorder.recording.resampler import Resampler
from rove_recorder.recording.writer import EpisodeWriter
from rove_recorder.windows.images import Image

CAMERAS = ("head", "left_wrist", "right_wrist")
WIDTH, HEIGHT = 640, 480
ROW_HZ, TICK_NS, TICKS_PER_IMAGE = 30.0, 5_555_556, 6  # ticks of 180 Hz: an image every sixth
JPEG_QUALITY = 90
START_NS = 1_700_000_000_000_000_000
WALL = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
# A scene is larger than what a camera sees of it: how far the view moves [px] and how rough it is, per scale.
MARGIN = 160
TEXTURE = ((4, 6.0), (16, 22.0), (64, 50.0))


def record_attempt(session: Path, name: str, seconds: float, seed: int) -> Path:
    """An attempt under the policy with three cameras at 30 Hz, finished."""
    session.mkdir(parents=True, exist_ok=True)
    space, generator = JointSpace.load("iron_r01"), np.random.default_rng(seed)
    cameras = {camera: CameraModel(WIDTH, HEIGHT) for camera in CAMERAS}
    info = EpisodeInfo(name, "whiteboard", "wipe the whiteboard", operator="bench", supervisor="bench")
    writer = EpisodeWriter(session, info, space, cameras, ROW_HZ, WALL)
    recorder = EpisodeRecorder(writer, Resampler(ROW_HZ, space.dim, len(space.groups), CAMERAS), ROW_HZ, JPEG_QUALITY)
    scenes = {camera: scene(generator) for camera in CAMERAS}
    phase = generator.uniform(0, 2 * np.pi, space.dim)
    middle, swing = (space.lower + space.upper) / 2, (space.upper - space.lower) * 0.05
    nothing = np.zeros(space.dim, np.uint8)
    for tick in range(round(seconds * 1e9 / TICK_NS)):
        t_ns = START_NS + tick * TICK_NS
        if tick % TICKS_PER_IMAGE == 0:
            for camera, picture in scenes.items():
                recorder.feed(FrameSample(camera, t_ns, t_ns, view(picture, tick)))
        here = middle + swing * np.sin(phase + tick * 0.005)
        recorder.feed(JointSample(t_ns, t_ns, here, np.zeros(space.dim)))
        recorder.feed(
            CommandSample(
                t_mono_ns=t_ns,
                t_ros_ns=t_ns,
                tick=tick,
                source=int(Source.POLICY),
                mode=Mode.ROLLOUT.number,
                stage=int(Stage.ROLLOUT),
                epoch=1,
                episode_id=name,
                chunk_id=0,
                chunk_step=-1,
                target=here,
                sent=here,
                limited=nothing,
            )
        )
        if tick % 180 == 0:
            recorder.flush()
    return recorder.close(Ending(Outcome.SUCCESS, "bench", t_ns, "succeed"), WALL)


def scene(generator: np.random.Generator) -> Image:
    """Texture on several scales, of a photograph's size as JPEG: (height + MARGIN, width + MARGIN, 3) uint8."""
    height, width = HEIGHT + MARGIN, WIDTH + MARGIN
    picture = np.full((height, width, 3), 128, np.float32)
    for pixels, contrast in TEXTURE:
        coarse = generator.standard_normal((height // pixels + 1, width // pixels + 1, 3), np.float32)
        picture += contrast * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def view(picture: Image, tick: int) -> Image:
    """What the camera sees of a scene: it sways, and something crosses."""
    left = round(MARGIN / 2 * (1 + np.sin(tick * 0.011)))
    top = round(MARGIN / 2 * (1 + np.sin(tick * 0.007)))
    seen = picture[top : top + HEIGHT, left : left + WIDTH].copy()
    cv2.circle(seen, (tick * 2 % WIDTH, HEIGHT // 2), 40, (200, 30, 30), -1)
    return seen
