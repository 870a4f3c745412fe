"""Windows are what the episode says, row by row; masks say where they are not."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree
from subprocess import run
from typing import Any

import cv2
import fsspec
import numpy as np
import pytest

from rove_core.errors import EpisodeError
from rove_core.modes import Mode, Outcome, Source, Stage
from rove_recorder.episode_format.appending import ArrayAppender
from rove_recorder.episode_format.schema import ArraySpec
from rove_recorder.episode_format.storage import ArrayFolder
from rove_recorder.labels.annotations import annotate
from rove_recorder.reader import open_episode
from rove_recorder.windows.chunk_maps import ChunkMaps
from rove_recorder.windows.dataset import EpisodeDataset, WindowSpec
from rove_recorder.windows.window_index import WindowFilter

ALL = WindowFilter(valid_only=False)


def test_windows_are_what_the_episode_says(takeover_episode: Path) -> None:
    spec = WindowSpec(horizon=16, history=4, image_rows=(-3, 0))
    dataset, episode = EpisodeDataset([takeover_episode], spec, ALL), open_episode(takeover_episode)
    steps, view = episode.steps, episode.training_view()
    assert len(dataset) == len(view.rows)
    past, known = view.history_rows(view.rows, 4)
    chunk, acts = view.chunk_rows(view.rows, 16)
    stage = np.concatenate([np.full(span.rows, int(span.stage)) for span in episode.stages()])
    for number, row in enumerate(view.rows.tolist()):
        window = dataset[number]
        assert (window["episode"], window["row"]) == (0, row)
        np.testing.assert_array_equal(window["state"], steps["state"][past[number]].astype(np.float32))
        np.testing.assert_array_equal(window["state_velocity"], steps["state_velocity"][past[number]])
        np.testing.assert_array_equal(window["history_mask"], known[number])
        np.testing.assert_array_equal(window["action"], steps["command_sent"][chunk[number]].astype(np.float32))
        np.testing.assert_array_equal(window["action_mask"], acts[number])
        assert window["stage"] == stage[row]
        assert window["control"] == steps["control"][row]
        assert window["policy_index"] == steps["policy_index"][row]
        assert (window["instruction"], window["outcome"]) == ("wipe the whiteboard", "success")
        assert window["image_mask.head"].tolist() == [view.behind[row] >= 3, True]
        np.testing.assert_array_equal(window["image.head"][1], episode.frame_at(row, "head"))
        before = episode.frame_at(row - 3, "head") if view.behind[row] >= 3 else np.zeros((48, 64, 3))
        np.testing.assert_array_equal(window["image.head"][0], before)


def test_a_batch_is_its_windows_stacked(takeover_episode: Path) -> None:
    dataset = EpisodeDataset([takeover_episode], WindowSpec(history=2), threads=2)
    numbers = [3, len(dataset) - 1, -2, 3]
    batch = dataset[numbers]
    for place, number in enumerate(numbers):
        for key, value in dataset[number].items():
            np.testing.assert_array_equal(batch[key][place], value)
    with pytest.raises(IndexError, match="there are"):
        dataset[len(dataset)]


def test_windows_of_many_episodes_are_numbered_one_after_the_other(
    takeover_episode: Path, scripted: Callable[[str], Any]
) -> None:
    other = scripted("other")
    for _ in range(200):
        other.step(Mode.ROLLOUT)
    paths = [takeover_episode, other.close()]
    sizes = [len(EpisodeDataset([path])) for path in paths]
    both = EpisodeDataset(paths)
    assert len(both) == sum(sizes)
    assert [int(both[i]["episode"]) for i in (0, sizes[0] - 1, sizes[0], -1)] == [0, 0, 1, 1]
    second = EpisodeDataset(paths[1:])
    np.testing.assert_array_equal(both[sizes[0] + 7]["action"], second[7]["action"])


def test_masks_end_where_one_epoch_follows_the_other_without_a_pause(scripted: Callable[[str], Any]) -> None:
    episode = scripted("adjacent")
    for _ in range(2):
        episode.epoch += 1
        for _ in range(100):
            episode.step(Mode.ROLLOUT)
    batch = EpisodeDataset([episode.close()], WindowSpec(history=3), ALL)[list(range(30))]
    assert batch["action_mask"].sum(axis=1).tolist() == 2 * [min(15 - row, 16) for row in range(15)]
    assert batch["history_mask"].sum(axis=1).tolist() == 2 * [min(row + 1, 4) for row in range(15)]


def test_filters_keep_the_windows_that_they_name(takeover_episode: Path, scripted: Callable[[str], Any]) -> None:
    failed = scripted("failed")
    for _ in range(100):
        failed.step(Mode.ROLLOUT)
    paths = [takeover_episode, failed.close(Outcome.FAILURE)]
    everything = EpisodeDataset(paths)
    stages = [int(everything[i]["stage"]) for i in range(len(everything))]

    def kept(**how: Any) -> list[tuple[int, int]]:
        dataset = EpisodeDataset(paths, keep=WindowFilter(**how))
        return [(int(dataset[i]["stage"]), int(dataset[i]["control"])) for i in range(len(dataset))]

    assert set(stages) == {Stage.ROLLOUT, Stage.ADAPTATION, Stage.RECOVERY}
    without = kept(stages=frozenset({Stage.ROLLOUT, Stage.RECOVERY}))
    assert len(without) == len(stages) - stages.count(Stage.ADAPTATION)
    assert {stage for stage, _ in without} == {Stage.ROLLOUT, Stage.RECOVERY}
    assert {control for _, control in kept(controls=frozenset({Source.OPERATOR}))} == {Source.OPERATOR}
    assert len(kept(outcomes=frozenset({Outcome.SUCCESS}))) == len(EpisodeDataset(paths[:1]))
    whole = EpisodeDataset(paths, keep=WindowFilter(min_steps=16))
    assert all(whole[i]["action_mask"].all() for i in range(len(whole)))
    with pytest.raises(EpisodeError, match="2 episodes hold no window"):
        kept(tasks=frozenset({"toaster"}))


def test_corrected_outcomes_and_marks_count(takeover_episode: Path) -> None:
    def say(name: str, payload: dict[str, Any]) -> None:
        when = datetime(2026, 5, 5, tzinfo=UTC)
        annotate(takeover_episode, name, name, payload, by="reviewer", when=when, tool="test")

    marked = open_episode(takeover_episode).marks()[0]
    assert marked is not None
    later = {"takeover": 0, "epoch": marked.epoch, "t_ros_ns": marked.t_ros_ns + 200_000_000}
    recovery = WindowFilter(stages=frozenset({Stage.RECOVERY}))
    before = len(EpisodeDataset([takeover_episode], keep=recovery))
    say("t_r", {"marks": [later]})
    assert len(EpisodeDataset([takeover_episode], keep=recovery)) == before - 6
    say("outcome", {"value": "failure"})
    assert EpisodeDataset([takeover_episode])[0]["outcome"] == "failure"
    with pytest.raises(EpisodeError, match="hold no window"):
        EpisodeDataset([takeover_episode], keep=WindowFilter(outcomes=frozenset({Outcome.SUCCESS})))


def test_an_episode_without_actions_masks_them_all(takeover_episode: Path) -> None:
    metadata = takeover_episode / "zarr.json"
    content = json.loads(metadata.read_text())
    content["attributes"]["has_action"] = False
    metadata.write_text(json.dumps(content))
    window = EpisodeDataset([takeover_episode])[0]
    assert not window["action_mask"].any()
    assert not window["action"].any()


def test_images_can_be_resized_by_the_caller_or_while_they_are_decoded(takeover_episode: Path) -> None:
    half = EpisodeDataset([takeover_episode], WindowSpec(image_reduction=2))[4]["image.head"]
    assert half.shape == (1, 24, 32, 3)
    whole = EpisodeDataset([takeover_episode], prepare=lambda _camera, image: cv2.resize(image, (32, 24)))
    small = whole[4]["image.head"]
    assert small.shape == (1, 24, 32, 3)
    assert np.abs(half.astype(int) - small).mean() < 4
    assert not any(key.startswith("image") for key in EpisodeDataset([takeover_episode], WindowSpec(cameras=()))[0])


def test_an_episode_behind_a_url_gives_the_same_windows(takeover_episode: Path) -> None:
    fsspec.filesystem("memory").put(f"{takeover_episode}/", "/dataset/a.zarr", recursive=True)
    here, there = EpisodeDataset([takeover_episode]), EpisodeDataset(["memory://dataset/a.zarr"])
    assert len(here) == len(there)
    for key, value in here[[0, 5, -1]].items():
        np.testing.assert_array_equal(there[[0, 5, -1]][key], value)


def test_a_pickled_data_set_is_small_and_reads_the_same(takeover_episode: Path) -> None:
    dataset = EpisodeDataset([takeover_episode], threads=2)
    expected = dataset[[1, 2]]
    data = pickle.dumps(dataset)
    assert len(data) < 4000
    again = pickle.loads(data)[[1, 2]]  # noqa: S301 - what DataLoader does to reach a spawned worker
    np.testing.assert_array_equal(again["image.head"], expected["image.head"])


def test_damage_is_one_line_that_names_it(takeover_episode: Path, scripted: Callable[[str], Any]) -> None:
    chunk = takeover_episode / "steps" / "command_sent" / "c" / "0" / "0"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:100_000])
    with pytest.raises(EpisodeError, match=r"command_sent/c/0/0 is truncated: 100000 of 5\d+ bytes"):
        EpisodeDataset([takeover_episode])[0]
    chunk.write_bytes(whole)
    jpeg, dataset = takeover_episode / "cameras" / "head" / "jpeg" / "c" / "0", EpisodeDataset([takeover_episode])
    jpeg.write_bytes(bytes(len(jpeg.read_bytes())))
    with pytest.raises(EpisodeError, match=r"cameras/head/jpeg: bytes \d+ to \d+ is not a JPEG"):
        dataset[0]
    with pytest.raises(EpisodeError, match="no array steps/stat"):
        EpisodeDataset([takeover_episode], WindowSpec(observations=("stat",)))
    cameras = takeover_episode / "cameras"
    (cameras / "head").rename(cameras / "tail")
    with pytest.raises(EpisodeError, match="has no group 'cameras/head'"):
        EpisodeDataset([takeover_episode])
    making = scripted("open")
    with pytest.raises(EpisodeError, match="is still open"):
        EpisodeDataset([making.writer.path])


def test_what_cannot_be_stacked_is_refused(takeover_episode: Path) -> None:
    with pytest.raises(ValueError, match="look into the future"):
        WindowSpec(image_rows=(0, 1))
    with pytest.raises(ValueError, match="image_reduction 3"):
        WindowSpec(image_reduction=3)
    other = takeover_episode.with_name("other.zarr")
    copytree(takeover_episode, other)
    metadata = other / "zarr.json"
    content = json.loads(metadata.read_text())
    content["attributes"]["joint_names"][0] = "tail"
    metadata.write_text(json.dumps(content))
    with pytest.raises(EpisodeError, match="differ in joint_names"):
        EpisodeDataset([takeover_episode, other])


def test_images_of_two_sizes_need_somebody_to_resize_them(
    takeover_episode: Path, scripted: Callable[[str], Any]
) -> None:
    larger = scripted("larger")
    larger.size = (80, 60)  # whatever the camera promised
    for _ in range(100):
        larger.step(Mode.ROLLOUT)
    paths = [takeover_episode, larger.close()]
    with pytest.raises(EpisodeError, match=r"takeover\.zarr have images of different sizes"):
        EpisodeDataset(paths)
    resized = EpisodeDataset(paths, prepare=lambda _camera, image: image[:40, :60])
    assert resized[[0, -1]]["image.head"].shape == (2, 1, 40, 60, 3)


def test_maps_are_bounded_and_rows_cross_chunks(tmp_path: Path) -> None:
    spec = ArraySpec("numbers", "int64")
    count = 3 * spec.chunk_rows + 5
    appender = ArrayAppender(tmp_path / "numbers", spec)
    appender.append(np.arange(count))
    appender.close()
    array = ArrayFolder(tmp_path / "numbers")
    array.seal(count)
    maps = ChunkMaps(capacity=2)
    for start in (0, spec.chunk_rows - 3, 2 * spec.chunk_rows - 1, 17):
        stop = min(start + spec.chunk_rows + 10, count)
        np.testing.assert_array_equal(maps.rows(array, start, stop), np.arange(start, stop))
        np.testing.assert_array_equal(maps.rows(array, start, start + 2), [start, start + 1])
        assert len(maps._chunks) <= 2


def test_importing_it_loads_neither_torch_nor_opencv() -> None:
    heavy = "{'torch', 'cv2', 'fsspec', 'zarr'}"
    code = f"import sys, rove_recorder.windows.dataset; sys.exit(not {heavy}.isdisjoint(sys.modules))"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
