"""Jitter of the network stays out of the operator's motion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rove_core.clocks import NS_PER_S
from rove_hil.command.playout import CARRY_NS, MAX_WAIT_NS, Playout
from rove_hil.operator.mocap_replay import arrivals_ns

LATENCIES = Path(__file__).parents[2] / "data/mocap/headset_video_latency_ms.npz"
FRAME_NS = NS_PER_S // 72
TICK_NS = NS_PER_S // 200
SPEED_RADPS = 2.0


def played_motion(source_offset_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Times [s] and positions [rad] of a joint that moves evenly, as played 200 times a second."""
    archive = np.load(LATENCIES)
    captures = np.arange(0, 6 * NS_PER_S, FRAME_NS)
    arrivals = arrivals_ns(captures.tolist(), archive[archive.files[0]].astype(np.float64))
    playout, newest, times, positions = Playout(), -1, [], []
    for now_ns in range(NS_PER_S // 2, 6 * NS_PER_S, TICK_NS):
        there = int(np.searchsorted(arrivals, now_ns, side="right")) - 1
        if there > newest:  # as in the node: only the newest frame counts
            newest = there
            playout.take(int(captures[newest]) + source_offset_ns, int(arrivals[newest]))
        times.append(now_ns / NS_PER_S)
        positions.append(SPEED_RADPS * (captures[newest] + playout.ahead_ns(now_ns)) / NS_PER_S)
    return np.array(times), np.array(positions)


@pytest.mark.parametrize("source_offset_ns", [0, 7 * NS_PER_S, -7 * NS_PER_S])
def test_even_motion_stays_even_with_measured_latencies(source_offset_ns: int) -> None:
    times, positions = played_motion(source_offset_ns)
    settled = times > 2
    speed = np.diff(positions[settled]) / (TICK_NS / NS_PER_S)
    # Taken at arrival the speed would swing between 0 and many times the truth.
    assert speed.min() > 0.5 * SPEED_RADPS
    assert speed.max() < 1.5 * SPEED_RADPS


def test_a_gap_or_a_jump_of_the_sender_s_clock_begins_a_new_motion() -> None:
    playout = Playout()
    assert playout.take(0, 60_000_000) == 0
    assert playout.take(FRAME_NS, FRAME_NS + 60_000_000) == FRAME_NS
    assert playout.take(NS_PER_S, NS_PER_S + 60_000_000) == 0
    assert playout.take(10 * NS_PER_S, 2 * NS_PER_S) == 0
    assert playout.take(10 * NS_PER_S + FRAME_NS, 2 * NS_PER_S + FRAME_NS) == FRAME_NS


def test_the_delay_is_the_latency_of_a_quiet_network() -> None:
    playout = Playout()
    for frame in range(200):
        playout.take(frame * FRAME_NS, frame * FRAME_NS + 60_000_000)
    assert playout.ahead_ns(199 * FRAME_NS + 60_000_000) == pytest.approx(0, abs=1000)


def test_frames_that_come_late_again_and_again_are_waited_for() -> None:
    playout, quiet = Playout(), Playout()
    for frame in range(600):
        source_ns = frame * FRAME_NS
        quiet.take(source_ns, source_ns + 60_000_000)
        if frame % 16 not in (1, 2, 3, 4):  # four of sixteen arrive together with the next
            playout.take(source_ns, source_ns + 60_000_000)
    assert quiet.delay_ns == pytest.approx(60_000_000, abs=1e5)
    # 70 ms between frames; 20 ms are bridged by carrying motion on.
    assert playout.delay_ns == pytest.approx(60_000_000 + 5 * FRAME_NS - CARRY_NS, abs=5e6)


def test_one_very_late_frame_does_not_make_the_operator_wait_for_long() -> None:
    playout = Playout()
    worst_ns = 0.0
    for frame in range(1200):
        late_ns = 300_000_000 if frame == 600 else 0
        playout.take(frame * FRAME_NS, frame * FRAME_NS + 60_000_000 + late_ns)
        worst_ns = max(worst_ns, playout.delay_ns)
    assert worst_ns < 60_000_000 + 1.1 * MAX_WAIT_NS
    assert playout.delay_ns < 75_000_000
