"""What a look at a target finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rove_recorder.export.summary import Summary
from rove_recorder.export.targets import Target
from rove_recorder.export.verify import verify


@pytest.fixture
def exported(local: Target, send: Callable[..., Summary], tmp_path: Path) -> Path:
    """The folder of one exported episode."""
    send(local, select="path = 'takeover.zarr'")
    return next((tmp_path / "target" / "r1").glob("*/*/takeover.zarr"))


def test_a_whole_copy_has_no_problems(exported: Path, local: Target) -> None:
    result = verify(local, "r1", hashed=True)
    assert (result.problems, result.episodes, result.manifests) == ([], 1, 1)
    assert result.files == len([path for path in exported.rglob("*") if path.is_file()]) - 1  # hashes.json


def test_a_missing_and_a_cut_file_are_found_by_their_size(exported: Path, local: Target) -> None:
    first, second, *_ = sorted(exported.rglob("c/0"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    missing, cut = verify(local).problems
    assert missing.endswith("is missing")
    assert "bytes, sent were" in cut


def test_changed_content_is_found_by_hash_only(exported: Path, local: Target) -> None:
    path = next(exported.rglob("c/0"))
    data = bytearray(path.read_bytes())
    data[0] ^= 255
    path.write_bytes(data)
    assert verify(local).problems == []
    assert [line.endswith("was changed after it was sent") for line in verify(local, hashed=True).problems] == [True]


def test_another_list_of_hashes_is_not_believed(exported: Path, local: Target) -> None:
    path = exported / "hashes.json"
    path.write_text(path.read_text().replace('"bytes": 66', '"bytes": 67'))
    assert ["is not the one that the manifest names" in line for line in verify(local).problems] == [True]


def test_a_file_that_nobody_sent_is_named_but_for_what_the_cluster_derives(exported: Path, local: Target) -> None:
    (exported / "steps" / "stray").write_text("x")
    (exported / "derived" / "value@12").mkdir()
    (exported / "derived" / "value@12" / "zarr.json").write_text("{}")
    assert [line.endswith("steps/stray does not belong to the episode") for line in verify(local).problems] == [True]


def test_an_episode_that_is_gone_is_one_line(exported: Path, local: Target) -> None:
    exported.rename(exported.with_name("elsewhere"))
    assert [line.endswith("takeover.zarr is missing") for line in verify(local).problems] == [True]


def test_a_target_without_manifests_is_no_target(local: Target) -> None:
    assert ["nothing was exported" in line for line in verify(local).problems] == [True]
