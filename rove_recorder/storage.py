"""Arrays on disk: zarr v3 metadata and chunk files that grow by appending.

A chunk of an uncompressed zarr array is its rows, one after the other. So an open episode appends to chunk
files and touches no metadata: a kill at any moment leaves whole rows, at worst part of one, and the rows
that are there are counted from file sizes. Sealing an array cuts it to length, fills the last chunk
up with zeros (as zarr wants) and writes the shape into its zarr.json.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError
from rove_recorder.disk_sync import sync_file_system
from rove_recorder.locations import Location, local, read_into
from rove_recorder.schema import ArraySpec, GroupSpec, Layout

METADATA = "zarr.json"
# What is being written, until it gets its name.
PARTIAL = ".partial"
AnyArray = npt.NDArray[Any]


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`: a reader sees the old content or the new, never a part."""
    temporary = path.with_name(path.name + PARTIAL)
    temporary.write_bytes(data)
    temporary.replace(path)


def sync_folder(path: Path, everything: bool = False) -> None:
    """Make the names in a folder durable; with `everything` all of its file system: one call for many files."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if everything:
            sync_file_system(handle)
        else:
            os.fsync(handle)
    finally:
        os.close(handle)


def group_metadata(attributes: Mapping[str, Any]) -> bytes:
    """zarr.json of a group."""
    return _dump({"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)})


def array_metadata(spec: ArraySpec, rows: int) -> bytes:
    """zarr.json of an array with `rows` rows."""
    one_byte = np.dtype(spec.dtype).itemsize == 1
    codec: dict[str, Any] = {"name": "bytes"} if one_byte else {"name": "bytes", "configuration": {"endian": "little"}}
    attributes = {"layout": spec.layout.value}
    if spec.unit:
        attributes["unit"] = spec.unit
    if spec.offsets:
        attributes["offsets"] = spec.offsets
    return _dump(
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [rows, *spec.tail],
            "data_type": spec.dtype,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [spec.chunk_rows, *spec.tail]},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": _zero(spec.dtype),
            "codecs": [codec],
            "attributes": attributes,
        }
    )


def _zero(dtype: str) -> bool | float | int:
    kind = np.dtype(dtype).kind
    return False if kind == "b" else 0.0 if kind == "f" else 0


def _dump(metadata: Mapping[str, Any]) -> bytes:
    return json.dumps(metadata, indent=2).encode()


def read_metadata(folder: Location, data: bytes | None = None) -> dict[str, Any]:
    """zarr.json of a node; `data` is its content when that was read already.

    Raises:
        EpisodeError: there is none, or it is not JSON of zarr format 3.
    """
    path = folder / METADATA
    try:
        metadata = json.loads(path.read_bytes() if data is None else data)
    except OSError as error:
        raise EpisodeError(f"cannot read {path}: {error.strerror or 'no such file'}") from None
    except ValueError:
        raise EpisodeError(f"{path} is not valid JSON") from None
    if not isinstance(metadata, dict) or metadata.get("zarr_format") != 3:
        raise EpisodeError(f"{path} is not zarr format 3")
    return metadata


PathT = TypeVar("PathT", bound=PurePath)


def chunk_path(folder: PathT, index: int, tail: tuple[int, ...]) -> PathT:
    """File of chunk `index` along the first axis of the array in `folder`, whose rows have the shape `tail`."""
    return folder.joinpath("c", str(index), *("0" for _ in tail))


class ArrayFolder:
    """One array as a folder of chunk files, read and repaired without knowing the schema.

    Args:
        location: the array's folder.
        metadata: of the array, when it was read already.

    Raises:
        EpisodeError: metadata missing or not what the format allows.
    """

    def __init__(self, location: Location, metadata: Mapping[str, Any] | None = None) -> None:
        metadata = read_metadata(location) if metadata is None else metadata
        self.location = location
        try:
            shape = metadata["shape"]
            chunk = metadata["chunk_grid"]["configuration"]["chunk_shape"]
            self.dtype = np.dtype(metadata["data_type"]).newbyteorder("<")
            self.rows, self.tail = int(shape[0]), tuple(int(size) for size in shape[1:])
            self.chunk_rows = int(chunk[0])
            self.plain = [codec["name"] for codec in metadata["codecs"]] == ["bytes"] and tuple(chunk[1:]) == self.tail
            attributes = metadata.get("attributes", {})
            self.layout = Layout(attributes.get("layout", Layout.ROW))
        except (KeyError, TypeError, IndexError, ValueError):
            raise EpisodeError(f"{location / METADATA} is not the metadata of a zarr array") from None
        self.offsets: str = attributes.get("offsets", "")
        self.unit: str = attributes.get("unit", "")

    @property
    def folder(self) -> Path:
        """The array's folder on this machine. Raises EpisodeError when it is elsewhere."""
        return local(self.location)

    @property
    def spec(self) -> ArraySpec:
        """The array as the schema would describe it."""
        return ArraySpec(self.folder.name, self.dtype.name, self.tail, self.unit, self.layout, self.offsets)

    @property
    def row_bytes(self) -> int:
        """Size of a row [bytes]."""
        return int(self.dtype.itemsize * np.prod(self.tail, dtype=np.int64))

    def chunk_path(self, index: int) -> Path:
        """File of chunk `index` along the first axis."""
        return chunk_path(self.folder, index, self.tail)

    def _chunk(self, index: int) -> Location:
        return self.location.joinpath("c", str(index), *("0" for _ in self.tail))

    def rows_on_disk(self) -> int:
        """Whole rows in the chunk files, whatever the metadata says; for an array that is still open."""
        rows = index = 0
        while True:
            try:
                size = self.chunk_path(index).stat().st_size
            except FileNotFoundError:
                return rows
            rows += min(size // self.row_bytes, self.chunk_rows)
            index += 1
            if rows < index * self.chunk_rows:
                return rows

    def read(self, start: int, stop: int) -> AnyArray:
        """Rows [start, stop).

        Raises:
            EpisodeError: a chunk file is missing, too short or damaged.
        """
        if not self.plain:
            return self._decoded(start, stop)
        out = np.empty((max(stop - start, 0), *self.tail), self.dtype)
        done = start
        while done < stop:
            index, first = divmod(done, self.chunk_rows)
            count = min(self.chunk_rows - first, stop - done)
            target = out[done - start : done - start + count].reshape(-1).view(np.uint8).data
            chunk = self._chunk(index)
            try:
                got = read_into(chunk, first * self.row_bytes, target)
            except OSError as error:
                raise EpisodeError(f"cannot read {chunk}: {error.strerror or 'no such file'}") from None
            if got != len(target):
                raise EpisodeError(f"{chunk} is truncated: {got} of {len(target)} bytes from row {done}")
            done += count
        return out

    def _decoded(self, start: int, stop: int) -> AnyArray:
        """Somebody rewrote the episode with a compressor: any zarr v3 array is as good."""
        import zarr

        try:
            return np.asarray(zarr.open_array(str(self.location), mode="r")[start:stop])
        except (OSError, ValueError, RuntimeError) as error:  # each codec has its own
            raise EpisodeError(f"cannot read {self.location}: {error}") from None

    def seal(self, rows: int) -> bool:
        """Keep the first `rows` rows, fill up the last chunk, write the shape. Chunks that stay full stay untouched.

        Returns:
            Whether there were more rows.
        """
        index, cut = 0, False
        while (path := self.chunk_path(index)).exists():
            keep = min(max(rows - index * self.chunk_rows, 0), self.chunk_rows)
            cut = cut or path.stat().st_size > keep * self.row_bytes
            if keep == 0:
                path.unlink()
            elif keep < self.chunk_rows:
                handle = os.open(path, os.O_RDWR)
                try:
                    os.ftruncate(handle, keep * self.row_bytes)
                    os.ftruncate(handle, self.chunk_rows * self.row_bytes)
                finally:
                    os.close(handle)
            index += 1
        write_atomically(self.folder / METADATA, array_metadata(self.spec, rows))
        self.rows = rows
        return cut


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


def records_on_disk(arrays: Mapping[str, ArrayFolder]) -> int:
    """How many records of a group are complete in all of its arrays, for a group that is still open."""
    counts = []
    for array in arrays.values():
        if array.layout is Layout.ROW:
            counts.append(array.rows_on_disk())
        elif array.layout is Layout.OFFSETS:
            counts.append(max(array.rows_on_disk() - 1, 0))
    records = min(counts, default=0)
    for array in arrays.values():
        if array.layout is Layout.RAGGED and records:
            offsets = arrays[array.offsets].read(0, records + 1)
            records = int(np.searchsorted(offsets, array.rows_on_disk(), side="right")) - 1
    return max(records, 0)


def array_rows(array: ArrayFolder, arrays: Mapping[str, ArrayFolder], records: int) -> int:
    """Rows of `array` when its group holds `records` records."""
    if array.layout is Layout.OFFSETS:
        return records + 1
    if array.layout is Layout.RAGGED:
        return int(arrays[array.offsets].read(records, records + 1)[0]) if records else 0
    return records


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
