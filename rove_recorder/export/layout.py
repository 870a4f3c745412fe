"""Where things lie at the target: names of objects, written with `/` and relative to the target's root.

docs/reference/export-layout.md is the description; this module is the only place that makes such names.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from rove_core.errors import ExportError
from rove_recorder.episode_format.packing import PACKED_FOLDER, PACKED_SUFFIX
from rove_recorder.episode_format.schema import SUFFIX

MANIFESTS: Final = "manifests"
DATASETS: Final = "datasets"

# Names of files that are still being sent start with a dot and end like this, so that nobody takes them for whole.
PART_SUFFIX: Final = ".part"

# Of a manifest's content, in its name: enough that no damage goes unseen, short enough for people.
NAMED_HEX: Final = 16

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_STAMP = "%Y%m%dT%H%M%SZ"


def plain_name(name: str, what: str) -> str:
    """`name` when it can be a folder of any file system and shell and an S3 key without quoting.

    Raises:
        ExportError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ExportError(
            f"'{name}' cannot be the {what} at the target",
            "letters, digits, '_', '-', '+' and '.', beginning with a letter or a digit",
        )
    return name


def episode_prefix(robot: str, opened: datetime, session: str, episode: str) -> str:
    """Folder of an episode; `opened` is when the attempt began, `episode` the name of its folder without `.zarr`."""
    day = opened.astimezone(UTC).strftime("%Y-%m-%d")
    return f"{robot}/{day}/{plain_name(session, 'session')}/{plain_name(episode, 'episode')}{SUFFIX}"


def packed_prefix(prefix: str) -> str:
    """Folder of an episode that is one zip file there; beside it lie annotations that were made later."""
    return f"{prefix.removesuffix(SUFFIX)}{PACKED_FOLDER}"


def packed_key(prefix: str) -> str:
    """The zip file in such a folder."""
    name = prefix.rpartition("/")[2].removesuffix(PACKED_FOLDER)
    return f"{prefix}/{name}{PACKED_SUFFIX}"


def dataset_prefix(robot: str, kind: str, day: datetime, sha256: str) -> str:
    """Folder of a converted data set; `day` is of its newest episode, so that a second try has the same name."""
    return f"{DATASETS}/{kind}/{robot}/{day.astimezone(UTC).strftime('%Y-%m-%d')}-{sha256[:NAMED_HEX]}"


def manifest_folder(robot: str = "") -> str:
    """Folder of a robot's manifests; of all of them without a robot."""
    return f"{MANIFESTS}/{robot}" if robot else MANIFESTS


def manifest_key(robot: str, when: datetime, sha256: str) -> str:
    """Name of a manifest: in order of time, and with the hash of its content."""
    return f"{manifest_folder(robot)}/{when.astimezone(UTC).strftime(_STAMP)}-{sha256[:NAMED_HEX]}.json"
