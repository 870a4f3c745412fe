"""Rows built again from the streams are the rows that were built live, but for messages that came too late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rove_core.joint_space import JointSpace
from rove_core.modes import Mode, Outcome, Source
from rove_recorder.checking.check import check_episode
from rove_recorder.reader import open_episode
from rove_recorder.recording.episode import Ending, EpisodeRecorder
from rove_recorder.recording.offline_rows import compare_rows, rows_from_streams
from rove_recorder.recording.records import (
    CameraModel,
    ChunkSample,
    CommandSample,
    EpisodeInfo,
    FrameSample,
    JointSample,
    Record,
)
from rove_recorder.recording.resampler import Budgets, Resampler
from rove_recorder.recording.writer import EpisodeWriter

MS = 1_000_000
ROS_MINUS_MONO_NS = 1_700_000_000_000_000_000
WALL = datetime(2026, 5, 4, tzinfo=UTC)
JPEG = b"\xff\xd8\xff\xd9"


def test_the_rows_of_an_attempt_are_built_again_exactly(takeover_episode: Path) -> None:
    episode = open_episode(takeover_episode)
    compared = compare_rows(episode)
    assert compared.same
    assert (compared.rows, compared.offline_rows, compared.late) == (120, 120, 0)


def test_rows_of_another_rate_and_budget_come_from_the_same_streams(takeover_episode: Path) -> None:
    episode = open_episode(takeover_episode)
    rows = list(rows_from_streams(episode, control_hz=60.0, budgets=Budgets(state_ns=1)))
    assert len(rows) == 240
    assert [row.t_mono_ns for row in rows[::2]] == episode.steps["t_mono_ns"].tolist()


messages = st.lists(
    st.tuples(
        st.sampled_from(["command", "command", "joints", "frame", "chunk"]),
        st.sampled_from([1, 3, 5, 5, 7, 12, 60, 900, -4]),  # ms after the last of its kind; a clock may go back
        st.integers(0, 400),  # ms on the way
    ),
    min_size=30,
    max_size=150,
)


def sent(plan: list[tuple[str, int, int]], dim: int) -> Iterator[tuple[int, Record]]:
    """When each message arrives [ns], and the message."""
    times = {"command": 1_000 * MS, "joints": 990 * MS, "frame": 980 * MS, "chunk": 1_000 * MS}
    restarts = 0
    for number, (kind, step_ms, delay_ms) in enumerate(plan):
        times[kind] += step_ms * MS
        t_ns = times[kind]
        ros_ns = t_ns + ROS_MINUS_MONO_NS
        arrival_ns = ros_ns + (0 if kind == "command" else delay_ms * MS)
        values = np.full(dim, number * 1e-4)
        if kind == "joints":
            yield arrival_ns, JointSample(ros_ns, arrival_ns, values, values)
        elif kind == "frame":
            yield arrival_ns, FrameSample("head", ros_ns, arrival_ns, jpeg=JPEG)
        elif kind == "chunk":
            stamps = (ros_ns, ros_ns, ros_ns, arrival_ns)
            yield arrival_ns, ChunkSample(number + 1, 1, *stamps, 0.1, 8, np.zeros((4, dim), np.float32), "p", number)
        else:
            restarts += step_ms == 900  # the filter was dead meanwhile: it counts its ticks anew
            limited = np.zeros(dim, np.uint8)
            tick, chunk = number if not restarts else number % 7, number // 20 * 20 + 1
            about = (int(Source.POLICY), Mode.ROLLOUT.number, 1, 1 + restarts, "e", chunk, 0)
            yield arrival_ns, CommandSample(t_ns, ros_ns, tick, *about, values, values, limited)


@settings(max_examples=25, deadline=None)
@given(plan=messages)
def test_live_and_offline_differ_only_by_what_came_too_late(plan: list[tuple[str, int, int]]) -> None:
    """Late and out of order, with a filter that restarts and clocks that jump."""
    space = JointSpace.load("iron_r01")
    with TemporaryDirectory() as folder:
        writer = EpisodeWriter(Path(folder), EpisodeInfo("e"), space, {"head": CameraModel(4, 4)}, 30.0, WALL)
        live = Resampler(30.0, space.dim, len(space.groups), ("head",))
        recorder = EpisodeRecorder(writer, live, 30.0, 90)
        for _, message in sorted(sent(plan, space.dim), key=lambda item: item[0]):
            recorder.feed(message)
        episode = open_episode(recorder.close(Ending(Outcome.UNLABELLED), WALL))
        compared = compare_rows(episode)
        assert compared.different == {}
        assert compared.rows == compared.offline_rows
        if all(delay_ms < 200 for _, _, delay_ms in plan):
            assert compared.late == 0


def test_an_observation_that_came_too_late_is_counted_and_is_no_problem(scripted: Callable[[str], Any]) -> None:
    episode = scripted("late")
    held: list[JointSample] = []
    feed = episode.recorder.feed

    def delayed(record: Record) -> None:
        """Joint states of ticks 40 to 159 arrive together at tick 160: .6 s, as from a network that stalls."""
        if isinstance(record, JointSample) and 40 <= episode.tick < 160:
            held.append(record)
            return
        for sample in held if episode.tick >= 160 else ():
            feed(replace(sample, receive_ns=episode.t_ros_ns))
        if episode.tick >= 160:
            held.clear()
        feed(record)

    episode.recorder.feed = delayed
    for _ in range(300):
        episode.step(Mode.ROLLOUT)
    path = episode.close()
    compared = compare_rows(open_episode(path))
    assert compared.same
    assert 8 <= compared.late <= 12  # .35 s of rows at 30 Hz: the others could wait
    assert check_episode(open_episode(path)) == []


@pytest.mark.parametrize("column", ["segment_id", "valid"])
def test_a_column_that_the_streams_do_not_give_is_named(takeover_episode: Path, column: str) -> None:
    path = takeover_episode / "steps" / column / "c" / "0"
    content = bytearray(path.read_bytes())
    content[5 * len(content) // 4096] ^= 1
    path.write_bytes(content)
    compared = compare_rows(open_episode(takeover_episode))
    assert list(compared.different) == [column]
    assert not compared.same
