"""People say afterwards how attempts ended and when progress was made; lists and exports follow them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from rove_core.errors import EpisodeError
from rove_core.modes import Mode, Outcome
from rove_recorder import cli
from rove_recorder.checking.check import exportable
from rove_recorder.labels.annotations import read_annotations
from rove_recorder.reader import open_episode


def run(*arguments: str | Path) -> Result:
    app = Typer()
    app.callback()(lambda: None)
    cli.register(app)
    return CliRunner().invoke(app, ["episodes", *map(str, arguments)])


@pytest.fixture
def unlabelled(scripted: Callable[[str], Any]) -> Path:
    episode = scripted("unlabelled")
    for _ in range(60):
        episode.step(Mode.ROLLOUT)
    return episode.close(Outcome.UNLABELLED)


def test_an_unlabelled_episode_is_not_exportable_until_somebody_says_how_it_ended(unlabelled: Path) -> None:
    (reason,) = exportable(open_episode(unlabelled))
    assert reason.startswith("unlabelled")
    assert "outcome@1: failure" in run("label", unlabelled, "--outcome", "failure", "--by", "ann").output
    assert exportable(open_episode(unlabelled)) == []


def test_a_flagged_episode_is_not_exportable(takeover_episode: Path) -> None:
    path = takeover_episode / "zarr.json"
    metadata = json.loads(path.read_text())
    metadata["attributes"]["flags"] = [{"code": "camera_over_budget", "detail": "head: 12 % of rows", "share": 0.12}]
    path.write_text(json.dumps(metadata))
    assert "flagged: camera_over_budget: head: 12 % of rows" in exportable(open_episode(takeover_episode))


def test_an_unfinished_episode_is_not_exportable_and_is_not_labelled(scripted: Callable[[str], Any]) -> None:
    episode = scripted("open")
    episode.step(Mode.ROLLOUT)
    episode.recorder.flush()
    (reason,) = exportable(open_episode(episode.writer.path))
    assert reason.startswith("not committed")
    result = run("label", episode.writer.path, "--outcome", "success", "--by", "ann")
    assert isinstance(result.exception, EpisodeError)
    assert "still open" in str(result.exception)


def test_many_are_labelled_at_once_or_none(unlabelled: Path, takeover_episode: Path) -> None:
    nowhere = unlabelled.parent / "nowhere.zarr"
    assert run("label", unlabelled, takeover_episode, nowhere, "--outcome", "failure", "--by", "ann").exit_code == 1
    assert read_annotations(unlabelled) == []
    assert run("label", unlabelled, takeover_episode, "--outcome", "failure", "--by", "ann").exit_code == 0
    facts = json.loads(run("list", unlabelled.parent, "--json").output)
    assert [(fact["outcome"], fact["by"]) for fact in facts] == [("failure", "ann")] * 2


@pytest.mark.parametrize(("correction", "row"), [("0=2.4", 72), ("0=row:80", 80), ("0=none", None), ("0=recorded", 72)])
def test_t_r_is_corrected_by_seconds_row_or_withdrawn(takeover_episode: Path, correction: str, row: int | None) -> None:
    recorded = open_episode(takeover_episode).marks()
    assert run("label", takeover_episode, "--t-r", "0=row:90", "--by", "ann").exit_code == 0
    assert run("label", takeover_episode, "--t-r", correction, "--by", "ann").exit_code == 0
    (mark,) = open_episode(takeover_episode).marks()
    if correction == "0=recorded":
        assert [mark] == recorded
    elif row is None:
        assert mark is None
    else:
        assert mark is not None
        assert abs(mark.row - row) <= 1
        assert mark.source == "t_r@2"


@pytest.mark.parametrize(
    ("correction", "message"),
    [
        ("1=2.0", "the attempt has 1 takeovers"),
        ("0=soon", "is no time"),
        ("0=row:5", "takeover 0 has rows 54 to 98"),
        ("0=9.5", "takeover 0 lasts from 1.80 to 3.27 s"),
        ("x", "the attempt has 1 takeovers"),
    ],
)
def test_a_correction_outside_of_its_takeover_is_refused(takeover_episode: Path, correction: str, message: str) -> None:
    result = run("label", takeover_episode, "--t-r", correction, "--by", "ann")
    assert message in str(result.exception)
    assert read_annotations(takeover_episode) == []


def test_an_unknown_outcome_names_the_nearest(takeover_episode: Path) -> None:
    result = run("label", takeover_episode, "--outcome", "succeed", "--by", "ann")
    assert isinstance(result.exception, EpisodeError)
    assert result.exception.hint == "did you mean 'success'?"


def test_annotate_takes_a_file(takeover_episode: Path, tmp_path: Path) -> None:
    file = tmp_path / "errors.json"
    file.write_text(json.dumps({"segments": [{"start_row": 3, "end_row": 9, "label": "slip"}]}))
    arguments = ("annotate", takeover_episode, "--kind", "errors", "--set", "review", "--by", "ann", "--json", file)
    assert "review@1" in run(*arguments).output
    assert "review@2" in run(*arguments).output
    assert [said.kind for said in open_episode(takeover_episode).annotations()] == ["errors", "errors"]


def test_show_says_what_was_corrected_and_by_whom(corrected_episode: Path) -> None:
    output = run("show", corrected_episode).output
    assert "outcome@1" in output
    assert 'ann: {"value": "failure"}' in output
    shown = json.loads(run("show", corrected_episode, "--json").output)
    assert (shown["outcome"]["value"], shown["outcome"]["source"]) == ("failure", "outcome@1")
    assert shown["marks"][0]["source"] == "t_r@1"
