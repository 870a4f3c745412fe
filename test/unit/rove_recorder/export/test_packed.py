"""Episodes that are sent as one file each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from rove_recorder.episode_format.hashes import problems
from rove_recorder.episode_format.packing import packed_url, unpack
from rove_recorder.export.retention import prune
from rove_recorder.export.summary import Summary
from rove_recorder.export.targets import Target
from rove_recorder.export.verify import verify
from rove_recorder.labels.annotations import annotate
from rove_recorder.reader import open_episode

NOW = datetime(2026, 5, 5, 2, 0, tzinfo=UTC)
ONE = "path = 'takeover.zarr'"
KEY = "r1/2026-05-04/session/takeover.packed/takeover.zarr.zip"


def test_an_episode_is_one_object_and_a_second_run_sends_nothing(target: Target, send: Callable[..., Summary]) -> None:
    first = send(target, packed=True, select=ONE)
    assert (first.sent_files, list(target.list("r1"))) == (1, [KEY])
    second = send(target, NOW + timedelta(days=1), packed=True, select=ONE)
    assert (second.sent_files, second.already_there) == (0, 1)
    assert verify(target, hashed=True).problems == []


def test_it_can_be_read_as_it_is_and_unpacked(
    local: Target, send: Callable[..., Summary], takeover_episode: Path, tmp_path: Path
) -> None:
    pytest.importorskip("fsspec")
    send(local, packed=True, select=ONE)
    original = open_episode(takeover_episode)
    episode = open_episode(packed_url(str(tmp_path / "target" / KEY)))
    assert np.array_equal(episode.steps["command_sent"], original.steps["command_sent"])
    assert problems(unpack(tmp_path / "target" / KEY, tmp_path / "target")) == []


def test_annotations_come_to_lie_beside_it(local: Target, send: Callable[..., Summary], takeover_episode: Path) -> None:
    send(local, packed=True, select=ONE)
    annotate(takeover_episode, "outcome", "outcome", {"value": "failure"}, by="me", when=NOW, tool="test")
    later = send(local, NOW + timedelta(days=1), select=ONE)  # packed it stays, whatever is asked for
    assert (later.annotated, later.sent_files, later.episodes) == (1, 1, [])
    assert len(local.list("r1")) == 2
    assert verify(local, hashed=True).problems == []


def test_a_damaged_or_missing_file_is_found(local: Target, send: Callable[..., Summary], tmp_path: Path) -> None:
    send(local, packed=True, select=ONE)
    path = tmp_path / "target" / KEY
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert [line.endswith("was changed after it was sent") for line in verify(local, hashed=True).problems] == [True]
    path.unlink()
    assert [line.endswith("is missing") for line in verify(local).problems] == [True]


def test_retention_knows_what_is_packed(
    local: Target, send: Callable[..., Summary], night: Path, tmp_path: Path
) -> None:
    send(local, packed=True)
    lost = tmp_path / "target" / KEY
    lost.unlink()
    result = prune(night, local, "r1", 0, NOW + timedelta(days=9), delete=True)
    assert {Path(path).name for path in result.deleted} == {"second.zarr", "third.zarr"}
    assert [path.name for path in night.glob("*.zarr")] == ["takeover.zarr"]


def test_nothing_is_left_behind_here(local: Target, send: Callable[..., Summary], night: Path) -> None:
    send(local, packed=True)
    assert list((night / ".export").rglob("*.zip")) == []
