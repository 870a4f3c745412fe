"""Statistics of a LeRobot dataset: per episode, and merged by the rule of its own `aggregate_stats`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
# Statistic -> value: of shape (D,), of images (3, 1, 1); `count` is (1,).
FeatureStatistics = dict[str, FloatArray]
Statistics = dict[str, FeatureStatistics]

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}

# Pixels of an image that count: about this many per row and column.
_SAMPLES = 120


def feature_statistics(values: npt.NDArray[np.generic]) -> FeatureStatistics:
    """Statistics over the rows of `values`, shape (n,) or (n, D) with n > 0."""
    table = np.asarray(values, np.float64).reshape(len(values), -1)
    result = {
        "min": table.min(axis=0),
        "max": table.max(axis=0),
        "mean": table.mean(axis=0),
        "std": table.std(axis=0),
        "count": np.array([float(len(table))]),
    }
    return result | dict(zip(QUANTILES, np.quantile(table, list(QUANTILES.values()), axis=0), strict=True))


class ImageStatistics:
    """Counts the values of every channel; pixels are scaled to [0, 1], as LeRobot does."""

    def __init__(self) -> None:
        self.images = 0
        self._histogram = np.zeros((3, 256), np.int64)

    def add(self, image: npt.NDArray[np.uint8]) -> None:
        """Count an image, (height, width, 3)."""
        stride = max(min(image.shape[:2]) // _SAMPLES, 1)
        for channel in range(3):
            pixels = image[::stride, ::stride, channel]
            self._histogram[channel] += np.bincount(pixels.reshape(-1), minlength=256)
        self.images += 1

    def result(self) -> FeatureStatistics:
        """Statistics of the images so far, at least one."""
        levels = np.arange(256) / 255.0
        share = self._histogram / self._histogram.sum(axis=1, keepdims=True)
        mean = share @ levels
        cumulative = share.cumsum(axis=1)
        present = self._histogram > 0
        values = {
            "min": levels[present.argmax(axis=1)],
            "max": levels[255 - present[:, ::-1].argmax(axis=1)],
            "mean": mean,
            "std": np.sqrt(np.maximum(share @ levels**2 - mean**2, 0.0)),
        }
        for name, quantile in QUANTILES.items():
            values[name] = levels[(cumulative >= quantile - 1e-12).argmax(axis=1)]
        return {name: value.reshape(3, 1, 1) for name, value in values.items()} | {
            "count": np.array([float(self.images)])
        }


class Aggregate:
    """Statistics of everything so far, from those of episodes.

    Exact but for the quantiles, which are means weighted by the number of rows, as in LeRobot's `aggregate_stats`.
    """

    def __init__(self) -> None:
        self.statistics: Statistics = {}

    def add(self, episode: Mapping[str, FeatureStatistics]) -> None:
        """Merge the statistics of another episode."""
        for name, new in episode.items():
            self.statistics[name] = _merge(self.statistics[name], new) if name in self.statistics else dict(new)


def _merge(old: FeatureStatistics, new: FeatureStatistics) -> FeatureStatistics:
    n_old, n_new = float(old["count"][0]), float(new["count"][0])
    weight = n_new / (n_old + n_new)
    delta = new["mean"] - old["mean"]
    merged = {name: old[name] + weight * (new[name] - old[name]) for name in ("mean", *QUANTILES)}
    variance = (1 - weight) * old["std"] ** 2 + weight * new["std"] ** 2 + weight * (1 - weight) * delta**2
    return merged | {
        "min": np.minimum(old["min"], new["min"]),
        "max": np.maximum(old["max"], new["max"]),
        "std": np.sqrt(variance),
        "count": np.array([n_old + n_new]),
    }


def as_lists(
    statistics: Mapping[str, FeatureStatistics], names: tuple[str, ...] | None = None
) -> dict[str, dict[str, Any]]:
    """For JSON: counts as integers, everything else as nested lists; `names` leaves only those statistics."""
    return {
        feature: {
            name: [int(value[0])] if name == "count" else value.tolist()
            for name, value in found.items()
            if names is None or name in names
        }
        for feature, found in statistics.items()
    }
