from __future__ import annotations

import numpy as np
import pytest

from rove_core.errors import ConfigError
from rove_sim.latency import DelayLine, measured_latency_ms

MS = 1_000_000


def test_measured_series_is_that_of_the_headset() -> None:
    latency = measured_latency_ms("wireless_stereo_720p")
    assert latency.shape == (1000,)
    assert 50 < latency.mean() < 70
    assert np.percentile(latency, 99) > 2 * np.median(latency)  # bursts


def test_unknown_series_names_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        measured_latency_ms("wireles_stereo_720p")
    assert "wireless_stereo_720p" in caught.value.hint


def test_a_frame_arrives_after_its_delay_and_once() -> None:
    line: DelayLine[str] = DelayLine(np.array([40.0]))
    line.push("a", 0)
    assert line.next_arrival_ns() == 40 * MS
    assert line.arrived(40 * MS - 1) == []
    assert line.arrived(40 * MS) == ["a"]
    assert line.arrived(99 * MS) == []
    assert line.next_arrival_ns() is None


def test_a_burst_makes_frames_arrive_out_of_order() -> None:
    line: DelayLine[str] = DelayLine(np.array([100.0, 20.0, 20.0]))
    for number, name in enumerate("abc"):
        line.push(name, number * 10 * MS)
    assert line.arrived(40 * MS) == ["b", "c"]
    assert line.arrived(100 * MS) == ["a"]


def test_a_full_line_loses_the_oldest_and_counts_it() -> None:
    line: DelayLine[int] = DelayLine(np.array([10.0]), capacity=2)
    for number in range(3):
        line.push(number, number)
    assert line.lost == 1
    assert line.arrived(99 * MS) == [1, 2]
