"""Content hashes of a finished episode: what proves, years and copies later, that nothing in it changed.

`hashes.json` in the episode's root names every file with its size and SHA-256, but for itself and what may be added to
a finished episode (`annotations/`, `derived/`). The hash of the episode is that of this list.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rove_core.errors import EpisodeError
from rove_recorder.episode_format.storage import METADATA, write_atomically

HASHES = "hashes.json"
ALGORITHM = "sha256"

# What is below these may grow after an episode is finished.
GROWING = ("annotations", "derived")


@dataclass(frozen=True, slots=True)
class FileHash:
    """A file's size and the SHA-256 of its content, in hexadecimal."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class EpisodeHashes:
    """Every file of an episode by its path relative to the episode, and the hash of all of them."""

    files: Mapping[str, FileHash]
    sha256: str

    @property
    def bytes(self) -> int:
        """Size of the episode without annotations and derived labels."""
        return sum(file.bytes for file in self.files.values())


def of_files(files: Mapping[str, FileHash]) -> EpisodeHashes:
    """The hash of an episode: SHA-256 over the lines `<sha256>  <bytes>  <path>`, in the order of the paths."""
    ordered = dict(sorted(files.items()))
    lines = "".join(f"{file.sha256}  {file.bytes}  {path}\n" for path, file in ordered.items())
    return EpisodeHashes(ordered, hashlib.sha256(lines.encode()).hexdigest())


def hash_file(path: Path) -> FileHash:
    """Read a file and hash it. Raises OSError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, ALGORITHM)
        return FileHash(file.tell(), digest.hexdigest())


def hash_episode(folder: Path, known: Mapping[str, FileHash] | None = None) -> EpisodeHashes:
    """Hash every file of a finished episode.

    Args:
        folder: the episode's.
        known: path relative to the episode -> hash, of files that need not be read.

    Raises:
        OSError: a file cannot be read.
    """
    known = known or {}
    return of_files({path: known.get(path) or hash_file(folder / path) for path in covered_files(folder)})


def covered_files(folder: Path) -> Iterator[str]:
    """Paths, relative to the episode, of the files that its hashes cover. A link is a file of the episode too."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if name.parts[0] not in (*GROWING, HASHES) and (path.is_symlink() or not path.is_dir()):
            yield name.as_posix()


def as_json(hashes: EpisodeHashes) -> bytes:
    """Content of `hashes.json`."""
    files = {path: {"bytes": file.bytes, "sha256": file.sha256} for path, file in hashes.files.items()}
    return json.dumps({"algorithm": ALGORITHM, "files": files, "sha256": hashes.sha256}, indent=1).encode()


def write_hashes(folder: Path, hashes: EpisodeHashes) -> None:
    """Write `hashes.json`, whole or not at all. Raises OSError."""
    write_atomically(folder / HASHES, as_json(hashes))


def read_hashes(folder: Path) -> EpisodeHashes | None:
    """What `hashes.json` says; None when there is none: the episode was recorded before there were hashes.

    Raises:
        EpisodeError: it cannot be read, or contradicts itself.
    """
    path = folder / HASHES
    try:
        content = json.loads(path.read_bytes())
        files = {
            str(name): FileHash(int(file["bytes"]), str(file["sha256"])) for name, file in content["files"].items()
        }
        hashes = EpisodeHashes(files, str(content["sha256"]))
        algorithm = content["algorithm"]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EpisodeError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise EpisodeError(f"{path} is not a list of hashes") from None
    if algorithm != ALGORITHM:
        raise EpisodeError(f"{path} uses '{algorithm}', this program knows {ALGORITHM}")
    if of_files(files).sha256 != hashes.sha256:
        raise EpisodeError(f"{path} was changed: its own hash is not that of its list")
    return hashes


def hashes_of(folder: Path) -> EpisodeHashes:
    """The hashes of a finished episode as recorded, or computed for one from before hashes were written.

    Raises:
        EpisodeError: `hashes.json` or the episode cannot be read.
    """
    try:
        return read_hashes(folder) or hash_episode(folder)
    except OSError as error:
        raise EpisodeError(f"{folder} cannot be read: {error.strerror}") from None


def problems(folder: Path, *, hash_arrays: bool = True) -> list[str]:
    """One line per file that is missing, unexpected or changed; empty also when there is no `hashes.json`.

    Args:
        hash_arrays: false compares sizes only of what is no metadata: for who hashes it anyway, a moment later.
    """
    try:
        hashes = read_hashes(folder)
    except EpisodeError as error:
        return [str(error)]
    if hashes is None:
        return []
    found = set(covered_files(folder))
    lines = _missing(folder, hashes.files.keys() - found)
    lines += [f"{path} does not belong to the episode" for path in sorted(found - hashes.files.keys())]
    for path in sorted(found & hashes.files.keys()):
        lines += _changed(folder, path, hashes.files[path], hash_arrays or path.endswith(METADATA))
    return lines


def _missing(folder: Path, paths: Iterable[str]) -> list[str]:
    """A folder that is not there is one line, however many files it had."""
    counts: Counter[str] = Counter()
    for path in paths:
        missing = Path(path)
        while missing.parent != Path() and not (folder / missing.parent).exists():
            missing = missing.parent
        counts[missing.as_posix()] += 1
    return [f"{path} is missing" + (f" with {n} files" if n > 1 else "") for path, n in sorted(counts.items())]


def _changed(folder: Path, path: str, expected: FileHash, hashed: bool) -> list[str]:
    try:
        size = (folder / path).stat().st_size
        if size != expected.bytes:
            return [f"{path} has {size} bytes, recorded were {expected.bytes}"]
        if not hashed or hash_file(folder / path) == expected:
            return []
        return [f"{path} was changed after the episode was recorded"]
    except OSError as error:
        return [f"{path} cannot be read: {error.strerror}"]
