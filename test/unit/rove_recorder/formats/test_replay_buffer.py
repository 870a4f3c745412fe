"""Our ReplayBuffers as files. What zarr 2 makes of them: test/interop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import zarr
from zarr.storage import ZipStore

from rove_recorder.formats.replay_buffer import NAME
from rove_recorder.reader import open_episode


def test_episodes_follow_one_another_and_ends_delimit_them(convert, two_attempts: list[Path], tmp_path: Path) -> None:
    report = convert("replay_buffer", two_attempts, out="buffer.zarr.zip")
    with ZipStore(tmp_path / "buffer.zarr.zip", mode="r") as store:
        root = zarr.open_group(store, mode="r")
        ends = root["meta/episode_ends"][:]
        lengths = {name: array.shape[0] for name, array in root["data"].arrays()}
        assert root.metadata.zarr_format == 2
        assert set(lengths.values()) == {report.rows} == {ends[-1]}
        assert len(ends) == report.episodes == len(root.attrs["episodes"])
        start = 0
        for end, about in zip(ends, root.attrs["episodes"], strict=True):
            path = next(path for path in two_attempts if path.stem == about["attempt"])
            steps, rows = open_episode(path).steps, root["data/row"][start:end]
            assert np.array_equal(root["data/action"][start:end], steps["command_sent"][rows].astype(np.float32))
            start = end
        assert root["meta/success"][:].tolist() == [0, 0, 1, 0]


def test_images_are_resized(convert, failed_episode: Path, tmp_path: Path) -> None:
    report = convert("replay_buffer", [failed_episode], "size=32x24", out="buffer.zarr.zip")
    with ZipStore(tmp_path / "buffer.zarr.zip", mode="r") as store:
        images = zarr.open_group(store, mode="r")["data/camera_head"]
        assert images.shape == (report.rows, 24, 32, 3)
        assert images.dtype == np.uint8
        assert images[:].std(axis=(1, 2, 3)).min() > 0


def test_a_name_without_zip_is_a_folder_that_holds_the_file(convert, failed_episode: Path, tmp_path: Path) -> None:
    convert("replay_buffer", [failed_episode], "images=false")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [NAME]


def test_the_same_attempts_give_the_same_bytes(convert, failed_episode: Path, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        convert("replay_buffer", [failed_episode], out=name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
