"""What somebody says of an attempt afterwards: how it ended, and when progress was made (t_r)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from rove_core.errors import EpisodeError, nearest
from rove_core.modes import Mode, Outcome
from rove_recorder.episode_format.segmenter import StageSpan
from rove_recorder.labels.annotation_kinds import OUTCOME, T_R
from rove_recorder.labels.annotations import RECORDED, Annotation, annotate, in_force
from rove_recorder.reader import Episode

TOOL = "rove episodes label"
NONE = "none"


def label_outcome(episode: Episode, value: str, by: str, when: datetime) -> Annotation:
    """Say how the attempt ended; "recorded" withdraws what was said before.

    Raises:
        EpisodeError: no such outcome, or the episode cannot be annotated.
    """
    allowed = [*Outcome, RECORDED]
    if value not in allowed:
        raise EpisodeError(f"no outcome '{value}'", nearest(value, allowed))
    payload = {"value": None if value == RECORDED else value}
    return annotate(episode.path, OUTCOME, OUTCOME, payload, by=by, when=when, tool=TOOL)


def label_marks(episode: Episode, corrections: Iterable[str], by: str, when: datetime) -> Annotation:
    """Correct t_r of takeovers; what was corrected before and is not named stays corrected.

    Args:
        corrections: TAKEOVER=SECONDS since the first row, TAKEOVER=row:N (last row of the adaptation),
            TAKEOVER=none (no progress was made) or TAKEOVER=recorded (withdraw the correction).

    Raises:
        EpisodeError: a correction that cannot be understood or lies outside of its takeover.
    """
    newest = in_force(episode.annotations()).get(T_R)
    marks = {mark["epoch"]: mark for mark in newest.payload["marks"]} if newest else {}
    takeovers = _takeovers(episode)
    for correction in corrections:
        number, _, moment = correction.partition("=")
        if not number.isdecimal() or int(number) >= len(takeovers):
            raise EpisodeError(
                f"'{correction}': the attempt has {len(takeovers)} takeovers, numbered from 0",
                "write TAKEOVER=SECONDS, TAKEOVER=row:N, TAKEOVER=none or TAKEOVER=recorded",
            )
        takeover = takeovers[int(number)]
        if moment == RECORDED:
            marks.pop(takeover.epoch, None)
            continue
        t_ros_ns = None if moment == NONE else _time(episode, takeover, correction, moment)
        marks[takeover.epoch] = {"takeover": int(number), "epoch": takeover.epoch, "t_ros_ns": t_ros_ns}
    payload = {"marks": sorted(marks.values(), key=lambda mark: mark["takeover"])}
    return annotate(episode.path, T_R, T_R, payload, by=by, when=when, tool=TOOL)


def _takeovers(episode: Episode) -> list[StageSpan]:
    """Adaptation and recovery of each takeover as one span."""
    found: dict[int, StageSpan] = {}
    for span in episode.stages():
        if span.mode is Mode.TAKEOVER:
            found[span.takeover] = replace(found.get(span.takeover, span), end_row=span.end_row)
    return [found[number] for number in sorted(found)]


def _time(episode: Episode, takeover: StageSpan, correction: str, moment: str) -> int:
    """The mark on the ROS clock [ns]."""
    times: Any = episode.steps["t_ros_ns"]
    first, last = takeover.start_row, takeover.end_row - 1
    kind, _, number = moment.rpartition(":")
    try:
        if kind == "row":
            row = int(number)
            if first <= row <= last:
                return int(times[row])
            raise EpisodeError(f"'{correction}': takeover {takeover.takeover} has rows {first} to {last}")
        seconds = float(moment)
    except ValueError as error:
        if isinstance(error, EpisodeError):
            raise
        raise EpisodeError(
            f"'{correction}' is no time", "write TAKEOVER=SECONDS, TAKEOVER=row:N, TAKEOVER=none or TAKEOVER=recorded"
        ) from None
    begin_s, end_s = ((int(times[row]) - int(times[0])) * 1e-9 for row in (first, last))
    # People copy what `list` prints: a row's worth of rounding is theirs.
    if not begin_s - 0.1 <= seconds <= end_s + 0.1:
        raise EpisodeError(f"'{correction}': takeover {takeover.takeover} lasts from {begin_s:.2f} to {end_s:.2f} s")
    return min(max(int(times[0]) + round(seconds * 1e9), int(times[first])), int(times[last]))
