"""Rows and images of windows, read by one process: what it opened stays open, within bounds."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rove_recorder.episode_format.locations import locate
from rove_recorder.episode_format.storage import AnyArray, ArrayFolder
from rove_recorder.windows.chunk_maps import ChunkMaps
from rove_recorder.windows.images import Image, decode_jpeg
from rove_recorder.windows.window_index import Places

Prepare: TypeAlias = Callable[[str, Image], AnyArray]

# Episodes whose arrays stay open per process; opening one again costs a millisecond.
OPEN_EPISODES = 1024


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is kept of an episode: enough to open it again, in any process."""

    path: str
    instruction: str
    task: str
    outcome: str
    has_action: bool


class WindowReader:
    """What one process has open of the episodes of a data set.

    Args:
        reduction: decode images this many times smaller.
        prepare: gets a camera's name and an image; None: images stay as they are.
        threads: that decode at the same time.
    """

    def __init__(self, attempts: Sequence[Attempt], reduction: int, prepare: Prepare | None, threads: int) -> None:
        self.pid = os.getpid()
        self._attempts, self._reduction, self._prepare = attempts, reduction, prepare
        self._maps = ChunkMaps()
        self._open: OrderedDict[int, dict[str, ArrayFolder]] = OrderedDict()
        self._pool = ThreadPoolExecutor(threads, "decode") if threads > 1 else None

    def _array(self, episode: int, path: str) -> ArrayFolder:
        arrays = self._open.get(episode)
        if arrays is None:
            arrays = self._open[episode] = {}
            if len(self._open) > OPEN_EPISODES:
                self._open.popitem(last=False)
        else:
            self._open.move_to_end(episode)
        array = arrays.get(path)
        if array is None:
            array = arrays[path] = ArrayFolder(locate(self._attempts[episode].path).joinpath(*path.split("/")))
        return array

    def _new(self, places: Places, path: str, rows: int) -> AnyArray:
        """For `rows` rows of each window; floating-point numbers become float32."""
        array = self._array(int(places.episode[0]), path) if len(places.episode) else None
        dtype = np.dtype(np.float32) if array is None or array.dtype.kind == "f" else array.dtype.newbyteorder("=")
        return np.empty((len(places.row), rows, *(array.tail if array else ())), dtype)

    def history(self, name: str, places: Places, history: int) -> AnyArray:
        """An array of `steps` in each window's row and `history` rows before it; the run's first row stands in."""
        path = f"steps/{name}"
        out = self._new(places, path, history + 1)
        have = np.minimum(places.behind, history)
        first, stop = (places.row - have).tolist(), (places.row + 1).tolist()
        missing = (history - have).tolist()
        for window, episode in enumerate(places.episode.tolist()):
            values = self._maps.rows(self._array(episode, path), first[window], stop[window])
            target, absent = out[window], missing[window]
            target[absent:] = values
            if absent:
                target[:absent] = values[0]
        return out

    def future(self, name: str, places: Places, horizon: int) -> AnyArray:
        """An array of `steps` from each window's row on; the run's last row stands in."""
        path = f"steps/{name}"
        out = self._new(places, path, horizon)
        have = np.minimum(places.ahead, horizon)
        first, stop = places.row.tolist(), (places.row + have).tolist()
        known = have.tolist()
        for window, episode in enumerate(places.episode.tolist()):
            values = self._maps.rows(self._array(episode, path), first[window], stop[window])
            target, count = out[window], known[window]
            target[:count] = values
            if count < horizon:
                target[count:] = values[-1]
        return out

    def shown(self, camera: str, places: Places, image_rows: Sequence[int]) -> npt.NDArray[np.int64]:
        """Numbers of the images of each window, shape (n, len(image_rows)); -1: none, or not of the run."""
        path = f"steps/camera_index_{camera}"
        offsets = np.array(image_rows, np.int64)
        within = -offsets <= places.behind[:, None]
        rows = np.maximum(places.row[:, None] + offsets, (places.row - places.behind)[:, None])
        found = np.empty(rows.shape, np.int64)
        for window, episode in enumerate(places.episode.tolist()):
            array = self._array(episode, path)
            for step, row in enumerate(rows[window].tolist()):
                found[window, step] = self._maps.rows(array, row, row + 1)[0]
        return np.where(within, found, -1)

    def images(self, camera: str, places: Places, shown: npt.NDArray[np.int64], size: tuple[int, int]) -> AnyArray:
        """The images of a camera that windows show; black where the number is -1.

        Args:
            shown: from `shown`, shape (n, k).
            size: height and width of a black one as it would have been recorded, and of all that are not prepared.

        Returns:
            Shape (n, k, height, width, 3), or (n, k, *shape of what `prepare` gives).
        """
        height, width = (-(-side // self._reduction) for side in size)
        whole = np.empty((shown.size if self._prepare is None else 0, height, width, 3), np.uint8)
        targets: Sequence[Image | None] = list(whole) if self._prepare is None else [None] * shown.size
        jobs = []
        for episode, numbers in zip(places.episode.tolist(), shown.tolist(), strict=True):
            for number in numbers:
                jpeg, bounds = self._array(episode, f"cameras/{camera}/jpeg"), (0, 0)
                if number >= 0:
                    offsets = self._array(episode, f"cameras/{camera}/offsets")
                    bounds = tuple(self._maps.rows(offsets, number, number + 2).tolist())
                jobs.append((jpeg, bounds))

        def decode(job: tuple[ArrayFolder, tuple[int, int]], target: Image | None) -> AnyArray:
            return self._image(camera, *job, (height, width), target)

        images = list((self._pool.map if self._pool else map)(decode, jobs, targets))
        out: AnyArray = whole if self._prepare is None else np.stack(images)
        return out.reshape(*shown.shape, *out.shape[1:])

    def _image(
        self, camera: str, jpeg: ArrayFolder, bounds: tuple[int, int], size: tuple[int, int], out: Image | None
    ) -> AnyArray:
        start, stop = bounds
        if start < stop:
            where = f"{jpeg.location}: bytes {start} to {stop}"
            image = decode_jpeg(jpeg.read(start, stop), where, self._reduction, out)
        else:
            image = np.empty((*size, 3), np.uint8) if out is None else out
            image[:] = 0
        return image if self._prepare is None else self._prepare(camera, image)
