"""A run of an export: what goes, what stays, and what a second run does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rove_core.errors import EpisodeError, ExportError
from rove_core.modes import Outcome
from rove_recorder.episode_format.hashes import hash_episode, read_hashes, write_hashes
from rove_recorder.export.exporter import Order, export
from rove_recorder.export.manifest import in_force, parse_manifest
from rove_recorder.export.state import ExportState
from rove_recorder.export.summary import Summary, render
from rove_recorder.export.targets import Target, open_target
from rove_recorder.export.verify import verify
from rove_recorder.labels.annotations import annotate
from rove_recorder.reader import open_episode

NOW = datetime(2026, 5, 5, 2, 0, tzinfo=UTC)
DAY = "r1/2026-05-04/session"
Send = Callable[..., Summary]


def label(episode: Path, value: str) -> None:
    annotate(episode, "outcome", "outcome", {"value": value}, by="somebody", when=NOW, tool="test")


def test_everything_arrives_and_a_second_run_sends_nothing(target: Target, send: Send) -> None:
    one = "path = 'takeover.zarr'"
    first = send(target, jobs=2, select=one)
    assert (len(first.episodes), first.refused, first.interrupted) == (1, [], "")
    before = target.list(DAY)
    second = send(target, NOW + timedelta(days=1), jobs=2, select=one)
    assert (second.published, second.sent_files, second.already_there, second.manifest) == (0, 0, 1, "")
    assert target.list(DAY) == before
    result = verify(target, hashed=True, jobs=2)
    assert (result.problems, result.episodes, result.manifests) == ([], 1, 1)


def test_what_arrived_is_the_episode(local: Target, send: Send, takeover_episode: Path, tmp_path: Path) -> None:
    send(local)
    copy, original = open_episode(tmp_path / "target" / DAY / "takeover.zarr"), open_episode(takeover_episode)
    assert copy.attrs == original.attrs
    assert copy.stages() == original.stages()
    assert hash_episode(copy.path) == read_hashes(original.path) == read_hashes(copy.path)


def test_the_manifest_counts_and_carries_rows_of_the_catalogue(local: Target, send: Send) -> None:
    summary = send(local)
    manifest = parse_manifest(summary.manifest, local.read(summary.manifest))
    assert manifest.counts["episodes"] == 3
    assert manifest.counts["bytes"] == sum(entry.bytes for entry in manifest.entries)
    assert manifest.counts["rows"] == sum(row["rows"] for row in summary.episodes)
    assert [entry.path for entry in manifest.entries] == [
        f"{DAY}/{name}.zarr" for name in ("second", "takeover", "third")
    ]
    assert {entry.episode["outcome"] for entry in manifest.entries} == {"success"}


def test_an_episode_without_a_label_stays_until_somebody_gives_it_one(
    local: Target, send: Send, scripted: Callable[[str], object]
) -> None:
    episode = scripted("unlabelled")
    episode.play(())  # type: ignore[attr-defined]
    path = episode.close(Outcome.UNLABELLED)  # type: ignore[attr-defined]
    summary = send(local)
    assert len(summary.episodes) == 3
    assert [Path(refused.path) for refused in summary.refused] == [path]
    assert any("unlabelled" in reason for reason in summary.refused[0].reasons)
    assert send(local, force=True).refused  # nothing makes an unlabelled episode go


def test_a_label_given_later_is_found_by_since_last(local: Target, send: Send, takeover_episode: Path) -> None:
    now = datetime.now(UTC)
    send(local, now)
    assert send(local, now + timedelta(seconds=1), since_last=True).already_there == 0
    label(takeover_episode, "failure")
    summary = send(local, datetime.now(UTC) + timedelta(seconds=1), since_last=True)
    assert (len(summary.episodes), summary.annotated, summary.sent_files) == (0, 1, 1)
    manifest = parse_manifest(summary.manifest, local.read(summary.manifest))
    assert [(entry.new, entry.episode["outcome"]) for entry in manifest.entries] == [(False, "failure")]
    assert verify(local, hashed=True).problems == []


def test_since_last_asks_for_the_last_run_with_the_same_condition(local: Target, send: Send) -> None:
    now = datetime.now(UTC) + timedelta(seconds=1)
    assert len(send(local, now, select="episode_id = 'nobody'").episodes) == 0
    assert len(send(local, now, select="path LIKE '%second%'").episodes) == 1
    assert len(send(local, now + timedelta(seconds=1), since_last=True).episodes) == 2


def test_an_episode_that_was_damaged_stays_and_the_others_go(local: Target, send: Send, night: Path) -> None:
    chunk = next((night / "second.zarr" / "cameras" / "head" / "jpeg" / "c").iterdir())
    data = bytearray(chunk.read_bytes())
    data[100] ^= 1
    chunk.write_bytes(data)
    summary = send(local)
    assert len(summary.episodes) == 2
    assert [Path(refused.path).name for refused in summary.refused] == ["second.zarr"]
    assert verify(local).episodes == 2


def test_an_episode_of_the_same_name_with_other_content_is_refused(local: Target, send: Send, night: Path) -> None:
    send(local)
    path = night / "second.zarr"
    attributes = json.loads((path / "zarr.json").read_text())
    attributes["attributes"]["instruction"] = "something else"
    (path / "zarr.json").write_text(json.dumps(attributes))
    write_hashes(path, hash_episode(path))
    summary = send(local, NOW + timedelta(days=1))
    assert ["has another episode" in reason for refused in summary.refused for reason in refused.reasons] == [True]
    assert verify(local, hashed=True).problems == []


def test_a_flagged_episode_goes_only_when_forced(local: Target, send: Send, night: Path) -> None:
    path = night / "second.zarr"
    attributes = json.loads((path / "zarr.json").read_text())
    attributes["attributes"]["flags"] = [{"code": "frames_dropped", "detail": "head: 3 of 90", "share": 0.03}]
    (path / "zarr.json").write_text(json.dumps(attributes))
    write_hashes(path, hash_episode(path))
    assert any(reason.startswith("flagged:") for refused in send(local).refused for reason in refused.reasons)
    again = send(local, NOW + timedelta(days=1), force=True)
    assert not any(reason.startswith("flagged:") for refused in again.refused for reason in refused.reasons)


def test_what_is_being_recorded_is_left_alone(local: Target, send: Send, scripted: Callable[[str], object]) -> None:
    scripted("open")
    summary = send(local)
    assert (len(summary.episodes), summary.refused) == (3, [])


def test_selection_is_sql_over_the_catalogue(local: Target, send: Send) -> None:
    assert len(send(local, select="path LIKE '%third%' AND outcome = 'success'").episodes) == 1
    with pytest.raises(EpisodeError, match="outcom"):
        send(local, select="outcom = 'success'")


def test_a_dry_run_sends_nothing(local: Target, send: Send, tmp_path: Path) -> None:
    summary = send(local, dry_run=True)
    assert len(summary.episodes) == 3
    assert summary.sent_bytes > 0
    assert not (tmp_path / "target").exists()


def test_what_arrived_without_a_manifest_is_kept(local: Target, send: Send, night: Path) -> None:
    sent = send(local).sent_files
    for place in ((night.parent / "target" / "manifests"), night / ".export"):
        shutil.rmtree(place)
    again = send(local)
    assert (again.sent_files, again.kept_files, len(again.episodes)) == (0, sent, 3)


def test_the_journal_is_not_believed_where_the_target_lacks_the_file(local: Target, send: Send, night: Path) -> None:
    order = Order(night, "r1")
    send(local)
    shutil.rmtree(night.parent / "target" / "manifests")
    state = ExportState(night, local.url, "r1")
    gone = next((night.parent / "target" / DAY).rglob("jpeg/c/0"))
    for path in (night.parent / "target" / DAY).rglob("*"):
        if path.is_file():
            state.arrived(path.relative_to(night.parent / "target").as_posix(), "not what it is")
    state.close()
    gone.unlink()
    summary = export(order, local, NOW)
    assert summary.sent_files == 1
    assert verify(local, hashed=True).problems == []


def test_a_damaged_copy_that_no_manifest_names_is_sent_again(local: Target, send: Send, night: Path) -> None:
    send(local)
    for place in ((night.parent / "target" / "manifests"), night / ".export"):
        shutil.rmtree(place)
    damaged = next((night.parent / "target" / DAY).rglob("jpeg/c/0"))
    damaged.write_bytes(bytes(damaged.stat().st_size))
    assert send(local).sent_files == 1
    assert verify(local, hashed=True).problems == []


def test_a_damaged_manifest_is_named_and_replaced_by_a_new_one(local: Target, send: Send, night: Path) -> None:
    path = night.parent / "target" / send(local).manifest
    path.write_text(path.read_text().replace("success", "failure"))
    shutil.rmtree(night / ".export")
    again = send(local, NOW + timedelta(days=1))
    assert (again.sent_files, len(again.episodes)) == (0, 3)
    assert ["is damaged" in note for note in again.notes] == [True]


def test_one_export_to_a_target_at_a_time(local: Target, send: Send, night: Path) -> None:
    state = ExportState(night, local.url, "r1")
    with pytest.raises(ExportError, match="another export"):
        send(local)
    state.close()
    assert len(send(local).episodes) == 3


def test_a_target_inside_of_the_exported_folder_is_refused(night: Path) -> None:
    with pytest.raises(ExportError, match="inside"):
        export(Order(night, "r1"), open_target(str(night / "target")), NOW)


def test_a_target_that_cannot_be_written_is_one_line(night: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match="Not a directory") as error:
        export(Order(night, "r1"), open_target(str(tmp_path / "file" / "x")), NOW)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("robot", ["", "a/b", "../up", "a b", "-x"])
def test_a_robot_has_a_plain_name(night: Path, local: Target, robot: str) -> None:
    with pytest.raises(ExportError, match="name of the robot"):
        export(Order(night, robot), local, NOW)


def test_the_summary_is_kept_and_drawn(local: Target, send: Send, night: Path) -> None:
    summary = send(local)
    kept = json.loads(next((night / ".export").glob("*/summary.json")).read_text())
    assert kept == summary.as_json()
    assert kept["outcomes"] == {"success": 3}
    assert 0 < kept["human_share"] < 1
    assert kept["hours"] > 0
    page = render([summary])
    assert summary.manifest in page
    assert "3</b><span>new episodes" in page


def test_a_clock_that_went_back_hides_nothing(local: Target, send: Send, takeover_episode: Path) -> None:
    ahead = datetime.now(UTC) + timedelta(days=1)
    first = send(local, ahead)
    label(takeover_episode, "failure")
    second = send(local, datetime.now(UTC), since_last=True)
    assert second.annotated == 1
    assert second.manifest > first.manifest
    manifests, _ = ExportState(takeover_episode.parent, local.url, "r1").manifests(local, "r1")
    assert in_force(manifests)[f"{DAY}/takeover.zarr"].episode["outcome"] == "failure"


def test_what_is_unfinished_is_counted(local: Target, send: Send, scripted: Callable[[str], object]) -> None:
    scripted("open")
    assert [note.startswith("1 unfinished") for note in send(local).notes] == [True]
