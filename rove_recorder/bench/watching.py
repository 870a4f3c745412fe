"""Watching a recorder from outside: its CPU time and memory, and when its rows reach the disk."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from rove_core.errors import EpisodeError
from rove_recorder.episode_format.schema import OPEN_SUFFIX, SUFFIX
from rove_recorder.episode_format.storage import records_on_disk
from rove_recorder.reader import ArrayGroup, open_episode

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MIB = 1024 * 1024
SAMPLE_S, POLL_S = 1.0, 0.02
# Memory is compared from here on: buffers and caches have their size by then.
WARM_SHARE = 0.1
# A slope of fewer says nothing.
MIN_SAMPLES = 10


class _Watch:
    """A thread that looks every `period_s` until the end of the `with` block."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def look(self) -> None:
        """Called every period."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self._stop.wait(self._period_s):
            self.look()

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()


class ProcessWatch(_Watch):
    """CPU time and resident memory of a process, once a second; see proc(5)."""

    def __init__(self, pid: int) -> None:
        super().__init__(SAMPLE_S)
        self._folder = Path("/proc") / str(pid)
        self.samples: list[dict[str, float]] = []

    def look(self) -> None:
        try:
            # After the name, which may hold anything: state is field 3, user and system time are 14 and 15.
            times = (self._folder / "stat").read_text().rpartition(")")[2].split()[11:13]
            resident = int((self._folder / "statm").read_text().split()[1]) * PAGE_BYTES
        except OSError:
            return  # it has ended
        cpu_s = sum(map(int, times)) / TICKS_PER_S
        self.samples.append({"t_ros_ns": time.time_ns(), "cpu_s": cpu_s, "rss_mib": round(resident / MIB, 3)})

    def cpu_share(self, begin_ns: int, end_ns: int) -> float:
        """CPU time per time, between two moments on the ROS clock: 1 is one core."""
        inside = self._between(begin_ns, end_ns)
        return float((inside[-1, 1] - inside[0, 1]) / ((inside[-1, 0] - inside[0, 0]) * 1e-9))

    def memory(self, begin_ns: int, end_ns: int) -> dict[str, float]:
        """Resident memory and its slope, by least squares, after the first tenth of the time."""
        inside = self._between(begin_ns + int(WARM_SHARE * (end_ns - begin_ns)), end_ns)
        if not len(inside):
            return {}
        figures = {"rss_mib": np.median(inside[:, 2]), "rss_max_mib": inside[:, 2].max()}
        if len(inside) >= MIN_SAMPLES:
            hours = (inside[:, 0] - inside[0, 0]) / 3.6e12
            figures["rss_slope_mib_per_h"] = np.polyfit(hours, inside[:, 2], 1)[0]
        return {name: round(float(value), 1) for name, value in figures.items()}

    def _between(self, begin_ns: int, end_ns: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        rows = [list(sample.values()) for sample in self.samples if begin_ns <= sample["t_ros_ns"] <= end_ns]
        return np.array(rows, np.float64)


class DiskWatch(_Watch):
    """How old each row is when a reader of the open episode first sees it: what a kill at the worst moment costs."""

    def __init__(self, session: Path) -> None:
        super().__init__(POLL_S)
        self._session = session
        self._steps: dict[Path, ArrayGroup] = {}
        self._seen: dict[Path, int] = {}
        self._ages_s: list[float] = []

    def look(self) -> None:
        for path in self._session.glob(f"*{OPEN_SUFFIX}"):
            try:
                self._look_at(path)
            except (EpisodeError, OSError):
                continue  # it is being opened or finished

    def _look_at(self, path: Path) -> None:
        if path not in self._steps:
            self._steps[path] = open_episode(path).steps
        steps, seen = self._steps[path], self._seen.get(path, 0)
        records = records_on_disk(steps.arrays)
        stamps = steps.arrays["t_mono_ns"].read(seen, records)
        now_ns = time.monotonic_ns()
        if not stamps.all():
            return  # it is being finished: arrays are filled up with zeros
        self._seen[path] = records
        self._ages_s += [(now_ns - int(stamp)) * 1e-9 for stamp in stamps]

    def latency_s(self) -> dict[str, float]:
        """Median, 99th percentile and maximum [s]."""
        if not self._ages_s:
            return {}
        p50, p99, worst = np.percentile(self._ages_s, [50, 99, 100])
        return {"p50": round(p50, 3), "p99": round(p99, 3), "max": round(worst, 3)}


class ImagesRemoved(_Watch):
    """Removes the images of finished episodes, and only those: an hour of them is 20 GB, their stamps are enough."""

    def __init__(self, session: Path) -> None:
        super().__init__(SAMPLE_S)
        self._session = session

    def look(self) -> None:
        for images in self._session.glob(f"*{SUFFIX}/cameras/*/jpeg"):
            shutil.rmtree(images)
