"""An episode as one file: an uncompressed zip, which zarr's ZipStore and this project's reader open as it is.

A minute with three cameras is about a thousand files. That is right on a robot's disk, where a kill may cost
a chunk and no more, and wrong in an object store, which charges and lists by the object.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from rove_core.errors import EpisodeError
from rove_recorder.episode_format.hashes import problems
from rove_recorder.episode_format.schema import OPEN_SUFFIX, SUFFIX
from rove_recorder.labels.annotations import FOLDER as ANNOTATIONS

PACKED_SUFFIX = f"{SUFFIX}.zip"
# An export keeps a packed episode in a folder of this name, with annotations that came later beside it.
PACKED_FOLDER = ".packed"

# The same episode gives the same bytes, wherever and whenever it is packed: zip's oldest date, plain permissions.
_DATE = (1980, 1, 1, 0, 0, 0)
_MODE = 0o644 << 16
_COPY_BYTES = 1 << 20

# Labels that can be computed again are not sent around.
_LEFT_OUT = "derived"


def packed_url(path: str) -> str:
    """The URL by which `open_episode` reads a packed episode: of a local path, or of a URL of fsspec."""
    return f"zip://::{path}"


def pack(episode: Path, out: Path) -> Path:
    """Write a finished episode as `<name>.zarr.zip` into the folder `out`: facts, hashes and annotations.

    The file appears under its name when it is whole. One that is there already is replaced.

    Raises:
        EpisodeError: the episode is still open, or something cannot be read or written.
    """
    if episode.name.endswith(OPEN_SUFFIX) or not (episode / "zarr.json").is_file():
        raise EpisodeError(f"{episode} is not a finished episode", "rove episodes recover finishes one")
    target = out / f"{episode.name.removesuffix(SUFFIX)}{PACKED_SUFFIX}"
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for name in _names(episode):
                info = zipfile.ZipInfo(name, _DATE)
                info.external_attr = _MODE
                info.file_size = (episode / name).stat().st_size
                with (episode / name).open("rb") as source, archive.open(info, "w") as sink:
                    shutil.copyfileobj(source, sink, _COPY_BYTES)
        temporary.replace(target)
    except OSError as error:
        raise EpisodeError(f"cannot pack {episode} into {target}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _names(episode: Path) -> Iterator[str]:
    """Files in order of name, the group of the derived labels without them."""
    for path in sorted(episode.rglob("*")):
        name = path.relative_to(episode)
        if path.is_file() and (name.parts[0] != _LEFT_OUT or len(name.parts) == 2):
            yield name.as_posix()


def unpack(packed: Path, out: Path) -> Path:
    """Make the folder of a packed episode again, in `out`, and compare it with its hashes.

    The folder appears under its name when it is whole and right, with the annotations that an export put beside the
    file.

    Raises:
        EpisodeError: not a packed episode, damaged, or there is an episode of that name.
    """
    target = out / packed.name.removesuffix(".zip")
    if target.exists():
        raise EpisodeError(f"{target} exists", "unpack into another folder; nothing is overwritten")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(temporary)
        if packed.parent.name.endswith(PACKED_FOLDER):
            for annotation in (packed.parent / ANNOTATIONS).glob("[!.]*@*"):
                shutil.copytree(annotation, temporary / ANNOTATIONS / annotation.name, dirs_exist_ok=True)
        wrong = problems(temporary)
        if wrong:
            raise EpisodeError(f"{packed}: {wrong[0]}" + (f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""))
        temporary.rename(target)
    except (OSError, zipfile.BadZipFile) as error:
        raise EpisodeError(f"cannot unpack {packed}: {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target
