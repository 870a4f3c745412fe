"""Manifests: what an export brought to the target, published when all of it is there.

A manifest names the hash of every episode; the episode's `hashes.json` beside its data names the hash of every file.
So a few hundred bytes an episode are enough for whoever ingests, and every byte can be checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rove_core.errors import ExportError
from rove_recorder.export.layout import NAMED_HEX, manifest_key

FORMAT: Final = "rove.manifest"
VERSION: Final = 1
ZARR: Final = "zarr"


class _Part(BaseModel):
    # Keys of later versions are kept out of the way of a reader of this one.
    model_config = ConfigDict(frozen=True, extra="ignore")


class FileEntry(_Part):
    """Size and hash of a file."""

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Entry(_Part):
    """An episode or a data set.

    Attributes:
        path: its folder at the target. kind: "zarr" for an episode, else the format of a data set.
        sha256: hash of its files, as in `hashes.json`; annotations do not count.
        files, bytes: how many they are.
        new: they came with this manifest; false when an earlier one brought them and only annotations came.
        annotations: files below `annotations/` and `derived/` that are at the target, by path in the episode.
        packed: of an episode that lies there as one zip file: size and hash of that.
        episode: row of the catalogue, with the annotations in force; empty for a data set.
        sources: of a data set, the hashes of the episodes in it.
    """

    path: str
    kind: str = ZARR
    schema_version: int = 1
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    files: int = Field(ge=0)
    bytes: int = Field(ge=0)
    new: bool = True
    annotations: dict[str, FileEntry] = Field(default_factory=dict)
    packed: FileEntry | None = None
    episode: dict[str, Any] = Field(default_factory=dict)
    sources: tuple[str, ...] = ()


class Manifest(_Part):
    """What one run of an export brought.

    Attributes:
        created: when the run began to look for episodes [UTC]. select: its condition.
        counts: episodes (new ones), annotated (old ones with new annotations), data_sets, files, bytes, rows, frames.
        entries: in order of path.
    """

    format: Literal["rove.manifest"] = FORMAT
    version: Literal[1] = VERSION
    robot: str
    software: str
    created: datetime
    kind: str = ZARR
    select: str = ""
    counts: dict[str, int] = Field(default_factory=dict)
    entries: tuple[Entry, ...] = ()

    def content(self) -> bytes:
        """As JSON, the same bytes for the same manifest."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode()

    def key(self) -> str:
        """Its name at the target."""
        return manifest_key(self.robot, self.created, hashlib.sha256(self.content()).hexdigest())


def counted(entries: Iterable[Entry]) -> dict[str, int]:
    """The counts of a manifest."""
    counts = dict.fromkeys(("episodes", "annotated", "data_sets", "files", "bytes", "rows", "frames"), 0)
    for entry in entries:
        counts["data_sets" if entry.kind != ZARR else "episodes" if entry.new else "annotated"] += 1
        if entry.new:
            counts["files"] += entry.files
            counts["bytes"] += entry.bytes
            counts["rows"] += int(entry.episode.get("rows") or 0)
            counts["frames"] += int(entry.episode.get("frames") or 0)
    return counts


def parse_manifest(key: str, content: bytes) -> Manifest:
    """The manifest in an object.

    Raises:
        ExportError: it is damaged (its name holds the hash of its content), or of another version.
    """
    named = key.removesuffix(".json").rpartition("-")[2]
    if hashlib.sha256(content).hexdigest()[:NAMED_HEX] != named:
        raise ExportError(f"{key} is damaged: its content is not what its name says")
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ExportError(
            f"{key} is not a manifest that this program knows: {where}: {first['msg']}", "update rove on this machine"
        ) from None


def in_force(manifests: Iterable[Manifest]) -> dict[str, Entry]:
    """What is at the target by path; of several entries for a path the last counts."""
    entries: dict[str, Entry] = {}
    for manifest in manifests:
        entries.update({entry.path: entry for entry in manifest.entries})
    return entries


def annotation_entries(files: Mapping[str, Any]) -> dict[str, FileEntry]:
    """Of hashes of files."""
    return {path: FileEntry(bytes=file.bytes, sha256=file.sha256) for path, file in files.items()}
