"""Labels that are computed from episodes: `derived/<labels>@<hash>`, beside the facts and never instead of them.

The hash is of the configuration and of the source code that computes them, so the same labels are not computed
twice and different ones never share a name. Labels note which annotations they were computed from: a correction
makes them stale, and a reader says so instead of handing them out.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rove_core.errors import EpisodeError
from rove_recorder.episode_format.appending import ArrayAppender
from rove_recorder.episode_format.schema import ArraySpec
from rove_recorder.episode_format.storage import METADATA, AnyArray, ArrayFolder, group_metadata, sync_folder
from rove_recorder.labels.derived import FOLDER, annotations_in_force
from rove_recorder.reader import Episode, open_episode

HASH_DIGITS = 12

COMPUTED, THERE = "computed", "there"

# Types of arrays that the format knows.
_TYPES = frozenset(("bool", "uint8", "uint32", "uint64", "int32", "int64", "float32", "float64"))


@dataclass(frozen=True, slots=True)
class Derivation:
    """How labels are computed.

    Attributes:
        labels: their name, small letters.
        config: a dataclass of plain values; part of the hash.
        compute: (episode, config) -> name -> array with one entry per row of `steps`. A function of a module, so that
            other processes find it. It may read whatever is in the episode but `derived/`, and nothing else.
    """

    labels: str
    config: Any
    compute: Callable[[Episode, Any], Mapping[str, AnyArray]]

    @property
    def hash(self) -> str:
        """Of the configuration and of the source of the module that `compute` is in."""
        module = inspect.getmodule(self.compute)
        if module is None:
            raise EpisodeError(f"labels '{self.labels}': {self.compute} is in no module, so it has no source to hash")
        text = json.dumps({"labels": self.labels, "config": asdict(self.config)}, sort_keys=True)
        return hashlib.sha256(f"{text}\n{inspect.getsource(module)}".encode()).hexdigest()

    @property
    def group(self) -> str:
        """Name of the group below `derived`."""
        return f"{self.labels}@{self.hash[:HASH_DIGITS]}"


def derive(path: Path, derivation: Derivation) -> bool:
    """Compute the labels of a finished episode, unless they are there and not stale.

    The group appears when it is whole. A kill leaves nothing that a reader takes for labels, and computing them
    again in two processes at once gives the same.

    Returns:
        Whether they were computed now.

    Raises:
        EpisodeError: the episode is open or damaged, or what was computed does not fit its rows.
    """
    episode = open_episode(path)
    if not episode.finished:
        raise EpisodeError(f"{path} is still open", "wait for its end, or finish it: rove episodes recover")
    annotations = annotations_in_force(episode)
    folder = path / FOLDER / derivation.group
    if _made_from(folder) == annotations:
        return False
    arrays = derivation.compute(episode, derivation.config)
    attributes = {
        "labels": derivation.labels,
        "hash": derivation.hash,
        "config": asdict(derivation.config),
        "annotations": annotations,
    }
    try:
        _write(folder, attributes, _checked(arrays, episode, derivation.labels))
    except OSError as error:
        raise EpisodeError(f"cannot write {folder}: {error.strerror or error}") from None
    return True


def _made_from(folder: Path) -> list[str] | None:
    """The annotations that existing labels were computed from; None when there are no whole labels."""
    try:
        found = json.loads((folder / METADATA).read_bytes())["attributes"]["annotations"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return list(found)


def _checked(arrays: Mapping[str, AnyArray], episode: Episode, labels: str) -> Iterator[tuple[ArraySpec, AnyArray]]:
    for name, values in arrays.items():
        if len(values) != episode.rows or values.dtype.name not in _TYPES:
            raise EpisodeError(
                f"labels '{labels}': array '{name}' has {len(values)} entries of type {values.dtype.name}, "
                f"expected {episode.rows} of one of {', '.join(sorted(_TYPES))}"
            )
        yield ArraySpec(name, values.dtype.name, values.shape[1:]), np.asarray(values)


def _write(folder: Path, attributes: Mapping[str, Any], arrays: Iterator[tuple[ArraySpec, AnyArray]]) -> None:
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        temporary.mkdir(parents=True)
        for spec, values in arrays:
            appender = ArrayAppender(temporary / spec.name, spec)
            appender.append(values)
            appender.close()
            ArrayFolder(temporary / spec.name).seal(len(values))
        (temporary / METADATA).write_bytes(group_metadata(attributes))
        sync_folder(temporary, everything=True)
        if folder.exists():  # stale ones: out of the way under a name that no reader takes for labels
            old = temporary.with_name(f"{temporary.name}.old")
            folder.rename(old)
            shutil.rmtree(old)
        temporary.rename(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def derive_all(
    paths: Sequence[Path], derivation: Derivation, *, scheduler: str = "", workers: int = 1, timeout_s: float = 10.0
) -> Iterator[tuple[Path, str]]:
    """Compute the labels of many episodes; one that fails does not stop the others.

    Done again after a kill, what was finished is not computed again.

    Args:
        scheduler: address of a running Dask scheduler, as "tcp://host:8786"; its workers must see the same paths.
        workers: without a scheduler, how many processes of this machine; 1 needs no Dask.
        timeout_s: how long to wait for the scheduler.

    Yields:
        Path, and "computed", "there", or what was wrong; in the order in which they are done.

    Raises:
        EpisodeError: Dask is not installed, or the scheduler does not answer.
    """
    if not scheduler and workers == 1:
        yield from ((path, _outcome_of(path, derivation)) for path in paths)
        return
    try:
        from distributed import Client, LocalCluster, as_completed
    except ImportError:
        raise EpisodeError(
            "several processes need Dask, which is not installed", "pip install 'rove_hil[dask]'"
        ) from None
    with ExitStack() as stack:
        try:
            place = scheduler or stack.enter_context(
                LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
            )
            client = stack.enter_context(Client(place, timeout=timeout_s))
        except (OSError, ValueError, TypeError) as error:
            raise EpisodeError(
                f"no Dask scheduler answers at {scheduler}: {error or type(error).__name__}", "as tcp://host:8786"
            ) from None
        futures = client.map(_outcome_of, paths, derivation=derivation, pure=False)
        path_of = {future.key: path for future, path in zip(futures, paths, strict=True)}
        for future in as_completed(futures):
            failed = future.exception()
            yield path_of[future.key], str(failed) if failed else future.result()


def _outcome_of(path: Path, derivation: Derivation) -> str:
    try:
        return COMPUTED if derive(path, derivation) else THERE
    except EpisodeError as error:
        return str(error)
    except (KeyError, IndexError, ValueError) as error:  # an episode that does not hold what its format promises
        return f"{path}: {type(error).__name__}: {error}"
