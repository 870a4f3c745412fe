"""Is an episode what its format promises? One line per problem, in words that say what was seen."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rove_core.errors import EpisodeError
from rove_core.modes import Outcome
from rove_recorder.checking import array_invariants as arrays
from rove_recorder.checking import control_invariants as control
from rove_recorder.checking.array_invariants import torn_off
from rove_recorder.checking.flags import flags_of
from rove_recorder.episode_format import hashes
from rove_recorder.episode_format.schema import OPEN_SUFFIX, SUFFIX
from rove_recorder.episode_format.storage import METADATA
from rove_recorder.reader import Episode
from rove_recorder.recording.offline_rows import compare_rows


def find_episodes(folder: Path) -> list[Path]:
    """Episodes in `folder` and its sessions in order of name, open ones too; `folder` itself when it is one."""
    if folder.name.endswith((SUFFIX, OPEN_SUFFIX)):
        return [folder]
    if not folder.is_dir():
        raise EpisodeError(f"no folder {folder}", "give the folder that holds sessions, a session, or an episode")
    found = []
    for parent, names, _ in os.walk(folder):
        episodes = [name for name in names if name.endswith((SUFFIX, OPEN_SUFFIX))]
        found += [Path(parent, name) for name in episodes]
        names[:] = [name for name in names if name not in episodes]  # what an episode holds is no session
    return sorted(found, key=lambda path: (path.parent, path.name.partition(SUFFIX)[0]))


def check_episode(episode: Episode, *, hash_arrays: bool = True) -> list[str]:
    """Every problem as one line; empty when the episode is what the format promises.

    Hashes come first. When they say that metadata was changed, what it describes is not looked at: it would only
    be misread.

    Args:
        hash_arrays: false leaves the hashes of arrays to whoever sends them.
    """
    problems = list(_hashes(episode, hash_arrays))
    if any(METADATA in problem for problem in problems):
        return problems
    problems += _results(episode, (arrays.presence, _description))
    checks = [arrays.lengths, arrays.stamps, arrays.values, arrays.images, control.stages]
    if episode.attrs.get("has_action", True):
        checks += [control.actions, control.authority, control.presses, control.epochs]
        checks += [control.predictions, control.limits, _rows]
    problems += _results(episode, (*checks, _annotations))
    return list(dict.fromkeys(problems))


def notes(episode: Episode) -> list[str]:
    """What is no problem and good to know."""
    if episode.finished and not (episode.path / hashes.HASHES).exists():
        return ["no hashes: recorded before there were any, so a changed byte may go unseen"]
    return []


def _results(episode: Episode, checks: Iterable[Callable[[Episode], Iterator[str]]]) -> list[str]:
    problems: list[str] = []
    for check in checks:
        try:
            problems += check(episode)
        except EpisodeError as error:
            problems.append(str(error))
        except (LookupError, ValueError, TypeError, ArithmeticError, MemoryError, OSError) as error:
            name = check.__name__.strip("_")
            problems.append(f"{name} cannot be checked: {type(error).__name__}: {error}")
    return problems


def _hashes(episode: Episode, hash_arrays: bool) -> Iterator[str]:
    if not episode.finished:
        return
    problems = hashes.problems(episode.path, hash_arrays=hash_arrays)
    yield from problems
    written = episode.path / hashes.HASHES
    if not problems and written.exists():
        known = hashes.read_hashes(episode.path)
        if known is not None and hashes.as_json(known) != written.read_bytes():
            yield f"{hashes.HASHES} was changed, though it says the same"


def _rows(episode: Episode) -> Iterator[str]:
    """Rows are what the streams give; a message that came later than a row waits is no problem."""
    compared = compare_rows(episode)
    for column, count in compared.different.items():
        yield f"steps/{column} is not what the streams give in {count} rows"
    cut = (
        torn_off(episode) or episode.attrs.get("ended_by") == "recording_fault"
    ) and compared.rows <= compared.offline_rows
    if compared.rows != compared.offline_rows and not cut:
        yield f"steps has {compared.rows} rows, the streams give {compared.offline_rows}"


def _annotations(episode: Episode) -> Iterator[str]:
    """What was said was said about these facts, and moves no mark out of its takeover."""
    annotations = episode.annotations()
    if not annotations:
        return
    facts = (hashes.read_hashes(episode.path) or hashes.hash_episode(episode.path)).sha256
    for annotation in annotations:
        if annotation.facts_sha256 != facts:
            yield f"annotation {annotation.name} was made about other facts: the episode's hash is not the one it names"
    for mark in episode.marks(proposals=True):
        if mark is not None and mark.source != "recorded" and mark.row < 0:
            yield f"annotation {mark.source} marks progress before takeover {mark.takeover} began"


def exportable(episode: Episode, *, hash_arrays: bool = True) -> list[str]:
    """Why an episode should not go to a trainer yet, one line per reason; empty when it may.

    An episode goes out finished, with an outcome that somebody stands for, within its budgets, and sound. See
    `check_episode` for `hash_arrays`.
    """
    if not (episode.finished and episode.attrs.get("committed")):
        return ["not committed: still open, or its recorder died (rove episodes recover)"]
    reasons = []
    try:
        if episode.outcome.value is Outcome.UNLABELLED:
            reasons.append("unlabelled: nobody has said how it ended (rove episodes label)")
    except EpisodeError:
        pass  # the check says so
    reasons += [f"flagged: {flag['code']}: {flag['detail']}" for flag in episode.attrs.get("flags", [])]
    return reasons + check_episode(episode, hash_arrays=hash_arrays)


def _description(episode: Episode) -> Iterator[str]:
    """The attributes say what the arrays say."""
    if not episode.finished:
        yield "the episode is still open, or its recorder died: rove episodes recover"
        return
    if not episode.attrs.get("committed"):
        yield "the episode is not committed"
    outcome = episode.attrs.get("outcome", {})
    if outcome.get("value") not in set(Outcome):
        yield f"outcome is {outcome.get('value')!r}"
    elif outcome["value"] != Outcome.UNLABELLED and not outcome.get("by"):
        yield "nobody is named for the outcome"
    if episode.attrs.get("rows") != episode.rows:
        yield f"attribute rows is {episode.attrs.get('rows')}, there are {episode.rows}"
    frames = {camera: len(episode.frames(camera)) for camera in episode.cameras}
    if episode.attrs.get("frames") != frames:
        yield f"attribute frames is {episode.attrs.get('frames')}, there are {frames}"
    takeovers = len(episode.marks())
    if episode.attrs.get("takeovers") != takeovers:
        yield f"attribute takeovers is {episode.attrs.get('takeovers')}, there are {takeovers}"
    if "flags" in episode.attrs and episode.attrs["flags"] != flags_of(episode):
        yield "attribute flags is not what the arrays give"
