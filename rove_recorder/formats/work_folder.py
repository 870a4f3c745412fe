"""Writing where nobody looks, and appearing at once: an interrupted conversion leaves nothing that looks complete."""

from __future__ import annotations

import shutil
from pathlib import Path

from rove_core.errors import EpisodeError
from rove_recorder.episode_format.storage import sync_folder

SUFFIX = ".partial"


class WorkFolder:
    """A folder `<out>.partial`, which becomes `out` by `publish` and is removed when that was not called.

    One that was left behind by a killed conversion is removed first.

    Attributes:
        path: where to write.

    Raises:
        EpisodeError: `out` exists, or the disk refused.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self.path = out.with_name(out.name + SUFFIX)
        if out.exists():
            raise EpisodeError(f"{out} exists already", "name another one, or remove it")

    def publish(self, content: Path | None = None) -> None:
        """Bring everything to the disk and give it its name: the folder, or only `content`, a file in it."""
        sync_folder(self.path, everything=True)
        (content or self.path).rename(self._out)
        sync_folder(self._out.parent)

    def __enter__(self) -> WorkFolder:
        try:
            shutil.rmtree(self.path, ignore_errors=True)
            self.path.mkdir(parents=True)
        except OSError as error:
            raise EpisodeError(f"cannot create {self.path}: {error.strerror}") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if isinstance(error, OSError):
            raise EpisodeError(
                f"cannot write to {self.path}: {error.strerror or error}",
                "free space on the disk, or check that it is mounted",
            ) from None
