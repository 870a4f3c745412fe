"""Videos of people as episodes without actions: mp4, instruction and outcome, for what learns from observation only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

import av
import av.error
import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError
from rove_core.joint_space import JointSpace
from rove_core.modes import Outcome, Source
from rove_recorder.formats.foreign import ForeignEpisode, ForeignStep, foreign_recorder, make_way
from rove_recorder.recording.session_lock import SessionLock

Image = npt.NDArray[np.uint8]

EMBODIMENT = "human_video"
DEVICE = "import"

# Times of a video and of rows are the same when they differ by less.
_ROUNDING_S = 1e-9


@dataclass(frozen=True, slots=True)
class VideoImport:
    """What a video shows.

    Attributes:
        by: who says how it ended. hz: rows per second. camera: what the camera is called in the episode.
    """

    instruction: str
    outcome: Outcome
    by: str
    task: str = ""
    hz: float = 30.0
    camera: str = "head"


def import_video(path: Path, session: Path, robot: str, how: VideoImport, now: datetime) -> Path | None:
    """Write a video into the folder `session` as an episode of its name; None when that is there already.

    The images keep the times that the file gives them, at whatever rate; a row has the newest image at its time, as
    in every episode. States and commands are NaN, nobody is in control, and no row is valid: there is no robot.

    Args:
        robot: whose joints the arrays are shaped for.

    Raises:
        EpisodeError: the file is no video, or its images have no times that go forward. ConfigError: no such robot.
        RecordingError: the disk refuses, or a recorder writes to this folder.
    """
    space = JointSpace.load(robot)
    session.mkdir(parents=True, exist_ok=True)
    images = timed_images(path)
    first = next(images, None)
    if first is None:
        raise EpisodeError(f"{path} holds no image")
    height, width = first[1].shape[:2]
    about = ForeignEpisode(
        name=path.stem,
        hz=how.hz,
        cameras={how.camera: (width, height)},
        instruction=how.instruction,
        task=how.task,
        embodiment=EMBODIMENT,
        has_action=False,
        imported={"format": "video", "file": path.name},
    )
    nobody = ForeignStep(None, None, Source.HOLD)
    with SessionLock(session):
        if not make_way(session, path.stem):
            return None
        with foreign_recorder(session, about, space, now) as recorder:
            rows, last_s = 0, 0.0
            for last_s, image in chain([first], images):
                # Rows that are due before this image have older ones.
                while rows / how.hz < last_s - _ROUNDING_S:
                    recorder.step(nobody)
                    rows += 1
                recorder.image(how.camera, last_s, image)
            if rows / how.hz <= last_s + _ROUNDING_S:
                recorder.step(nobody)
            return recorder.close(how.outcome, how.by or DEVICE)


def timed_images(path: Path) -> Iterator[tuple[float, Image]]:
    """Time since the first image [s] and image (height, width, 3) uint8 RGB, in order.

    Raises:
        EpisodeError: the file is no video, or an image has no time, or one that is not later than the one before.
    """
    start = last = None
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise EpisodeError(f"{path} has no video in it")
            for frame in container.decode(video=0):
                if frame.time is None or (last is not None and frame.time <= last):
                    raise EpisodeError(
                        f"{path}: an image at {frame.time} s follows one at {last} s", "encode the video again"
                    )
                start = frame.time if start is None else start
                last = frame.time
                yield frame.time - start, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    except (av.error.FFmpegError, OSError) as error:
        raise EpisodeError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
