"""What the exporter asks of a target, whatever it is."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rove_core.errors import ExportError
from rove_recorder.episode_format.hashes import FileHash

# Read, hash and write by this much: what one job holds in memory.
PIECE_BYTES: Final = 1 << 20

KINDS: Final = "a folder, ssh://[user@]host[:port]/folder or s3://bucket/prefix"


class SourceChangedError(ExportError):
    """A file on this machine is not what its episode's hashes say."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file to be at the target.

    Attributes:
        key: its name there. expected: what its content must be.
        source: the file here, or content that is on no disk; None where there is only a copy at the target.
    """

    key: str
    expected: FileHash
    source: Path | bytes | None = None

    def pieces(self, piece_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
        """The content piece by piece; the end is reached only when all of it was what it must be.

        Raises:
            SourceChangedError: it was not, or cannot be read.
        """
        digest, size = hashlib.sha256(), 0
        for piece in self._read(piece_bytes):
            digest.update(piece)
            size += len(piece)
            if size >= self.expected.bytes:  # before the last piece leaves: a target that counts bytes may be done
                self._compare(FileHash(size, digest.hexdigest()))
            yield piece
        self._compare(FileHash(size, digest.hexdigest()))

    def _read(self, piece_bytes: int) -> Iterator[bytes]:
        if not isinstance(self.source, Path):
            yield self.source or b""
            return
        try:
            with self.source.open("rb", buffering=0) as file:
                while piece := file.read(piece_bytes):
                    yield piece
        except OSError as error:
            raise SourceChangedError(f"{self.source} cannot be read: {error.strerror}") from None

    def _compare(self, found: FileHash) -> None:
        if found != self.expected:
            name = self.source if isinstance(self.source, Path) else self.key
            raise SourceChangedError(
                f"{name} was changed: it has {found.bytes} bytes with SHA-256 {found.sha256[:12]}, "
                f"recorded were {self.expected.bytes} with {self.expected.sha256[:12]}"
            )


class Target(ABC):
    """Somewhere to send files to. All methods may be called from several threads.

    They raise UnreachableError when the target does not answer, and ExportError when it refuses (permissions, full).
    """

    url: str

    @abstractmethod
    def put(self, item: Item) -> None:
        """Send a file; read once, hashed on the way. It gets its name only when the target holds what it must be.

        Raises:
            SourceChangedError: it is not what it must be on this machine.
        """

    @abstractmethod
    def list(self, prefix: str) -> dict[str, int]:
        """Size of every whole file below a folder, by key; empty when there is no such folder."""

    @abstractmethod
    def read(self, key: str) -> bytes:
        """Content of a small file. Raises ExportError also when it is not there."""

    @abstractmethod
    def held(self, items: Sequence[Item]) -> set[str]:
        """Keys of those whose content is at the target, whole and right, by what the target itself reads or hashed."""

    @abstractmethod
    def sync(self) -> None:
        """Return when everything that was sent would survive a power cut there."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections."""


def open_target(url: str, jobs: int = 1, ssh_config: Path | None = None) -> Target:
    """The target at a URL; nothing is asked of it yet.

    Args:
        jobs: how many threads will use it. ssh_config: for OpenSSH, instead of the user's own.

    Raises:
        ExportError: no such kind of target.
    """
    parts = urlsplit(url)
    if "://" not in url or parts.scheme == "file":
        from rove_recorder.export.local_target import LocalTarget

        return LocalTarget(Path(parts.path if parts.scheme == "file" else url).expanduser().absolute())
    if parts.scheme in ("ssh", "sftp"):
        from rove_recorder.export.ssh_target import SshTarget

        return SshTarget(url, jobs, ssh_config)
    if parts.scheme == "s3":
        try:
            from rove_recorder.export.s3_target import S3Target
        except ModuleNotFoundError as error:
            raise ExportError(
                f"s3:// needs {error.name}, which is not installed", "pip install 'rove_hil[remote]'"
            ) from None

        return S3Target(url, jobs)
    raise ExportError(f"cannot export to '{url}'", f"a target is {KINDS}")
