"""Stages cover an attempt without gaps, and are the same live and afterwards."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rove_core.modes import Mode, Stage
from rove_recorder.episode_format.segmenter import StageSpan, marks_of_takeovers, progress_marks, segment

parts = st.lists(
    st.tuples(st.sampled_from(list(Mode)), st.integers(1, 12), st.none() | st.integers(-3, 14)), min_size=1, max_size=10
)


def build(script: list[tuple[Mode, int, int | None]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, int]]:
    """Rows of one time unit each; the mark of a part is relative to its start."""
    mode, epoch, marks = [], [], {}
    for number, (current, rows, mark) in enumerate(script, 1):
        if mark is not None:
            marks[number] = len(mode) + mark
        mode += [current.number] * rows
        epoch += [number] * rows
    return np.array(mode, np.uint8), np.array(epoch, np.uint64), np.arange(len(mode)), marks


@settings(max_examples=150, deadline=None)
@given(script=parts)
def test_stages_cover_every_row_once_and_in_order(script: list[tuple[Mode, int, int | None]]) -> None:
    mode, epoch, times, marks = build(script)
    spans = segment(mode, epoch, times, marks)
    assert spans[0].start_row == 0
    assert spans[-1].end_row == len(mode)
    for before, after in pairwise(spans):
        assert before.end_row == after.start_row
    for span in spans:
        assert span.rows > 0
        human = span.mode is Mode.TAKEOVER
        assert (span.controller == "human") == human
        assert (span.stage in {Stage.ADAPTATION, Stage.RECOVERY}) == human


@settings(max_examples=150, deadline=None)
@given(script=parts, cut=st.integers(1, 100))
def test_live_stages_are_a_prefix_of_the_final_ones(script: list[tuple[Mode, int, int | None]], cut: int) -> None:
    mode, epoch, times, marks = build(script)
    cut = min(cut, len(mode))
    live = segment(mode[:cut], epoch[:cut], times[:cut], marks)
    final = segment(mode, epoch, times, marks)
    assert live[:-1] == final[: len(live) - 1]
    assert live[-1] == replace(final[len(live) - 1], end_row=cut)


def test_t_r_is_the_last_row_of_the_adaptation() -> None:
    mode, epoch, times, marks = build([(Mode.TAKEOVER, 10, 4)])
    spans = segment(mode, epoch, times, marks)
    assert [(span.stage, span.start_row, span.end_row) for span in spans] == [
        (Stage.ADAPTATION, 0, 5),
        (Stage.RECOVERY, 5, 10),
    ]
    (mark,) = marks_of_takeovers(spans, marks)
    assert mark is not None
    assert mark.row == 4


def test_a_takeover_without_a_mark_is_adaptation_throughout_and_has_no_t_r() -> None:
    spans = segment(*build([(Mode.ROLLOUT, 3, None), (Mode.TAKEOVER, 4, None)]))
    assert [span.stage for span in spans] == [Stage.ROLLOUT, Stage.ADAPTATION]
    assert marks_of_takeovers(spans, {}) == [None]


def test_a_mark_before_the_first_row_of_the_takeover_leaves_no_adaptation() -> None:
    mode, epoch, times, marks = build([(Mode.TAKEOVER, 4, -2)])
    spans = segment(mode, epoch, times, marks)
    assert [span.stage for span in spans] == [Stage.RECOVERY]
    (mark,) = marks_of_takeovers(spans, marks)
    assert mark is not None
    assert mark.row == -1


def test_two_takeovers_in_a_row_are_two() -> None:
    spans = segment(*build([(Mode.TAKEOVER, 3, None), (Mode.TAKEOVER, 3, None)]))
    assert [span.takeover for span in spans] == [0, 1]


def test_a_retracted_mark_and_a_refused_one_are_none() -> None:
    def press(name: str, t_ns: int, accepted: bool = True) -> dict[str, object]:
        return {"type": name, "epoch": 3, "t_ros_ns": t_ns, "accepted": accepted}

    assert progress_marks([press("mark_progress", 5), press("retract_mark", 6)]) == {}
    assert progress_marks([press("mark_progress", 5), press("retract_mark", 6), press("mark_progress", 9)]) == {3: 9}
    assert progress_marks([press("mark_progress", 5, accepted=False)]) == {}


def test_no_rows_no_stages() -> None:
    empty = np.empty(0, np.int64)
    spans: list[StageSpan] = segment(empty.astype(np.uint8), empty.astype(np.uint64), empty, {})
    assert spans == []
