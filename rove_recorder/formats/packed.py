"""Attempts as one file each, for object stores: `<session>/<episode>.zarr.zip` and a catalogue of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rove_core.errors import EpisodeError
from rove_recorder.catalogue import frame_of, row_of
from rove_recorder.formats.options import Options, Report
from rove_recorder.formats.work_folder import WorkFolder
from rove_recorder.packing import pack
from rove_recorder.reader import open_episode

CATALOGUE = "catalogue.parquet"


def write(episodes: Sequence[Path], out: Path, options: Options) -> Report:  # noqa: ARG001 - episodes stay whole
    """Pack finished episodes, in the order given; no option changes what is in them.

    Args:
        out: the folder. In its CATALOGUE `path` is relative to it.

    Raises:
        EpisodeError: `out` exists, none of the episodes can be packed, or the disk refuses.
    """
    skipped: list[tuple[Path, str]] = []
    rows: list[dict[str, Any]] = []
    with WorkFolder(out) as folder:
        for path in episodes:
            try:
                row = row_of(open_episode(path))
                packed = pack(path, folder.path / path.resolve().parent.name)
            except EpisodeError as error:
                skipped.append((path, str(error)))
            else:
                rows.append({**row, "path": packed.relative_to(folder.path).as_posix()})
        if not rows:
            raise EpisodeError("nothing to pack" + (f": {skipped[0][1]}" if skipped else ""))
        frame_of(rows).write_parquet(folder.path / CATALOGUE)
        folder.publish()
    return Report(out, len(rows), len(rows), sum(row["rows"] for row in rows), 0, tuple(skipped))
