"""Which windows there are in many episodes: spans of rows at which one may start, small enough for a million hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError
from rove_core.modes import Outcome, Source, Stage
from rove_recorder.reader import Episode

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class WindowFilter:
    """Which windows to learn from; None: all of them.

    Attributes:
        outcomes, tasks: of the attempt. Outcomes are those in force: an annotation's, else the recorded one.
        stages, controls: of the window's first row. `stages={Stage.ROLLOUT, Stage.RECOVERY}` leaves the adaptation out.
        valid_only: leave out rows whose observations were stale; a window does not reach across one either.
        min_steps: actions that a window must have, before its run ends.
        proposals: take computed marks of progress where nobody marked it.
    """

    outcomes: frozenset[Outcome] | None = None
    tasks: frozenset[str] | None = None
    stages: frozenset[Stage] | None = None
    controls: frozenset[Source] | None = None
    valid_only: bool = True
    min_steps: int = 1
    proposals: bool = False

    def accepts(self, episode: Episode) -> bool:
        """Whether the attempt as a whole may be learnt from."""
        by_outcome = self.outcomes is None or episode.outcome.value in self.outcomes
        return by_outcome and (self.tasks is None or episode.attrs["task"] in self.tasks)


# Columns of a span: rows [start, stop) at which windows may start, inside of the run [run_start, run_stop).
_EPISODE, _START, _STOP, _RUN_START, _RUN_STOP, _STAGE, _CONTROL, _POLICY = COLUMNS = range(8)


@dataclass(frozen=True, slots=True)
class Places:
    """Where windows start, all of shape (n,).

    Attributes:
        episode: number of the episode. row: first row of the window.
        behind: rows of the run before it. ahead: rows of the run from it on.
        stage, control, policy_index: of the row, numbers as in the episode format.
    """

    episode: IntArray
    row: IntArray
    behind: IntArray
    ahead: IntArray
    stage: IntArray
    control: IntArray
    policy_index: IntArray


class WindowIndex:
    """The windows of many episodes, numbered from 0 in order of episode and row.

    Args:
        spans: shape (k, 8), from `spans_of`.
    """

    def __init__(self, spans: Sequence[npt.NDArray[np.int64]]) -> None:
        self._spans = np.concatenate([np.empty((0, len(COLUMNS)), np.int64), *spans])
        self._ends = np.cumsum(self._spans[:, _STOP] - self._spans[:, _START])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def places(self, windows: IntArray) -> Places:
        """Where windows start.

        Raises:
            IndexError: there is no window of such a number.
        """
        if len(windows) and (windows.min() < 0 or windows.max() >= len(self)):
            raise IndexError(f"windows {windows.min()} to {windows.max()}, there are {len(self)}")
        number = np.searchsorted(self._ends, windows, side="right")
        span = self._spans[number]
        row = span[:, _STOP] - (self._ends[number] - windows)
        return Places(
            span[:, _EPISODE],
            row,
            row - span[:, _RUN_START],
            span[:, _RUN_STOP] - row,
            span[:, _STAGE],
            span[:, _CONTROL],
            span[:, _POLICY],
        )

    def rows(self, episode: int) -> list[tuple[int, int]]:
        """Rows [start, stop) of an episode at which windows start."""
        mine = self._spans[self._spans[:, _EPISODE] == episode]
        return [(int(span[_START]), int(span[_STOP])) for span in mine]


def spans_of(episode: Episode, number: int, keep: WindowFilter) -> npt.NDArray[np.int64]:
    """The spans of one episode, shape (k, 8).

    Args:
        number: the episode's, from 0.
    """
    view, steps = episode.training_view(keep.valid_only), episode.steps
    control, policy = steps["control"].astype(np.int64), steps["policy_index"].astype(np.int64)
    stage = np.zeros(episode.rows, np.int64)
    for part in episode.stages(keep.proposals):
        stage[part.start_row : part.end_row] = int(part.stage)
    allowed = view.ahead >= max(keep.min_steps, 1)
    allowed &= _among(stage, keep.stages) & _among(control, keep.controls)
    # A span ends where windows may not start, where the run ends, and where the stage or the policy changes.
    run_start = np.arange(len(stage)) - view.behind
    same = allowed[1:] & allowed[:-1]
    for what in (run_start, stage, policy):
        same &= np.diff(what) == 0
    start = np.flatnonzero(allowed & ~np.append(False, same))
    stop = np.flatnonzero(allowed & ~np.append(same, False)) + 1
    first = run_start[start]
    return np.stack(
        [
            np.full(len(start), number),
            start,
            stop,
            first,
            start + view.ahead[start],
            stage[start],
            control[start],
            policy[start],
        ],
        axis=1,
    )


def _among(values: npt.NDArray[Any], wanted: frozenset[Any] | None) -> npt.NDArray[np.bool_]:
    return np.ones(len(values), bool) if wanted is None else np.isin(values, [int(value) for value in wanted])


def agree(episode: Episode, first: Episode) -> None:
    """Windows of both can be stacked. Raises EpisodeError when they cannot."""
    for key in ("joint_names", "control_hz"):
        if episode.attrs[key] != first.attrs[key]:
            raise EpisodeError(
                f"{episode.location} and {first.location} differ in {key}", "one data set is of one robot and one rate"
            )
