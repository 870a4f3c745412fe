"""No window, chunk or history reaches out of its run: compared with the definition, row by row."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rove_recorder.windows.training_view import TrainingView, training_view

HZ = 30.0
Row = tuple[int, int, bool, bool, bool]
# control, stage, whether a new segment begins, whether rows are missing before it, valid
ROWS = st.lists(
    st.tuples(
        st.sampled_from((0, 1, 1, 1, 2, 2, 3)),
        st.sampled_from((0, 1, 1, 2, 3)),
        st.sampled_from((False, False, False, True)),
        st.sampled_from((False, False, False, False, True)),
        st.sampled_from((True, True, True, False)),
    ),
    max_size=60,
)


def view_of(rows: list[Row], valid_only: bool) -> TrainingView:
    control, stage, begins, gap, valid = (np.array([row[i] for row in rows]) for i in range(5))
    times = np.cumsum([round(1e9 / HZ) * (4 if missing else 1) for missing in gap]).astype(np.int64)
    segment_id = np.cumsum(begins).astype(np.int32)
    return training_view(
        control.astype(np.uint8),
        stage.astype(np.uint8),
        segment_id,
        times,
        HZ,
        valid.astype(bool) if valid_only else None,
    )


def runs_by_definition(rows: list[Row], valid_only: bool) -> list[range]:
    runs: list[range] = []
    for number, (control, stage, begins, gap, valid) in enumerate(rows):
        if control not in (1, 2) or stage == 0 or (valid_only and not valid):
            continue
        if runs and runs[-1].stop == number and not begins and not gap:
            runs[-1] = range(runs[-1].start, number + 1)
        else:
            runs.append(range(number, number + 1))
    return runs


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, valid_only=st.booleans())
def test_runs_are_those_of_the_definition(rows: list[Row], valid_only: bool) -> None:
    view, runs = view_of(rows, valid_only), runs_by_definition(rows, valid_only)
    assert view.runs().tolist() == [[run.start, run.stop] for run in runs]
    assert view.rows.tolist() == [row for run in runs for row in run]
    for horizon in (1, 2, 5):
        assert view.windows(horizon).tolist() == [row for run in runs for row in run if row + horizon <= run.stop]


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, horizon=st.integers(1, 9), history=st.integers(0, 9))
def test_chunks_and_histories_stay_inside_of_the_run_and_say_where_they_left_it(
    rows: list[Row], horizon: int, history: int
) -> None:
    view = view_of(rows, True)
    run_of = {row: run for run in runs_by_definition(rows, True) for row in run}
    chunk, acts = view.chunk_rows(view.rows, horizon)
    past, known = view.history_rows(view.rows, history)
    for number, row in enumerate(view.rows.tolist()):
        run = run_of[row]
        ahead, behind = range(row, row + horizon), range(row - history, row + 1)
        assert acts[number].tolist() == [step in run for step in ahead]
        assert chunk[number].tolist() == [min(step, run.stop - 1) for step in ahead]
        assert known[number].tolist() == [step in run for step in behind]
        assert past[number].tolist() == [max(step, run.start) for step in behind]
