"""Sessions of several folders become one, and nothing is overwritten."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rove_core.errors import EpisodeError
from rove_recorder.catalogue.merging import merge
from rove_recorder.episode_format.hashes import hash_episode, write_hashes
from rove_recorder.labels.annotations import annotate
from rove_recorder.reader import open_episode


def outcomes(source: Path, into: Path) -> dict[str, str]:
    return {path.name: what for path, what in merge([source], into)}


def contents(root: Path) -> dict[Path, bytes]:
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def label(path: Path, value: str, day: int) -> None:
    when = datetime(2026, 5, day, tzinfo=UTC)
    annotate(path, "outcome", "outcome", {"value": value}, by="ann", when=when, tool="test")


@pytest.fixture
def session(takeover_episode: Path, failed_episode: Path) -> Path:
    assert takeover_episode.parent == failed_episode.parent
    return takeover_episode.parent


def test_merging_copies_once(session: Path, tmp_path: Path) -> None:
    into = tmp_path / "all"
    assert outcomes(session, into) == {"failed.zarr": "copied", "takeover.zarr": "copied"}
    assert outcomes(session, into) == {"failed.zarr": "there", "takeover.zarr": "there"}
    assert contents(into / "session" / "takeover.zarr") == contents(session / "takeover.zarr")


def test_another_episode_of_the_same_name_is_refused(session: Path, tmp_path: Path) -> None:
    into = tmp_path / "all"
    outcomes(session, into)
    other = session / "failed.zarr"
    attributes = json.loads((other / "zarr.json").read_bytes())
    attributes["attributes"]["task"] = "toaster"
    (other / "zarr.json").write_text(json.dumps(attributes))
    write_hashes(other, hash_episode(other))
    said = outcomes(session, into)
    assert said["takeover.zarr"] == "there"
    assert "another episode of this name" in said["failed.zarr"]
    assert open_episode(into / "session" / "failed.zarr").attrs["task"] == "whiteboard"


def test_annotations_made_on_a_copy_come_home(session: Path, tmp_path: Path) -> None:
    into = tmp_path / "all"
    outcomes(session, into)
    label(session / "failed.zarr", "aborted", day=5)
    assert outcomes(session, into) == {"failed.zarr": "annotated", "takeover.zarr": "there"}
    assert open_episode(into / "session" / "failed.zarr").outcome.value == "aborted"


def test_two_annotations_of_one_name_are_refused(session: Path, tmp_path: Path) -> None:
    into = tmp_path / "all"
    outcomes(session, into)
    label(session / "failed.zarr", "aborted", day=5)
    label(into / "session" / "failed.zarr", "success", day=6)
    assert "says something else" in outcomes(session, into)["failed.zarr"]
    assert open_episode(into / "session" / "failed.zarr").outcome.value == "success"


def test_open_and_damaged_episodes_stay_where_they_are(session: Path, tmp_path: Path) -> None:
    shutil.move(session / "failed.zarr", session / "failed.zarr.open")
    (session / "takeover.zarr" / "steps" / "state" / "zarr.json").unlink()
    said = outcomes(session, tmp_path / "all")
    assert "still open" in said["failed.zarr.open"]
    assert "is damaged" in said["takeover.zarr"]
    assert not list((tmp_path / "all").rglob("*.zarr*"))


def test_a_folder_is_not_merged_into_itself(session: Path) -> None:
    with pytest.raises(EpisodeError, match="lies in"):
        list(merge([session], session / "all"))
