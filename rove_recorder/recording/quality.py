"""What comes in, as it comes in: rates and ages of the streams, joints at their limits, for people who watch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rove_recorder.recording.records import CommandSample, FrameSample, JointSample, Record

# Over this long rates are measured.
WINDOW_S = 2.0
# A camera below this share of the rate that it promises is worth a word.
LOW_RATE = 0.8
LITTLE_DISK_MINUTES = 10.0
# Bits of rove_msgs/CommandTrace.limited that are limits of the robot; the fifth is bad input.
LIMITS = 1 | 2 | 4 | 8


@dataclass(frozen=True, slots=True)
class StreamQuality:
    """A stream in the last two seconds.

    Attributes:
        name: joint_states, commands or a camera.
        rate_hz: messages per second.
        age_s: how much older its newest stamp is than the newest of all streams [s]; NaN: nothing came yet.
    """

    name: str
    rate_hz: float
    age_s: float


class QualityMeter:
    """Counts records; a new report every WINDOW_S. Works on stamps alone, so that simulated time is as good.

    Args:
        cameras: their names. camera_hz: images per second that each promises.
        state_age_s, camera_age_s: budgets [s]; a stream that is older is a warning.
    """

    def __init__(self, cameras: Sequence[str], camera_hz: float, state_age_s: float, camera_age_s: float) -> None:
        self.streams: tuple[StreamQuality, ...] = ()
        self.clipped_share = math.nan
        self._cameras, self._camera_hz = cameras, camera_hz
        self._age_limits_s = {"joint_states": state_age_s, **dict.fromkeys(cameras, camera_age_s)}
        names = ("joint_states", "commands", *cameras)
        self._newest_ns = dict.fromkeys(names, 0)
        self._counts = dict.fromkeys(names, 0)
        self._clipped = 0
        self._since_s: float | None = None

    def add(self, record: Record) -> None:
        """A record came; what is no stream does not count."""
        if isinstance(record, CommandSample):
            self._clipped += bool(np.any(record.limited & LIMITS))
            self._count("commands", record.t_ros_ns)
        elif isinstance(record, JointSample):
            self._count("joint_states", record.t_ros_ns)
        elif isinstance(record, FrameSample) and record.camera in self._counts:
            self._count(record.camera, record.capture_ns)

    def _count(self, name: str, t_ros_ns: int) -> None:
        self._counts[name] += 1
        self._newest_ns[name] = t_ros_ns

    def update(self, now_s: float) -> None:
        """Make a new report when it is time. `now_s`: monotonic."""
        if self._since_s is None:
            self._since_s = now_s
        elapsed_s = now_s - self._since_s
        if elapsed_s < WINDOW_S:
            return
        newest_ns = max(self._newest_ns.values())
        self.streams = tuple(
            StreamQuality(name, count / elapsed_s, self._age_s(name, newest_ns)) for name, count in self._counts.items()
        )
        ticks = self._counts["commands"]
        self.clipped_share = self._clipped / ticks if ticks else math.nan
        self._counts = dict.fromkeys(self._counts, 0)
        self._clipped, self._since_s = 0, now_s

    def _age_s(self, name: str, newest_ns: int) -> float:
        own_ns = self._newest_ns[name]
        return (newest_ns - own_ns) * 1e-9 if own_ns else math.nan

    def warnings(self) -> Iterator[str]:
        """One line for each stream that is too slow or too old."""
        for stream in self.streams:
            limit_s = self._age_limits_s.get(stream.name, math.inf)
            if math.isnan(stream.age_s):
                yield f"{stream.name}: nothing yet"
            elif stream.age_s > limit_s:
                yield f"{stream.name}: {stream.age_s:.1f} s behind, budget {limit_s:g} s"
            elif stream.name in self._cameras and stream.rate_hz < LOW_RATE * self._camera_hz:
                yield f"{stream.name}: {stream.rate_hz:.0f} of {self._camera_hz:.0f} images a second"
