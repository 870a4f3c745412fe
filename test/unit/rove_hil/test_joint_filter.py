"""The command filter's guarantee, for any input, and how it tracks."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rove_core.errors import RoveError
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.joint_filter import BAD_INPUT, LIMITED_POSITION, POSITION_MARGIN_RAD, JointFilter

SPACE = JointSpace.load("iron_r01")
ARM = SPACE.index("left_shoulder_pitch")  # V 6, A 40, J 800
RATES_HZ = (100.0, 200.0, 500.0)
# Positions of a few rad are rounded to 4e-16; differenced three times at 500 Hz that is 1e-6 of the jerk limits.
ROUNDING = 1e-6


def check_limits(positions: FloatArray, dt_s: float, *, margin: float = POSITION_MARGIN_RAD) -> None:
    """Every finite difference of the emitted samples inside the joint's limits."""
    velocity = np.diff(positions, axis=0) / dt_s
    acceleration = np.diff(velocity, axis=0) / dt_s
    jerk = np.diff(acceleration, axis=0) / dt_s
    for what, values, limit in (
        ("velocity", velocity, SPACE.max_velocity),
        ("acceleration", acceleration, SPACE.max_acceleration),
        ("jerk", jerk, SPACE.max_jerk),
    ):
        excess = np.abs(values) / limit - 1
        tick, joint = np.unravel_index(excess.argmax(), excess.shape)
        assert excess.max() <= ROUNDING, f"{what} of {SPACE.names[joint]} at {tick}: {excess.max() + 1} of its limit"
    assert (positions >= SPACE.lower + margin - 1e-9).all()
    assert (positions <= SPACE.upper - margin + 1e-9).all()


def hostile_targets(rng: np.random.Generator, ticks: int, dt_s: float) -> FloatArray:
    """Targets that change their kind at random: jumps, reversals, rubbish, fast sines, noise, stillness."""
    targets = np.empty((ticks, SPACE.dim))
    tick, start = 0, SPACE.home
    while tick < ticks:
        length = int(rng.integers(1, max(2, int(0.8 / dt_s))))
        t = np.arange(length)[:, None] * dt_s
        kind = rng.integers(7)
        if kind == 0:  # another place
            part = np.tile(rng.uniform(SPACE.lower - 1, SPACE.upper + 1), (length, 1))
        elif kind == 1:  # noise over the whole range, every tick
            part = rng.uniform(SPACE.lower - 1, SPACE.upper + 1, (length, SPACE.dim))
        elif kind == 2:  # full range reversals at 2 Hz
            part = np.where(np.sin(4 * np.pi * t) > 0, SPACE.upper, SPACE.lower)
        elif kind == 3:  # not numbers, or far too big
            part = rng.choice([np.nan, np.inf, -np.inf, 1e300, -1e300, 7.0], (length, SPACE.dim))
        elif kind == 4:  # sines, too fast to follow
            part = SPACE.home + np.sin(t * rng.uniform(1, 60, SPACE.dim)) * rng.uniform(0, 2)
        elif kind == 5:  # at full speed through a limit
            part = start + np.sign(rng.standard_normal(SPACE.dim)) * SPACE.max_velocity * t
        else:  # a hand that trembles
            part = start + rng.standard_normal((length, SPACE.dim)) * 0.003
        part = part[: ticks - tick]
        targets[tick : tick + len(part)] = part
        start = np.clip(np.nan_to_num(part[-1]), SPACE.lower, SPACE.upper)
        tick += len(part)
    return targets


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_input_breaks_a_limit(rate_hz: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dt_s = 1 / rate_hz
    joint_filter = JointFilter(SPACE, dt_s)
    start = rng.uniform(SPACE.lower + 0.01, SPACE.upper - 0.01)
    joint_filter.reset(start)
    emitted = [start] * 3  # at rest before
    for target in hostile_targets(rng, 1500, dt_s):
        known = rng.random() < 0.3
        velocity = rng.choice([0.0, 3.0, -30.0, np.nan, np.inf], SPACE.dim) if known else None
        brake = rng.random(SPACE.dim) < 0.5 if rng.random() < 0.1 else None
        emitted.append(joint_filter.step(target, target_velocity=velocity, brake=brake).position)
    check_limits(np.array(emitted), dt_s)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_it_can_stop_from_any_state_that_it_reaches(rate_hz: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dt_s = 1 / rate_hz
    joint_filter = JointFilter(SPACE, dt_s)
    joint_filter.reset(SPACE.home)
    emitted = [SPACE.home] * 3
    for target in hostile_targets(rng, int(rng.integers(20, 400)), dt_s):
        emitted.append(joint_filter.step(target).position)
    rest = joint_filter.rest_position
    everywhere = np.ones(SPACE.dim, dtype=np.bool_)
    # Twice the longest stop of any joint: V / A + A / J.
    longest_s = (SPACE.max_velocity / SPACE.max_acceleration + SPACE.max_acceleration / SPACE.max_jerk).max()
    for _ in range(int(2 * longest_s / dt_s)):
        emitted.append(joint_filter.step(SPACE.home, brake=everywhere).position)
    check_limits(np.array(emitted), dt_s)
    assert joint_filter.at_rest
    np.testing.assert_allclose(emitted[-1], rest, atol=1e-9)
    np.testing.assert_array_equal(emitted[-1], emitted[-2])


LAWLESS = """
import dataclasses, sys
import numpy as np
from rove_core.joint_space import JointSpace
from rove_hil import joint_filter

rng = np.random.default_rng(0)
joint_filter.next_acceleration = lambda joint, *_: rng.choice([np.inf, 1e300, np.nan, rng.normal() * joint.a_max])
whole = JointSpace.load("iron_r01")
part = {
    field.name: value[3:9] if isinstance(value := getattr(whole, field.name), np.ndarray | tuple) else value
    for field in dataclasses.fields(whole)
}
space = JointSpace(**part)
joints = joint_filter.JointFilter(space, 0.005)
joints.reset(space.home)
for _ in range(300):
    brake = rng.random(space.dim) < rng.choice([0.0, 0.0, 0.5])
    sys.stdout.write(joints.step(space.home, brake=brake).position.tobytes().hex())
"""


def test_a_law_that_proposes_nonsense_breaks_no_limit() -> None:
    """Uncompiled, so that the law can be replaced; joints 3 to 8."""
    run = subprocess.run(
        [sys.executable, "-c", LAWLESS],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    some = np.frombuffer(bytes.fromhex(run.stdout)).reshape(300, 6)
    assert np.ptp(some, axis=0).max() > 0.001  # it did move
    positions = np.tile(SPACE.home, (303, 1))
    positions[3:, 3:9] = some
    check_limits(positions, 0.005)


def test_a_bad_target_keeps_the_joint_at_its_last_good_one() -> None:
    joint_filter = JointFilter(SPACE, 0.005)
    joint_filter.reset(SPACE.home)
    goal = SPACE.home.copy()
    goal[ARM] -= 0.3
    joint_filter.step(goal)
    bad = SPACE.home.copy()
    bad[ARM] = np.nan
    for _ in range(200):
        output = joint_filter.step(bad)
    assert output.limited[ARM] & BAD_INPUT
    assert not output.limited[ARM + 1] & BAD_INPUT
    np.testing.assert_allclose(output.position, goal, atol=1e-6)


@pytest.mark.parametrize("rubbish", [np.zeros(3), None, "go left", [[0.0] * SPACE.dim]])
def test_a_target_that_is_no_row_of_joints_is_bad_for_all(rubbish: object) -> None:
    joint_filter = JointFilter(SPACE, 0.005)
    joint_filter.reset(SPACE.home)
    output = joint_filter.step(rubbish)  # type: ignore[arg-type]
    assert (output.limited & BAD_INPUT).all()
    np.testing.assert_allclose(output.position, SPACE.home, atol=1e-12)


def test_a_brake_of_another_shape_is_refused() -> None:
    joint_filter = JointFilter(SPACE, 0.005)
    joint_filter.reset(SPACE.home)
    with pytest.raises(RoveError, match="brake has shape"):
        joint_filter.step(SPACE.home, brake=np.ones(3, dtype=np.bool_))


def test_what_the_caller_does_with_an_output_changes_nothing() -> None:
    joint_filter = JointFilter(SPACE, 0.005)
    joint_filter.reset(SPACE.home)
    joint_filter.step(SPACE.home).position[:] = 7
    joint_filter.position[:] = 7
    np.testing.assert_allclose(joint_filter.position, SPACE.home)


def test_a_joint_that_starts_outside_never_moves_further_out_and_comes_back() -> None:
    joint_filter = JointFilter(SPACE, 0.005)
    start = SPACE.home.copy()
    start[ARM] = SPACE.upper[ARM] + 0.05
    velocity = np.zeros(SPACE.dim)
    velocity[ARM] = 2.0
    joint_filter.reset(start, velocity)
    target = SPACE.home.copy()
    target[ARM] = SPACE.upper[ARM] + 1
    outputs = [joint_filter.step(target) for _ in range(400)]
    positions = np.array([output.position[ARM] for output in outputs])
    assert positions.max() <= start[ARM] + 1e-12
    assert positions[-1] <= SPACE.upper[ARM] - POSITION_MARGIN_RAD + 1e-9
    assert outputs[-1].limited[ARM] & LIMITED_POSITION
    check_limits(np.array([np.r_[SPACE.home[:ARM], p, SPACE.home[ARM + 1 :]] for p in positions]), 0.005, margin=-0.06)


def test_a_velocity_that_cannot_be_stopped_in_time_is_not_started_with() -> None:
    joint_filter = JointFilter(SPACE, 0.005)
    start = SPACE.home.copy()
    start[ARM] = SPACE.upper[ARM] - 0.01
    velocity = np.zeros(SPACE.dim)
    velocity[ARM] = SPACE.max_velocity[ARM]
    joint_filter.reset(start, velocity)
    np.testing.assert_allclose(joint_filter.rest_position[ARM], start[ARM])


@pytest.mark.parametrize("position", [np.zeros(3), np.full(SPACE.dim, np.nan)])
def test_it_refuses_to_start_from_nonsense(position: FloatArray) -> None:
    joint_filter = JointFilter(SPACE, 0.005)
    with pytest.raises(RoveError):
        joint_filter.reset(position)
    with pytest.raises(ValueError, match="before reset"):
        joint_filter.step(SPACE.home)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("size_rad", [0.1, 1.0, -1.0])
def test_a_step_ends_on_its_target_without_overshoot_or_delay(rate_hz: float, size_rad: float) -> None:
    start, goal = np.zeros(SPACE.dim), np.zeros(SPACE.dim)
    start[:], goal[:] = SPACE.home, SPACE.home
    start[ARM] = -1.0
    goal[ARM] = -1.0 + size_rad
    joint_filter = JointFilter(SPACE, 1 / rate_hz)
    joint_filter.reset(start)
    way = np.array([joint_filter.step(goal).position[ARM] + 1.0 for _ in range(int(rate_hz))]) / size_rad
    assert way.max() <= 1 + max(0.01, 0.005 / abs(size_rad))
    assert way[-1] == pytest.approx(1, abs=1e-6)
    if abs(size_rad) == 1.0:
        # ruckig's time-optimal step takes .315 s to 98 %.
        assert (np.flatnonzero(np.abs(way - 1) > 0.02)[-1] + 2) / rate_hz <= 0.315 * 1.1


@pytest.mark.parametrize("frequency_hz", [0.2, 0.5, 0.8])
def test_a_noisy_sine_is_followed_without_lag(frequency_hz: float) -> None:
    rng = np.random.default_rng(3)
    t = np.arange(0, 8, 0.005)
    truth = -1 + 0.6 * np.sin(2 * np.pi * frequency_hz * t)
    start = SPACE.home.copy()
    start[ARM] = truth[0]
    joint_filter = JointFilter(SPACE, 0.005)
    joint_filter.reset(start)
    followed = np.empty_like(t)
    for tick, value in enumerate(truth):
        target = start.copy()
        target[ARM] = value + 0.003 * rng.standard_normal()
        followed[tick] = joint_filter.step(target).position[ARM]
    error = (followed - truth)[200:]
    speed = np.gradient(truth, t)[200:]
    assert np.sqrt(np.mean(error**2)) <= 0.015
    assert abs(error @ speed / (speed @ speed)) <= 0.005


def test_what_comes_out_are_the_differences_of_the_positions() -> None:
    rng = np.random.default_rng(5)
    joint_filter = JointFilter(SPACE, 0.005)
    joint_filter.reset(SPACE.home)
    outputs = [joint_filter.step(target) for target in hostile_targets(rng, 300, 0.005)]
    positions = np.array([SPACE.home, SPACE.home] + [output.position for output in outputs])
    velocity = np.diff(positions, axis=0) / 0.005
    np.testing.assert_allclose([output.velocity for output in outputs], velocity[1:], atol=1e-9)
    np.testing.assert_allclose(
        [output.acceleration for output in outputs], np.diff(velocity, axis=0) / 0.005, atol=1e-7
    )
