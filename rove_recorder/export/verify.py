"""Does a target hold what its manifests say? For whoever ingests, and before anything is deleted on a robot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from rove_core.errors import ExportError, UnreachableError
from rove_recorder.episode_format.hashes import GROWING, HASHES, FileHash
from rove_recorder.export.contents import is_loose, listed_hashes
from rove_recorder.export.layout import manifest_folder, packed_key
from rove_recorder.export.manifest import Entry, Manifest, in_force, parse_manifest
from rove_recorder.export.targets import Item, Target


@dataclass(slots=True)
class Verified:
    """What was looked at, and a line for each thing that is not as it should be."""

    manifests: int = 0
    episodes: int = 0
    data_sets: int = 0
    files: int = 0
    bytes: int = 0
    hashed: bool = False
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {name: getattr(self, name) for name in self.__slots__}


def verify(target: Target, robot: str = "", *, hashed: bool = False, jobs: int = 1) -> Verified:
    """Compare a target with its manifests.

    Args:
        robot: only this one's; "" for all.
        hashed: by the hash of every file, as the target reads it; else by the list of files and their sizes.
        jobs: how many episodes at a time.

    Raises:
        ExportError: the target refuses or does not answer.
    """
    result = Verified(hashed=hashed)
    by_robot: dict[str, list[Manifest]] = {}
    keys = sorted(target.list(manifest_folder(robot)))
    for key in keys:
        try:
            manifest = parse_manifest(key, target.read(key))
        except UnreachableError:
            raise
        except ExportError as error:
            result.problems.append(str(error))
            continue
        by_robot.setdefault(manifest.robot, []).append(manifest)
        result.manifests += 1
    if not keys:
        result.problems.append(f"{target.url} has no {manifest_folder(robot)}/: nothing was exported to it")
    entries = [entry for manifests in by_robot.values() for entry in in_force(manifests).values()]
    with ThreadPoolExecutor(jobs) as pool:
        for entry, problems in zip(entries, pool.map(lambda entry: problems_of(target, entry, hashed), entries)):  # noqa: B905 - equal by construction
            result.problems += problems
            result.files += entry.files + len(entry.annotations)
            result.bytes += entry.bytes
            if entry.sources:
                result.data_sets += 1
            else:
                result.episodes += 1
    return result


def problems_of(target: Target, entry: Entry, hashed: bool) -> list[str]:
    """What is wrong with the copy of an episode or data set."""
    sizes = target.list(entry.path)
    if not sizes:
        return [f"{entry.path} is missing"]
    try:
        items = items_of(target, entry)
    except UnreachableError:
        raise
    except ExportError as error:
        return [str(error)]
    return [*_by_size(items, sizes, entry), *(_by_hash(target, items, sizes) if hashed else ())]


def items_of(target: Target, entry: Entry) -> list[Item]:
    """Every file that an entry promises, by the `hashes.json` at the target, which must be the manifest's.

    Of a packed episode the zip file, whose hash stands in the manifest.

    Raises:
        ExportError: it is missing, damaged, or another one.
    """
    annotations = {name: FileHash(file.bytes, file.sha256) for name, file in entry.annotations.items()}
    if entry.packed is not None:
        whole = Item(packed_key(entry.path), FileHash(entry.packed.bytes, entry.packed.sha256))
        return [whole, *(Item(f"{entry.path}/{name}", file) for name, file in annotations.items() if is_loose(name))]
    key = f"{entry.path}/{HASHES}"
    hashes = listed_hashes(target.read(key), key)
    if hashes.sha256 != entry.sha256:
        raise ExportError(f"{key} is not the one that the manifest names")
    return [Item(f"{entry.path}/{name}", file) for name, file in {**hashes.files, **annotations}.items()]


def _by_size(items: Sequence[Item], sizes: dict[str, int], entry: Entry) -> Iterator[str]:
    expected = {item.key: item.expected.bytes for item in items}
    for key, size in sorted(expected.items()):
        if key not in sizes:
            yield f"{key} is missing"
        elif sizes[key] != size:
            yield f"{key} has {sizes[key]} bytes, sent were {size}"
    for key in sorted(sizes.keys() - expected.keys() - {f"{entry.path}/{HASHES}"}):
        # What the cluster derived or annotated lies beside what came.
        if key.removeprefix(f"{entry.path}/").partition("/")[0] not in GROWING:
            yield f"{key} does not belong to the episode"


def _by_hash(target: Target, items: Sequence[Item], sizes: dict[str, int]) -> Iterator[str]:
    whole = [item for item in items if sizes.get(item.key) == item.expected.bytes]
    held = target.held(whole)
    yield from (f"{item.key} was changed after it was sent" for item in whole if item.key not in held)
