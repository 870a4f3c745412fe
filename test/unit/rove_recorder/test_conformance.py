"""Whoever reads docs/reference/episode-format.md can read an episode: zarr, numpy, json and a JPEG decoder are enough.

Nothing of this project is imported here. What is computed follows the page, section by section.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zarr

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "episode-format.md").read_text(encoding="utf-8")
GROUPS = ("steps", "streams/joint_states", "streams/commands", "chunks", "cameras/head", "events")
ROLLOUT, TAKEOVER = 1, 4
STAGE_NONE, STAGE_ROLLOUT, STAGE_ADAPTATION, STAGE_RECOVERY = range(4)


@pytest.fixture
def episode(corrected_episode: Path) -> zarr.Group:
    return zarr.open_group(corrected_episode, mode="r")


def ragged(group: zarr.Group, name: str, record: int) -> np.ndarray:
    offsets = group[group[name].attrs["offsets"]][:]
    return np.asarray(group[name][offsets[record] : offsets[record + 1]])


def events(episode: zarr.Group) -> list[dict[str, Any]]:
    group = episode["events"]
    return [json.loads(ragged(group, "json", index).tobytes()) for index in range(group["t_ros_ns"].shape[0])]


def annotations_in_force(episode: zarr.Group) -> dict[str, dict[str, Any]]:
    """Set -> attributes of its highest n."""
    found: dict[str, dict[str, Any]] = {}
    for _, group in sorted(episode["annotations"].groups(), key=lambda item: int(item[1].attrs["n"])):
        found[str(group.attrs["set"])] = dict(group.attrs)
    return found


def stages(episode: zarr.Group) -> np.ndarray:
    """Stage of every row, from mode, epoch, time, events and annotations."""
    steps = {name: episode["steps"][name][:] for name in ("mode", "epoch", "t_ros_ns")}
    marks: dict[int, int] = {}
    for event in events(episode):
        if event["type"] == "mark_progress" and event["accepted"]:
            marks[event["epoch"]] = event["t_ros_ns"]
        if event["type"] == "retract_mark" and event["accepted"]:
            marks.pop(event["epoch"], None)
    for mark in annotations_in_force(episode).get("t_r", {"marks": []})["marks"]:
        marks.pop(mark["epoch"], None)
        if mark["t_ros_ns"] is not None:
            marks[mark["epoch"]] = mark["t_ros_ns"]
    found = np.full(len(steps["mode"]), STAGE_NONE)
    found[steps["mode"] == ROLLOUT] = STAGE_ROLLOUT
    for row in np.flatnonzero(steps["mode"] == TAKEOVER):
        mark = marks.get(int(steps["epoch"][row]))
        late = mark is not None and steps["t_ros_ns"][row] > mark
        found[row] = STAGE_RECOVERY if late else STAGE_ADAPTATION
    return found


def follows(episode: zarr.Group) -> np.ndarray:
    """Whether row i + 1 follows row i without a gap."""
    period_ns = 1e9 / episode.attrs["control_hz"]
    return np.asarray(np.diff(episode["steps"]["t_mono_ns"][:]) <= 1.5 * period_ns)


def test_it_says_what_it_is(episode: zarr.Group) -> None:
    assert episode.attrs["format"] == "rove.episode"
    assert episode.attrs["schema_version"] == 1
    assert episode.attrs["committed"] is True


def test_every_array_has_the_promised_encoding_and_length(episode: zarr.Group) -> None:
    for path in GROUPS:
        group = episode[path]
        arrays = dict(group.arrays())
        records = next(array.shape[0] for array in arrays.values() if array.attrs["layout"] == "row")
        for name, array in arrays.items():
            assert [codec.to_dict()["name"] for codec in array.metadata.codecs] == ["bytes"]
            assert array.chunks[1:] == array.shape[1:]
            layout = array.attrs["layout"]
            if layout == "ragged":
                offsets = group[array.attrs["offsets"]][:]
                assert offsets[0] == 0
                assert (np.diff(offsets) >= 0).all()
                assert array.shape[0] == offsets[-1], name
            else:
                assert array.shape[0] == records + (layout == "offsets"), name


def test_every_array_and_attribute_is_on_the_page(episode: zarr.Group) -> None:
    named = set(re.findall(r"`([^`\n]+)`", PAGE))
    for path in GROUPS:
        for name, _ in episode[path].arrays():
            assert name.replace("head", "<name>") in named, f"{path}/{name}"
    missing = [name for name in episode.attrs if name not in named]
    assert missing == []


def test_the_hashes_are_those_of_the_files(corrected_episode: Path) -> None:
    content = json.loads((corrected_episode / "hashes.json").read_text())
    files = {}
    for path in corrected_episode.rglob("*"):
        name = path.relative_to(corrected_episode).as_posix()
        if path.is_file() and name != "hashes.json" and not name.startswith(("annotations/", "derived/")):
            data = path.read_bytes()
            files[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert content["algorithm"] == "sha256"
    assert content["files"] == files
    lines = "".join(f"{file['sha256']}  {file['bytes']}  {name}\n" for name, file in sorted(files.items()))
    assert content["sha256"] == hashlib.sha256(lines.encode()).hexdigest()


def test_rows_lie_on_the_grid_and_hold_the_command_and_the_state_of_their_time(episode: zarr.Group) -> None:
    steps = {name: array[:] for name, array in episode["steps"].arrays()}
    commands, joints = episode["streams/commands"], episode["streams/joint_states"]
    period_ns = 1e9 / episode.attrs["control_hz"]
    on_grid = (steps["t_mono_ns"] - commands["t_mono_ns"][0]) / period_ns
    assert np.abs(on_grid - on_grid.round()).max() * period_ns < 1
    index = np.searchsorted(commands["t_mono_ns"][:], steps["t_mono_ns"], side="left")
    assert (index == steps["command_index"]).all()
    columns = {"command_sent": "sent", "command_target": "target", "control": "source", "chunk_id": "chunk_id"}
    for column, stream in columns.items():
        assert (steps[column] == commands[stream][:][index]).all()
    for column in ("policy", "operator"):
        np.testing.assert_array_equal(steps[f"command_{column}"], commands[column][:][index])
    newest = np.searchsorted(joints["t_ros_ns"][:], steps["t_ros_ns"], side="right") - 1
    assert (joints["t_ros_ns"][:][newest] == steps["t_obs_ns"]).all()
    assert (joints["position"][:][newest] == steps["state"]).all()


def test_images_belong_to_rows_and_decode(episode: zarr.Group) -> None:
    steps, camera = episode["steps"], episode["cameras/head"]
    newest = np.searchsorted(camera["capture_ns"][:], steps["t_ros_ns"][:], side="right") - 1
    assert (newest == steps["camera_index_head"][:]).all()
    age = steps["t_ros_ns"][:] - camera["capture_ns"][:][newest]
    assert (age == steps["camera_age_ns_head"][:]).all()
    image = cv2.imdecode(ragged(camera, "jpeg", int(newest[30])), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (camera.attrs["height"], camera.attrs["width"], 3)
    assert list(episode.attrs["cameras"]) == ["head"]


def test_segments_and_valid_rows_follow_from_the_other_columns(episode: zarr.Group) -> None:
    steps = {name: array[:] for name, array in episode["steps"].arrays()}
    same = (np.diff(steps["control"].astype(int)) == 0) & (np.diff(steps["epoch"].astype(np.int64)) == 0)
    ends = ~(same & follows(episode))
    assert (steps["segment_id"] == np.concatenate([[0], np.cumsum(ends)])).all()
    fresh = (steps["t_obs_ns"] >= 0) & (steps["t_ros_ns"] - steps["t_obs_ns"] <= 50_000_000)
    age = steps["camera_age_ns_head"]
    fresh &= (age >= 0) & (age <= 150_000_000)
    fresh &= ~(steps["limited"] & 16).any(axis=1)
    fresh &= (steps["mode"] != ROLLOUT) | (steps["control"] == 1)
    assert (steps["valid"] == fresh).all()


def test_stages_are_those_of_the_script_with_the_corrected_mark(episode: zarr.Group) -> None:
    found = stages(episode)
    # 1 s of rollout, .8 s of pause and alignment, a takeover of 1.5 s, .1 s of pause, .6 s of rollout.
    assert (found[:30] == STAGE_ROLLOUT).all()
    assert (found[30:54] == STAGE_NONE).all()
    assert (found[54:81] == STAGE_ADAPTATION).all()
    assert (found[81:99] == STAGE_RECOVERY).all()
    assert found[-1] == STAGE_ROLLOUT
    # Live, the mark came .6 s into the takeover; where nothing was corrected the column says the same.
    live = episode["steps"]["stage"][:]
    assert set(np.flatnonzero(found != live)) == set(range(72, 81))


def test_windows_for_training_hold_one_controller_and_no_gap(episode: zarr.Group) -> None:
    steps, horizon = episode["steps"], 16
    control, segment = steps["control"][:], steps["segment_id"][:]
    keep = np.isin(control, (1, 2)) & (stages(episode) != STAGE_NONE)
    together = keep[1:] & keep[:-1] & (np.diff(segment) == 0) & follows(episode)
    starts = [row for row in range(len(keep) - horizon + 1) if keep[row] and together[row : row + horizon - 1].all()]
    actions = np.stack([steps["command_sent"][row : row + horizon] for row in starts])
    assert actions.shape[1:] == (horizon, len(episode.attrs["joint_names"]))
    # 30 rows of rollout, 45 of takeover and 18 of rollout hold 15 + 30 + 3 windows.
    assert len(starts) == 48


def test_chunks_say_what_the_policy_was_after(episode: zarr.Group) -> None:
    chunks, commands = episode["chunks"], episode["streams/commands"]
    source, used = commands["source"][:], commands["chunk_id"][:]
    for record, number in enumerate(chunks["chunk_id"][:].tolist()):
        predicted = ragged(chunks, "prediction", record)
        ticks = np.flatnonzero((used == number) & (source == 1))
        assert chunks["first_executed_ns"][record] == commands["t_mono_ns"][ticks[0]]
        at = (commands["t_ros_ns"][:][ticks] - chunks["t_observation_ns"][record]) * 1e-9 / chunks["dt_s"][record]
        assert (np.floor(at + 1e-6) == commands["chunk_step"][:][ticks]).all()
        asked = commands["policy"][:][ticks]
        expected = np.stack([np.interp(at, np.arange(len(predicted)), joint) for joint in predicted.T], axis=1)
        np.testing.assert_allclose(asked, expected, atol=1e-3)
        info = json.loads(ragged(chunks, "info_json", record).tobytes())
        assert info["policy_id"].startswith("demo")


def test_attributes_can_be_computed_from_the_arrays(episode: zarr.Group) -> None:
    attrs, steps = episode.attrs, episode["steps"]
    mode, control = steps["mode"][:], steps["control"][:]
    assert attrs["rows"] == len(mode)
    assert attrs["frames"] == {"head": episode["cameras/head"]["capture_ns"].shape[0]}
    assert attrs["takeovers"] == ((mode[1:] == TAKEOVER) & (mode[:-1] != TAKEOVER)).sum()
    moved = control[np.isin(mode, (ROLLOUT, TAKEOVER))]
    assert attrs["control_at_end"] == {1: "policy", 2: "human"}[int(moved[-1])]
    (mark,) = attrs["t_r"]
    assert steps["t_ros_ns"][mark["row"]] <= mark["t_ros_ns"] < steps["t_ros_ns"][mark["row"] + 1]
    assert steps["epoch"][mark["row"]] == mark["epoch"]
    assert attrs["policy"] == {"id": "demo", "sha256": "abc123", "index": 2}


def test_annotations_replace_what_was_recorded_and_prove_themselves(
    episode: zarr.Group, corrected_episode: Path
) -> None:
    said = annotations_in_force(episode)
    assert (said["outcome"]["value"], episode.attrs["outcome"]["value"]) == ("failure", "success")
    facts = json.loads((corrected_episode / "hashes.json").read_text())["sha256"]
    for attributes in said.values():
        assert attributes["facts_sha256"] == facts
        digest = attributes.pop("sha256")
        text = json.dumps(attributes, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        assert hashlib.sha256(text.encode()).hexdigest() == digest
