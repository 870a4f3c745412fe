"""Which episodes of a folder an export looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from rove_recorder.catalogue.catalogue import catalogue_of, select
from rove_recorder.checking.check import find_episodes
from rove_recorder.episode_format.schema import OPEN_SUFFIX
from rove_recorder.export.manifest import Manifest


def candidates(root: Path, condition: str, since: datetime | None) -> Iterator[Path]:
    """Finished episodes below `root` in order of name. Those that are being recorded are nobody's business here.

    Args:
        condition: SQL over the columns of the catalogue; "" for all.
        since: only what was finished or annotated later.

    Raises:
        EpisodeError: no such folder, or not a condition.
    """
    chosen = None if not condition else set(select(catalogue_of(root), condition)["path"].to_list())
    for path in find_episodes(root):
        if path.name.endswith(OPEN_SUFFIX):
            continue
        if chosen is not None and path.relative_to(root).as_posix() not in chosen:
            continue
        if since is None or _changed(path) > since.timestamp():
            yield path


def unfinished(root: Path) -> int:
    """How many episodes are being recorded, or were left behind by a recorder that died."""
    return sum(path.name.endswith(OPEN_SUFFIX) for path in find_episodes(root))


def since_last(manifests: Sequence[Manifest], kind: str, condition: str) -> datetime | None:
    """When the last run began that looked at the same episodes and published; None when none did."""
    alike = [manifest.created for manifest in manifests if (manifest.kind, manifest.select) == (kind, condition)]
    return max(alike, default=None)


def _changed(path: Path) -> float:
    """When an episode got its name, or its newest annotation [s since 1970].

    The time of the change of the inode: it moves also for a copy that keeps the times of the original.
    """
    folders = (path, path / "annotations")
    return max(folder.stat().st_ctime for folder in folders if folder.exists())
