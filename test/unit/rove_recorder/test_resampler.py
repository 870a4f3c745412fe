"""Rows are what was known at their time and the command that followed, however late messages came."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rove_core.modes import Mode, Source
from rove_recorder.recording.records import CommandSample, JointSample
from rove_recorder.recording.resampler import Budgets, Resampler, Row

DIM = 2
MS = 1_000_000
ROS_MINUS_MONO_NS = 10**18
SETTLE_MS = 250


def command(t_ms: float, mode: Mode = Mode.ROLLOUT, source: Source = Source.POLICY, epoch: int = 1) -> CommandSample:
    t_ns = int(t_ms * MS)
    values = np.full(DIM, t_ms)
    limited = np.zeros(DIM, np.uint8)
    ros = t_ns + ROS_MINUS_MONO_NS
    return CommandSample(t_ns, ros, 0, int(source), mode.number, 1, epoch, "e", 1, 0, values, values, limited)


def joints(t_ms: float) -> JointSample:
    t_ns = int(t_ms * MS) + ROS_MINUS_MONO_NS
    return JointSample(t_ns, t_ns, np.full(DIM, t_ms), np.zeros(DIM))


def resampler(cameras: tuple[str, ...] = ()) -> Resampler:
    return Resampler(30.0, DIM, 6, cameras, Budgets(settle_ns=SETTLE_MS * MS), history=None)


def run(times_ms: list[float], states_ms: list[float]) -> list[Row]:
    """Everything at once, states first."""
    made = resampler()
    for t_ms in states_ms:
        made.joint_state(joints(t_ms))
    rows = [row for index, t_ms in enumerate(times_ms) for row in made.command(index, command(t_ms))]
    return rows + made.finish()


steps_ms = st.lists(st.sampled_from([1, 4, 5, 5, 5, 6, 9, 40, 250]), min_size=1, max_size=150)


@settings(max_examples=80, deadline=None)
@given(steps=steps_ms)
def test_a_rows_action_is_the_first_command_at_or_after_it_within_its_period(steps: list[int]) -> None:
    times = np.cumsum([1000, *steps]).astype(float)
    rows = run(times.tolist(), [])
    grid = [row.t_mono_ns for row in rows]
    assert grid == sorted(set(grid))
    for row in rows:
        sent_ns = row.command.t_mono_ns
        assert 0 <= sent_ns - row.t_mono_ns < 1e9 / 30 + 1
        assert row.command_index == int(np.searchsorted(times * MS, row.t_mono_ns, side="left"))
    # Every command falls into the period of a row: nothing is left out and nothing is made up.
    periods = {round((t * MS - times[0] * MS) // (1e9 / 30)) for t in times}
    assert abs(len(rows) - len(periods)) <= 1


@settings(max_examples=80, deadline=None)
@given(data=st.data(), count=st.integers(20, 120))
def test_late_messages_make_no_difference_when_they_are_not_later_than_the_settling_time(
    data: st.DataObject, count: int
) -> None:
    times = [1000 + 5.0 * number for number in range(count)]
    states = [990 + 7.0 * number for number in range(count)]
    expected = run(times, states)
    # Live: states come late, each by less than the settling time, still in order.
    delays = data.draw(st.lists(st.floats(0, SETTLE_MS - 40), min_size=count, max_size=count))
    arrivals = np.maximum.accumulate(np.array(states) + delays)
    live, rows, waiting = resampler(), [], 0
    for index, t_ms in enumerate(times):
        while waiting < count and arrivals[waiting] <= t_ms:
            live.joint_state(joints(states[waiting]))
            waiting += 1
        rows += live.command(index, command(t_ms))
    while waiting < count:
        live.joint_state(joints(states[waiting]))
        waiting += 1
    rows += live.finish()
    assert [(row.t_mono_ns, row.t_obs_ns) for row in rows] == [(row.t_mono_ns, row.t_obs_ns) for row in expected]


@settings(max_examples=60, deadline=None)
@given(states=st.lists(st.integers(900, 2000), min_size=1, unique=True))
def test_the_observation_is_the_newest_that_is_not_later_than_the_row(states: list[int]) -> None:
    states.sort()
    for row in run([1000 + 5.0 * number for number in range(150)], [float(t) for t in states]):
        earlier = [t for t in states if t * MS + ROS_MINUS_MONO_NS <= row.t_ros_ns]
        assert row.t_obs_ns == (earlier[-1] * MS + ROS_MINUS_MONO_NS if earlier else -1)
        if not earlier:
            assert not row.valid
            assert np.isnan(row.state).all()


def test_a_filter_that_was_dead_leaves_a_gap_and_a_new_segment() -> None:
    rows = run([1000 + 5.0 * number for number in [*range(40), *range(240, 280)]], [])
    gaps = np.diff([row.t_mono_ns for row in rows])
    assert (gaps > 900 * MS).sum() == 1
    assert sorted({row.segment_id for row in rows}) == [0, 1]


def test_a_stale_state_makes_a_row_invalid() -> None:
    rows = run([1000 + 5.0 * number for number in range(100)], [1000.0, 1010.0])
    assert rows[0].valid
    assert not rows[-1].valid


def test_a_policy_that_is_late_makes_rows_invalid_and_a_pause_does_not() -> None:
    for mode, valid in ((Mode.ROLLOUT, False), (Mode.PAUSED, True)):
        made = resampler()
        made.joint_state(joints(1000))
        made.command(0, command(1000, mode, Source.HOLD))
        assert [row.valid for row in made.finish()] == [valid]


def test_an_image_is_named_with_its_age() -> None:
    made = resampler(("head",))
    made.joint_state(joints(1000))
    for index, t_ms in enumerate((950, 980, 1001)):
        made.frame("head", t_ms * MS + ROS_MINUS_MONO_NS, index)
    made.command(0, command(1000))
    (row,) = made.finish()
    assert row.cameras == {"head": (1, 20 * MS)}
    assert row.valid


def test_a_command_that_does_not_move_forward_is_ignored_and_counted() -> None:
    made = resampler()
    made.command(0, command(1000))
    assert made.command(1, command(999)) == []
    assert made.out_of_order == 1


def test_a_clock_that_is_set_moves_the_rows_from_then_on() -> None:
    made, rows = resampler(), []
    for index in range(100):
        sample = command(1000 + 5.0 * index)
        set_ns = 60 * MS if index >= 50 else 0
        rows += made.command(index, replace(sample, t_ros_ns=sample.t_ros_ns + set_ns))
    rows += made.finish()
    ahead = [row.t_ros_ns - row.t_mono_ns - ROS_MINUS_MONO_NS for row in rows]
    assert ahead == [0] * ahead.index(60 * MS) + [60 * MS] * (len(ahead) - ahead.index(60 * MS))
