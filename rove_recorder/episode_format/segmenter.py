"""Who was in control, and which part of an attempt a step belongs to: one pure function for live and offline use.

Stages are those of ROVE (section 3.1): rollout, then per takeover adaptation until t_r, then recovery. What
the supervisor pressed decides: mode and epoch of the rows, and the marks of progress (t_r).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from rove_core.modes import Event, Mode, Stage

CONTROLLER = {Mode.ROLLOUT: "policy", Mode.TAKEOVER: "human"}
NOBODY = "hold"

# Rows further apart than this many control periods are not neighbours: the filter was dead in between.
GAP_PERIODS = 1.5


@dataclass(frozen=True, slots=True)
class StageSpan:
    """Rows [start_row, end_row) of one stage.

    Attributes:
        controller: "policy", "human" or "hold".
        takeover: number of the takeover from 0; -1 outside of takeovers.
    """

    stage: Stage
    start_row: int
    end_row: int
    controller: str
    mode: Mode
    epoch: int
    takeover: int

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.end_row - self.start_row


def progress_marks(events: Iterable[Mapping[str, Any]]) -> dict[int, int]:
    """Epoch of a takeover -> its mark of progress [ns, ROS clock], from events in the order they happened.

    Only accepted presses count; a retracted mark is no mark.
    """
    marks: dict[int, int] = {}
    for event in events:
        if not event.get("accepted", False):
            continue
        if event["type"] == Event.MARK_PROGRESS:
            marks[int(event["epoch"])] = int(event["t_ros_ns"])
        elif event["type"] == Event.RETRACT_MARK:
            marks.pop(int(event["epoch"]), None)
    return marks


def neighbours(t_mono_ns: npt.NDArray[np.int64], control_hz: float) -> npt.NDArray[np.bool_]:
    """Whether row i + 1 follows row i without a gap, shape (n - 1,)."""
    return np.asarray(np.diff(t_mono_ns) <= GAP_PERIODS * 1e9 / control_hz)


def segment(
    mode: npt.NDArray[np.uint8],
    epoch: npt.NDArray[np.uint64],
    t_ros_ns: npt.NDArray[np.int64],
    marks: Mapping[int, int],
) -> list[StageSpan]:
    """Split rows into stages: contiguous, in order, covering every row.

    A row belongs to the adaptation when its time is not after the mark, so t_r is the last row of it. Without
    a mark the whole takeover is adaptation. The spans of a prefix of the rows are a prefix of the spans,
    but for the end of the last one; so live and offline use agree.

    Args:
        mode, epoch, t_ros_ns: of the rows, shape (n,).
        marks: from `progress_marks`.
    """
    if not len(mode):
        return []
    changes = np.flatnonzero((np.diff(mode.astype(np.int16)) != 0) | (epoch[1:] != epoch[:-1])) + 1
    bounds = [0, *changes.tolist(), len(mode)]
    spans: list[StageSpan] = []
    takeover = -1
    for start, end in pairwise(bounds):
        current, number = Mode.from_number(int(mode[start])), int(epoch[start])
        if current is not Mode.TAKEOVER:
            stage = Stage.ROLLOUT if current is Mode.ROLLOUT else Stage.NONE
            spans.append(StageSpan(stage, start, end, CONTROLLER.get(current, NOBODY), current, number, -1))
            continue
        takeover += 1
        split = end
        if number in marks:
            split = start + int(np.searchsorted(t_ros_ns[start:end], marks[number], side="right"))
        for stage, first, last in ((Stage.ADAPTATION, start, split), (Stage.RECOVERY, split, end)):
            if first < last:
                spans.append(StageSpan(stage, first, last, CONTROLLER[current], current, number, takeover))
    return spans


@dataclass(frozen=True, slots=True)
class ProgressMark:
    """t_r of one takeover.

    Attributes:
        row: the last row of the adaptation, -1 when the mark came before any row of it.
        source: "recorded", or the annotation that says so.
    """

    takeover: int
    epoch: int
    t_ros_ns: int
    row: int
    source: str = "recorded"


def marks_of_takeovers(
    spans: Iterable[StageSpan], marks: Mapping[int, int], sources: Mapping[int, str] | None = None
) -> list[ProgressMark | None]:
    """One entry per takeover, None where no progress was marked.

    Args:
        marks: epoch of a takeover -> its mark [ns, ROS clock], those that `spans` were made with.
        sources: epoch -> where the mark comes from, when that is not the record.
    """
    found: dict[int, ProgressMark | None] = {}
    for span in spans:
        if span.takeover < 0:
            continue
        mark = marks.get(span.epoch)
        if mark is None:
            found[span.takeover] = None
            continue
        source = (sources or {}).get(span.epoch, "recorded")
        if span.stage is Stage.ADAPTATION:
            found[span.takeover] = ProgressMark(span.takeover, span.epoch, mark, span.end_row - 1, source)
        else:
            found.setdefault(span.takeover, ProgressMark(span.takeover, span.epoch, mark, -1, source))
    return [found[takeover] for takeover in sorted(found)]
