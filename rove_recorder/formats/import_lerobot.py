"""A LeRobot dataset as episodes: demonstrations from elsewhere, or what our own export wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from rove_core.errors import EpisodeError, JointNameError
from rove_core.joint_space import JointSpace
from rove_core.modes import Outcome, Source, Stage
from rove_recorder.formats.foreign import ForeignEpisode, ForeignStep, foreign_recorder, make_way
from rove_recorder.formats.lerobot_columns import ACTION, STATE
from rove_recorder.formats.lerobot_reader import LeRobotDataset, LeRobotEpisode
from rove_recorder.recording.session_lock import SessionLock

IntArray = np.ndarray[Any, np.dtype[np.intp]]


@dataclass(frozen=True, slots=True)
class LeRobotImport:
    """How a dataset is to be read.

    Attributes:
        joints: their name -> ours, where they differ.
        degrees: positions are in degrees.
        outcome: of episodes of which the dataset does not say how they ended.
    """

    joints: Mapping[str, str] = field(default_factory=dict)
    degrees: bool = False
    outcome: Outcome = Outcome.UNLABELLED


def import_lerobot(
    root: Path, session: Path, robot: str, how: LeRobotImport, now: datetime, say: Callable[[str], None]
) -> list[Path]:
    """Write every episode of a dataset into the folder `session`; those that are there already stay as they are.

    Args:
        robot: name or file of the robot whose joints these are; "": the dataset's `robot_type`.
        now: wall time. say: gets a line per episode.

    Returns:
        The episodes that were written.

    Raises:
        EpisodeError: the dataset cannot be read, or is not of this robot. ConfigError: no such robot.
        RecordingError: the disk refuses, or a recorder writes to this folder.
    """
    dataset = LeRobotDataset(root)
    space = JointSpace.load(robot or str(dataset.info.get("robot_type") or ""))
    orders = {name: joint_order(dataset, name, space, how.joints) for name in (STATE, ACTION)}
    session.mkdir(parents=True, exist_ok=True)
    written = []
    with SessionLock(session):
        for episode in dataset.episodes():
            name = f"{root.resolve().name}_{episode.index:06d}"
            if not make_way(session, name):
                say(f"{session / name}: is there already")
                continue
            path = _import_episode(dataset, episode, session, name, space, orders, how, now)
            say(f"{path}: {episode.length} rows, {episode.task}")
            written.append(path)
    return written


def joint_order(dataset: LeRobotDataset, feature: str, space: JointSpace, renamed: Mapping[str, str]) -> IntArray:
    """Indices that bring the feature's values into the robot's order.

    Raises:
        EpisodeError: the names are missing, or not those of the robot's joints: one line with all that differ.
    """
    names = dataset.features[feature].get("names")
    if isinstance(names, Mapping):  # {"motors": [...]}, as older datasets have it
        names = next((value for value in names.values() if isinstance(value, Sequence)), None)
    if not names:
        raise EpisodeError(f"{dataset.root}: feature '{feature}' does not name its joints", "see meta/info.json")
    ours = [renamed.get(str(name), renamed.get(_plain(str(name)), _plain(str(name)))) for name in names]
    try:
        return space.order_of(ours)
    except JointNameError as error:
        raise EpisodeError(
            f"{dataset.root}: feature '{feature}' on robot {space.robot}: {error}",
            "name joints that are called otherwise with --joint THEIRS=OURS",
        ) from None


def _plain(name: str) -> str:
    """LeRobot calls the position of a motor `<motor>.pos`."""
    return name.removesuffix(".pos")


def _import_episode(
    dataset: LeRobotDataset,
    episode: LeRobotEpisode,
    session: Path,
    name: str,
    space: JointSpace,
    orders: Mapping[str, IntArray],
    how: LeRobotImport,
    now: datetime,
) -> Path:
    columns = dataset.columns(episode)
    sources, stages = controllers(columns, episode.length)
    stamps = columns.get("hil.t_ros_ns")
    about = ForeignEpisode(
        name=name,
        hz=dataset.fps,
        cameras={camera: dataset.size(camera) for camera in dataset.cameras},
        instruction=episode.task or dataset.tasks.get(int(columns["task_index"][0]), ""),
        task=str(episode.facts.get("task_name") or ""),
        demonstration=bool((sources == Source.OPERATOR).all()),
        imported={
            "format": f"lerobot {dataset.info['codebase_version']}",
            "dataset": dataset.root.resolve().name,
            "episode_index": episode.index,
            **{key: episode.facts[key] for key in ("session", "attempt", "part", "last_part") if key in episode.facts},
        },
        start_ros_ns=None if stamps is None else int(stamps[0]),
    )
    scale = np.pi / 180 if how.degrees else 1.0
    state = np.asarray(columns[STATE], np.float64)[:, orders[STATE]] * scale
    action = np.asarray(columns[ACTION], np.float64)[:, orders[ACTION]] * scale
    images = {camera: dataset.images(episode, camera, columns) for camera in dataset.cameras}
    with foreign_recorder(session, about, space, now) as recorder:
        for row, pictures in enumerate(_side_by_side(images, episode.length)):
            source, stage = Source(int(sources[row])), Stage(int(stages[row]))
            recorder.step(ForeignStep(state[row], action[row], source, stage, pictures))
        return recorder.close(*outcome_of(episode, columns, how.outcome))


def _side_by_side(images: Mapping[str, Iterator[Any]], rows: int) -> Iterator[dict[str, Any]]:
    for _ in range(rows):
        yield {camera: next(found) for camera, found in images.items()}


def controllers(columns: Mapping[str, Any], rows: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Who was in control in every row, and the stage; both shape (rows,).

    Without a column `intervention` (or our `hil.control`) everything is a demonstration.
    """
    if "hil.control" in columns:
        sources = np.asarray(columns["hil.control"], np.int64)
    elif "intervention" in columns:
        sources = np.where(np.asarray(columns["intervention"], bool), Source.OPERATOR, Source.POLICY)
    else:
        sources = np.full(rows, Source.OPERATOR)
    stages = np.asarray(columns.get("hil.stage", np.full(rows, Stage.RECOVERY)), np.int64)
    return sources, stages


def outcome_of(episode: LeRobotEpisode, columns: Mapping[str, Any], otherwise: Outcome) -> tuple[Outcome, str]:
    """How the episode ended, and who said so.

    A part of an attempt that went on after it (our export splits at pauses) ended without an outcome of its own.
    """
    facts = episode.facts
    if not facts.get("last_part", True):
        return Outcome.ABORTED, "import"
    if facts.get("outcome") in set(Outcome):
        return Outcome(facts["outcome"]), str(facts.get("labelled_by") or "import")
    if "next.success" in columns and np.any(columns["next.success"]):
        return Outcome.SUCCESS, "import"
    return otherwise, "import"
