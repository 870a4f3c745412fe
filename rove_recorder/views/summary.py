"""One line per attempt of a session: outcome, stages, what was lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rove_recorder.views.attempt_facts import AttemptFacts, session_facts, totals
from rove_recorder.views.report import write_report

_HEADINGS = (
    "attempt", "outcome", "takeovers", "rollout", "adaptation", "recovery", "paused", "t_r", "rows", "dropped", "path"
)  # fmt: skip
_LEFT = {"attempt", "outcome", "path"}


def table(facts: Sequence[AttemptFacts], relative_to: Path | None = None) -> str:
    """The facts as aligned columns with a line of totals; times in seconds."""
    rows = [_HEADINGS, *(_cells(fact, relative_to) for fact in facts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.ljust(width) if heading in _LEFT else cell.rjust(width)
            for cell, width, heading in zip(cells, widths, _HEADINGS, strict=True)
        )
        return "  ".join(aligned).rstrip()

    lines = [line(rows[0]), line(["-" * width for width in widths]), *(line(row) for row in rows[1:])]
    lines += [f"{fact.id}: {fact.problem}" for fact in facts if fact.problem]
    return "\n".join([*lines, "", totals(facts)])


def _cells(fact: AttemptFacts, relative_to: Path | None) -> tuple[str, ...]:
    path = Path(fact.path)
    if relative_to is not None and path.is_relative_to(relative_to):
        path = path.relative_to(relative_to)
    outcome = "unreadable" if fact.problem else fact.outcome
    outcome += "".join(f" ({word})" for word, true in (("recovered", fact.recovered), ("flagged", fact.flags)) if true)
    marks = " ".join("-" if mark is None else f"{mark:.1f}" for mark in fact.t_r)
    stages = (f"{fact.stage_seconds[name]:.1f}" for name in ("rollout", "adaptation", "recovery", "paused"))
    counts = (str(fact.rows), str(fact.frames_dropped))
    return fact.id, outcome, str(fact.takeovers), *stages, marks or "-", *counts, str(path)


def summarise(session_dir: Path, *, html: Path | None) -> str:
    """The table of a session's attempts; with `html`, also a report as one self-contained page.

    Raises:
        EpisodeError: no such folder, or the report cannot be written.
    """
    facts = session_facts(session_dir)
    text = table(facts, session_dir.parent)
    if html is not None:
        write_report(session_dir.name, facts, html)
        text += f"\nreport: {html}"
    return text
