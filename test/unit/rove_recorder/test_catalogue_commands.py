"""`rove episodes` index, select, stats, ingest, merge, derive, pack: what they print and how they exit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from rove_core.errors import ConfigError, EpisodeError
from rove_recorder import cli
from rove_recorder.bench.fleet import START, manifest_of_a_night, write_manifests


@pytest.fixture
def rove() -> Callable[..., Result]:
    app = Typer()
    cli.register(app)
    app.command("other")(lambda: None)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["episodes", *map(str, arguments)])

    return run


@pytest.fixture
def session(takeover_episode: Path, failed_episode: Path) -> Path:
    assert takeover_episode.parent == failed_episode.parent
    return takeover_episode.parent


def test_select_prints_lines_paths_or_json(rove: Callable[..., Result], session: Path) -> None:
    result = rove("select", session, "outcome = 'failure'")
    assert "failed.zarr  2026-05-04 12:00:00  failure" in result.output
    assert result.output.splitlines()[-1].startswith("1 episode, 0.00 h")
    assert rove("select", session, "takeovers = 1", "--paths").output.split() == [str(session / "takeover.zarr")]
    (row,) = json.loads(rove("select", session, "takeovers = 1", "--json").output)
    assert row["opened"] == "2026-05-04 12:00:00"
    assert isinstance(rove("select", session, "taken = 1").exception, EpisodeError)


def test_index_names_what_cannot_be_read(rove: Callable[..., Result], session: Path) -> None:
    (session / "failed.zarr" / "zarr.json").write_text("{")
    output = rove("index", session).output
    assert "failed.zarr: " in output
    assert "2 episodes, 1 unreadable" in output


def test_stats_of_a_selection(rove: Callable[..., Result], session: Path) -> None:
    assert json.loads(rove("stats", session, "--json").output)["episodes"] == 2
    selected = rove("stats", session, "--select", "outcome = 'success'", "--json").output
    assert json.loads(selected)["human_share"] == pytest.approx(1.5 / 3.1, abs=0.02)


def test_ingest_then_select_at_the_cluster(rove: Callable[..., Result], tmp_path: Path) -> None:
    write_manifests([manifest_of_a_night(robot, START, 4) for robot in range(2)], tmp_path / "target")
    result = rove("ingest", tmp_path / "target", tmp_path / "catalogue")
    assert result.output == f"2 new manifests with 8 episodes: {tmp_path / 'catalogue'}\n"
    paths = rove("select", tmp_path / "catalogue", "machine = 'robot-001'", "--paths").output.split()
    assert len(paths) == 4
    assert all(path.startswith("robot-001/2026-11-01/") for path in paths)
    (manifest, _) = (tmp_path / "target").rglob("*.json")
    write_manifests([manifest_of_a_night(3, START, 1)], tmp_path / "target")
    next((tmp_path / "target" / "manifests" / "robot-003").iterdir()).write_text("damaged")
    assert rove("ingest", tmp_path / "target", tmp_path / "catalogue").exit_code == 1
    assert manifest.exists()


def test_merge_exits_with_1_when_something_was_refused(rove: Callable[..., Result], session: Path) -> None:
    into = session.parent / "all"
    result = rove("merge", session, "--into", into)
    assert (result.exit_code, result.output) == (0, f"2 copied, 0 annotated, 0 there, 0 refused: {into}\n")
    (session / "failed.zarr").rename(session / "other.zarr.open")
    assert rove("merge", session, "--into", into).exit_code == 1


def test_derive_counts_and_knows_its_labels(rove: Callable[..., Result], session: Path) -> None:
    assert ": 2 computed, 0 there, 0 failed" in rove("derive", "returns", session).output
    assert ": 0 computed, 1 there, 0 failed" in rove("derive", "returns", session, "--select", "rows > 100").output
    assert ": 2 computed" in rove("derive", "returns", session, "--set", "failure=-300").output
    assert isinstance(rove("derive", "retrns", session).exception, ConfigError)


def test_pack_and_unpack(rove: Callable[..., Result], session: Path, tmp_path: Path) -> None:
    assert "1 episode packed" in rove("pack", session, "--out", tmp_path / "p", "--select", "takeovers = 1").output
    result = rove("unpack", tmp_path / "p" / "takeover.zarr.zip", "--out", tmp_path / "u")
    assert result.output == f"{tmp_path / 'u' / 'takeover.zarr'}\n"
