"""Making room on the robot: only of what a manifest at the target covers, and the target still holds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rove_core.errors import EpisodeError, ExportError, UnreachableError
from rove_recorder.checking.check import find_episodes
from rove_recorder.episode_format.hashes import FileHash, hashes_of
from rove_recorder.episode_format.schema import OPEN_SUFFIX
from rove_recorder.export.contents import growing_files, is_loose, prefix_of, published_as
from rove_recorder.export.layout import packed_key, plain_name
from rove_recorder.export.manifest import Entry, annotation_entries, in_force
from rove_recorder.export.state import ExportState
from rove_recorder.export.targets import Item, Target
from rove_recorder.reader import open_episode

# An episode loses its name before its files: a kill in between leaves no half an episode.
_DELETING: Final = ".deleting"


@dataclass(slots=True)
class Pruned:
    """What was deleted, or would be; `kept` says why the other old episodes stay."""

    deleted: list[str] = field(default_factory=list)
    bytes: int = 0
    kept: dict[str, str] = field(default_factory=dict)
    young: int = 0

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {name: getattr(self, name) for name in self.__slots__}


def prune(
    root: Path,
    target: Target,
    robot: str,
    keep_days: float,
    now: datetime,
    *,
    delete: bool,
    say: Callable[[str], None] = lambda _: None,
) -> Pruned:
    """Delete episodes that are older than `keep_days` and safely at the target.

    Safely: a manifest of this robot names the episode with this very content and every annotation, and the target,
    asked now, has every file with the right hash.

    Args:
        delete: false only tells what would be deleted.

    Raises:
        ExportError: the target refuses or does not answer, or an export runs.
        EpisodeError: no such folder.
    """
    plain_name(robot, "name of the robot")
    result = Pruned()
    state = ExportState(root, target.url, robot)
    try:
        published = in_force(state.manifests(target, robot)[0])
        if delete:
            _finish(root)
        for path in find_episodes(root):
            if path.name.endswith(OPEN_SUFFIX):
                continue
            try:
                if now - _closed(path) < timedelta(days=keep_days):
                    result.young += 1
                    continue
                size = _covered(path, target, robot, published)
            except UnreachableError:
                raise
            except (EpisodeError, ExportError) as error:
                result.kept[str(path)] = str(error)
                say(f"kept {path}: {error}")
                continue
            say(f"{'deleting' if delete else 'would delete'} {path}: {size / 1e6:.1f} MB")
            if delete:
                _delete(path)
            result.deleted.append(str(path))
            result.bytes += size
    finally:
        state.close()
    return result


def _closed(path: Path) -> datetime:
    attrs = open_episode(path).attrs
    try:
        closed = datetime.fromisoformat(str(attrs.get("closed_wall") or attrs["opened_wall"]))
    except (KeyError, ValueError):
        raise EpisodeError("it does not say when it was finished") from None
    return closed if closed.tzinfo else closed.replace(tzinfo=UTC)


def _covered(path: Path, target: Target, robot: str, published: dict[str, Entry]) -> int:
    """Bytes of the episode, when all of it is at the target; raises why it is not."""
    entry = published_as(prefix_of(open_episode(path), robot), published)
    if entry is None:
        raise ExportError("no manifest at the target names it")
    hashes, growing = hashes_of(path), growing_files(path)
    if hashes.sha256 != entry.sha256:
        raise ExportError("the manifest names another content")
    annotations = annotation_entries(growing)
    late = [name for name, file in annotations.items() if entry.annotations.get(name) != file]
    if late:
        raise ExportError(f"{late[0]} was not exported yet")
    items = [Item(f"{entry.path}/{name}", file, path / name) for name, file in {**hashes.files, **growing}.items()]
    if entry.packed is not None:
        whole = FileHash(entry.packed.bytes, entry.packed.sha256)
        items = [Item(packed_key(entry.path), whole), *(item for item in items if is_loose(item.key))]
    missing = {item.key for item in items} - target.held(items)
    if missing:
        raise ExportError(f"the target does not hold {min(missing)} any more, or not as it was sent")
    return sum(item.expected.bytes for item in items)


def _delete(path: Path) -> None:
    doomed = path.with_name(f".{path.name}{_DELETING}")
    try:
        path.rename(doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise ExportError(f"cannot delete {path}: {error.strerror}", "check the folder's owner") from None


def _finish(root: Path) -> None:
    """Delete what a killed run had begun to."""
    for folder in (root, *(child for child in root.iterdir() if child.is_dir())) if root.is_dir() else ():
        for doomed in folder.glob(f".*{_DELETING}"):
            shutil.rmtree(doomed, ignore_errors=True)
