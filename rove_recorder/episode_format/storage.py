"""Arrays on disk: zarr v3 metadata and chunk files that grow by appending.

A chunk of an uncompressed zarr array is its rows, one after the other. So an open episode appends to chunk
files and touches no metadata: a kill at any moment leaves whole rows, at worst part of one, and the rows
that are there are counted from file sizes. Sealing an array cuts it to length, fills the last chunk
up with zeros (as zarr wants) and writes the shape into its zarr.json.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError
from rove_recorder.episode_format.locations import Location, local, read_into
from rove_recorder.episode_format.schema import ArraySpec, Layout
from rove_recorder.recording.disk_sync import sync_file_system

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
