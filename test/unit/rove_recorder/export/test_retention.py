"""Only what is safely at the target is deleted here, and only when told so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rove_recorder.export.retention import prune
from rove_recorder.export.summary import Summary
from rove_recorder.export.targets import Target
from rove_recorder.labels.annotations import annotate

# The test's episodes are finished at noon of 2026-05-04.
LATER = datetime(2026, 5, 14, tzinfo=UTC)


def names(paths: list[str]) -> set[str]:
    return {Path(path).name for path in paths}


@pytest.fixture
def exported(local: Target, send: Callable[..., Summary], night: Path) -> Path:
    """The night, all of it at the target."""
    send(local)
    return night


def test_without_delete_nothing_is_deleted(exported: Path, local: Target) -> None:
    result = prune(exported, local, "r1", 3, LATER, delete=False)
    assert names(result.deleted) == {"second.zarr", "takeover.zarr", "third.zarr"}
    assert len(list(exported.glob("*.zarr"))) == 3


def test_what_is_old_and_at_the_target_goes(exported: Path, local: Target) -> None:
    result = prune(exported, local, "r1", 3, LATER, delete=True)
    assert result.bytes > 0
    assert list(exported.glob("*zarr*")) == []
    assert prune(exported, local, "r1", 3, LATER, delete=True).deleted == []


def test_what_is_new_stays(exported: Path, local: Target) -> None:
    result = prune(exported, local, "r1", 30, LATER, delete=True)
    assert (result.deleted, result.young) == ([], 3)


def test_what_the_target_lost_or_changed_stays(exported: Path, local: Target, tmp_path: Path) -> None:
    copies = next((tmp_path / "target" / "r1").rglob("session"))
    next((copies / "second.zarr").rglob("jpeg/c/0")).unlink()
    damaged = next((copies / "third.zarr").rglob("jpeg/c/0"))
    damaged.write_bytes(bytes(damaged.stat().st_size))
    result = prune(exported, local, "r1", 3, LATER, delete=True)
    assert names(result.deleted) == {"takeover.zarr"}
    assert names(list(result.kept)) == {"second.zarr", "third.zarr"}
    assert {path.name for path in exported.glob("*.zarr")} == {"second.zarr", "third.zarr"}


def test_an_annotation_that_was_not_exported_keeps_the_episode(exported: Path, local: Target) -> None:
    annotate(exported / "third.zarr", "outcome", "outcome", {"value": "failure"}, by="me", when=LATER, tool="test")
    result = prune(exported, local, "r1", 3, LATER, delete=True)
    assert names(list(result.kept)) == {"third.zarr"}
    assert "was not exported yet" in next(iter(result.kept.values()))


def test_what_no_manifest_names_stays(
    local: Target, send: Callable[..., Summary], night: Path, scripted: Callable[[str], object]
) -> None:
    send(local, select="path = 'second.zarr'")
    scripted("still-open")
    result = prune(night, local, "r1", 0, LATER, delete=True)
    assert names(result.deleted) == {"second.zarr"}
    assert {path.name for path in night.glob("*.zarr*")} == {"takeover.zarr", "third.zarr", "still-open.zarr.open"}


def test_another_robot_covers_nothing_of_ours(exported: Path, local: Target) -> None:
    assert prune(exported, local, "r2", 0, LATER + timedelta(days=1), delete=True).deleted == []


def test_a_deletion_that_was_cut_is_finished(exported: Path, local: Target) -> None:
    (exported / "third.zarr").rename(exported / ".third.zarr.deleting")
    prune(exported, local, "r1", 300, LATER, delete=True)
    assert not (exported / ".third.zarr.deleting").exists()
