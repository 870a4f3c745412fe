"""The invariants of an episode, checked against its own streams, events and limits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError
from rove_core.modes import Mode, Outcome, Source, Stage
from rove_recorder.reader import ArrayGroup, Episode
from rove_recorder.schema import OPEN_SUFFIX, SUFFIX, Layout

# Position, velocity and acceleration may exceed the limit by rounding only. Finite differences of three ticks
# that are not exactly 5 ms apart amplify: jerk gets more room.
POSITION_TOLERANCE_RAD = 1e-6
RELATIVE_TOLERANCE = {"velocity": 0.01, "acceleration": 0.03, "jerk": 0.10}

# A tick this much longer than the usual one is a missed one: differences across it say nothing.
MISSED_TICK = 1.5


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


def check_episode(episode: Episode) -> list[str]:
    """Every problem as one line; empty when the episode is what the format promises."""
    problems: list[str] = []
    for check in (_lengths, _stamps, _references, _actions, _epochs, _limits, _stages, _frames, _outcome):
        try:
            problems += check(episode)
        except EpisodeError as error:
            problems.append(str(error))
        except (IndexError, KeyError, ValueError) as error:
            problems.append(f"{check.__name__.strip('_')} cannot be checked: {type(error).__name__}: {error}")
    return problems


def exportable(episode: Episode) -> list[str]:
    """Why an episode should not go to a trainer yet, one line per reason; empty when it may.

    An episode goes out finished, with an outcome that somebody stands for, within its budgets, and sound.
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
    return reasons + check_episode(episode)


def _groups(episode: Episode) -> Iterator[tuple[str, ArrayGroup]]:
    yield "steps", episode.steps
    yield from ((f"streams/{name}", group) for name, group in episode.streams.items())
    yield "chunks", episode.chunks
    yield from ((f"cameras/{camera}", episode.group(f"cameras/{camera}")) for camera in episode.cameras)
    yield "events", episode.group("events")


def _first(bad: npt.NDArray[np.bool_], text: str) -> list[str]:
    """A line with the number of cases and the first of them."""
    where = np.flatnonzero(bad)
    return [f"{text}: {len(where)} times, first at index {where[0]}"] if len(where) else []


def _lengths(episode: Episode) -> Iterator[str]:
    for path, group in _groups(episode):
        for name, array in group.arrays.items():
            rows = {Layout.OFFSETS: group.records + 1}.get(array.layout, group.records)
            if array.layout is Layout.RAGGED:
                offsets = group[array.offsets]
                if len(offsets) and (offsets[0] != 0 or (np.diff(offsets) < 0).any()):
                    yield f"{path}/{array.offsets} does not start at 0 or goes back"
                rows = int(offsets[-1]) if len(offsets) else 0
            if array.layout is Layout.FINAL and not episode.finished:
                continue
            if array.rows != rows:
                yield f"{path}/{name} has {array.rows} rows, expected {rows}"
            group.rows_of(name, 0, array.rows)  # a truncated chunk file raises


def _stamps(episode: Episode) -> Iterator[str]:
    increasing = [("steps", "t_mono_ns"), ("steps", "t_ros_ns"), ("streams/commands", "t_mono_ns")]
    increasing += [("streams/joint_states", "t_ros_ns")]
    increasing += [(f"cameras/{camera}", "capture_ns") for camera in episode.cameras]
    groups = dict(_groups(episode))
    for path, name in increasing:
        yield from _first(np.diff(groups[path][name]) <= 0, f"{path}/{name} does not increase")
    steps = episode.steps
    yield from _first(steps["t_obs_ns"] > steps["t_ros_ns"], "steps/t_obs_ns is later than the row")
    for camera in episode.cameras:
        index = steps[f"camera_index_{camera}"]
        seen = index >= 0
        capture = episode.frames(camera).capture_ns
        if (index >= len(capture)).any():
            yield f"steps/camera_index_{camera} names an image that is not there"
            continue
        age = np.where(seen, steps["t_ros_ns"] - capture[np.where(seen, index, 0)], -1) if len(capture) else index
        yield from _first(
            age != steps[f"camera_age_ns_{camera}"], f"steps/camera_age_ns_{camera} is not the image's age"
        )
        yield from _first(seen & (age < 0), f"steps/camera_index_{camera} names an image that is later than the row")


def _references(episode: Episode) -> Iterator[str]:
    steps = episode.steps
    yield from _first(np.diff(steps["segment_id"]) < 0, "steps/segment_id goes back")
    for name, dtype in (("state", "state"), ("command_sent", "command")):
        bad = ~np.isfinite(steps[name]).all(axis=1) & steps["valid"]
        yield from _first(bad, f"valid rows with a {dtype} that is not finite (steps/{name})")


def _actions(episode: Episode) -> Iterator[str]:
    """A row's action is the command of the stream, the first at or after the row."""
    steps, commands = episode.steps, episode.streams["commands"]
    index = steps["command_index"]
    if len(index) and (index.min() < 0 or index.max() >= commands.records):
        yield "steps/command_index names a command that is not there"
        return
    for column, stream in (("command_sent", "sent"), ("command_target", "target")):
        differs = (steps[column] != commands[stream][index]).any(axis=1)
        yield from _first(differs, f"steps/{column} is not what the stream says")
    first = np.searchsorted(commands["t_mono_ns"], steps["t_mono_ns"], side="left")
    yield from _first(first != index, "steps/command_index is not the first command at or after the row")


def _epochs(episode: Episode) -> Iterator[str]:
    """No command came from a chunk of another epoch."""
    chunks, commands = episode.chunks, episode.streams["commands"]
    epoch_of = dict(zip(chunks["chunk_id"].tolist(), chunks["epoch"].tolist(), strict=True))
    used = (commands["source"] == Source.POLICY) & (commands["chunk_id"] > 0)
    ids, epochs = commands["chunk_id"][used], commands["epoch"][used]
    pairs = np.unique(np.stack([ids, epochs], axis=1), axis=0)
    for number, epoch in pairs.tolist():
        if number in epoch_of and epoch_of[number] != epoch:
            yield f"chunk {number} of epoch {epoch_of[number]} moved the robot in epoch {epoch}"
    modes, source = commands["mode"], commands["source"]
    yield from _first(
        (source == Source.POLICY) & (modes != Mode.ROLLOUT.number), "the policy moved the robot outside ROLLOUT"
    )
    yield from _first(
        (source == Source.OPERATOR) & (modes != Mode.TAKEOVER.number), "the operator moved it outside TAKEOVER"
    )


def _limits(episode: Episode) -> Iterator[str]:
    """Commands inside the position limits at each tick; velocity, acceleration and jerk by finite differences."""
    limits = {name: np.array(values) for name, values in episode.attrs["joint_limits"].items()}
    names = episode.attrs["joint_names"]
    commands = episode.streams["commands"]
    sent, t_ns = commands["sent"], commands["t_mono_ns"]
    outside = (sent < limits["lower"] - POSITION_TOLERANCE_RAD) | (sent > limits["upper"] + POSITION_TOLERANCE_RAD)
    yield from _worst(outside, sent, names, "position [rad]", limits["upper"])
    if len(sent) < 4:
        return
    period = float(np.median(np.diff(t_ns)))
    whole = np.diff(commands["tick"].astype(np.int64)) == 1  # every tick was recorded
    steady = whole & (np.diff(t_ns) < MISSED_TICK * period)
    # The filter integrates with its nominal period; the stamps only tell which ticks are neighbours.
    step_s = _nominal(period) * 1e-9
    rate, neighbours = sent, steady
    for kind in ("velocity", "acceleration", "jerk"):
        rate = np.diff(rate, axis=0) / step_s
        limit = limits[f"max_{kind}"] * (1 + RELATIVE_TOLERANCE[kind])
        yield from _worst((np.abs(rate) > limit) & neighbours[:, None], rate, names, kind, limits[f"max_{kind}"])
        neighbours = neighbours[1:] & steady[: len(neighbours) - 1]


def _nominal(period_ns: float) -> float:
    """The period that a rate in whole Hz gives, the measured one when none is near."""
    nominal = 1e9 / max(round(1e9 / period_ns), 1)
    return nominal if abs(nominal - period_ns) < 0.02 * period_ns else period_ns


def _worst(
    bad: npt.NDArray[np.bool_],
    values: npt.NDArray[np.float64],
    names: Iterable[str],
    what: str,
    limit: npt.NDArray[np.float64],
) -> Iterator[str]:
    if not bad.any():
        return
    # Limits of a joint's kinds differ by orders of magnitude, positions may be 0: compare with a radian added.
    tick, joint = np.unravel_index(np.argmax(np.where(bad, np.abs(values) / (1 + np.abs(limit)), 0)), values.shape)
    name, value = list(names)[joint], values[tick, joint]
    yield (
        f"streams/commands/sent: {what} over the limit in {int(bad.any(axis=1).sum())} ticks, "
        f"worst at tick {tick}: joint '{name}' {value:.4g}, limit {limit[joint]:.4g}"
    )


def _stages(episode: Episode) -> Iterator[str]:
    """Stages cover the rows, in order, and the live mark agrees with the mode."""
    at = 0
    spans = episode.stages()
    for span in spans:
        if span.start_row != at:
            yield f"stages: a gap or overlap at row {at}"
        at = span.end_row
    if at != episode.rows:
        yield f"stages: end at row {at} of {episode.rows}"
    steps = episode.steps
    moving = (steps["mode"] == Mode.ROLLOUT.number) | (steps["mode"] == Mode.TAKEOVER.number)
    yield from _first((steps["stage"] == Stage.NONE) == moving, "steps/stage does not fit steps/mode")


def _frames(episode: Episode) -> Iterator[str]:
    for camera in episode.cameras:
        frames = episode.frames(camera)
        for index in range(len(frames)):
            jpeg = frames.jpeg(index)
            if not (jpeg.startswith(b"\xff\xd8") and jpeg.endswith(b"\xff\xd9")):
                yield f"cameras/{camera}: image {index} is not a JPEG"
                break


def _outcome(episode: Episode) -> Iterator[str]:
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
