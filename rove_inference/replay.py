"""A policy on a recorded episode: what it would have done, held against what was done."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError, PolicyError
from rove_core.joint_space import JointSpace
from rove_core.modes import Source
from rove_inference.observation import Missing
from rove_inference.policy import Policy
from rove_inference.query import Query
from rove_inference.recorded import RecordedEpisode

Floats = npt.NDArray[np.float64]

CONTROLS = {Source.POLICY: "policy", Source.OPERATOR: "human"}


@dataclass(frozen=True, slots=True)
class Answered:
    """One observation and its answer.

    Attributes:
        row: of the episode. control: who moved the robot then.
        t_s: times of the predicted steps since the first row [s], shape (H,).
        predicted: [rad], shape (H, dim). recorded: likewise, NaN where the robot was not moved (any more).
        state: at the observation [rad], shape (dim,).
        inference_ms: time in the model.
    """

    row: int
    control: Source
    t_s: Floats
    predicted: Floats
    recorded: Floats
    state: Floats
    inference_ms: float


@dataclass(slots=True)
class Replay:
    """All answers of one policy on one episode. `unanswered`: reasons -> how often there was no answer."""

    answers: list[Answered] = field(default_factory=list)
    unanswered: Counter[str] = field(default_factory=Counter)


def replay(policy: Policy, episode: RecordedEpisode, query: Query, max_age_s: float, every: int = 0) -> Replay:
    """Ask the policy along the rows in which somebody moved the robot.

    Pictures went through JPEG when they were recorded; apart from that the policy sees what it saw live.

    Args:
        query: what it is told besides the observation.
        max_age_s: as of policy_node: an older picture or joint state is not acted on.
        every: rows from one question to the next; 0: as many as the policy executes of a chunk.

    Raises:
        EpisodeError: nobody moved the robot, or the episode does not fit the policy.
    """
    spec = policy.bundle.spec
    every = every or max(1, round(spec.execute * spec.dt_s * episode.control_hz))
    cameras = [camera.name for camera in spec.cameras]
    offsets_ns = np.round(np.arange(spec.horizon) * spec.dt_s * 1e9).astype(np.int64)
    segments = episode.segments()
    if not segments:
        raise EpisodeError(f"{episode.path.name}: nobody moved the robot in it, there is nothing to compare with")
    done = Replay()
    for segment in segments:
        row, stop = segment
        while row < stop:
            asked = row
            row += every
            observation = episode.observation(asked, cameras, max_age_s)
            if isinstance(observation, Missing):
                done.unanswered[observation.reason] += 1
                continue
            if observation.oldest_ns < episode.t_ros_ns[segment[0]]:
                row = asked + 1  # as on the robot: nothing that was seen before the robot was handed over
                continue
            try:
                prediction = policy.predict(observation, query)
            except PolicyError as error:
                done.unanswered[f"refused: {error}"] += 1
                continue
            times_ns = observation.stamp_ns + offsets_ns
            done.answers.append(
                Answered(
                    asked,
                    Source(int(episode.control[asked])),
                    (times_ns - episode.t_ros_ns[0]) * 1e-9,
                    prediction.positions.astype(np.float64),
                    episode.commands(segment, times_ns),
                    observation.state,
                    prediction.inference_ms,
                )
            )
    return done


def report(replayed: Replay, space: JointSpace, execute: int) -> dict[str, Any]:
    """The differences as JSON-able figures [rad], over the executed part of the chunks unless said otherwise.

    `hold` is the error of a policy that stays where it is: what an error has to be compared with.
    """
    answers = replayed.answers
    figures: dict[str, Any] = {"answers": len(answers), "unanswered": dict(replayed.unanswered)}
    if not answers:
        return figures
    errors = np.stack([answer.predicted - answer.recorded for answer in answers])
    hold = np.stack([answer.state - answer.recorded for answer in answers])
    first, first_hold = errors[:, :execute], hold[:, :execute]
    controls = np.array([answer.control for answer in answers])
    latency = [answer.inference_ms for answer in answers]
    return figures | {
        "inference_p50_ms": round(float(np.percentile(latency, 50)), 3),
        "inference_p99_ms": round(float(np.percentile(latency, 99)), 3),
        "all": _figures(first, first_hold),
        "groups": {name: _figures(first[..., span], first_hold[..., span]) for name, span in space.groups.items()},
        "by_control": {
            name: _figures(first[controls == source], first_hold[controls == source])
            for source, name in CONTROLS.items()
            if (controls == source).any()
        },
        "joints": {name: _figures(first[..., joint], first_hold[..., joint]) for joint, name in enumerate(space.names)},
        "mean_abs_by_step": [_mean_abs(errors[:, step]) for step in range(errors.shape[1])],
    }


def _figures(error: Floats, hold: Floats) -> dict[str, float | int | None]:
    known = np.abs(error[np.isfinite(error)])
    if not known.size:
        return {"values": 0, "mean_abs": None, "rms": None, "p95": None, "max": None, "hold_mean_abs": None}
    return {
        "values": int(known.size),
        "mean_abs": round(float(known.mean()), 6),
        "rms": round(float(np.sqrt((known**2).mean())), 6),
        "p95": round(float(np.percentile(known, 95)), 6),
        "max": round(float(known.max()), 6),
        "hold_mean_abs": _mean_abs(hold),
    }


def _mean_abs(error: Floats) -> float | None:
    known = np.abs(error[np.isfinite(error)])
    return round(float(known.mean()), 6) if known.size else None
