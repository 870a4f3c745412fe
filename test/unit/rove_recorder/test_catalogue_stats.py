"""Sums over a catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from rove_recorder.catalogue.catalogue import catalogue_of, schema
from rove_recorder.catalogue.catalogue_stats import stats_of, stats_text

ZEROS = {
    pl.String: "",
    pl.Int64: 0,
    pl.Float64: 0.0,
    pl.Boolean: False,
    pl.Datetime("us"): None,
    pl.List(pl.String): [],
}


def row(**values: Any) -> dict[str, Any]:
    return {**{name: ZEROS[kind] for name, kind in schema().items()}, **values}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema(), orient="row")


def test_sums_over_all_and_over_groups() -> None:
    stats = stats_of(
        frame(
            row(task="a", outcome="success", seconds=3600.0, rollout_s=30.0, recovery_s=10.0, takeovers=2),
            row(task="a", outcome="failure", policy_index=1, rollout_s=40.0, flags=["frames_dropped"]),
            row(task="b", outcome="unlabelled", adaptation_s=20.0, operator="ann"),
            row(problem="broken", task=None),
        )
    )
    assert (stats["episodes"], stats["unreadable"], stats["hours"], stats["takeovers"]) == (3, 1, 1.0, 2)
    assert (stats["success_share"], stats["human_share"], stats["flagged"]) == (0.5, 0.3, 1)
    assert [(group["task"], group["episodes"], group["success_share"]) for group in stats["by_task"]] == [
        ("a", 2, 0.5),
        ("b", 1, None),
    ]
    assert [(group["policy_index"], group["failure"]) for group in stats["by_policy_index"]] == [(0, 0), (1, 1)]
    assert [group["human_share"] for group in stats["by_operator"]] == [0.125, 1.0]


def test_no_episodes_have_no_shares() -> None:
    stats = stats_of(frame())
    assert (stats["episodes"], stats["success_share"], stats["human_share"], stats["by_task"]) == (0, None, 0.0, [])
    assert stats_text(stats).startswith("0 episodes, 0.00 h")


def test_the_text_has_a_line_per_group(takeover_episode: Path, failed_episode: Path) -> None:
    text = stats_text(stats_of(catalogue_of(takeover_episode.parent)))
    assert "2 episodes" in text
    (line,) = [line.split() for line in text.splitlines() if line.startswith("whiteboard")]
    assert line[:8] == ["whiteboard", "2", "0.00", "1", "1", "0", "0", "50%"]
    assert failed_episode.exists()


def test_a_lazy_catalogue_has_the_same_sums() -> None:
    rows = frame(row(task="a", outcome="success", seconds=60.0))
    assert stats_of(rows.lazy()) == stats_of(rows)
