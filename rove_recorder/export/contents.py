"""What is to be sent of an episode or a data set, and what its entry in the manifest says."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rove_core.errors import EpisodeError, ExportError
from rove_recorder.catalogue.catalogue import row_of
from rove_recorder.episode_format.hashes import (
    ALGORITHM,
    GROWING,
    HASHES,
    EpisodeHashes,
    FileHash,
    as_json,
    hash_episode,
    hash_file,
    hashes_of,
    of_files,
)
from rove_recorder.episode_format.packing import pack
from rove_recorder.episode_format.storage import METADATA, PARTIAL
from rove_recorder.export.layout import dataset_prefix, episode_prefix, packed_key, packed_prefix
from rove_recorder.export.manifest import Entry, FileEntry, annotation_entries
from rove_recorder.export.targets import Item, SourceChangedError
from rove_recorder.reader import Episode, open_episode

# Such names mean the same in every file system, shell and bucket.
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+@-]*(/[A-Za-z0-9][A-Za-z0-9_.+@-]*)*")


@dataclass(frozen=True, slots=True)
class Content:
    """Something to send.

    Attributes:
        name: for people. entry: for the manifest. items: its files, those that are already there included.
        scratch: a file that was made to be sent, and is of no use afterwards.
    """

    name: str
    entry: Entry
    items: tuple[Item, ...]
    scratch: Path | None = None


def reasons_against(path: Path, force: bool, hash_arrays: bool) -> list[str]:
    """Why the episode at `path` must stay, one line per reason.

    Args:
        force: flagged episodes go too. Nothing makes an unlabelled or damaged one go.
        hash_arrays: false when its files are sent as they are: then they are hashed on the way.
    """
    from rove_recorder.checking.check import exportable

    try:
        reasons = exportable(open_episode(path), hash_arrays=hash_arrays)
    except EpisodeError as error:
        return [str(error)]
    return [reason for reason in reasons if not (force and reason.startswith("flagged:"))]


def episode_content(path: Path, robot: str, published: Mapping[str, Entry]) -> Content | None:
    """What the target lacks of an episode; None when it lacks nothing.

    Args:
        robot: who sends it. published: what manifests say is at the target, by path.

    Raises:
        ExportError: the target has another episode of that name, or names that cannot be sent.
        EpisodeError: it cannot be read.
    """
    episode = open_episode(path)
    prefix = prefix_of(episode, robot)
    known = published_as(prefix, published)
    prefix = known.path if known else prefix
    growing = growing_files(path)
    hashes = hashes_of(path)
    _check_names([*hashes.files, *growing], path)
    if known is not None:
        if known.sha256 != hashes.sha256:
            raise ExportError(
                f"the target has another episode as {prefix}",
                "episodes never change: two robots with one name, or one that was altered after its export",
            )
        growing = {name: file for name, file in growing.items() if name not in known.annotations}
        if not growing:
            return None
    items = [_item(path, prefix, name, file) for name, file in growing.items()]
    if known is None:
        items += [_item(path, prefix, name, file) for name, file in hashes.files.items()]
        items.append(_list_of(hashes, prefix))
    entry = Entry(
        path=prefix,
        schema_version=int(episode.attrs.get("schema_version", 1)),
        sha256=hashes.sha256,
        files=len(hashes.files),
        bytes=hashes.bytes,
        new=known is None,
        annotations={**(known.annotations if known else {}), **annotation_entries(growing)},
        packed=known.packed if known else None,
        episode=_row(episode),
    )
    return Content(str(path), entry, tuple(items))


def packed_content(content: Content, path: Path, work: Path) -> Content:
    """An episode that the target lacks as one zip file. Annotations are beside it too: more of them may come.

    Args:
        content: of the episode at `path`. work: where the zip is made.

    Raises:
        EpisodeError: it cannot be packed.
        SourceChangedError: what was packed is not what its hashes say.
    """
    packed = pack(path, work)
    with zipfile.ZipFile(packed) as archive:
        for name, expected in hashes_of(path).files.items():
            with archive.open(name) as member:
                found = hashlib.file_digest(member, ALGORITHM)  # type: ignore[arg-type]  # a BufferedIOBase, typed as IO
                if found.hexdigest() != expected.sha256:
                    raise SourceChangedError(f"{path / name} was changed after the episode was recorded")
    file, old, prefix = hash_file(packed), content.entry.path, packed_prefix(content.entry.path)
    loose = [replace(item, key=f"{prefix}{item.key.removeprefix(old)}") for item in content.items]
    items = (Item(packed_key(prefix), file, packed), *(item for item in loose if is_loose(item.key)))
    whole = FileEntry(bytes=file.bytes, sha256=file.sha256)
    return Content(content.name, content.entry.model_copy(update={"path": prefix, "packed": whole}), items, packed)


def is_loose(name: str) -> bool:
    """Whether a file lies beside a packed episode: annotations do, `<set>@<n>`."""
    return "@" in name


def published_as(prefix: str, published: Mapping[str, Entry]) -> Entry | None:
    """The entry of an episode, which may lie there as a folder or packed."""
    return published.get(prefix) or published.get(packed_prefix(prefix))


def dataset_content(path: Path, kind: str, robot: str, day: datetime, sources: Iterable[str], rows: int) -> Content:
    """A converted data set, a folder or one file, as something to send.

    Args:
        day: of its newest episode. sources: hashes of its episodes. rows: how many it has.

    Raises:
        ExportError: names that cannot be sent.
    """
    if path.is_dir():
        hashes, folder = hash_episode(path), path
    else:
        hashes, folder = of_files({path.name: hash_file(path)}), path.parent
    _check_names(hashes.files, path)
    prefix = dataset_prefix(robot, kind, day, hashes.sha256)
    items = [_item(folder, prefix, name, file) for name, file in hashes.files.items()]
    entry = Entry(
        path=prefix,
        kind=kind,
        sha256=hashes.sha256,
        files=len(hashes.files),
        bytes=hashes.bytes,
        episode={"rows": rows},
        sources=tuple(sources),
    )
    return Content(f"{kind} data set", entry, (*items, _list_of(hashes, prefix)))


def listed_hashes(content: bytes, where: str) -> EpisodeHashes:
    """The hashes in a `hashes.json` that lies at the target.

    Raises:
        ExportError: it is damaged.
    """
    try:
        files = json.loads(content)["files"]
        return of_files({name: FileHash(int(file["bytes"]), str(file["sha256"])) for name, file in files.items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ExportError(f"{where} is not a list of hashes") from None


def prefix_of(episode: Episode, robot: str) -> str:
    attrs = episode.attrs
    try:
        opened = datetime.fromisoformat(str(attrs["opened_wall"]))
    except (KeyError, ValueError):
        raise EpisodeError(f"{episode.path} does not say when it was opened") from None
    # The folder's name, not the id: further parts of an attempt have folders of their own.
    return episode_prefix(robot, opened, str(attrs.get("session") or episode.path.parent.name), episode.path.stem)


def growing_files(path: Path) -> dict[str, FileHash]:
    """Annotations, and the empty group `derived`: derived labels can be computed where they are needed."""
    annotations, derived = GROWING
    names = [file for file in (path / annotations).rglob("*") if file.is_file()]
    names += [file for file in (path / derived / METADATA,) if file.is_file()]
    found = {}
    for file in sorted(names):
        name = file.relative_to(path)
        if not any(part.startswith(".") or part.endswith(PARTIAL) for part in name.parts):
            found[name.as_posix()] = hash_file(file)
    return found


def _item(folder: Path, prefix: str, name: str, file: FileHash) -> Item:
    return Item(f"{prefix}/{name}", file, folder / name)


def _list_of(hashes: EpisodeHashes, prefix: str) -> Item:
    """`hashes.json` as it is to be at the target, also of what has none here."""
    listed = as_json(hashes)
    return Item(f"{prefix}/{HASHES}", FileHash(len(listed), hashlib.sha256(listed).hexdigest()), listed)


def _row(episode: Episode) -> dict[str, Any]:
    """The catalogue's row, ready for JSON; the path on this machine means nothing elsewhere."""
    row = {name: value for name, value in row_of(episode).items() if name not in ("path", "problem")}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _check_names(names: Iterable[str], path: Path) -> None:
    for name in names:
        if not _PATH.fullmatch(name):
            raise ExportError(f"{path} has a file {name!r}", "letters, digits and _.+@- are what every target can name")
