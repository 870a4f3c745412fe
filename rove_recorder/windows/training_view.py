"""Which rows of an episode a trainer may learn from, and how far a window may reach from each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rove_core.modes import Source, Stage
from rove_recorder.episode_format.segmenter import neighbours

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TrainingView:
    """The rows that a trainer may learn from: pauses, alignments and holds are left out.

    Rows belong to the same run when they follow one another without a gap, all of them are kept, and one controller
    had the robot (one `segment_id`). Nothing that is learnt from may reach out of its run.

    Attributes:
        rows: the rows kept, shape (m,).
        ahead: per row of the episode, how many rows of its run there are from it on, 0 when it is not kept, shape (n,).
        behind: per row of the episode, how many rows of its run come before it, shape (n,).
    """

    rows: Rows
    ahead: Rows
    behind: Rows

    def windows(self, horizon: int) -> Rows:
        """First rows of the windows of `horizon` rows that cross no pause, segment, gap or end."""
        if horizon < 1:
            raise ValueError(f"horizon {horizon}, expected at least 1")
        return np.flatnonzero(self.ahead >= horizon)

    def runs(self) -> npt.NDArray[np.int64]:
        """The runs in order, shape (k, 2): first row, and the row after the last."""
        first = np.flatnonzero((self.ahead > 0) & (self.behind == 0))
        return np.stack([first, first + self.ahead[first]], axis=1)

    def chunk_rows(self, rows: Rows, horizon: int) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """Rows of the `horizon` actions from each row on, and which of them are in its run.

        Where they are not, the last row of the run stands in: the mask keeps it out of the loss.

        Args:
            rows: rows that are kept, shape (k,).

        Returns:
            Rows and mask, both of shape (k, horizon).
        """
        steps = np.arange(horizon)
        left = self.ahead[rows][:, None]
        return rows[:, None] + np.minimum(steps, left - 1), steps < left

    def history_rows(self, rows: Rows, history: int) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """Each row with the `history` rows before it, oldest first, and which of them are in its run.

        Where they are not, the first row of the run stands in.

        Args:
            rows: rows that are kept, shape (k,).

        Returns:
            Rows and mask, both of shape (k, history + 1).
        """
        back = np.arange(history, -1, -1)
        left = self.behind[rows][:, None]
        return rows[:, None] - np.minimum(back, left), back <= left


def for_training(control: npt.NDArray[np.uint8], stage: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Whether policy or operator moved the robot in a stage of the attempt, for each row, shape (n,)."""
    return np.asarray(((control == Source.POLICY) | (control == Source.OPERATOR)) & (stage != Stage.NONE))


def follows(
    t_mono_ns: npt.NDArray[np.int64], segment_id: npt.NDArray[np.int32], control_hz: float
) -> npt.NDArray[np.bool_]:
    """Whether row i + 1 goes on where row i was: no gap, the same segment; shape (n - 1,)."""
    return np.asarray(neighbours(t_mono_ns, control_hz) & (np.diff(segment_id) == 0))


def training_view(
    control: npt.NDArray[np.uint8],
    stage: npt.NDArray[np.uint8],
    segment_id: npt.NDArray[np.int32],
    t_mono_ns: npt.NDArray[np.int64],
    control_hz: float,
    valid: npt.NDArray[np.bool_] | None = None,
) -> TrainingView:
    """The rows to learn from.

    Args:
        control, stage, segment_id, t_mono_ns: of the rows, shape (n,).
        valid: leave out rows where it is false; None: keep them.
    """
    keep = for_training(control, stage)
    if valid is not None:
        keep &= valid
    count = len(keep)
    joined = np.zeros(count, bool)  # a row goes on with the run of the row before
    joined[1:] = keep[1:] & keep[:-1] & follows(t_mono_ns, segment_id, control_hz)
    index = np.arange(count)
    first = np.maximum.accumulate(np.where(joined, 0, index)) if count else index
    breaks = np.append(np.flatnonzero(~joined), count)
    end = breaks[np.searchsorted(breaks, index, side="right")]
    return TrainingView(np.flatnonzero(keep), np.where(keep, end - index, 0), np.where(keep, index - first, 0))
