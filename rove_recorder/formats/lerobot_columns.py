"""The columns of a LeRobot dataset: which there are, and their values for a part of an attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rove_core.modes import Outcome, Source
from rove_recorder.formats.parts import Attempt, Part, Shape

Column = npt.NDArray[Any]

# Their names in the other project; it makes images of whatever begins with IMAGES.
STATE, ACTION, IMAGES = "observation.state", "action", "observation.images."

_SCALARS = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
    "intervention": "bool",
    "next.reward": "float32",
    "next.done": "bool",
    "next.truncated": "bool",
    "next.success": "bool",
    "complementary_info.is_intervention": "float32",
    "hil.keep": "bool",
    "hil.valid": "bool",
    "hil.control": "int64",
    "hil.mode": "int64",
    "hil.stage": "int64",
    "hil.segment": "int64",
    "hil.takeover": "int64",
    "hil.policy_index": "int64",
    "hil.row": "int64",
    "hil.t_ros_ns": "int64",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part stands in the dataset: its episode, its first row over all episodes, and its task."""

    episode_index: int
    first_index: int
    task_index: int


def table_features(shape: Shape) -> dict[str, dict[str, Any]]:
    """Features that stand in tables, as in info.json: name -> dtype, shape, names."""
    joints = {"dtype": "float32", "shape": [len(shape.joints)], "names": list(shape.joints)}
    scalars = {name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in _SCALARS.items()}
    return {STATE: joints, ACTION: dict(joints), **scalars}


def video_features(shape: Shape, fps: int) -> dict[str, dict[str, Any]]:
    """Features that stand in video files, as in info.json."""
    return {
        IMAGES + camera: {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": height,
                "video.width": width,
                "video.codec": "av1",
                "video.pix_fmt": "yuv420p",
                "video.fps": fps,
                "video.channels": 3,
                "video.is_depth_map": False,
                "is_depth_map": False,
                "has_audio": False,
            },
        }
        for camera, (width, height) in shape.cameras.items()
    }


def columns_of(attempt: Attempt, part: Part, place: Place, fps: int) -> dict[str, Column]:
    """The part's values, every column of `table_features`, shape (n,) or (n, D).

    The reward is 1 in the last row of a success in which somebody moved the robot, and 0 elsewhere. `next.done` is
    true where the attempt ended; where only the part ends, because of a pause, or where the attempt was aborted or
    nobody said how it ended, `next.truncated` is true instead.
    """
    rows, steps = part.rows, attempt.episode.steps
    human = steps["control"][rows] == Source.OPERATOR
    end = np.zeros(len(rows), np.bool_)
    end[part.end if part.last else -1] = True
    outcome = attempt.outcome.value
    over = part.last and outcome in (Outcome.SUCCESS, Outcome.FAILURE)
    success = over and outcome is Outcome.SUCCESS
    frame = np.arange(len(rows))
    values: dict[str, Column] = {
        STATE: steps["state"][rows],
        ACTION: steps["command_sent"][rows],
        "timestamp": frame / fps,
        "frame_index": frame,
        "episode_index": np.full(len(rows), place.episode_index),
        "index": place.first_index + frame,
        "task_index": np.full(len(rows), place.task_index),
        "intervention": human,
        "next.reward": end * float(success),
        "next.done": end & over,
        "next.truncated": end & (not over),
        "next.success": end & success,
        "complementary_info.is_intervention": human,
        "hil.keep": part.keep,
        "hil.valid": steps["valid"][rows],
        "hil.control": steps["control"][rows],
        "hil.mode": steps["mode"][rows],
        "hil.stage": attempt.stage[rows],
        "hil.segment": steps["segment_id"][rows],
        "hil.takeover": attempt.takeover[rows],
        "hil.policy_index": steps["policy_index"][rows],
        "hil.row": rows,
        "hil.t_ros_ns": steps["t_ros_ns"][rows],
    }
    return {name: np.asarray(value, _SCALARS.get(name, "float32")) for name, value in values.items()}


def episode_facts(attempt: Attempt, part: Part) -> dict[str, Any]:
    """What the table of episodes says of the part beyond LeRobot's own columns."""
    attrs, outcome = attempt.episode.attrs, attempt.outcome
    policy = attrs.get("policy") or {}
    return {
        "attempt": attempt.episode.episode_id,
        "session": str(attrs["session"]),
        "part": part.number,
        "last_part": part.last,
        "outcome": outcome.value.value,
        "labelled_by": outcome.by,
        "task_name": str(attrs["task"]),
        "start_stage": int(attrs["start_stage"]),
        "operator": str(attrs["operator"]),
        "supervisor": str(attrs["supervisor"]),
        "demonstration": bool(attrs["demonstration"]),
        "policy_id": str(policy.get("id", "")),
        "policy_sha256": str(policy.get("sha256", "")),
        "takeovers": int(attrs.get("takeovers", 0)),
    }
