"""Bringing sessions of several folders together: nothing is overwritten, nothing is there twice."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from rove_core.errors import EpisodeError
from rove_recorder.checking.check import find_episodes
from rove_recorder.episode_format.hashes import hashes_of, problems
from rove_recorder.episode_format.schema import OPEN_SUFFIX
from rove_recorder.episode_format.storage import sync_folder

COPIED, THERE, ANNOTATED = "copied", "there", "annotated"

_ANNOTATIONS = "annotations"


def merge(sources: Iterable[Path], into: Path) -> Iterator[tuple[Path, str]]:
    """Copy every finished episode below `sources` to `<into>/<session>/<episode>`.

    An episode appears in `into` when it is whole and agrees with its hashes. One that is there already with the
    same hash gets the annotations that it lacks. Sources stay as they are.

    Yields:
        Path of the source, and "copied", "there", "annotated", or why it was refused.

    Raises:
        EpisodeError: no such source, or `into` lies inside one.
    """
    folders = list(sources)
    for source in folders:
        if into.resolve().is_relative_to(source.resolve()):
            raise EpisodeError(f"{into} lies in {source}", "merge into a folder beside the sources")
    for source in folders:
        for path in find_episodes(source):
            try:
                yield path, _merge_one(path, into / path.resolve().parent.name / path.name)
            except EpisodeError as error:
                yield path, str(error)
            except OSError as error:
                yield path, f"cannot copy {path}: {error.strerror or error}"


def _merge_one(path: Path, target: Path) -> str:
    if path.name.endswith(OPEN_SUFFIX):
        raise EpisodeError(f"{path} is still open: wait for its end, or finish it: rove episodes recover")
    if not target.exists():
        _copy(path, target)
        return COPIED
    if _hash(path) != _hash(target):
        raise EpisodeError(f"{target} is another episode of this name: one of them must be renamed or was changed")
    return ANNOTATED if _add_annotations(path / _ANNOTATIONS, target / _ANNOTATIONS) else THERE


def _hash(episode: Path) -> str:
    return hashes_of(episode).sha256


def _copy(path: Path, target: Path) -> None:
    wrong = problems(path)
    if wrong:
        raise EpisodeError(f"{path} is damaged: {wrong[0]}")
    temporary = _temporary(target)
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(path, temporary)
        wrong = problems(temporary)
        if wrong:
            raise EpisodeError(f"{path} did not arrive whole: {wrong[0]}")
        sync_folder(temporary, everything=True)
        temporary.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _add_annotations(source: Path, target: Path) -> int:
    """Copy annotations that the target lacks; returns how many. Raises EpisodeError when two of one name differ."""
    found = sorted(path for path in source.glob("*@*") if not path.name.startswith("."))
    for annotation in found:
        there = target / annotation.name
        if there.exists() and not _same(annotation, there):
            raise EpisodeError(f"{there} says something else than {annotation}: annotate again what is to count")
    new = [annotation for annotation in found if not (target / annotation.name).exists()]
    for annotation in new:
        temporary = _temporary(target / annotation.name)
        try:
            shutil.copytree(annotation, temporary)
            temporary.rename(target / annotation.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return len(new)


def _same(one: Path, other: Path) -> bool:
    names = [sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file()) for root in (one, other)]
    return names[0] == names[1] and all(filecmp.cmp(one / name, other / name, shallow=False) for name in names[0])


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.part")
