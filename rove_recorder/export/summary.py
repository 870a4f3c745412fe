"""What a run of an export did: as JSON, as one line, and as a page for whoever looks in the morning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jinja2

from rove_core.errors import ExportError

_STAGES: Final = ("rollout", "adaptation", "recovery", "paused")


@dataclass(frozen=True, slots=True)
class Refused:
    """An episode that stayed, and why."""

    path: str
    reasons: tuple[str, ...]


@dataclass(slots=True)
class Summary:
    """One run.

    Attributes:
        episodes: rows of the catalogue of the episodes that are new at the target.
        annotated: episodes that were there and got new annotations. data_sets: converted and new.
        already_there: episodes of which the target lacked nothing.
        sent_files, sent_bytes: by this run; the rest had arrived in runs that were cut. kept_files: those.
        manifest: its name at the target, "" when nothing was published.
        interrupted: why the run ended early, "" when it did not.
    """

    url: str
    robot: str
    started: datetime
    dry_run: bool = False
    seconds: float = 0.0
    episodes: list[dict[str, Any]] = field(default_factory=list)
    annotated: int = 0
    data_sets: int = 0
    already_there: int = 0
    sent_files: int = 0
    sent_bytes: int = 0
    kept_files: int = 0
    refused: list[Refused] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    deleted: int = 0
    manifest: str = ""
    interrupted: str = ""

    @property
    def published(self) -> int:
        """Entries of the manifest."""
        return len(self.episodes) + self.annotated + self.data_sets

    def hours(self) -> dict[str, float]:
        """Hours of each stage in the new episodes."""
        return {stage: self._total(f"{stage}_s") / 3600 for stage in _STAGES}

    def human_share(self) -> float:
        """Adaptation and recovery over all three stages; 0 when there was none."""
        hours = self.hours()
        human = hours["adaptation"] + hours["recovery"]
        return human / (human + hours["rollout"]) if human + hours["rollout"] else 0.0

    def outcomes(self) -> dict[str, int]:
        """How many of the new episodes ended in which way."""
        return dict(sorted(Counter(str(row.get("outcome")) for row in self.episodes).items()))

    def as_json(self) -> dict[str, Any]:
        """For `--json`, and for summary.json."""
        return {
            "target": self.url,
            "robot": self.robot,
            "started": self.started.isoformat(),
            "dry_run": self.dry_run,
            "seconds": round(self.seconds, 3),
            "episodes": len(self.episodes),
            "annotated": self.annotated,
            "data_sets": self.data_sets,
            "already_there": self.already_there,
            "sent_files": self.sent_files,
            "sent_bytes": self.sent_bytes,
            "kept_files": self.kept_files,
            "hours": round(self._total("seconds") / 3600, 4),
            "stage_hours": {stage: round(hours, 4) for stage, hours in self.hours().items()},
            "human_share": round(self.human_share(), 4),
            "outcomes": self.outcomes(),
            "failures": self.outcomes().get("failure", 0),
            "refused": [{"path": refused.path, "reasons": list(refused.reasons)} for refused in self.refused],
            "notes": self.notes,
            "deleted": self.deleted,
            "manifest": self.manifest,
            "interrupted": self.interrupted,
        }

    def line(self) -> str:
        """In one line."""
        did = "would send" if self.dry_run else "sent"
        text = f"{did} {_counted(len(self.episodes), 'episode')}"
        if self.annotated:
            text += f", annotations of {_counted(self.annotated, 'episode')}"
        if self.data_sets:
            text += f", {_counted(self.data_sets, 'data set')}"
        text += f": {_counted(self.sent_files, 'file')}, {self.sent_bytes / 1e6:.1f} MB in {self.seconds:.1f} s"
        if self.kept_files:
            text += f" ({_counted(self.kept_files, 'file')} had arrived before)"
        return text + f"; {self.already_there} already there, {len(self.refused)} refused"

    def _total(self, column: str) -> float:
        return sum(float(row.get(column) or 0) for row in self.episodes)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def write_page(summary: Summary, path: Path) -> None:
    """Write the page.

    Raises:
        ExportError: `path` cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render([summary]), encoding="utf-8")
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}") from None


def render(summaries: Sequence[Summary]) -> str:
    """The page as HTML."""
    template = files("rove_recorder.templates").joinpath("export.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(template).render(summaries=summaries)
