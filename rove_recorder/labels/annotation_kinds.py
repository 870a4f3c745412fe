"""What annotations of the known kinds hold, and how they are validated. Other kinds hold any JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from rove_core.config import ConfigModel, parse
from rove_core.errors import ConfigError, EpisodeError
from rove_core.modes import Outcome

OUTCOME = "outcome"
T_R = "t_r"
T_R_PROPOSAL = "t_r_proposal"
SUBGOALS = "subgoals"
ERRORS = "errors"

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class OutcomePayload(ConfigModel):
    """How the attempt ended. None: what was recorded holds again."""

    value: Outcome | None


class Mark(ConfigModel):
    """t_r of one takeover [ns, ROS clock]. None: no progress was made in it."""

    takeover: int = Field(ge=0)
    epoch: int = Field(ge=0)
    t_ros_ns: int | None


class MarksPayload(ConfigModel):
    """Marks of progress. Of takeovers that are not named, what was recorded holds."""

    marks: tuple[Mark, ...]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({mark.epoch for mark in self.marks}) < len(self.marks):
            raise ValueError("a takeover is named twice")
        return self


class Proposal(ConfigModel):
    """A computed t_r [ns, ROS clock] and the interval in which the real one is likely."""

    takeover: int = Field(ge=0)
    epoch: int = Field(ge=0)
    t_ros_ns: int
    earliest_ns: int
    latest_ns: int


class ProposalsPayload(ConfigModel):
    """Computed marks of progress, and what computed them with which parameters."""

    proposed: bool = True
    method: Name
    proposals: tuple[Proposal, ...]


class Segment(ConfigModel):
    """Rows [start_row, end_row) and what they are."""

    start_row: int = Field(ge=0)
    end_row: int = Field(ge=1)
    label: Name

    @model_validator(mode="after")
    def _has_rows(self) -> Self:
        if self.end_row <= self.start_row:
            raise ValueError(f"ends at row {self.end_row}, before it starts")
        return self


class SegmentsPayload(ConfigModel):
    """Stretches of rows: what went wrong where. They may overlap and come in any order."""

    segments: tuple[Segment, ...]


class SubgoalsPayload(SegmentsPayload):
    """Subgoals in the order in which they were reached: one begins where the one before ended, or later."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for before, after in pairwise(self.segments):
            if after.start_row < before.end_row:
                raise ValueError(f"'{after.label}' starts at row {after.start_row}, inside '{before.label}'")
        return self


PAYLOADS: Mapping[str, type[ConfigModel]] = {
    OUTCOME: OutcomePayload,
    T_R: MarksPayload,
    T_R_PROPOSAL: ProposalsPayload,
    SUBGOALS: SubgoalsPayload,
    ERRORS: SegmentsPayload,
}


def validated(kind: str, payload: object, rows: int, where: str) -> dict[str, Any]:
    """The payload as it will be stored.

    Args:
        kind: one of PAYLOADS, or anything else for a JSON object that only its author understands.
        rows: of the episode.
        where: what the payload came from, for the message.

    Raises:
        EpisodeError: it is not what its kind holds, or names rows that the episode does not have.
    """
    model = PAYLOADS.get(kind)
    if model is None:
        if not isinstance(payload, dict):
            raise EpisodeError(f"{where}: expected a mapping of keys, got {type(payload).__name__}")
        try:
            json.dumps(payload, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise EpisodeError(f"{where}: not JSON: {error}") from None
        return payload
    try:
        content = parse(model, payload, where)
    except ConfigError as error:
        raise EpisodeError(str(error), f"docs/reference/episode-format.md says what '{kind}' holds") from None
    if isinstance(content, SegmentsPayload) and any(segment.end_row > rows for segment in content.segments):
        raise EpisodeError(f"{where}: a segment ends after the last of {rows} rows")
    return content.model_dump(mode="json")
