"""Mean, deviation, range and quantiles of each joint over the windows of a data set, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError
from rove_recorder.episode_format.storage import write_atomically
from rove_recorder.reader import open_episode
from rove_recorder.windows.dataset import EpisodeDataset

FloatArray = npt.NDArray[np.float64]

# Those that trainers of manipulation policies normalise with.
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
# Up to so many numbers are kept and sorted (1 GiB: 25 hours of 50 joints at 30 Hz), more are counted in bins.
EXACT_VALUES = 128 * 1024 * 1024
BINS = 8192


@dataclass(frozen=True, slots=True)
class ArrayStatistics:
    """Of one array, per joint, shape (D,). NaN are left out.

    Attributes:
        count: numbers per joint. std: of the population.
        quantiles: name in QUANTILES -> values.
        quantile_error: how far a quantile may be off, per joint; 0 where they are exact.
    """

    count: npt.NDArray[np.int64]
    mean: FloatArray
    std: FloatArray
    min: FloatArray
    max: FloatArray
    quantiles: dict[str, FloatArray]
    quantile_error: FloatArray

    def as_json(self) -> dict[str, Any]:
        """For a file. What is not known (no number at all) is null."""
        values = {"count": self.count, "mean": self.mean, "std": self.std, "min": self.min, "max": self.max}
        values |= {**self.quantiles, "quantile_error": self.quantile_error}
        return {name: [None if v != v else v for v in array.tolist()] for name, array in values.items()}


def dataset_statistics(dataset: EpisodeDataset, exact_values: int = EXACT_VALUES) -> dict[str, Any]:
    """Statistics of what a data set observes and of its action, each row at which a window starts counted once.

    Args:
        exact_values: up to so many numbers per array quantiles are exact.

    Returns:
        `episodes`, `windows`, `joint_names`, and `arrays`: name -> `ArrayStatistics.as_json`, the action as "action".

    Raises:
        EpisodeError: an episode is damaged.
    """
    arrays = {name: name for name in dataset.spec.observations}
    if dataset.spec.horizon:
        arrays["action"] = dataset.spec.action
    found = {key: array_statistics(partial(_blocks, dataset, array), exact_values) for key, array in arrays.items()}
    return {
        "episodes": len(dataset.paths),
        "windows": len(dataset),
        "joint_names": list(dataset.joint_names),
        "arrays": {key: statistics.as_json() for key, statistics in found.items()},
    }


def write_statistics(path: Path, statistics: dict[str, Any]) -> None:
    """As JSON, whole or not at all. Raises OSError."""
    write_atomically(path, json.dumps(statistics, indent=1, allow_nan=False).encode())


def _blocks(dataset: EpisodeDataset, array: str) -> Iterator[FloatArray]:
    for number, path in enumerate(dataset.paths):
        episode = open_episode(path)
        if array == dataset.spec.action and not episode.attrs.get("has_action", True):
            continue
        for start, stop in dataset.index.rows(number):
            yield episode.steps.rows_of(array, start, stop).astype(np.float64)


def array_statistics(blocks: Callable[[], Iterator[FloatArray]], exact_values: int = EXACT_VALUES) -> ArrayStatistics:
    """Statistics of blocks of rows, shape (n, D) each; gone through twice when they are too many to keep.

    Args:
        blocks: starts over each time it is called.

    Raises:
        EpisodeError: there is no block.
    """
    moments: _Moments | None = None
    kept: list[FloatArray] = []
    size = 0
    for block in blocks():
        moments = moments or _Moments(block.shape[1])
        moments.add(block)
        size += block.size
        if size <= exact_values:
            kept.append(block)
    if moments is None:
        raise EpisodeError("statistics of no rows at all")
    if size <= exact_values:
        quantiles, error = _exact(np.concatenate(kept)), np.zeros_like(moments.mean)
    else:
        kept.clear()
        quantiles, error = _binned(blocks(), moments)
    known = moments.count > 0
    mean, square = np.where(known, moments.mean, np.nan), np.where(known, moments.square, np.nan)
    std = np.sqrt(square / np.maximum(moments.count, 1))
    return ArrayStatistics(moments.count, mean, std, moments.low, moments.high, quantiles, error)


class _Moments:
    """Count, mean, sum of squared deviations and range of the blocks so far, per joint.

    Merged block by block (Chan, Golub and LeVeque 1979, eq. 2.1), which loses no digits to large means.
    """

    def __init__(self, dim: int) -> None:
        self.count = np.zeros(dim, np.int64)
        self.mean, self.square = np.zeros(dim), np.zeros(dim)
        self.low, self.high = np.full(dim, np.nan), np.full(dim, np.nan)

    def add(self, block: FloatArray) -> None:
        known = ~np.isnan(block)
        count = known.sum(axis=0)
        some = np.maximum(count, 1)
        mean = np.where(known, block, 0).sum(axis=0) / some
        square = np.where(known, (block - mean) ** 2, 0).sum(axis=0)
        both = np.maximum(self.count + count, 1)
        apart = mean - self.mean
        self.square += square + apart**2 * self.count * count / both
        self.mean += apart * count / both
        self.count += count
        self.low = np.fmin(self.low, np.fmin.reduce(block, axis=0, initial=np.nan))
        self.high = np.fmax(self.high, np.fmax.reduce(block, axis=0, initial=np.nan))


def _exact(rows: FloatArray) -> dict[str, FloatArray]:
    columns = [column[~np.isnan(column)] for column in rows.T]
    return {
        name: np.array([np.quantile(column, level) if len(column) else np.nan for column in columns])
        for name, level in QUANTILES.items()
    }


def _binned(blocks: Iterator[FloatArray], moments: _Moments) -> tuple[dict[str, FloatArray], FloatArray]:
    """Quantiles from counts in BINS bins between the extremes, and the width of a bin."""
    width = (moments.high - moments.low) / BINS
    safe = np.where(width > 0, width, 1)
    counts = np.zeros((len(width), BINS), np.int64)
    for block in blocks:
        row, joint = np.nonzero(~np.isnan(block))
        place = (block[row, joint] - moments.low[joint]) / safe[joint]
        np.add.at(counts, (joint, np.minimum(place.astype(np.int64), BINS - 1)), 1)
    below = np.cumsum(counts, axis=1)
    found = {}
    for name, level in QUANTILES.items():
        rank = level * np.maximum(moments.count - 1, 0)
        bin_number = (below <= rank[:, None]).sum(axis=1)
        found[name] = np.minimum(moments.low + (bin_number + 0.5) * width, moments.high)
    return found, np.where(width > 0, width, 0)
