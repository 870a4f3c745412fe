"""What people are told of the streams while they come in."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from rove_recorder.recording.disk_space import MIB, DiskSpace
from rove_recorder.recording.quality import QualityMeter
from rove_recorder.recording.records import CommandSample, FrameSample, JointSample

NOTHING = np.zeros(2)


def _command(t_ns: int, limited: int = 0) -> CommandSample:
    bits = np.array([0, limited], np.uint8)
    return CommandSample(t_ns, t_ns, 0, 1, 1, 1, 1, "a", 0, -1, NOTHING, NOTHING, bits)


def _meter(seconds: float, cameras: dict[str, float], head_stops_s: float = math.inf) -> QualityMeter:
    """After `seconds` of 200 Hz and cameras at their rates."""
    meter = QualityMeter(tuple(cameras), 30.0, 0.05, 0.15)
    meter.update(0.0)
    for tick in range(round(seconds * 200)):
        t_ns = 10**9 + tick * 5_000_000
        meter.add(JointSample(t_ns, t_ns, NOTHING, NOTHING))
        meter.add(_command(t_ns, limited=8 if tick % 4 == 0 else 16))
    for name, rate_hz in cameras.items():
        for number in range(round(min(seconds, head_stops_s if name == "head" else math.inf) * rate_hz)):
            t_ns = 10**9 + round(number / rate_hz * 1e9)
            meter.add(FrameSample(name, t_ns, t_ns, jpeg=b"x"))
    meter.update(seconds)
    return meter


def test_rates_and_ages_of_every_stream() -> None:
    meter = _meter(2.0, {"head": 30.0, "wrist": 30.0})
    rates = {stream.name: stream.rate_hz for stream in meter.streams}
    assert rates == {"joint_states": 200.0, "commands": 200.0, "head": 30.0, "wrist": 30.0}
    assert all(stream.age_s < 0.05 for stream in meter.streams)
    assert meter.clipped_share == pytest.approx(0.25)  # bad input (16) is no limit
    assert list(meter.warnings()) == []


def test_a_camera_that_stops_that_is_slow_or_that_never_came_is_told() -> None:
    meter = _meter(2.0, {"head": 30.0, "slow": 12.0, "absent": 0.0}, head_stops_s=1.0)
    assert list(meter.warnings()) == [
        "head: 1.0 s behind, budget 0.15 s",
        "slow: 12 of 30 images a second",
        "absent: nothing yet",
    ]


def test_a_report_is_made_every_two_seconds_and_not_before() -> None:
    meter = _meter(1.0, {"head": 30.0})
    assert meter.streams == ()
    meter.update(4.0)
    assert {stream.name: stream.rate_hz for stream in meter.streams}["joint_states"] == 50.0
    meter.update(6.0)
    assert all(stream.rate_hz == 0.0 for stream in meter.streams)
    assert math.isnan(meter.clipped_share)


def test_minutes_left_follow_from_the_rate_of_recording(tmp_path: Path) -> None:
    disk = DiskSpace(tmp_path, 1)
    disk.check()
    assert math.isnan(disk.minutes_left)
    disk.wrote(0.0, 0)
    disk.wrote(2.0, 20 * MIB)
    disk.check()
    assert disk.minutes_left == pytest.approx((disk.free_mb - 1) / 10 / 60)
    disk.wrote(4.0, None)
    disk.check()
    assert not math.isnan(disk.minutes_left)
