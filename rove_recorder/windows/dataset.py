"""Episodes as a data set of windows: what was seen up to a row, and the actions that the robot got from it on.

`EpisodeDataset` is a map-style data set for `torch.utils.data.DataLoader`, which makes tensors of its arrays; nothing
here imports torch. Windows follow `TrainingView`: none reaches across a pause, a change of controller, a gap or the
end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError, nearest
from rove_recorder.reader import Episode, open_episode
from rove_recorder.windows.images import REDUCTIONS
from rove_recorder.windows.window_index import Places, WindowFilter, WindowIndex, agree, spans_of
from rove_recorder.windows.window_reader import Attempt, Prepare, WindowReader

Window: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """What a window holds.

    Attributes:
        horizon: actions from the first row on, rows; 0: none.
        history: rows before the first one that come with it.
        observations: arrays of `steps` that are observed, one value per joint each.
        action: array of `steps` to learn: what the driver got.
        cameras: whose images to decode; None: of all.
        image_rows: rows of the images relative to the first row, 0 and less, oldest first.
        image_reduction: decode images this many times smaller, 1, 2, 4 or 8: for networks that see small ones.
    """

    horizon: int = 16
    history: int = 0
    observations: tuple[str, ...] = ("state", "state_velocity")
    action: str = "command_sent"
    cameras: tuple[str, ...] | None = None
    image_rows: tuple[int, ...] = (0,)
    image_reduction: int = 1

    def __post_init__(self) -> None:
        if self.horizon < 0 or self.history < 0:
            raise ValueError(f"horizon {self.horizon}, history {self.history}: expected 0 or more rows")
        if any(row > 0 for row in self.image_rows):
            raise ValueError(f"image_rows {self.image_rows} look into the future, expected 0 and less")
        if self.image_reduction not in REDUCTIONS:
            raise ValueError(f"image_reduction {self.image_reduction}, expected one of {REDUCTIONS}")


class EpisodeDataset:
    """Windows of many episodes, read when they are asked for.

    A window is a dict (h: history + 1, H: horizon, k: len(image_rows), D: joints):

    - one float32 array (h, D) per observation, oldest row first, and `history_mask` (h,): which rows are of the run;
    - `action` float32 (H, D) [rad] and `action_mask` (H,); past the end of the run the last action stands in;
    - per camera `image.<name>` (k, height, width, 3) uint8 RGB and `image_mask.<name>` (k,), black where there is none;
    - `stage`, `control`, `policy_index` of the first row; `instruction`, `task`, `outcome` of the attempt;
    - `episode`, its number in `paths`, and `row`.

    `dataset[i]` is a window, `dataset[[i, j, ...]]` a batch: the same keys with one axis more, lists of strings.
    Safe to fork and to pickle: files are opened by each process for itself.

    Args:
        episodes: folders or URLs of finished episodes.
        spec: what a window holds. keep: which windows there are.
        prepare: gets a camera's name and an image, returns an array of one shape per camera: to resize, crop ...
        threads: decode this many images at the same time; more than 1 pays when no worker processes do.

    Raises:
        EpisodeError: an episode is damaged, unfinished, or of another robot than the first, or there are no windows.
    """

    def __init__(
        self,
        episodes: Sequence[str | Path],
        spec: WindowSpec | None = None,
        keep: WindowFilter | None = None,
        *,
        prepare: Prepare | None = None,
        threads: int = 1,
    ) -> None:
        self.spec, self.keep = spec or WindowSpec(), keep or WindowFilter()
        self._prepare, self._threads = prepare, threads
        self._attempts: list[Attempt] = []
        self.cameras: tuple[str, ...] = ()
        self._image_sizes: tuple[tuple[int, int], ...] = ()
        self.joint_names: tuple[str, ...] = ()
        self.index = WindowIndex(list(self._indexed(episodes)))
        if not len(self):
            raise EpisodeError(f"{len(episodes)} episodes hold no window", f"asked for: {self.keep}")
        self._reader: WindowReader | None = None

    def _indexed(self, episodes: Sequence[str | Path]) -> Iterator[npt.NDArray[np.int64]]:
        first: Episode | None = None
        for path in episodes:
            episode = open_episode(path)
            if not episode.finished:
                raise EpisodeError(f"{path} is still open", "wait for its end, or finish it: rove episodes recover")
            if not self.keep.accepts(episode):
                continue
            spans = spans_of(episode, len(self._attempts), self.keep)
            if not len(spans):
                continue
            first = first or episode
            agree(episode, first)
            self.joint_names = tuple(first.attrs["joint_names"])
            self.cameras = first.cameras if self.spec.cameras is None else self.spec.cameras
            self._attempts.append(self._attempt(path, episode))
            sizes = tuple(episode.frames(camera).size for camera in self.cameras)
            self._image_sizes = self._image_sizes or sizes
            if self._prepare is None and self._image_sizes != sizes:
                both = f"{path} and {self._attempts[0].path}"
                raise EpisodeError(f"{both} have images of different sizes", "give `prepare` to resize them")
            yield spans

    def _attempt(self, path: str | Path, episode: Episode) -> Attempt:
        for name in (*self.spec.observations, *([self.spec.action] if self.spec.horizon else [])):
            if name not in episode.steps:
                raise EpisodeError(f"{path} has no array steps/{name}", nearest(name, episode.steps))
        return Attempt(
            str(path),
            episode.attrs["instruction"],
            episode.attrs["task"],
            episode.outcome.value.value,
            bool(episode.attrs.get("has_action", True)),
        )

    @property
    def paths(self) -> tuple[str, ...]:
        """The episodes that have windows, by their number."""
        return tuple(attempt.path for attempt in self._attempts)

    def __len__(self) -> int:
        return len(self.index)

    @overload
    def __getitem__(self, window: int) -> Window: ...
    @overload
    def __getitem__(self, window: Sequence[int] | npt.NDArray[np.int64]) -> Window: ...
    def __getitem__(self, window: int | Sequence[int] | npt.NDArray[np.int64]) -> Window:
        if isinstance(window, int | np.integer):
            return self.__getitems__([int(window)])[0]
        return self._read(np.asarray(window, np.int64))

    def __getitems__(self, windows: Sequence[int]) -> list[Window]:
        """Windows, each on its own; DataLoader asks so when it collates them itself."""
        batch = self._read(np.asarray(windows, np.int64))
        return [{key: values[number] for key, values in batch.items()} for number in range(len(windows))]

    def _read(self, windows: npt.NDArray[np.int64]) -> Window:
        size, reader = len(self), self._open()
        places = self.index.places(np.where(windows < 0, windows + size, windows))
        batch = self._labels(places)
        for name in self.spec.observations:
            batch[name] = reader.history(name, places, self.spec.history)
        back = np.arange(self.spec.history, -1, -1)
        batch["history_mask"] = back <= places.behind[:, None]
        if self.spec.horizon:
            batch["action"] = reader.future(self.spec.action, places, self.spec.horizon)
            acts = np.array([self._attempts[episode].has_action for episode in places.episode.tolist()], bool)
            batch["action_mask"] = (np.arange(self.spec.horizon) < places.ahead[:, None]) & acts[:, None]
            batch["action"][~acts] = 0
        for camera, image_size in zip(self.cameras, self._image_sizes, strict=True):
            shown = reader.shown(camera, places, self.spec.image_rows)
            batch[f"image_mask.{camera}"] = shown >= 0
            batch[f"image.{camera}"] = reader.images(camera, places, shown, image_size)
        return batch

    def _labels(self, places: Places) -> Window:
        attempts = [self._attempts[episode] for episode in places.episode.tolist()]
        return {
            "episode": places.episode,
            "row": places.row,
            "stage": places.stage,
            "control": places.control,
            "policy_index": places.policy_index,
            "instruction": [attempt.instruction for attempt in attempts],
            "task": [attempt.task for attempt in attempts],
            "outcome": [attempt.outcome for attempt in attempts],
        }

    def _open(self) -> WindowReader:
        # A forked worker must not share what its parent opened: threads do not survive a fork, nor do connections.
        if self._reader is None or self._reader.pid != os.getpid():
            self._reader = WindowReader(self._attempts, self.spec.image_reduction, self._prepare, self._threads)
        return self._reader

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": None}
