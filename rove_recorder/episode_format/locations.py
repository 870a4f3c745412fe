"""Where an episode is: a local folder, or one behind a URL, read by ranges of bytes.

Everything that reads episodes asks for no more than this: names in a folder, a whole small file, a range of a big
one. Local files are read directly; for URLs fsspec knows the protocols (s3, sftp, http ...) and is imported only then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rove_core.errors import EpisodeError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# What file systems say of a path that does not exist, or that goes on below a file.
_ABSENT = (FileNotFoundError, NotADirectoryError)

# An episode as one uncompressed zip, the folder that an export puts it into, and fsspec's way to say "what is in it".
PACKED, PACKED_FOLDER = ".zarr.zip", ".packed"
_INSIDE = "zip://::"


class RemotePath:
    """A file or folder behind a URL: of pathlib.Path, what reading needs.

    Args:
        files: the file system of fsspec.
        path: as the file system writes it.
        within: the packed episode that it lies in, for messages.
    """

    __slots__ = ("_files", "_path", "_within")

    def __init__(self, files: AbstractFileSystem, path: str, within: str = "") -> None:
        self._files, self._within = files, within
        self._path = path.rstrip("/")

    def __truediv__(self, name: str) -> RemotePath:
        return self.joinpath(name)

    def __str__(self) -> str:
        if self._within:
            return f"{self._within}/{self._path.lstrip('/')}".rstrip("/")
        return str(self._files.unstrip_protocol(self._path))

    def joinpath(self, *names: str) -> RemotePath:
        """What lies below."""
        above = [self._path] if self._path else []  # the root of a zip is ""
        return RemotePath(self._files, "/".join((*above, *names)), self._within)

    @property
    def name(self) -> str:
        """Its last part."""
        return self._path.rpartition("/")[2]

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        with _said_by(self):
            return bool(self._files.isdir(self._path))

    def is_file(self) -> bool:
        """Whether it is a file."""
        with _said_by(self):
            return bool(self._files.isfile(self._path))

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """What is in the folder and fits a pattern without "/", in order of name; nothing when there is no folder."""
        with _said_by(self):
            try:
                found: list[str] = self._files.ls(self._path, detail=False)
            except _ABSENT:
                return
        paths = (RemotePath(self._files, name, self._within) for name in sorted(found))
        yield from (path for path in paths if fnmatchcase(path.name, pattern))

    def read_bytes(self) -> bytes:
        """The whole file. Raises FileNotFoundError; EpisodeError for everything else."""
        with _said_by(self):
            return bytes(self._files.cat_file(self._path))

    def read_below(self, names: Sequence[str]) -> dict[str, bytes]:
        """Small files below, all asked for at once where the protocol can; those that do not exist are left out."""
        wanted = {self.joinpath(name)._path: name for name in names}
        with _said_by(self):
            found: dict[str, bytes | Exception] = self._files.cat(list(wanted), on_error="return") if wanted else {}
            for data in found.values():
                if isinstance(data, Exception) and not isinstance(data, _ABSENT):
                    raise data
        return {wanted[path]: data for path, data in found.items() if isinstance(data, bytes)}

    def read_range(self, start: int, stop: int) -> bytes:
        """Bytes [start, stop), less when the file is shorter. Raises FileNotFoundError; EpisodeError otherwise."""
        with _said_by(self):
            data = bytes(self._files.cat_file(self._path, start=start, end=stop))
        # A web server that knows no ranges sends everything.
        return data if len(data) <= stop - start else data[start:stop]


Location: TypeAlias = Path | RemotePath


def locate(path: str | Path) -> Location:
    """The folder that a path or URL means; for one that ends in `.zarr.zip` what is in the zip.

    Raises:
        EpisodeError: nothing here knows the protocol, or its server does not answer.
    """
    path = str(path)
    if path.endswith(PACKED) and not path.startswith(_INSIDE):
        path = _INSIDE + path
    if "://" not in path:
        return Path(path)
    try:
        files, inner = _file_system(path)
    except ImportError as error:
        raise EpisodeError(f"cannot open {path}: {_line(error)}", "pip install 'rove_hil[remote]'") from None
    except (ValueError, OSError) as error:
        raise EpisodeError(f"cannot open {path}: {_line(error)}", "URLs start with s3://, https:// ...") from None
    files.invalidate_cache()  # of folders, which may have got annotations since
    return RemotePath(files, inner, path.removeprefix(_INSIDE) if path.startswith(_INSIDE) else "")


def _file_system(url: str) -> tuple[AbstractFileSystem, str]:
    import fsspec

    options: dict[str, Any] = {}
    if url.startswith("s3://"):
        # The library that exports use; fsspec's own choice would bring a second one with its own settings.
        from obstore.fsspec import register

        register("s3")
        insecure = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
        options = {"client_options": {"allow_http": insecure}}
    return fsspec.core.url_to_fs(url, **options)  # type: ignore[no-any-return]


def beside_packed(path: str | Path) -> Location | None:
    """The folder in which an exported packed episode lies with what was said about it later; None for all others."""
    parent, _, name = str(path).removeprefix(_INSIDE).rpartition("/")
    return locate(parent) if name.endswith(PACKED) and parent.endswith(PACKED_FOLDER) else None


def local(location: Location) -> Path:
    """The folder on this machine. Raises EpisodeError when it is not on this machine."""
    if isinstance(location, Path):
        return location
    raise EpisodeError(f"{location} can only be read from here", "copy it to a local folder first")


def children(folder: Location, file_name: str) -> Mapping[str, bytes]:
    """Sub-folder -> content of its file `file_name`, in order of name; of those sub-folders that have one.

    Raises:
        EpisodeError: one cannot be read.
    """
    if isinstance(folder, Path):
        try:
            return {path.parent.name: path.read_bytes() for path in sorted(folder.glob(f"*/{file_name}"))}
        except OSError as error:
            raise EpisodeError(f"cannot read {error.filename}: {error.strerror}") from None
    names = [path.name for path in folder.glob("*") if path.name != file_name]
    found = folder.read_below([f"{name}/{file_name}" for name in names])
    return {name: found[f"{name}/{file_name}"] for name in names if f"{name}/{file_name}" in found}


def read_into(file: Location, start: int, target: memoryview) -> int:
    """Fill `target` with the bytes of a file from `start` on; returns how many there were.

    Raises:
        OSError: no such file, or it cannot be read. EpisodeError: its server does not answer.
    """
    if isinstance(file, Path):
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.preadv(handle, [target], start)
        finally:
            os.close(handle)
    data = file.read_range(start, start + len(target))
    target[: len(data)] = data
    return len(data)


@contextmanager
def _said_by(path: RemotePath) -> Iterator[None]:
    """Every protocol has its own errors: one line that names the URL, whichever it was."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        raise EpisodeError(f"cannot read {path}: {_line(error)}", "check the URL and your access to it") from error


def _line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
