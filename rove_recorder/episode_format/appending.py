"""Appending to the arrays of an open episode: rows into chunk files, records of a group in batches."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from rove_recorder.episode_format.schema import ArraySpec, GroupSpec, Layout
from rove_recorder.episode_format.storage import METADATA, AnyArray, array_metadata, chunk_path, group_metadata


class ArrayAppender:
    """Appends rows to the chunk files of one array. A row is durable against a kill once `append` returned.

    Attributes:
        full_chunks: SHA-256 of each chunk that is full, made from what was given to write: nothing is read back.
    """

    def __init__(self, folder: Path, spec: ArraySpec) -> None:
        self.spec = spec
        self.rows = 0
        self.full_chunks: list[str] = []
        self._digest = hashlib.sha256()
        self._folder = folder
        self._handle = -1
        (folder / "c").mkdir(parents=True)
        (folder / METADATA).write_bytes(array_metadata(spec, 0))

    def append(self, values: AnyArray, at: int | None = None) -> None:
        """Write rows, shape (n, *tail).

        Args:
            at: row number of the first of them. Rows that are there already are left out, so that a batch of which
                the disk took only a part may be given again.

        Raises:
            OSError: the disk is full or not writable. Whole rows that were written until then stay.
        """
        if at is not None:
            values = values[self.rows - at :]
        values = np.ascontiguousarray(values, dtype=self.spec.dtype)
        data = values.reshape(-1).view(np.uint8).data
        row_bytes, chunk_rows = self.spec.row_bytes, self.spec.chunk_rows
        done = 0
        while done < len(values):
            index, used = divmod(self.rows, chunk_rows)
            if used == 0:
                self._open_chunk(index)
            count = min(chunk_rows - used, len(values) - done)
            block = data[done * row_bytes : (done + count) * row_bytes]
            self._write(block, used * row_bytes)
            done += count
            self.rows += count
            if self.rows % chunk_rows == 0:
                self.full_chunks.append(self._digest.hexdigest())
                self._digest = hashlib.sha256()

    def _write(self, block: memoryview, start: int) -> None:
        """Write a block at byte `start` of the open chunk, or nothing of it."""
        rest = block
        try:
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._handle, start)
                os.lseek(self._handle, start, os.SEEK_SET)
            raise
        self._digest.update(block)

    def _open_chunk(self, index: int) -> None:
        self.close()
        path = chunk_path(self._folder, index, self.spec.tail)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)

    def moved_to(self, folder: Path) -> None:
        """The array's folder has another name now."""
        self._folder = folder

    def close(self) -> None:
        """Close the file."""
        if self._handle >= 0:
            with suppress(OSError):
                os.close(self._handle)
            self._handle = -1


class GroupWriter:
    """Buffers the records of one group and appends them in batches, the arrays that others depend on first."""

    def __init__(self, root: Path, spec: GroupSpec) -> None:
        folder = root / spec.path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / METADATA).write_bytes(group_metadata(spec.attributes))
        self.path = spec.path
        self.records = self._flushed = 0
        self._arrays = {array.name: ArrayAppender(folder / array.name, array) for array in spec.arrays}
        self._rows: dict[str, list[Any]] = {}
        self._ends: dict[str, int] = {}
        for array in spec.arrays:
            if array.layout is Layout.OFFSETS:
                self._arrays[array.name].append(np.zeros(1, np.int64))
                self._ends[array.name] = 0
            elif array.layout is not Layout.FINAL:
                self._rows[array.name] = []

    def add(self, record: Mapping[str, Any]) -> int:
        """Buffer a record (every array but offsets and final ones) and return its index."""
        for name, rows in self._rows.items():
            rows.append(record[name])
        self.records += 1
        return self.records - 1

    def flush(self) -> None:
        """Write what is buffered. Raises OSError; what was written of it then is not written again the next time."""
        if not any(self._rows.values()):
            return
        # Ragged data before its offsets: a record counts only when both are there.
        ragged = [name for name in self._rows if self._arrays[name].spec.layout is Layout.RAGGED]
        ends = dict(self._ends)
        for name in ragged:
            rows, spec = self._rows[name], self._arrays[name].spec
            lengths = np.array([len(row) for row in rows], np.int64)
            blocks = [np.frombuffer(row, np.uint8) if isinstance(row, bytes) else row for row in rows]
            self._arrays[name].append(np.concatenate(blocks), at=self._ends[spec.offsets])
            bounds = self._ends[spec.offsets] + np.cumsum(lengths)
            self._arrays[spec.offsets].append(bounds, at=self._flushed + 1)
            ends[spec.offsets] = int(bounds[-1])
        for name, rows in self._rows.items():
            if name not in ragged:
                self._arrays[name].append(np.asarray(rows), at=self._flushed)
        for rows in self._rows.values():
            rows.clear()
        self._ends, self._flushed = ends, self.records

    @property
    def bytes_written(self) -> int:
        """Of all arrays [bytes]."""
        return sum(array.rows * array.spec.row_bytes for array in self._arrays.values())

    def full_chunks(self) -> Iterator[tuple[ArraySpec, list[str]]]:
        """Every array with the hashes of its full chunks, see `ArrayAppender`."""
        return ((array.spec, array.full_chunks) for array in self._arrays.values())

    def moved_to(self, root: Path) -> None:
        """The episode's folder has another name now."""
        for name, array in self._arrays.items():
            array.moved_to(root / self.path / name)

    def close(self) -> None:
        """Close the files without flushing."""
        for array in self._arrays.values():
            array.close()
