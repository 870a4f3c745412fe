"""Samples as a headset sends them, played as motion and followed by the filter: jitter, late and lost frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rove_core.clocks import NS_PER_S
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.command.sampled_motion import SampledMotion
from rove_hil.joint_filter import JointFilter
from rove_hil.operator.mocap_replay import arrivals_ns

LATENCIES = np.load(Path(__file__).parents[2] / "data/mocap/headset_video_latency_ms.npz")
FRAME_NS = NS_PER_S // 72
TICK_NS = NS_PER_S // 200
NOISE_RAD = 0.003
# Playing has got used to the network by then.
SETTLED_S = 5.0

Truth = Callable[[float], FloatArray]


@pytest.fixture(scope="module")
def arms() -> JointSpace:
    """Fifty times the same shoulder (V 6, A 40, J 800) with room to both sides: fifty trials at once."""
    space = JointSpace.load("iron_r01")
    every = np.ones(space.dim)
    return dataclasses.replace(
        space,
        lower=-3 * every,
        upper=3 * every,
        home=0 * every,
        max_velocity=6 * every,
        max_acceleration=40 * every,
        max_jerk=800 * every,
    )


@dataclasses.dataclass
class Run:
    """Times [s]; what was played, what was sent and the truth as late as it was played, shape (ticks, dim)."""

    times: FloatArray
    target: FloatArray
    sent: FloatArray
    truth: FloatArray


def follow(space: JointSpace, truth: Truth, seconds: float, network: str, lost: float = 0.05) -> Run:
    """The truth, captured at 72 Hz with noise, some frames lost, played and filtered from `SETTLED_S` on."""
    rng = np.random.default_rng(0)
    captures = np.arange(0, round(seconds * NS_PER_S), FRAME_NS)
    captures = captures[rng.random(len(captures)) >= lost]
    latency_ms = LATENCIES[network].astype(np.float64) if network else np.full(1, 50.0)
    arrivals = arrivals_ns(captures.tolist(), latency_ms)
    motion, joints, newest = SampledMotion(space), JointFilter(space, TICK_NS / NS_PER_S), -1
    joints.reset(truth(0))
    rows = []
    for now_ns in range(int(arrivals[0]), int(arrivals[-1]), TICK_NS):
        there = int(np.searchsorted(arrivals, now_ns, side="right")) - 1
        if there > newest:  # as in the node: only the newest frame counts
            newest = there
            sample = truth(captures[there] / NS_PER_S) + rng.normal(0, NOISE_RAD, space.dim)
            motion.take(int(captures[there]), int(arrivals[there]), sample)
        target, velocity = motion.at(now_ns)
        sent = joints.step(target, target_velocity=velocity).position
        if now_ns > SETTLED_S * NS_PER_S:
            rows.append((now_ns / NS_PER_S, target, sent, truth((now_ns - motion.delay_ns) / NS_PER_S)))
    times, targets, commands, truths = (np.array(column) for column in zip(*rows, strict=True))
    return Run(times, targets, commands, truths)


def stroke(space: JointSpace, duration_s: float) -> Truth:
    """A minimum-jerk stroke of 1 rad after `SETTLED_S`; each joint begins a little later than the one before."""
    starts = SETTLED_S + 0.2 + np.linspace(0, 0.3, space.dim)

    def truth(time_s: float) -> FloatArray:
        x = np.clip((time_s - starts) / duration_s, 0, 1)
        return np.asarray(x**3 * (10 - 15 * x + 6 * x**2))

    return truth


@pytest.mark.parametrize("network", ["", "wired_stereo_720p_ms", "wireless_stereo_240p_ms"])
@pytest.mark.parametrize("duration_s", [0.3, 0.4, 0.5])
def test_strokes_too_fast_to_follow_are_not_overshot(arms: JointSpace, duration_s: float, network: str) -> None:
    run = follow(arms, stroke(arms, duration_s), SETTLED_S + 0.2 + 0.3 + duration_s + 1.5, network)
    beyond = np.maximum(run.sent.max(axis=0) - 1, 0)
    # The command overshot by .3 rad in the mean before it was told not to run past the target.
    assert beyond.mean() < 0.06
    if network != "wireless_stereo_240p_ms" or duration_s > 0.3:
        assert beyond.max() < 0.15
    # And it gets there.
    np.testing.assert_allclose(run.sent[-1], 1, atol=0.02)


@pytest.mark.parametrize(
    ("network", "most_rad", "most_lag_s"),
    [("", 0.015, 0.005), ("wired_stereo_720p_ms", 0.015, 0.005), ("wireless_stereo_240p_ms", 0.03, 0.008)],
)
def test_a_sine_is_followed_through_the_network_s_jitter(
    arms: JointSpace, network: str, most_rad: float, most_lag_s: float
) -> None:
    speed = 2 * np.pi * 0.8
    phase = np.linspace(0, 6, arms.dim)
    run = follow(arms, lambda time_s: 0.6 * np.sin(speed * time_s + phase), 9, network)
    error = run.sent - run.truth
    rate = np.gradient(run.truth, run.times, axis=0)
    assert np.sqrt(np.mean(error**2)) < most_rad
    assert abs(np.sum(error * rate) / np.sum(rate**2)) < most_lag_s


def test_late_frames_are_waited_for_by_coming_to_rest(arms: JointSpace) -> None:
    motion = SampledMotion(arms)
    for frame in range(60):
        motion.take(frame * FRAME_NS, frame * FRAME_NS, np.full(arms.dim, 2.0 * frame * FRAME_NS / NS_PER_S))
    last_ns = 59 * FRAME_NS
    _, velocity = motion.at(last_ns + 20_000_000)
    np.testing.assert_allclose(velocity, 2.0, atol=0.1)
    position, velocity = motion.at(last_ns + 400_000_000)
    np.testing.assert_allclose(velocity, 0, atol=0.01)
    assert (position < 2.0 * last_ns / NS_PER_S + 0.15).all()
    later, _ = motion.at(last_ns + 500_000_000)
    np.testing.assert_allclose(later, position, atol=1e-3)


def test_samples_that_came_early_are_played_when_they_are_due(arms: JointSpace) -> None:
    motion = SampledMotion(arms)
    speed = 1.5
    for frame in range(60):
        early_ns = 40_000_000 if frame > 40 else 0
        source_ns = frame * FRAME_NS
        motion.take(source_ns, source_ns + 60_000_000 - early_ns, np.full(arms.dim, speed * source_ns / NS_PER_S))
    due_ns = 57 * FRAME_NS
    now_ns = round(due_ns + motion.delay_ns)
    np.testing.assert_allclose(motion.at(now_ns)[0], speed * due_ns / NS_PER_S, atol=1e-3)


def test_a_joint_that_is_not_seen_at_first_stays_where_it_was(arms: JointSpace) -> None:
    motion = SampledMotion(arms)
    motion.take(0, 0, np.full(arms.dim, 0.3))
    motion.reset()
    unseen = np.full(arms.dim, 0.7)
    unseen[5] = np.nan
    motion.take(FRAME_NS, FRAME_NS, unseen)
    position, velocity = motion.at(FRAME_NS)
    assert position[5] == 0.3
    assert position[4] == 0.7
    assert not velocity.any()
