"""The files of LeRobotDataset v3.0: many episodes in one table and in one video."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rove_recorder.formats.lerobot_columns import Column
from rove_recorder.formats.lerobot_statistics import FeatureStatistics, as_lists
from rove_recorder.formats.video import VideoWriter

VERSION = "v3.0"
CHUNK_SIZE = 1000  # files per folder
DATA_MB, VIDEO_MB = 100, 200
_MB = 1024 * 1024
_EPISODES_AT_ONCE = 100  # rows of the table of episodes that are held in memory

DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
TASKS_PATH = "meta/tasks.parquet"


class TableFiles:
    """Parquet files that follow one another; the next begins when one is about `limit` bytes big."""

    def __init__(self, root: Path, pattern: str, limit: int) -> None:
        self._root, self._pattern, self._limit = root, pattern, limit
        self._number = -1
        self._bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, table: pa.Table) -> None:
        """Append a table as one row group; `place` says before where it goes."""
        if self._writer is None:
            path = self._root / self._pattern.format(**self.place())
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, table.schema, compression="snappy")
        self._writer.write_table(table, row_group_size=max(len(table), 1))
        self._bytes += table.nbytes

    def place(self) -> dict[str, int]:
        """chunk_index and file_index of what is written next."""
        if self._number < 0 or (self._writer is not None and self._bytes >= self._limit):
            self.close()
            self._number, self._bytes = self._number + 1, 0
        return {"chunk_index": self._number // CHUNK_SIZE, "file_index": self._number % CHUNK_SIZE}

    def close(self) -> None:
        """Finish the file that is open."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class FilesV30:
    """Writes below `root`. As a context manager it closes its files, whatever happened.

    Args:
        sizes: video key -> width, height.
    """

    def __init__(self, root: Path, sizes: dict[str, tuple[int, int]], fps: int) -> None:
        self._root, self._sizes, self._fps = root, sizes, fps
        self._data = TableFiles(root, DATA_PATH, DATA_MB * _MB)
        self._episodes = TableFiles(root, EPISODES_PATH, DATA_MB * _MB)
        self._pending: list[dict[str, Any]] = []
        self._videos: dict[str, VideoWriter] = {}
        self._video_numbers = dict.fromkeys(sizes, -1)
        self._open = ExitStack()
        self._open.callback(self._data.close)
        self._open.callback(self._episodes.close)

    def video(self, key: str, episode_index: int) -> VideoWriter:  # noqa: ARG002 - v2.1 has a file per episode
        """The video that the next episode's images of a camera go to."""
        writer = self._videos.get(key)
        if writer is None or writer.bytes >= VIDEO_MB * _MB:
            if writer is not None:
                writer.finish()
            self._video_numbers[key] += 1
            path = self._root / VIDEO_PATH.format(video_key=key, **self._video_place(key))
            writer = self._open.enter_context(VideoWriter(path, self._sizes[key], self._fps))
            self._videos[key] = writer
        return writer

    def _video_place(self, key: str) -> dict[str, int]:
        number = self._video_numbers[key]
        return {"chunk_index": number // CHUNK_SIZE, "file_index": number % CHUNK_SIZE}

    def add(self, columns: dict[str, Column], facts: dict[str, Any], statistics: dict[str, FeatureStatistics]) -> None:
        """An episode, when its images are in the videos.

        Args:
            facts: episode_index, tasks, length and more columns for the table of episodes.
        """
        place = self._data.place()
        self._data.write(table_of(columns))
        first = int(columns["index"][0])
        row = {
            **facts,
            "data/chunk_index": place["chunk_index"],
            "data/file_index": place["file_index"],
            "dataset_from_index": first,
            "dataset_to_index": first + facts["length"],
        }
        for key in self._sizes:  # cameras reach `video` in any order
            writer, video = self._videos[key], self._video_place(key)
            row[f"videos/{key}/chunk_index"] = video["chunk_index"]
            row[f"videos/{key}/file_index"] = video["file_index"]
            row[f"videos/{key}/from_timestamp"] = (writer.images - facts["length"]) / self._fps
            row[f"videos/{key}/to_timestamp"] = writer.images / self._fps
        for feature, found in as_lists(statistics).items():
            row |= {f"stats/{feature}/{name}": value for name, value in found.items()}
        self._pending.append(row)
        if len(self._pending) >= _EPISODES_AT_ONCE:
            self._flush_episodes()

    def _flush_episodes(self) -> None:
        if not self._pending:
            return
        place = {f"meta/episodes/{name}": index for name, index in self._episodes.place().items()}
        self._episodes.write(pa.Table.from_pylist([{**row, **place} for row in self._pending]))
        self._pending.clear()

    def finish(self, info: dict[str, Any], tasks: list[str], statistics: dict[str, FeatureStatistics]) -> None:
        """Complete the videos, and write what describes the dataset."""
        for writer in self._videos.values():
            writer.finish()
        self._flush_episodes()
        self._open.close()
        pq.write_table(_tasks_table(tasks), self._root / TASKS_PATH)
        info = {
            "codebase_version": VERSION,
            **info,
            "chunks_size": CHUNK_SIZE,
            "data_files_size_in_mb": DATA_MB,
            "video_files_size_in_mb": VIDEO_MB,
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH if self._sizes else None,
        }
        meta = self._root / "meta"
        (meta / "info.json").write_text(json.dumps(info, indent=4), encoding="utf-8")
        (meta / "stats.json").write_text(json.dumps(as_lists(statistics), indent=4), encoding="utf-8")

    def __enter__(self) -> FilesV30:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


def table_of(columns: dict[str, Column]) -> pa.Table:
    """Columns of shape (n,) as they are, of shape (n, D) as lists of fixed size."""
    return pa.table(
        {
            name: pa.array(values)
            if values.ndim == 1
            else pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).reshape(-1)), values.shape[1])
            for name, values in columns.items()
        }
    )


def _tasks_table(tasks: list[str]) -> pa.Table:
    """Number of every task, with the task itself as what pandas reads as the index."""
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(tasks, pa.string())})
    index = {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    number = {**index, "name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64"}
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [number, index],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.2.0",
    }
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})
