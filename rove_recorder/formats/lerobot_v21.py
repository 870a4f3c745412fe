"""The files of LeRobotDataset v2.1, which some trainers still read: a table and a video per episode."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rove_recorder.formats.lerobot_columns import Column
from rove_recorder.formats.lerobot_statistics import FeatureStatistics, as_lists
from rove_recorder.formats.lerobot_v30 import table_of
from rove_recorder.formats.video import VideoWriter

VERSION = "v2.1"
CHUNK_SIZE = 1000  # episodes per folder

DATA_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
VIDEO_PATH = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"

STATISTICS = ("min", "max", "mean", "std", "count")


class FilesV21:
    """Writes below `root`. As a context manager it closes its files, whatever happened."""

    def __init__(self, root: Path, sizes: dict[str, tuple[int, int]], fps: int) -> None:
        self._root, self._sizes, self._fps = root, sizes, fps
        self._videos: list[VideoWriter] = []
        self._open = ExitStack()
        (root / "meta").mkdir(parents=True)
        self._episodes = self._open.enter_context((root / "meta/episodes.jsonl").open("w", encoding="utf-8"))
        self._statistics = self._open.enter_context((root / "meta/episodes_stats.jsonl").open("w", encoding="utf-8"))

    def video(self, key: str, episode_index: int) -> VideoWriter:
        """The video of an episode's images of a camera."""
        path = self._path(VIDEO_PATH, episode_index, video_key=key)
        writer = self._open.enter_context(VideoWriter(path, self._sizes[key], self._fps))
        self._videos.append(writer)
        return writer

    def _path(self, pattern: str, episode_index: int, **more: str) -> Path:
        return self._root / pattern.format(
            episode_chunk=episode_index // CHUNK_SIZE, episode_index=episode_index, **more
        )

    def add(self, columns: dict[str, Column], facts: dict[str, Any], statistics: dict[str, FeatureStatistics]) -> None:
        """An episode, when its images are in the videos; see FilesV30.add."""
        for writer in self._videos:
            writer.finish()
        self._videos.clear()
        path = self._path(DATA_PATH, facts["episode_index"])
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table_of(columns), path, compression="snappy")
        self._episodes.write(json.dumps(facts) + "\n")
        found = {"episode_index": facts["episode_index"], "stats": as_lists(statistics, STATISTICS)}
        self._statistics.write(json.dumps(found) + "\n")

    def finish(self, info: dict[str, Any], tasks: list[str], statistics: dict[str, FeatureStatistics]) -> None:
        """Write what describes the dataset."""
        self._open.close()
        meta = self._root / "meta"
        lines = (json.dumps({"task_index": index, "task": task}) + "\n" for index, task in enumerate(tasks))
        (meta / "tasks.jsonl").write_text("".join(lines), encoding="utf-8")
        # Version 2.0 kept the statistics of all episodes here, and some of its readers want them.
        (meta / "stats.json").write_text(json.dumps(as_lists(statistics, STATISTICS), indent=4), encoding="utf-8")
        episodes = info["total_episodes"]
        info = {
            "codebase_version": VERSION,
            **info,
            "total_videos": episodes * len(self._sizes),
            "total_chunks": -(-episodes // CHUNK_SIZE),
            "chunks_size": CHUNK_SIZE,
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH if self._sizes else None,
        }
        (meta / "info.json").write_text(json.dumps(info, indent=4), encoding="utf-8")

    def __enter__(self) -> FilesV21:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
