"""Annotations: what people and programs say about a finished episode, beside its facts and never instead of them.

An annotation is a zarr group `annotations/<set>@<n>`. A correction is the next n of its set; nothing is ever
changed or removed. The highest n of a set is in force. Of all sets only `outcome`, `t_r` and (when asked for)
`t_r_proposal` change what a reader sees; others belong to whoever named them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rove_core.errors import EpisodeError
from rove_core.modes import Outcome
from rove_recorder.episode_format.hashes import hashes_of
from rove_recorder.episode_format.locations import Location
from rove_recorder.episode_format.schema import OPEN_SUFFIX
from rove_recorder.episode_format.storage import METADATA, group_metadata, read_metadata, sync_folder
from rove_recorder.labels.annotation_kinds import OUTCOME, T_R, T_R_PROPOSAL, validated

FOLDER = "annotations"
RECORDED = "recorded"

_SET = re.compile(r"[a-z][a-z0-9_.-]*")
_OWN_KEYS: Final = ("set", "n", "kind", "by", "when", "tool", "facts_sha256")
# Another annotator may take the next number at the same moment; nobody is that many at once.
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Annotation:
    """One version of a set.

    Attributes:
        kind: says what the payload holds. by, when: who said it, wall time.
        facts_sha256: hash of the episode that it was said about.
        payload: the rest of the group's attributes.
    """

    set: str
    n: int
    kind: str
    by: str
    when: str
    tool: str
    facts_sha256: str
    payload: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of its group."""
        return f"{self.set}@{self.n}"

    def attributes(self) -> dict[str, Any]:
        """Of its group: what is said, and its hash, which shows that nobody changed it."""
        said = {**{key: getattr(self, key) for key in _OWN_KEYS}, **self.payload}
        return {**said, "sha256": _hash(said)}


@dataclass(frozen=True, slots=True)
class EpisodeOutcome:
    """How an attempt ended, who said so and when [wall time]; `source` is "recorded" or the annotation."""

    value: Outcome
    by: str
    when: str | None
    source: str


@dataclass(frozen=True, slots=True)
class MarkTime:
    """t_r of a takeover [ns, ROS clock]; `source` is "recorded" or the annotation."""

    t_ros_ns: int
    source: str


def read_annotations(folder: Location) -> list[Annotation]:
    """Every annotation of an episode, by set and number.

    Raises:
        EpisodeError: one is damaged.
    """
    root = folder / FOLDER
    found = [_read(path) for path in root.glob("*@*") if not path.name.startswith(".")] if root.is_dir() else []
    return sorted(found, key=lambda annotation: (annotation.set, annotation.n))


def in_force(annotations: Iterable[Annotation]) -> dict[str, Annotation]:
    """Set -> its highest version."""
    newest: dict[str, Annotation] = {}
    for annotation in annotations:
        if annotation.set not in newest or annotation.n > newest[annotation.set].n:
            newest[annotation.set] = annotation
    return newest


def _hash(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _read(path: Location) -> Annotation:
    name, _, number = path.name.partition("@")
    metadata = read_metadata(path)
    attributes = dict(metadata.get("attributes", {}))
    if attributes.pop("sha256", None) != _hash(attributes) or metadata.get("node_type") != "group":
        raise EpisodeError(f"{path} is damaged: its hash is not that of what it says")
    try:
        own = {key: attributes.pop(key) for key in _OWN_KEYS}
        annotation = Annotation(**own, payload=attributes)
        validated(annotation.kind, attributes, rows=2**62, where=str(path))
    except (KeyError, TypeError):
        raise EpisodeError(f"{path} is not an annotation: it lacks one of {', '.join(_OWN_KEYS)}") from None
    if annotation.set != name or str(annotation.n) != number:
        raise EpisodeError(f"{path} says it is {annotation.name}")
    return annotation


def annotate(
    folder: Path, set_name: str, kind: str, payload: object, *, by: str, when: datetime, tool: str
) -> Annotation:
    """Add the next version of a set to a finished episode: whole, or not at all.

    Args:
        by: the person or program that says so. tool: what it was said with.
        when: wall time.

    Raises:
        EpisodeError: the episode is unfinished or damaged, the payload is not what its kind holds, or the disk refuses.
    """
    if folder.name.endswith(OPEN_SUFFIX):
        raise EpisodeError(f"{folder} is still open", "wait for its end, or finish it: rove episodes recover")
    attributes = read_metadata(folder).get("attributes", {})
    if not attributes.get("committed"):
        raise EpisodeError(f"{folder} is not a finished episode", "finish it: rove episodes recover")
    if not _SET.fullmatch(set_name):
        raise EpisodeError(f"'{set_name}' cannot name a set", "use small letters, digits, '_', '-' and '.'")
    if set_name in (OUTCOME, T_R, T_R_PROPOSAL) and kind != set_name:
        raise EpisodeError(f"set '{set_name}' holds kind '{set_name}', not '{kind}'", "choose another name of the set")
    if not by.strip():
        raise EpisodeError("nobody is named for the annotation", "say who: --by NAME")
    content = validated(kind, payload, int(attributes.get("rows", 0)), f"annotation '{set_name}'")
    taken = [key for key in content if key in (*_OWN_KEYS, "sha256")]
    if taken:
        raise EpisodeError(f"annotation '{set_name}': key '{taken[0]}' is taken", "choose another name of the key")
    try:
        facts = hashes_of(folder).sha256
        stamp = when.astimezone(UTC).isoformat(timespec="milliseconds")
        newest = in_force(read_annotations(folder)).get(set_name)
        first = Annotation(set_name, newest.n + 1 if newest else 1, kind, by.strip(), stamp, tool, facts, content)
        return _write(folder / FOLDER, first)
    except OSError as error:
        raise EpisodeError(f"cannot annotate {folder}: {error.strerror}", "check the disk and permissions") from None


def _write(root: Path, annotation: Annotation) -> Annotation:
    """Written beside and renamed; when somebody else took the number meanwhile, the next one. Raises OSError."""
    root.mkdir(exist_ok=True)
    building = root / f".{annotation.set}-{secrets.token_hex(4)}.partial"
    building.mkdir()
    try:
        for _ in range(_ATTEMPTS):
            with (building / METADATA).open("wb") as file:
                file.write(group_metadata(annotation.attributes()))
                file.flush()
                os.fsync(file.fileno())
            try:
                building.rename(root / annotation.name)
            except OSError:
                if not (root / annotation.name).exists():
                    raise
                annotation = replace(annotation, n=annotation.n + 1)
            else:
                sync_folder(root)
                return annotation
    finally:
        shutil.rmtree(building, ignore_errors=True)
    raise EpisodeError(f"{root}: {_ATTEMPTS} others annotate at the same time", "try again")


def outcome_of(recorded: Mapping[str, Any], annotations: Iterable[Annotation]) -> EpisodeOutcome:
    """The outcome in force: the annotation's, else the recorded one.

    Args:
        recorded: attribute `outcome` of the episode.
    """
    newest = in_force(annotations).get(OUTCOME)
    if newest is not None and newest.payload["value"] is not None:
        return EpisodeOutcome(Outcome(newest.payload["value"]), newest.by, newest.when, newest.name)
    return EpisodeOutcome(Outcome(recorded["value"]), recorded["by"], recorded["when"], RECORDED)


def marks_in_force(
    recorded: Mapping[int, int], annotations: Iterable[Annotation], proposals: bool = False
) -> dict[int, MarkTime]:
    """Epoch of a takeover -> its mark of progress: annotated, else recorded, else (when asked for) proposed.

    Args:
        recorded: epoch -> time of the mark [ns, ROS clock].
        proposals: use computed marks where nobody marked or corrected anything.
    """
    newest = in_force(annotations)
    marks = {epoch: MarkTime(t_ros_ns, RECORDED) for epoch, t_ros_ns in recorded.items()}
    said = newest[T_R].payload["marks"] if T_R in newest else ()
    if proposals and T_R_PROPOSAL in newest:
        spoken_of = marks.keys() | {mark["epoch"] for mark in said}
        for proposal in newest[T_R_PROPOSAL].payload["proposals"]:
            if proposal["epoch"] not in spoken_of:
                marks[proposal["epoch"]] = MarkTime(proposal["t_ros_ns"], newest[T_R_PROPOSAL].name)
    for mark in said:
        marks.pop(mark["epoch"], None)
        if mark["t_ros_ns"] is not None:
            marks[mark["epoch"]] = MarkTime(mark["t_ros_ns"], newest[T_R].name)
    return marks
