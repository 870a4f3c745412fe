"""Which rows of an attempt go into another format, and where its episodes begin and end.

Other formats know one kind of boundary, the end of an episode, and their loaders cross everything else: a chunk of
actions that begins before a pause would go on after it. So an attempt becomes one episode per stretch of rows that
training may cross, or keeps all of its rows with a mask beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError
from rove_core.modes import Stage
from rove_recorder.formats.options import Options, Pauses
from rove_recorder.reader import Episode, Frames
from rove_recorder.windows.training_view import follows, for_training


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of an attempt that become one episode.

    Attributes:
        rows: their indices in `steps`, ascending, shape (n,).
        keep: which of them are for training, shape (n,); all, unless pauses are masked.
        number: of the part in its attempt, from 0.
        end: position in `rows` of the last row of the attempt in which somebody moved the robot; -1: not in this part.
    """

    rows: npt.NDArray[np.intp]
    keep: npt.NDArray[np.bool_]
    number: int
    end: int = -1

    @property
    def last(self) -> bool:
        """Whether the attempt ended in this part."""
        return self.end >= 0


@dataclass(frozen=True, slots=True)
class Shape:
    """What all attempts of one dataset have in common.

    Attributes:
        cameras: name -> width, height of the images in the dataset; empty without images.
    """

    robot: str
    joints: tuple[str, ...]
    control_hz: float
    cameras: Mapping[str, tuple[int, int]]


class Attempt:
    """An episode with what its annotations say of it, computed once.

    Attributes:
        stage: of every row, a number of rove_core.modes.Stage, shape (rows,).
        takeover: number of the row's takeover from 0, -1 outside of one, shape (rows,).
        outcome: in force, and who said so.
    """

    def __init__(self, episode: Episode) -> None:
        self.episode = episode
        self.outcome = episode.outcome
        self.stage: npt.NDArray[np.uint8] = np.zeros(episode.rows, np.uint8)
        self.takeover: npt.NDArray[np.int64] = np.full(episode.rows, -1, np.int64)
        for span in episode.stages():
            self.stage[span.start_row : span.end_row] = span.stage
            self.takeover[span.start_row : span.end_row] = span.takeover


def parts_of(attempt: Attempt, options: Options) -> list[Part]:
    """The parts of an attempt in order; none when no row of it is for training.

    A row without an image of each camera or without a joint state cannot be told in other formats and is left out
    even where pauses are masked: there are some before the first image came.
    """
    episode, stage = attempt.episode, attempt.stage
    steps = episode.steps
    complete = np.isfinite(steps["state"]).all(axis=1) & np.isfinite(steps["command_sent"]).all(axis=1)
    if options.images:
        for camera in episode.cameras:
            complete &= steps[f"camera_index_{camera}"] >= 0
    keep = complete & for_training(steps["control"], stage)
    if options.valid_only:
        keep &= steps["valid"]
    # An attempt that ended in an adaptation did not end in the rollout before it, also when that is all there is.
    end = np.flatnonzero(keep)[-1:]
    if not options.adaptation:
        keep &= stage != Stage.ADAPTATION
    if not keep.any():
        return []
    if options.pauses is Pauses.MASK:
        rows = np.flatnonzero(complete)
        return [Part(rows, keep[rows], 0, int(np.searchsorted(rows, end[0])))]
    joined = follows(steps["t_mono_ns"], steps["segment_id"], episode.control_hz)
    rows = np.flatnonzero(keep)
    cuts = np.flatnonzero((np.diff(rows) > 1) | ~joined[rows[:-1]]) + 1
    return [
        Part(piece, np.ones(len(piece), np.bool_), number, len(piece) - 1 if piece[-1] == end[0] else -1)
        for number, piece in enumerate(np.split(rows, cuts))
    ]


def shape_of(episode: Episode, options: Options) -> Shape:
    """What the attempt's dataset has to look like.

    Raises:
        EpisodeError: an image cannot be read.
    """
    cameras = {name: options.size or _image_size(episode, name) for name in episode.cameras if options.images}
    return Shape(episode.attrs["robot"], tuple(episode.attrs["joint_names"]), episode.control_hz, cameras)


def _image_size(episode: Episode, camera: str) -> tuple[int, int]:
    frames = episode.frames(camera)
    if not len(frames):
        return (0, 0)
    height, width = frames[0].shape[:2]
    return width, height


def picture(frames: Frames, index: int, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Image `index` at `size` (width, height), shape (height, width, 3) uint8 RGB.

    Raises:
        EpisodeError: it is no image.
    """
    image = frames[index]
    if image.shape[1::-1] != size:
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return image


def usable(attempt: Attempt, options: Options, shape: Shape | None) -> str:
    """Why an attempt is left out of a dataset, "" when it is not.

    Raises:
        EpisodeError: it is of another robot, rate or set of cameras than `shape`, the attempts before it.
    """
    episode = attempt.episode
    if not episode.attrs.get("has_action", True):
        return "it has no actions"
    if not parts_of(attempt, options):
        return "none of its rows is for training"
    if shape is not None:
        require_same(episode.path, shape_of(episode, options), shape)
    return ""


def require_same(path: Path, seen: Shape, wanted: Shape) -> None:
    """Raise EpisodeError with one line about the first thing that differs."""
    for what, one, other in (
        ("robot", seen.robot, wanted.robot),
        ("joints", seen.joints, wanted.joints),
        ("control_hz", seen.control_hz, wanted.control_hz),
        ("cameras", _cameras(seen), _cameras(wanted)),
    ):
        if one != other:
            raise EpisodeError(
                f"{path}: {what} {_short(one)}, the attempts before it have {_short(other)}",
                "one dataset holds attempts of one robot, rate and set of cameras: convert them apart",
            )


def nothing_to_convert(skipped: Sequence[tuple[Path, str]]) -> EpisodeError:
    """The error for a conversion in which every attempt was left out."""
    return EpisodeError(
        "nothing to convert: " + ("; ".join(f"{path}: {why}" for path, why in skipped) or "no episodes")
    )


def _cameras(shape: Shape) -> tuple[str, ...]:
    return tuple(f"{name} {width}x{height}" for name, (width, height) in shape.cameras.items())


def _short(value: str | float | Sequence[str]) -> str:
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 120 else text[:117] + "..."
