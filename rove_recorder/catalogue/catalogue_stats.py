"""How much was recorded, of what, by whom, and how it went: sums over a catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rove_core.modes import Outcome

if TYPE_CHECKING:
    import polars as pl

# Column to group by -> heading.
GROUPS = {"task": "task", "policy_index": "policy index", "operator": "operator"}
STAGES = ("rollout", "adaptation", "recovery", "paused")
_HEADINGS = ("episodes", "hours", *(str(outcome) for outcome in Outcome), "success rate", "takeovers", "human")


def stats_of(frame: pl.DataFrame | pl.LazyFrame) -> dict[str, Any]:
    """Sums over the readable episodes, and the same for each group of GROUPS.

    `success_share` is successes over attempts whose outcome is success or failure, null when there are none;
    `human_share` is the time in adaptation and recovery over that in the three stages.
    """
    import polars as pl

    everything = frame.lazy()
    readable = everything.filter(pl.col("problem") == "")
    sums = _sums()
    wanted = [readable.select(**sums), *(readable.group_by(name).agg(**sums).sort(name) for name in GROUPS)]
    total, *groups = pl.collect_all(wanted)
    unreadable = everything.filter(pl.col("problem") != "").select(pl.len()).collect().item()
    return {
        **total.to_dicts()[0],
        "unreadable": unreadable,
        **{f"by_{name}": group.to_dicts() for name, group in zip(GROUPS, groups, strict=True)},
    }


def _sums() -> dict[str, pl.Expr]:
    import polars as pl

    outcomes = {str(value): (pl.col("outcome") == str(value)).sum() for value in Outcome}
    decided = outcomes["success"] + outcomes["failure"]
    human = pl.col("adaptation_s").sum() + pl.col("recovery_s").sum()
    active = human + pl.col("rollout_s").sum()
    return {
        "episodes": pl.len(),
        "hours": pl.col("seconds").sum() / 3600,
        **{f"{stage}_h": pl.col(f"{stage}_s").sum() / 3600 for stage in STAGES},
        **outcomes,
        "success_share": pl.when(decided > 0).then(outcomes["success"] / decided),
        "takeovers": pl.col("takeovers").sum(),
        "human_share": pl.when(active > 0).then(human / active).otherwise(0.0),
        "flagged": (pl.col("flags").list.len() > 0).sum(),
        "frames_dropped": pl.col("frames_dropped").sum(),
        "bytes": pl.col("bytes").sum(),
    }


def stats_text(stats: Mapping[str, Any]) -> str:
    """The sums as a page of text."""
    stages = ", ".join(f"{stage} {stats[f'{stage}_h']:.2f} h" for stage in STAGES)
    lines = [
        f"{stats['episodes']} episodes, {stats['hours']:.2f} h, {stats['bytes'] / 1e9:.2f} GB: {stages}",
        f"the human had {stats['human_share']:.1%} of the time that counts, in {stats['takeovers']} takeovers",
        f"{stats['flagged']} flagged, {stats['unlabelled']} unlabelled, {stats['unreadable']} unreadable, "
        f"{stats['frames_dropped']} images dropped",
    ]
    for name, heading in GROUPS.items():
        lines += ["", *_table(heading, name, stats[f"by_{name}"])]
    return "\n".join(lines)


def _table(heading: str, name: str, groups: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [(heading, *_HEADINGS)]
    for group in groups:
        share = group["success_share"]
        rows.append(
            (
                _name(name, group[name]),
                str(group["episodes"]),
                f"{group['hours']:.2f}",
                *(str(group[str(outcome)]) for outcome in Outcome),
                "-" if share is None else f"{share:.0%}",
                str(group["takeovers"]),
                f"{group['human_share']:.1%}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]


def _name(column: str, value: object) -> str:
    if column == "policy_index" and value == -1:
        return "no policy"
    return str(value) or "-"
