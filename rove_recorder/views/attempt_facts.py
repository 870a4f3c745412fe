"""What is worth knowing of an attempt, and of a session's attempts together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rove_core.errors import EpisodeError
from rove_core.modes import Stage
from rove_recorder.checking.check import find_episodes
from rove_recorder.reader import Episode, open_episode

STAGE_NAMES = {
    Stage.ROLLOUT: "rollout",
    Stage.ADAPTATION: "adaptation",
    Stage.RECOVERY: "recovery",
    Stage.NONE: "paused",
}


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """What is worth knowing of an attempt at a glance, with what was corrected since it was recorded.

    Attributes:
        stage_seconds: per name of STAGE_NAMES; paused is everything outside of the three stages.
        t_r: per takeover, seconds from the first row to the last step of adaptation; None where not marked.
        flags: codes of what was recorded over budget, as in "camera_over_budget".
        problem: why it cannot be read, "" when it can.
    """

    id: str
    path: str
    outcome: str = "unlabelled"
    by: str = ""
    takeovers: int = 0
    rows: int = 0
    seconds: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGE_NAMES.values(), 0.0))
    t_r: tuple[float | None, ...] = ()
    frames: int = 0
    frames_dropped: int = 0
    valid_rows: int = 0
    task: str = ""
    instruction: str = ""
    start_stage: int = 0
    demonstration: bool = False
    policy: str = ""
    committed: bool = False
    recovered: bool = False
    flags: tuple[str, ...] = ()
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def facts_of(path: Path) -> AttemptFacts:
    """The facts of the episode at `path`; one that cannot be read is a fact too."""
    try:
        return _facts(open_episode(path))
    except EpisodeError as error:
        return AttemptFacts(path.name.split(".zarr")[0], str(path), problem=str(error))


def _facts(episode: Episode) -> AttemptFacts:
    attrs, steps = episode.attrs, episode.steps
    seconds = dict.fromkeys(STAGE_NAMES.values(), 0.0)
    spans, outcome = episode.stages(), episode.outcome
    for span in spans:
        seconds[STAGE_NAMES[span.stage]] += span.rows / episode.control_hz
    start_ns = int(steps["t_ros_ns"][0]) if episode.rows else 0
    policy = attrs.get("policy") or {}
    return AttemptFacts(
        id=episode.path.name.split(".zarr")[0],
        path=str(episode.path),
        outcome=outcome.value,
        by=outcome.by,
        takeovers=1 + max((span.takeover for span in spans), default=-1),
        rows=episode.rows,
        seconds=float(steps["t_mono_ns"][-1] - steps["t_mono_ns"][0]) * 1e-9 if episode.rows else 0.0,
        stage_seconds={name: round(value, 3) for name, value in seconds.items()},
        t_r=tuple(None if mark is None else round((mark.t_ros_ns - start_ns) * 1e-9, 3) for mark in episode.marks()),
        frames=sum(attrs.get("frames", {}).values()),
        frames_dropped=sum(attrs.get("frames_dropped", {}).values()),
        valid_rows=int(steps["valid"].sum()),
        task=attrs["task"],
        instruction=attrs["instruction"],
        start_stage=attrs["start_stage"],
        demonstration=attrs["demonstration"],
        policy=f"{policy.get('id', '')} #{policy.get('index', '')}" if policy else "",
        committed=bool(attrs.get("committed")),
        recovered=bool(attrs.get("recovered")),
        flags=tuple(flag["code"] for flag in attrs.get("flags", [])),
    )


def session_facts(folder: Path) -> list[AttemptFacts]:
    """Facts of every episode below `folder`, in order of name.

    Raises:
        EpisodeError: there is no such folder.
    """
    return [facts_of(path) for path in find_episodes(folder)]


def totals(facts: Sequence[AttemptFacts]) -> str:
    """One line about all of them."""
    if not facts:
        return "no episodes"
    counts: dict[str, int] = {}
    for fact in facts:
        counts[fact.outcome] = counts.get(fact.outcome, 0) + 1
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    attempts = f"{len(facts)} attempt" + ("s" if len(facts) > 1 else "")
    return f"{attempts}: {outcomes}; the human had {human_share(facts):.1%} of the time that counts"


def human_share(facts: Sequence[AttemptFacts]) -> float:
    """Time in adaptation and recovery over time in the three stages; 0 when there was none."""
    human = sum(fact.stage_seconds["adaptation"] + fact.stage_seconds["recovery"] for fact in facts)
    robot = sum(fact.stage_seconds["rollout"] for fact in facts)
    return human / (human + robot) if human + robot else 0.0
