"""`rove export`: what it prints and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from rove_core.errors import ConfigError
from rove_core.modes import Outcome
from rove_recorder.export import s3_target
from rove_recorder.export.cli import register

Rove = Callable[..., Result]


@pytest.fixture
def rove() -> Rove:
    """Runs `rove export ...`."""
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return lambda *words: CliRunner().invoke(app, ["export", *map(str, words)])


def test_a_folder_is_sent_with_or_without_the_name_of_the_command(rove: Rove, night: Path, tmp_path: Path) -> None:
    words = (night, "--to", tmp_path / "target", "--robot", "r1")
    first, second = rove(*words), rove("send", *words)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "sent 3 episodes" in first.output
    assert "sent 0 episodes" in second.output
    assert "3 already there" in second.output
    assert rove("verify", tmp_path / "target", "--hashes").exit_code == 0


def test_options_may_come_first(rove: Rove, night: Path, tmp_path: Path) -> None:
    result = rove("--to", tmp_path / "target", "--robot", "r1", "--dry-run", "--json", night)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["episodes"] == 3


def test_something_refused_is_exit_code_1(
    rove: Rove, night: Path, tmp_path: Path, scripted: Callable[[str], object]
) -> None:
    scripted("unlabelled").close(Outcome.UNLABELLED)  # type: ignore[attr-defined]
    result = rove(night, "--to", tmp_path / "target", "--robot", "r1", "--report", tmp_path / "night.html")
    assert result.exit_code == 1
    assert "unlabelled" in result.output
    assert "unlabelled" in (tmp_path / "night.html").read_text()


def test_wrong_usage_is_exit_code_2(rove: Rove, night: Path) -> None:
    assert rove(night).exit_code == 2
    assert rove(night, "--to", "x", "--jobs", "0").exit_code == 2


def test_a_target_that_does_not_answer_is_exit_code_75(
    rove: Rove, night: Path, s3_server: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_target, "RETRIES", 0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    sent = rove(night, "--to", "s3://bucket/fleet", "--robot", "r1")
    assert sent.exit_code == 75
    assert "goes on where this one stopped" in sent.output
    assert rove("verify", "s3://bucket/fleet").exit_code == 75
    pruned = rove("prune", night, "--to", "s3://bucket/fleet", "--robot", "r1", "--keep-days", "0", "--delete")
    assert pruned.exit_code == 75
    assert len(list(night.glob("*.zarr"))) == 3


def test_retention_after_an_export(rove: Rove, night: Path, tmp_path: Path) -> None:
    words = (night, "--to", tmp_path / "target", "--robot", "r1")
    told = rove("prune", *words, "--keep-days", "0")
    assert "would delete 0 episodes" in told.output
    assert json.loads(rove(*words, "--keep-days", "0", "--json").stdout)["deleted"] == 3
    assert list(night.glob("*.zarr")) == []
    assert rove("verify", tmp_path / "target", "--hashes").exit_code == 0


def test_the_timer_is_printed(rove: Rove, night: Path) -> None:
    words = ("install-timer", night, "--to", "ssh://host/data", "--robot", "r1", "--keep-days", "7")
    result = rove(*words, "--print")
    assert result.exit_code == 0
    assert "--since-last" in result.output
    assert "--keep-days 7" in result.output
    assert rove(*words, "--cron").output.startswith("0 2 * * * nice ")


def test_packed_is_a_format(rove: Rove, night: Path, tmp_path: Path) -> None:
    result = rove(night, "--to", tmp_path / "target", "--robot", "r1", "--format", "packed", "--json")
    assert (result.exit_code, json.loads(result.stdout)["sent_files"]) == (0, 3)
    assert len(list((tmp_path / "target").rglob("*.zarr.zip"))) == 3
    unknown = rove(night, "--to", tmp_path / "target", "--robot", "r1", "--format", "zip")
    assert isinstance(unknown.exception, ConfigError)


def test_a_data_set_is_sent_once(rove: Rove, night: Path, tmp_path: Path) -> None:
    pytest.importorskip("rove_recorder.formats.replay_buffer")
    words = (night, "--to", tmp_path / "target", "--robot", "r1", "--format", "replay_buffer", "--json")
    first, second = rove(*words), rove(*words)
    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    assert json.loads(first.stdout)["data_sets"] == 1
    assert json.loads(second.stdout)["sent_files"] == 0
    assert rove("verify", tmp_path / "target", "--hashes").exit_code == 0
