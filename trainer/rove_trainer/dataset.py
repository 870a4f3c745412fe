"""Episodes as training windows: one observation, and the commands that the robot got from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError
from rove_core.modes import Outcome, Source
from rove_inference.bundle import CameraSpec
from rove_inference.preprocess import prepare_image
from rove_recorder.reader import Episode, open_episode

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of one or many episodes. They share rows and pictures instead of copying them.

    A window starts at the capture time of its (first) camera's picture, not at the row's time: that is what
    step 0 of a chunk means on the robot. The start lies `lag` rows before row `row`, `lag` in rows and fractions;
    values there are interpolated between rows.

    Attributes:
        states, actions: per row, joint positions [rad], shape (rows, dim).
        images: camera name -> pictures, shape (pictures, 3, height, width).
        image_index: camera name -> picture of each window, shape (n,).
        row: row of each window, shape (n,). lag: see above, shape (n,).
        length: rows from `row` on that belong to the same segment, at most the horizon, shape (n,).
        episode: number of the episode among those that have windows, shape (n,).
    """

    states: FloatArray
    actions: FloatArray
    images: dict[str, npt.NDArray[np.uint8]]
    image_index: dict[str, IntArray]
    row: IntArray
    lag: FloatArray
    length: IntArray
    episode: IntArray

    def __len__(self) -> int:
        return len(self.row)

    def state(self, index: IntArray) -> FloatArray:
        """Joint positions [rad] at the start of windows, shape (len(index), dim)."""
        return _between(self.states, self.row[index], self.lag[index])

    def chunk(self, index: IntArray, horizon: int) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Commands of windows, and which of them exist.

        Returns:
            [rad], shape (len(index), horizon, dim); shape (len(index), horizon).
        """
        steps = np.arange(horizon)
        exists = steps < self.length[index, None]
        # Past the end of a segment the last command stands in; the mask keeps it out of the loss.
        row = self.row[index, None] + np.minimum(steps, self.length[index, None] - 1)
        return _between(self.actions, row, np.broadcast_to(self.lag[index, None], row.shape)), exists

    def subset(self, keep: npt.NDArray[np.bool_]) -> Windows:
        """Some of the windows; rows and pictures stay shared."""
        indices = {camera: index[keep] for camera, index in self.image_index.items()}
        return Windows(
            self.states,
            self.actions,
            self.images,
            indices,
            self.row[keep],
            self.lag[keep],
            self.length[keep],
            self.episode[keep],
        )


def load_windows(
    episodes: Sequence[Path],
    cameras: Sequence[CameraSpec],
    horizon: int,
    source: Source = Source.OPERATOR,
    joint_names: Sequence[str] | None = None,
) -> Windows:
    """Read the windows of many episodes into memory.

    Args:
        cameras: what the policy sees; pictures are prepared as the robot prepares them.
        horizon: steps in a chunk.
        source: who moved the robot in the rows to learn from.
        joint_names: refuse episodes of other joints.

    Raises:
        EpisodeError: an episode is damaged or does not fit, or there is nothing to learn from.
    """
    parts: list[Windows] = []
    for path in episodes:
        episode = open_episode(path)
        if joint_names is not None and list(episode.attrs["joint_names"]) != list(joint_names):
            raise EpisodeError(f"{path} was recorded with other joints")
        part = _windows(episode, cameras, horizon, source, len(parts))
        if part is not None:
            parts.append(part)
    if not parts:
        raise EpisodeError(f"{len(episodes)} episodes hold no step under the control of {source.name}")
    return _concatenate(parts)


def find_episodes(roots: Sequence[Path], outcomes: frozenset[str] = frozenset({Outcome.SUCCESS})) -> list[Path]:
    """Finished episodes under folders, sorted by name, of the outcomes asked for.

    Raises:
        EpisodeError: there are none.
    """
    found = [path for root in roots for path in ([root] if root.suffix == ".zarr" else sorted(root.rglob("*.zarr")))]
    chosen = [path for path in found if open_episode(path).outcome.value in outcomes]
    if not chosen:
        places = ", ".join(str(root) for root in roots)
        raise EpisodeError(f"{len(found)} episodes in {places}, none ended as {' or '.join(sorted(outcomes))}")
    return chosen


def _windows(
    episode: Episode, cameras: Sequence[CameraSpec], horizon: int, source: Source, number: int
) -> Windows | None:
    """Windows of one episode, None when there are none."""
    steps, view = episode.steps, episode.training_view(valid_only=True)
    rows, remaining = episode.rows, np.minimum(view.ahead, horizon)
    ages = [steps[f"camera_age_ns_{camera.name}"] for camera in cameras]
    lag = ages[0] * 1e-9 * episode.control_hz if ages else np.zeros(rows)
    # The rows that a window's start is interpolated from must belong to its segment as well.
    reach = np.maximum(np.arange(rows) - np.ceil(lag).astype(np.int64), 0)
    whole = (remaining > 0) & (steps["segment_id"][reach] == steps["segment_id"]) & (remaining[reach] > 0)
    whole &= np.arange(rows) - reach >= lag
    row = np.flatnonzero(whole & (steps["control"] == source))
    if not len(row):
        return None
    images, image_index = {}, {}
    for camera in cameras:
        frames = episode.frames(camera.name)
        used, place = np.unique(steps[f"camera_index_{camera.name}"][row], return_inverse=True)
        images[camera.name] = np.stack([prepare_image(frames[int(index)], camera) for index in used])
        image_index[camera.name] = place.astype(np.int64)
    return Windows(
        steps["state"].astype(np.float32),
        steps["command_sent"].astype(np.float32),
        images,
        image_index,
        row,
        lag[row].astype(np.float32),
        remaining[row],
        np.full(len(row), number),
    )


def _concatenate(parts: Sequence[Windows]) -> Windows:
    row_offsets = np.cumsum([0, *(len(part.states) for part in parts)])
    images, image_index = {}, {}
    for camera in parts[0].images:
        offsets = np.cumsum([0, *(len(part.images[camera]) for part in parts)])
        images[camera] = np.concatenate([part.images[camera] for part in parts])
        shifted = [part.image_index[camera] + offset for part, offset in zip(parts, offsets[:-1], strict=True)]
        image_index[camera] = np.concatenate(shifted)
    return Windows(
        np.concatenate([part.states for part in parts]),
        np.concatenate([part.actions for part in parts]),
        images,
        image_index,
        np.concatenate([part.row + offset for part, offset in zip(parts, row_offsets[:-1], strict=True)]),
        np.concatenate([part.lag for part in parts]),
        np.concatenate([part.length for part in parts]),
        np.concatenate([part.episode for part in parts]),
    )


def _between(values: FloatArray, row: IntArray, lag: FloatArray) -> FloatArray:
    """`values` at the fractional rows `row - lag`, linearly interpolated; shape of `row` plus (dim,)."""
    whole = np.floor(lag).astype(np.int64)
    weight = (lag - whole)[..., None]
    upper = row - whole
    lower = np.where(lag > whole, upper - 1, upper)
    return np.asarray(values[upper] * (1 - weight) + values[lower] * weight, dtype=np.float32)
