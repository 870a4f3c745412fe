"""Annotations are added beside the facts, whole, counted up, and the newest of a set is in force."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zarr

from rove_core.errors import EpisodeError
from rove_core.modes import Mode, Outcome, Stage
from rove_recorder.episode_format.hashes import hash_episode
from rove_recorder.labels.annotations import annotate, read_annotations
from rove_recorder.reader import open_episode

WHEN = datetime(2026, 5, 5, 9, 30, tzinfo=UTC)


def say(episode: Path, set_name: str, payload: object, kind: str = "") -> Any:
    return annotate(episode, set_name, kind or set_name, payload, by="ann", when=WHEN, tool="test")


def test_a_corrected_outcome_is_in_force_and_the_recorded_one_stays(takeover_episode: Path) -> None:
    before = hash_episode(takeover_episode)
    say(takeover_episode, "outcome", {"value": "failure"})
    episode = open_episode(takeover_episode)
    assert episode.outcome.value is Outcome.FAILURE
    assert (episode.outcome.by, episode.outcome.source) == ("ann", "outcome@1")
    assert episode.outcome.when == "2026-05-05T09:30:00.000+00:00"
    assert episode.attrs["outcome"]["value"] == "success"
    assert hash_episode(takeover_episode) == before


def test_the_recorded_outcome_holds_without_an_annotation_and_after_it_was_withdrawn(takeover_episode: Path) -> None:
    recorded = open_episode(takeover_episode).outcome
    assert (recorded.value, recorded.source) == (Outcome.SUCCESS, "recorded")
    say(takeover_episode, "outcome", {"value": "aborted"})
    say(takeover_episode, "outcome", {"value": None})
    assert open_episode(takeover_episode).outcome == recorded
    assert [annotation.name for annotation in read_annotations(takeover_episode)] == ["outcome@1", "outcome@2"]


def test_an_annotation_is_a_zarr_group_and_says_what_it_was_said_about(takeover_episode: Path) -> None:
    say(takeover_episode, "errors", {"segments": [{"start_row": 3, "end_row": 9, "label": "slip"}]})
    group = zarr.open_group(takeover_episode / "annotations" / "errors@1", mode="r")
    attributes = dict(group.attrs)
    said = {key: value for key, value in attributes.items() if key != "sha256"}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    assert attributes["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert said == {
        "set": "errors",
        "n": 1,
        "kind": "errors",
        "by": "ann",
        "when": "2026-05-05T09:30:00.000+00:00",
        "tool": "test",
        "facts_sha256": hash_episode(takeover_episode).sha256,
        "segments": [{"start_row": 3, "end_row": 9, "label": "slip"}],
    }


def test_an_annotated_mark_moves_the_stages_and_an_absent_one_leaves_adaptation(takeover_episode: Path) -> None:
    episode = open_episode(takeover_episode)
    (recorded,) = episode.marks()
    assert recorded is not None
    assert recorded.source == "recorded"
    later_ns = int(episode.steps["t_ros_ns"][recorded.row + 10])
    say(takeover_episode, "t_r", {"marks": [{"takeover": 0, "epoch": recorded.epoch, "t_ros_ns": later_ns}]})
    (moved,) = episode.marks()
    assert moved is not None
    assert (moved.row, moved.source) == (recorded.row + 10, "t_r@1")
    assert next(span for span in episode.stages() if span.stage is Stage.RECOVERY).start_row == recorded.row + 11
    say(takeover_episode, "t_r", {"marks": [{"takeover": 0, "epoch": recorded.epoch, "t_ros_ns": None}]})
    assert episode.marks() == [None]
    assert not any(span.stage is Stage.RECOVERY for span in episode.stages())


def test_a_proposal_counts_only_when_asked_for_and_only_where_nobody_spoke(scripted: Callable[[str], Any]) -> None:
    making = scripted("unmarked")
    for _ in range(100):
        making.step(Mode.TAKEOVER)
    path = making.close()
    episode = open_episode(path)
    middle_ns = int(episode.steps["t_ros_ns"][8])
    proposal = {"takeover": 0, "epoch": 0, "t_ros_ns": middle_ns, "earliest_ns": 0, "latest_ns": middle_ns}
    say(path, "t_r_proposal", {"method": "test", "proposals": [proposal]})
    assert episode.marks() == [None]
    (proposed,) = episode.marks(proposals=True)
    assert proposed is not None
    assert (proposed.row, proposed.source) == (8, "t_r_proposal@1")
    assert [span.stage for span in episode.stages()] == [Stage.ADAPTATION]
    assert [span.stage for span in episode.stages(proposals=True)] == [Stage.ADAPTATION, Stage.RECOVERY]
    say(path, "t_r", {"marks": [{"takeover": 0, "epoch": 0, "t_ros_ns": None}]})
    assert episode.marks(proposals=True) == [None]


def test_a_set_of_another_name_is_an_opinion_that_changes_nothing(takeover_episode: Path) -> None:
    say(takeover_episode, "second_opinion", {"value": "failure"}, "outcome")
    assert open_episode(takeover_episode).outcome.value is Outcome.SUCCESS


def test_an_unfinished_episode_is_not_annotated(scripted: Callable[[str], Any]) -> None:
    making = scripted("open")
    making.step(Mode.ROLLOUT)
    making.recorder.flush()
    with pytest.raises(EpisodeError, match="still open"):
        say(making.writer.path, "outcome", {"value": "success"})


@pytest.mark.parametrize(
    ("set_name", "kind", "payload", "message"),
    [
        ("outcome", "outcome", {"value": "good"}, "'value' is 'good': input should be"),
        ("outcome", "outcome", {"values": "success"}, "did you mean 'value'"),
        ("outcome", "note", {"text": "x"}, "set 'outcome' holds kind 'outcome'"),
        ("t_r", "t_r", {"marks": [{"takeover": 0, "epoch": 1, "t_ros_ns": 1.5}]}, "'marks.0.t_ros_ns' is 1.5"),
        ("errors", "errors", {"segments": [{"start_row": 5, "end_row": 5, "label": "x"}]}, "before it starts"),
        ("errors", "errors", {"segments": [{"start_row": 5, "end_row": 9999, "label": "x"}]}, "after the last of 120"),
        (
            "goals",
            "subgoals",
            {
                "segments": [
                    {"start_row": 0, "end_row": 9, "label": "grasp"},
                    {"start_row": 8, "end_row": 20, "label": "lift"},
                ]
            },
            "'lift' starts at row 8, inside 'grasp'",
        ),
        ("Über set", "note", {}, "cannot name a set"),
        ("note", "note", [1], "expected a mapping"),
        ("note", "note", {"by": "me"}, "key 'by' is taken"),
        ("note", "note", {"value": float("nan")}, "not JSON"),
    ],
)
def test_what_a_kind_does_not_hold_is_refused_in_one_line(
    takeover_episode: Path, set_name: str, kind: str, payload: object, message: str
) -> None:
    with pytest.raises(EpisodeError, match=message) as caught:
        say(takeover_episode, set_name, payload, kind)
    assert "\n" not in str(caught.value)
    assert read_annotations(takeover_episode) == []


def test_people_who_annotate_at_the_same_time_get_different_numbers(takeover_episode: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda number: say(takeover_episode, "note", {"number": number}), range(8)))
    assert sorted(annotation.n for annotation in done) == list(range(1, 9))
    assert {annotation.n: annotation.payload for annotation in done} == {
        annotation.n: annotation.payload for annotation in read_annotations(takeover_episode)
    }


def test_a_damaged_annotation_is_named(takeover_episode: Path) -> None:
    say(takeover_episode, "outcome", {"value": "failure"})
    (takeover_episode / "annotations" / "outcome@1" / "zarr.json").write_text("{}")
    with pytest.raises(EpisodeError, match="outcome@1"):
        _ = open_episode(takeover_episode).outcome
