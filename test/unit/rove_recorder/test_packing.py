"""An episode as one zip file."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import zarr

from rove_core.errors import EpisodeError
from rove_recorder.episode_format.packing import pack, packed_url, unpack
from rove_recorder.labels.annotations import annotate
from rove_recorder.reader import open_episode


@pytest.fixture
def packed(takeover_episode: Path, tmp_path: Path) -> Path:
    return pack(takeover_episode, tmp_path / "packed")


def test_zarr_opens_it_as_it_is(packed: Path, takeover_episode: Path) -> None:
    with zarr.storage.ZipStore(packed, mode="r") as store:
        group = zarr.open_group(store, mode="r")
        assert group.attrs["format"] == "rove.episode"
        sent = np.asarray(group["steps/command_sent"])
    assert np.array_equal(sent, open_episode(takeover_episode).steps["command_sent"])


def test_the_reader_opens_it_as_it_is(packed: Path, takeover_episode: Path) -> None:
    pytest.importorskip("fsspec")
    episode, original = open_episode(packed_url(str(packed))), open_episode(takeover_episode)
    assert episode.stages() == original.stages()
    assert episode.outcome == original.outcome
    assert np.array_equal(episode.frames("head")[3], original.frames("head")[3])


def test_packing_again_gives_the_same_bytes(packed: Path, takeover_episode: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(takeover_episode, tmp_path / "elsewhere" / takeover_episode.name, copy_function=shutil.copy)
    os.utime(copy / "zarr.json", (0, 0))
    assert pack(copy, tmp_path / "again").read_bytes() == packed.read_bytes()


def test_unpacking_gives_the_episode_back(packed: Path, takeover_episode: Path, tmp_path: Path) -> None:
    again = unpack(packed, tmp_path)
    assert again == tmp_path / takeover_episode.name
    files = {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()}
    assert files == {
        path.relative_to(takeover_episode): path.read_bytes() for path in takeover_episode.rglob("*") if path.is_file()
    }
    with pytest.raises(EpisodeError, match="exists"):
        unpack(packed, tmp_path)


def test_annotations_go_along_and_derived_labels_stay(takeover_episode: Path, tmp_path: Path) -> None:
    for name in ("annotations/outcome@1", "derived/returns@abc"):
        (takeover_episode / name).mkdir()
        (takeover_episode / name / "zarr.json").write_text("{}")
    again = unpack(pack(takeover_episode, tmp_path / "packed"), tmp_path)
    assert (again / "annotations" / "outcome@1" / "zarr.json").is_file()
    assert [path.name for path in (again / "derived").iterdir()] == ["zarr.json"]


def test_annotations_that_an_export_put_beside_it_come_back_in(takeover_episode: Path, tmp_path: Path) -> None:
    packed = pack(takeover_episode, tmp_path / "target" / "takeover.packed")
    when = datetime(2026, 5, 5, tzinfo=UTC)
    annotate(takeover_episode, "outcome", "outcome", {"value": "failure"}, by="ann", when=when, tool="test")
    shutil.copytree(takeover_episode / "annotations" / "outcome@1", packed.parent / "annotations" / "outcome@1")
    assert open_episode(unpack(packed, tmp_path)).outcome.value == "failure"


def test_damage_is_found_and_leaves_nothing(packed: Path, tmp_path: Path) -> None:
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 1
    packed.write_bytes(data)
    with pytest.raises(EpisodeError, match=packed.name):
        unpack(packed, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    packed.write_bytes(data[:-100])
    with pytest.raises(EpisodeError, match="zip"):
        unpack(packed, tmp_path / "out")


def test_what_was_changed_before_it_was_packed_is_found(takeover_episode: Path, tmp_path: Path) -> None:
    path = takeover_episode / "events" / "json" / "c" / "0"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(EpisodeError, match="events/json/c/0 was changed"):
        unpack(pack(takeover_episode, tmp_path / "packed"), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_open_episode_is_not_packed(takeover_episode: Path, tmp_path: Path) -> None:
    still_open = takeover_episode.rename(takeover_episode.with_name("takeover.zarr.open"))
    with pytest.raises(EpisodeError, match="not a finished episode"):
        pack(still_open, tmp_path)
