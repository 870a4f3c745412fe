"""Reading labels that were computed from an episode: `derived/<labels>@<hash>`; see rove_recorder.labels.derivation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rove_core.errors import EpisodeError
from rove_recorder.episode_format.storage import AnyArray, read_metadata
from rove_recorder.labels.annotations import in_force

if TYPE_CHECKING:
    from rove_recorder.reader import Episode

FOLDER = "derived"


def annotations_in_force(episode: Episode) -> list[str]:
    """Names of the annotations that a reader of the episode goes by."""
    return sorted(annotation.name for annotation in in_force(episode.annotations()).values())


def read_derived(episode: Episode, name: str) -> dict[str, AnyArray]:
    """Labels of an episode: name -> array with one entry per row.

    Args:
        name: of the labels, when they were computed in one way only; else with the hash, as in "returns@3f21ab00c9d1".

    Raises:
        EpisodeError: no such labels, more than one, or annotations came after they were computed.
    """
    there = sorted(path.name for path in (episode.location / FOLDER).glob("*@*") if not path.name.startswith("."))
    found = [group for group in there if name in (group, group.partition("@")[0])]
    if not found:
        raise EpisodeError(f"{episode.location} has no labels '{name}'", f"there are: {', '.join(there) or 'none'}")
    if len(found) > 1:
        raise EpisodeError(f"{episode.location} has several labels '{name}'", f"choose one of {', '.join(found)}")
    attributes = read_metadata(episode.location / FOLDER / found[0]).get("attributes", {})
    made_from, now = attributes.get("annotations"), annotations_in_force(episode)
    if made_from != now:
        raise EpisodeError(
            f"labels '{found[0]}' of {episode.location} were computed from annotations {made_from or 'none'}, "
            f"in force are {now or 'none'}",
            f"rove episodes derive {found[0].partition('@')[0]} {episode.location}",
        )
    return dict(episode.group(f"{FOLDER}/{found[0]}"))
