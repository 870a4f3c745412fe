"""What must be true of the arrays of an episode: presence, lengths, stamps, references, images. One generator each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from rove_recorder.episode_format.schema import Layout, episode_groups
from rove_recorder.reader import ArrayGroup, Episode

# Arrays that the recorder did not write from the beginning: an episode without them is one of the same version.
LATER = {
    "steps": {"operator_authority"},
    "streams/commands": {"operator_authority"},
    "chunks": {"decoder_steps", "frozen", "skipped", "clipped", "round_trip_ms"}
    | {f"{name}{suffix}" for name in ("base", "residual", "gate") for suffix in ("", "_offsets")},
}
# What every episode has, one without actions too.
ALWAYS = {"t_mono_ns", "t_ros_ns", "mode", "control", "stage", "segment_id", "epoch", "valid"}

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"


def first_of(bad: npt.NDArray[np.bool_], text: str) -> list[str]:
    """A line with the number of cases and the first of them."""
    where = np.flatnonzero(bad)
    return [f"{text}: {len(where)} times, first at index {where[0]}"] if len(where) else []


def torn_off(episode: Episode) -> bool:
    """Whether its last second may be missing, of some streams more than of others."""
    return bool(episode.attrs.get("recovered")) or not episode.finished


def groups_of(episode: Episode) -> Iterator[tuple[str, ArrayGroup]]:
    """The groups with records; those of an episode without actions that are there."""
    yield "steps", episode.steps
    for path in ("streams/joint_states", "streams/commands", "chunks"):
        if episode.attrs.get("has_action", True) or (episode.path / path).is_dir():
            yield path, episode.group(path)
    yield from ((f"cameras/{camera}", episode.group(f"cameras/{camera}")) for camera in episode.cameras)
    yield "events", episode.group("events")


def presence(episode: Episode) -> Iterator[str]:
    """Every array of the format is there; an episode without actions may lack what belongs to them."""
    attrs = episode.attrs
    cameras: dict[str, dict[str, object]] = {camera: {} for camera in episode.cameras}
    for spec in episode_groups(max(len(attrs["joint_names"]), 1), len(attrs["joint_groups"]), cameras):
        if not spec.arrays:
            continue
        expected = {array.name for array in spec.arrays} - LATER.get(spec.path, set())
        if not attrs.get("has_action", True):
            seen = {name for name in expected if name.startswith("camera_")}
            expected = (expected & ALWAYS) | seen if spec.path == "steps" else set()
        for name in sorted(expected - (episode.group(spec.path).arrays.keys() if expected else set())):
            yield f"{spec.path} has no array '{name}'"


def lengths(episode: Episode) -> Iterator[str]:
    """Every array is as long as its layout says, and all of it is there."""
    for path, group in groups_of(episode):
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


def stamps(episode: Episode) -> Iterator[str]:
    """Stamps increase, and no row has seen what came after it."""
    increasing = [("steps", "t_mono_ns"), ("steps", "t_ros_ns"), ("streams/commands", "t_mono_ns")]
    increasing += [("streams/joint_states", "t_ros_ns")]
    increasing += [(f"cameras/{camera}", "capture_ns") for camera in episode.cameras]
    groups = dict(groups_of(episode))
    for path, name in increasing:
        if path in groups and name in groups[path]:
            yield from first_of(np.diff(groups[path][name]) <= 0, f"{path}/{name} does not increase")
    steps = episode.steps
    if "t_obs_ns" in steps:
        yield from first_of(steps["t_obs_ns"] > steps["t_ros_ns"], "steps/t_obs_ns is later than the row")
    for camera in episode.cameras:
        index = steps[f"camera_index_{camera}"]
        seen = index >= 0
        capture = episode.frames(camera).capture_ns
        if (index >= len(capture)).any():
            yield f"steps/camera_index_{camera} names an image that is not there"
            continue
        age = np.where(seen, steps["t_ros_ns"] - capture[np.where(seen, index, 0)], -1) if len(capture) else index
        yield from first_of(
            age != steps[f"camera_age_ns_{camera}"], f"steps/camera_age_ns_{camera} is not the image's age"
        )
        yield from first_of(seen & (age < 0), f"steps/camera_index_{camera} names an image that is later than the row")


def values(episode: Episode) -> Iterator[str]:
    """Valid rows have numbers, and the state of a row is the sample of its time."""
    steps = episode.steps
    yield from first_of(np.diff(steps["segment_id"]) < 0, "steps/segment_id goes back")
    for name, what in (("state", "state"), ("command_sent", "command")):
        if name in steps:
            bad = ~np.isfinite(steps[name]).all(axis=1) & steps["valid"]
            yield from first_of(bad, f"valid rows with a {what} that is not finite (steps/{name})")
    streams = dict(groups_of(episode))
    if "state" not in steps or "streams/joint_states" not in streams:
        return
    joints = streams["streams/joint_states"]
    rows = np.flatnonzero(steps["t_obs_ns"] >= 0)
    sample = np.searchsorted(joints["t_ros_ns"], steps["t_obs_ns"][rows])
    inside = sample < joints.records
    known = np.zeros(len(rows), bool)
    known[inside] = joints["t_ros_ns"][sample[inside]] == steps["t_obs_ns"][rows[inside]]
    yield from first_of(~known, "steps/t_obs_ns is the time of no joint state")
    same = (steps["state"][rows[known]] == joints["position"][sample[known]]).all(axis=1)
    yield from first_of(~same, "steps/state is not the joint state of its time")


def images(episode: Episode) -> Iterator[str]:
    """Between two offsets lies one JPEG file."""
    for camera in episode.cameras:
        frames = episode.frames(camera)
        jpegs = (frames.jpeg(index) for index in range(len(frames)))
        whole = (jpeg.startswith(JPEG_START) and jpeg.endswith(JPEG_END) for jpeg in jpegs)
        yield from first_of(~np.fromiter(whole, bool, len(frames)), f"cameras/{camera}: an image is not a JPEG")
