"""When nobody marked progress: a guess of t_r from how the operator moved, late rather than early, with its interval.

A person who has taken over draws back, hesitates and moves to and fro before they go for the task. The moment
at which that turns into a reach is looked for: every moment of the takeover gets a score from what was before and
after it, the scores become probabilities (a conditional logit), and the proposal is the moment by which it has
happened with 90 %. So an unclear takeover gets a late proposal and a wide interval, never an early one.

It sees joint motion and time only, no images and no scene. docs/reference/progress-proposal.md says how far off it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from rove_core.modes import Mode
from rove_recorder.labels.annotation_kinds import T_R, T_R_PROPOSAL, Proposal
from rove_recorder.labels.annotations import Annotation, annotate, in_force
from rove_recorder.reader import Episode

FloatArray = npt.NDArray[np.float64]

METHOD = "motion-1"

# Moments that are compared: this many per second.
RATE_HZ = 30
# Shorter takeovers say nothing.
SHORTEST_S = 1.0
# An operator who moves the arms less than this within two seconds has not begun [rad].
SMALLEST_REACH_RAD = 0.1
# The proposal, and the ends of the interval, by how likely progress has begun by then.
PROPOSED, EARLIEST, LATEST = 0.90, 0.05, 0.95
# Speeds [rad/s] and ways [rad] below this are noise: tremor and drift of a hand held still.
NOISE = 0.03

FEATURES = (
    "arm speed, last second",
    "arm speed, next second",
    "arm displacement, next second",
    "arm displacement, next two seconds",
    "finger displacement, next second",
    "logarithm of the time since the takeover",
    "first second of the takeover",
)


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the features, after `mean` was subtracted and `scale` divided; each of shape (len(FEATURES),)."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weight: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TakeoverMotion:
    """How the operator moved in one takeover.

    Attributes:
        times_ns: of the rows, ROS clock, shape (n,).
        arms, fingers: what the operator asked for [rad], shape (n, joints); NaN where nothing.
        marked: whether progress was marked, or somebody said that there was none.
    """

    takeover: int
    epoch: int
    times_ns: npt.NDArray[np.int64]
    arms: FloatArray
    fingers: FloatArray
    marked: bool


def takeover_motions(episode: Episode) -> Iterator[TakeoverMotion]:
    """The takeovers of an episode in order. Demonstrations have none: nobody was taken over from."""
    if episode.attrs.get("demonstration"):
        return
    arms, fingers = _joints(episode)
    steps = episode.steps
    asked = np.asarray(steps["command_operator"], np.float64)
    said = in_force(episode.annotations()).get(T_R)
    spoken_of = {mark["epoch"] for mark in said.payload["marks"]} if said else set()
    for mark, (takeover, epoch, start, end) in zip(episode.marks(), _takeovers(episode), strict=True):
        rows = slice(start, end)
        marked = mark is not None or epoch in spoken_of
        yield TakeoverMotion(
            takeover, epoch, steps["t_ros_ns"][rows], asked[rows][:, arms], asked[rows][:, fingers], marked
        )


def _takeovers(episode: Episode) -> list[tuple[int, int, int, int]]:
    """Number, epoch, first row and end of each."""
    spans = [span for span in episode.stages() if span.mode is Mode.TAKEOVER]
    numbers = sorted({span.takeover for span in spans})
    parts = [[span for span in spans if span.takeover == number] for number in numbers]
    return [(part[0].takeover, part[0].epoch, part[0].start_row, part[-1].end_row) for part in parts]


def _joints(episode: Episode) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Joints that reach and joints that grasp, by the names of their groups."""
    groups: dict[str, list[int]] = episode.attrs["joint_groups"]
    fingers = [span for name, span in groups.items() if "hand" in name or "gripper" in name or "finger" in name]
    arms = [span for name, span in groups.items() if "arm" in name and span not in fingers]
    arms = arms or [span for span in groups.values() if span not in fingers]
    return _indices(arms), _indices(fingers)


def _indices(spans: Sequence[Sequence[int]]) -> npt.NDArray[np.intp]:
    return np.array([joint for start, stop in spans for joint in range(start, stop)], np.intp)


def features(motion: TakeoverMotion) -> tuple[FloatArray, FloatArray] | None:
    """Moments [s since the first row], shape (m,), and their features, shape (m, len(FEATURES)).

    None when the takeover is too short, or the operator asked for nothing.
    """
    seen = np.isfinite(motion.arms).all(axis=1) & np.isfinite(motion.fingers).all(axis=1)
    times = (motion.times_ns - motion.times_ns[0]) * 1e-9
    if seen.sum() < 2 or times[-1] < SHORTEST_S:
        return None
    moments = np.arange(0.0, times[-1], 1 / RATE_HZ)
    arms, fingers = (_smooth(_at(moments, times[seen], values[seen])) for values in (motion.arms, motion.fingers))
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(arms, axis=0), axis=1))])

    def within(begin_s: float, end_s: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        number = np.arange(len(moments))
        shifts = (round(begin_s * RATE_HZ), round(end_s * RATE_HZ))
        first, last = (np.clip(number + shift, 0, len(moments) - 1) for shift in shifts)
        return first, last

    def speed(begin_s: float, end_s: float) -> FloatArray:
        first, last = within(begin_s, end_s)
        return np.asarray(np.log((way[last] - way[first]) / (end_s - begin_s) + NOISE))

    def displacement(values: FloatArray, begin_s: float, end_s: float) -> FloatArray:
        first, last = within(begin_s, end_s)
        return np.asarray(np.log(np.linalg.norm(values[last] - values[first], axis=1) + NOISE))

    # A reach starts slowly: what is after the moment is looked at from a tenth of a second later.
    columns = (
        speed(-1.0, 0.0),
        speed(0.1, 1.1),
        displacement(arms, 0.1, 1.1),
        displacement(arms, 0.1, 2.1),
        displacement(fingers, 0.0, 1.0),
        np.log(moments + 0.3),  # reactions take about .3 s
        np.minimum(moments, 1.0),
    )
    return moments, np.stack(columns, axis=1)


def _at(moments: FloatArray, times: FloatArray, values: FloatArray) -> FloatArray:
    return np.stack([np.interp(moments, times, column) for column in values.T], axis=1)


def _smooth(values: FloatArray) -> FloatArray:
    """Mean of five moments (.17 s): takes out tremor, keeps strokes."""
    padded = np.pad(values, ((2, 2), (0, 0)), mode="edge")
    total = np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), padded]), axis=0)
    return np.asarray((total[5:] - total[:-5]) / 5)


def begun_by(moment_features: FloatArray, weights: Weights) -> FloatArray:
    """Probability that progress has begun by each moment, shape (m,)."""
    score = (moment_features - weights.mean) / weights.scale @ np.array(weights.weight)
    share = np.exp(score - score.max())
    return np.asarray(np.cumsum(share) / share.sum())


def propose(motion: TakeoverMotion, weights: Weights) -> Proposal | None:
    """t_r of a takeover; None when it is too short, or the operator never set out."""
    found = features(motion)
    if found is None:
        return None
    moments, values = found
    reach = np.exp(values[:, FEATURES.index("arm displacement, next two seconds")]) - NOISE
    if reach.max() < SMALLEST_REACH_RAD:
        return None
    begun = begun_by(values, weights)

    def when(probability: float) -> int:
        moment = float(moments[min(int(np.searchsorted(begun, probability)), len(moments) - 1)])
        return int(motion.times_ns[0]) + round(moment * 1e9)

    return Proposal(
        takeover=motion.takeover,
        epoch=motion.epoch,
        t_ros_ns=when(PROPOSED),
        earliest_ns=when(EARLIEST),
        latest_ns=when(LATEST),
    )


def propose_marks(episode: Episode, weights: Weights | None = None) -> list[Proposal]:
    """Proposals for the takeovers of an episode in which progress was not marked."""
    proposals = (propose(motion, weights or SHIPPED) for motion in takeover_motions(episode) if not motion.marked)
    return [proposal for proposal in proposals if proposal is not None]


def annotate_proposals(episode: Episode, by: str, when: datetime, tool: str) -> Annotation | None:
    """Add the proposals to the episode; None when there are none, or the same ones are in force already.

    Raises:
        EpisodeError: the episode cannot be annotated.
    """
    proposals = [proposal.model_dump() for proposal in propose_marks(episode)]
    payload = {"proposed": True, "method": METHOD, "proposals": proposals}
    newest = in_force(episode.annotations()).get(T_R_PROPOSAL)
    if dict(newest.payload) == payload if newest else not proposals:
        return None
    return annotate(episode.path, T_R_PROPOSAL, T_R_PROPOSAL, payload, by=by, when=when, tool=tool)


# Fitted with `rove episodes propose-report --fit` on 104 takeovers of scripted operators.
SHIPPED = Weights(
    mean=(-1.2004, -1.1574, -1.4349, -1.1559, -1.7994, 2.2317, 0.9671),
    scale=(1.0895, 1.0716, 1.0544, 1.1224, 1.9386, 1.2065, 0.1456),
    weight=(-1.0729, -0.4869, 2.9017, 2.1172, 0.6959, -2.5595, 1.3451),
)
