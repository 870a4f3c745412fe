"""The time that a tracked pose takes from the headset to the robot, as measured on real headsets.

`data/headset_latency_ms.npz` holds a thousand consecutive measurements per series. They are replayed in
their order, so that bursts stay bursts; frames that a burst delays may arrive after later ones.
"""

from __future__ import annotations

import heapq
from importlib.resources import as_file, files
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from rove_core.errors import ConfigError, nearest

DEFAULT_SERIES = "wireless_stereo_720p"

_NS_PER_MS = 1_000_000

FrameT = TypeVar("FrameT")


def measured_latency_ms(series: str = DEFAULT_SERIES) -> npt.NDArray[np.float64]:
    """Consecutive measured latencies [ms], shape (1000,), of e.g. "wireless_stereo_720p" or "wired_stereo_360p".

    Raises:
        ConfigError: there is no such series; the message names the nearest.
    """
    with (
        as_file(files("rove_sim") / "data" / "headset_latency_ms.npz") as path,
        np.load(path, allow_pickle=False) as archive,
    ):
        names = {name.removesuffix("_ms"): name for name in archive.files}
        if series not in names:
            raise ConfigError(f"no latency series '{series}'", nearest(series, names))
        return np.asarray(archive[names[series]], dtype=np.float64)


class DelayLine(Generic[FrameT]):
    """Frames in transit: each leaves after its own measured delay, in the order of arrival, not of capture.

    Args:
        latency_ms: delays [ms], shape (n,), n >= 1; replayed cyclically.
        start: index of the first delay to use.
        capacity: frames in transit; when it is full the oldest is lost, as on a radio link, and `lost` counts it.
    """

    def __init__(self, latency_ms: npt.NDArray[np.float64], start: int = 0, capacity: int = 256) -> None:
        self._delays_ns = np.rint(latency_ms * _NS_PER_MS).astype(np.int64)
        self._next = start
        self._sent = 0
        self._capacity = capacity
        self._in_transit: list[tuple[int, int, FrameT]] = []
        self.lost = 0

    def push(self, frame: FrameT, now_ns: int) -> None:
        """Send `frame` at `now_ns`."""
        delay = int(self._delays_ns[self._next % len(self._delays_ns)])
        self._next += 1
        self._sent += 1
        if len(self._in_transit) >= self._capacity:
            heapq.heappop(self._in_transit)
            self.lost += 1
        heapq.heappush(self._in_transit, (now_ns + delay, self._sent, frame))

    def arrived(self, now_ns: int) -> list[FrameT]:
        """The frames that have arrived by `now_ns` and were not returned before, in the order of arrival."""
        frames = []
        while self._in_transit and self._in_transit[0][0] <= now_ns:
            frames.append(heapq.heappop(self._in_transit)[2])
        return frames

    def next_arrival_ns(self) -> int | None:
        """When the next frame arrives, None when none is in transit."""
        return self._in_transit[0][0] if self._in_transit else None
