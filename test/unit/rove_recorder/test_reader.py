"""What the reader gives, and what it says of folders that are no episodes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rove_core.errors import EpisodeError
from rove_core.modes import Mode, Stage
from rove_recorder.reader import open_episode


def test_no_window_crosses_a_pause_a_segment_or_the_end(takeover_episode: Path) -> None:
    episode = open_episode(takeover_episode)
    steps, view = episode.steps, episode.training_view()
    assert set(steps["control"][view.rows].tolist()) == {1, 2}
    assert (steps["stage"][view.rows] != Stage.NONE).all()
    for horizon in (1, 2, 16, 30):
        starts = view.windows(horizon)
        for start in starts.tolist():
            window = np.arange(start, start + horizon)
            assert window[-1] < episode.rows
            assert len(set(steps["segment_id"][window].tolist())) == 1
            assert (np.diff(steps["t_mono_ns"][window]) < 1.5e9 / 30).all()
        segments, sizes = np.unique(steps["segment_id"][view.rows], return_counts=True)
        assert len(segments) == 3
        assert len(starts) == sum(max(size - horizon + 1, 0) for size in sizes.tolist())


def test_a_dead_filter_ends_a_window(scripted: Callable[[str], Any]) -> None:
    episode = scripted("gap")
    for _ in range(100):
        episode.step(Mode.ROLLOUT)
    episode.tick += 400
    for _ in range(100):
        episode.step(Mode.ROLLOUT)
    finished = open_episode(episode.close())
    starts = finished.training_view().windows(10)
    for start in starts.tolist():
        assert np.diff(finished.steps["t_mono_ns"][start : start + 10]).max() < 50e6


def test_an_open_episode_can_be_read_while_it_is_written(scripted: Callable[[str], Any]) -> None:
    episode = scripted("open")
    for _ in range(200):
        episode.step(Mode.ROLLOUT)
    episode.recorder.flush()
    reading = open_episode(episode.writer.path)
    assert not reading.finished
    assert reading.rows >= 20
    assert len(reading.frames("head")) >= 25
    assert reading.stages()[0].stage is Stage.ROLLOUT
    assert not reading.attrs["committed"]


def test_images_come_as_rgb(takeover_episode: Path) -> None:
    frames = open_episode(takeover_episode).frames("head")
    image = frames[2]
    assert image.shape == (48, 64, 3)
    assert image.dtype == np.uint8
    red = image[24, 2].astype(int)
    assert red[0] > red[2] + 50
    assert frames.jpeg(2).startswith(b"\xff\xd8")
    assert len(frames[0:3]) == 3
    with pytest.raises(IndexError):
        frames[len(frames)]


def test_a_folder_that_is_no_episode_is_said_so(tmp_path: Path, takeover_episode: Path) -> None:
    with pytest.raises(EpisodeError, match="no episode at"):
        open_episode(tmp_path / "nothing.zarr")
    (tmp_path / "other.zarr").mkdir()
    with pytest.raises(EpisodeError, match="cannot read"):
        open_episode(tmp_path / "other.zarr")
    with pytest.raises(EpisodeError, match="no camera 'haed'") as error:
        open_episode(takeover_episode).frames("haed")
    assert "head" in error.value.hint
    with pytest.raises(EpisodeError, match="no array 'stat'"):
        open_episode(takeover_episode).steps["stat"]


def test_metadata_that_cannot_be_read_are_named(takeover_episode: Path) -> None:
    metadata = takeover_episode / "steps" / "state" / "zarr.json"
    metadata.unlink()
    metadata.mkdir()
    with pytest.raises(EpisodeError, match=r"cannot read .*steps/state/zarr\.json: Is a directory"):
        _ = open_episode(takeover_episode).steps


def test_another_schema_version_is_refused(takeover_episode: Path) -> None:
    metadata = takeover_episode / "zarr.json"
    content = json.loads(metadata.read_text())
    content["attributes"]["schema_version"] = 99
    metadata.write_text(json.dumps(content))
    with pytest.raises(EpisodeError, match="schema version 99, this reader knows 1"):
        open_episode(takeover_episode)


def test_an_episode_that_somebody_compressed_reads_the_same(takeover_episode: Path, tmp_path: Path) -> None:
    import zarr

    expected = open_episode(takeover_episode).steps["state"]
    source = zarr.open_array(takeover_episode / "steps" / "state", mode="r")
    zarr.create_array(
        takeover_episode / "steps" / "state",
        data=source[:],
        chunks=(7, 50),
        compressors=zarr.codecs.ZstdCodec(),
        overwrite=True,
    )
    np.testing.assert_array_equal(open_episode(takeover_episode).steps["state"], expected)


def test_no_window_crosses_from_one_epoch_into_the_next_without_a_pause(scripted: Callable[[str], Any]) -> None:
    episode = scripted("adjacent")
    for _ in range(2):
        episode.epoch += 1
        for _ in range(100):
            episode.step(Mode.ROLLOUT)
    finished = open_episode(episode.close())
    segments = finished.steps["segment_id"]
    assert segments.tolist() == [0] * 15 + [1] * 15
    assert finished.training_view().windows(10).tolist() == [*range(6), *range(15, 21)]
