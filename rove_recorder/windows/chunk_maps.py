"""Rows of arrays through memory maps: what random windows read again and again costs a slice, not a file."""

from __future__ import annotations

import mmap
import os
from collections import OrderedDict
from pathlib import Path

import numpy as np

from rove_core.errors import EpisodeError
from rove_recorder.episode_format.storage import AnyArray, ArrayFolder

# Linux lets a process have 65530 maps; a chunk is half a megabyte, and the page cache owns its memory.
CAPACITY = 4096


class ChunkMaps:
    """The chunks that were read last, mapped. Not thread-safe.

    Args:
        capacity: how many chunks to keep.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._chunks: OrderedDict[tuple[ArrayFolder, int], AnyArray] = OrderedDict()

    def rows(self, array: ArrayFolder, start: int, stop: int) -> AnyArray:
        """Rows [start, stop), read-only where they lie in one chunk.

        Raises:
            EpisodeError: a chunk is missing or too short.
        """
        if not (array.plain and isinstance(array.location, Path)):
            return array.read(start, stop)
        index, first = divmod(start, array.chunk_rows)
        if first + stop - start <= array.chunk_rows:
            return self._chunk(array, index)[first : first + stop - start]
        parts = [self._chunk(array, index)[first:]]
        for number in range(index + 1, (stop - 1) // array.chunk_rows + 1):
            parts.append(self._chunk(array, number)[: stop - number * array.chunk_rows])
        return np.concatenate(parts)

    def _chunk(self, array: ArrayFolder, index: int) -> AnyArray:
        chunk = self._chunks.get((array, index))
        if chunk is None:
            chunk = self._chunks[array, index] = _mapped(array, index)
            if len(self._chunks) > self._capacity:
                self._chunks.popitem(last=False)
        else:
            self._chunks.move_to_end((array, index))
        return chunk


def _mapped(array: ArrayFolder, index: int) -> AnyArray:
    path, size = array.chunk_path(index), array.chunk_rows * array.row_bytes
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = os.fstat(handle).st_size
            if found < size:  # reading past the end of a map would kill the process
                raise EpisodeError(f"{path} is truncated: {found} of {size} bytes")
            mapped = mmap.mmap(handle, size, prot=mmap.PROT_READ)
        finally:
            os.close(handle)
    except OSError as error:
        raise EpisodeError(f"cannot read {path}: {error.strerror}") from None
    return np.frombuffer(mapped, array.dtype).reshape(-1, *array.tail)
