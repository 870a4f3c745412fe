"""A folder of this machine: a disk, or a share that is mounted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rove_core.errors import ExportError
from rove_recorder.episode_format.hashes import hash_file
from rove_recorder.episode_format.storage import sync_folder
from rove_recorder.export.layout import PART_SUFFIX
from rove_recorder.export.targets import Item, Target


class LocalTarget(Target):
    """Files are written under a temporary name, read again, and renamed."""

    def __init__(self, root: Path) -> None:
        self.url = str(root)
        self._root = root

    def put(self, item: Item) -> None:
        path = self._root / item.key
        part = path.with_name(f".{path.name}{PART_SUFFIX}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb", buffering=0) as file:
                for piece in item.pieces():
                    _write(file.fileno(), piece)
            if hash_file(part) != item.expected:
                raise ExportError(f"{part} reads differently from what was written", "check the target's disk")
            part.replace(path)
        except OSError as error:
            raise self._refused(error) from None

    def list(self, prefix: str) -> dict[str, int]:
        folder = self._root / prefix
        try:
            return {
                file.relative_to(self._root).as_posix(): file.stat().st_size
                for file in folder.rglob("*")
                if not file.name.endswith(PART_SUFFIX) and file.is_file()
            }
        except OSError as error:
            raise self._refused(error) from None

    def read(self, key: str) -> bytes:
        try:
            return (self._root / key).read_bytes()
        except OSError as error:
            raise self._refused(error) from None

    def held(self, items: Sequence[Item]) -> set[str]:
        found = set()
        for item in items:
            path = self._root / item.key
            try:
                if path.is_file() and hash_file(path) == item.expected:
                    found.add(item.key)
            except OSError:  # what cannot be read is not held
                continue
        return found

    def sync(self) -> None:
        try:
            sync_folder(self._root, everything=True)
        except OSError as error:
            raise self._refused(error) from None

    def close(self) -> None:
        """Nothing is open."""

    def _refused(self, error: OSError) -> ExportError:
        where = error.filename or self._root
        return ExportError(f"{where}: {error.strerror}", "check the target's disk, its mount and permissions")


def _write(handle: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(handle, left) :]
