"""How good proposals of t_r are, where the truth is known; and the fit of their weights.

The simulation's scripted operators know when they had found in, and write it to `ground_truth.jsonl` beside the
episodes. The supervisor's mark is compared in the same table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError
from rove_recorder.episode_format.schema import SUFFIX
from rove_recorder.labels.progress_proposal import (
    FEATURES,
    SHIPPED,
    TakeoverMotion,
    Weights,
    features,
    propose,
    takeover_motions,
)
from rove_recorder.reader import open_episode

FloatArray = npt.NDArray[np.float64]

GROUND_TRUTH = "ground_truth.jsonl"

# The truth is when the operator decided to go; the hand and the robot follow about this much later [s].
REACTION_S = 0.1
# A fit does not distinguish moments that are closer than this [s].
BLUR_S = 0.15
# Ridge of the fit: keeps the weights of features that say the same from growing against each other.
RIDGE = 3e-3
NEWTON_STEPS = 50


@dataclass(frozen=True, slots=True)
class KnownTakeover:
    """A takeover whose t_r is known.

    Attributes:
        truth_ns: when the operator had found in, ROS clock. marked_ns: when the supervisor marked it, None for never.
        seed: of the scene.
    """

    episode: str
    profile: str
    task: str
    seed: int
    motion: TakeoverMotion
    truth_ns: int
    marked_ns: int | None

    @property
    def truth_s(self) -> float:
        """Seconds after the first row of the takeover."""
        return (self.truth_ns - int(self.motion.times_ns[0])) * 1e-9


def known_takeovers(folder: Path) -> list[KnownTakeover]:
    """Every takeover below `folder` whose truth is known.

    Raises:
        EpisodeError: there is none.
    """
    found = [known for path in sorted(folder.rglob(GROUND_TRUTH)) for known in _of_session(path)]
    if not found:
        raise EpisodeError(
            f"no takeover below {folder} has a known end of adaptation",
            f"record some with scripted operators: {GROUND_TRUTH} lies beside their episodes",
        )
    return found


def _of_session(truth: Path) -> Iterator[KnownTakeover]:
    facts = [json.loads(line) for line in truth.read_text(encoding="utf-8").splitlines()]
    seeds = {fact["episode_id"]: fact["seed"] for fact in facts if fact["kind"] == "outcome"}
    for fact in facts:
        path = truth.parent / f"{fact['episode_id']}{SUFFIX}"
        if fact["kind"] != "adaptation_end" or not path.is_dir():
            continue
        episode = open_episode(path)
        for motion, mark in zip(takeover_motions(episode), episode.marks(), strict=False):
            if motion.times_ns[0] <= fact["t_ros_ns"] <= motion.times_ns[-1]:
                marked_ns = None if mark is None else mark.t_ros_ns
                seed = seeds.get(fact["episode_id"], 0)
                about = (episode.episode_id, fact["profile"], episode.attrs["task"], seed)
                yield KnownTakeover(*about, motion, fact["t_ros_ns"], marked_ns)


def fit(takeovers: Sequence[KnownTakeover]) -> Weights:
    """Weights that make the true moments likely: a conditional logit with a ridge, by Newton's method."""
    pairs = [(found, takeover.truth_s) for takeover in takeovers if (found := features(takeover.motion)) is not None]
    every = np.concatenate([values for (_, values), _ in pairs])
    mean, scale = every.mean(axis=0), every.std(axis=0) + 1e-9
    designs = [(values - mean) / scale for (_, values), _ in pairs]
    targets = [_target(moments, truth_s) for (moments, _), truth_s in pairs]
    weight = np.zeros(len(FEATURES))
    for _ in range(NEWTON_STEPS):
        gradient, curvature = 2 * RIDGE * weight, 2 * RIDGE * np.eye(len(weight))
        for design, target in zip(designs, targets, strict=True):
            score = design @ weight
            likely = np.exp(score - score.max())
            likely /= likely.sum()
            centre = likely @ design
            gradient -= (target - likely) @ design / len(designs)
            curvature += ((design.T * likely) @ design - np.outer(centre, centre)) / len(designs)
        step = np.linalg.solve(curvature, gradient)
        # Far from the optimum a whole step may overshoot.
        weight -= step * min(1.0, 2.0 / (np.abs(step).max() + 1e-12))
        if np.abs(step).max() < 1e-6:
            break
    return Weights(*(tuple(float(value) for value in values) for values in (mean, scale, weight)))


def _target(moments: FloatArray, truth_s: float) -> FloatArray:
    near = np.exp(-0.5 * ((moments - truth_s - REACTION_S) / BLUR_S) ** 2) + 1e-12
    return np.asarray(near / near.sum())


def cross_fitted(takeovers: Sequence[KnownTakeover]) -> Callable[[KnownTakeover], Weights]:
    """Weights for each takeover from those with seeds of the other parity: none is judged by what it taught.

    Raises:
        EpisodeError: all seeds are even, or all are odd.
    """
    halves = [[takeover for takeover in takeovers if takeover.seed % 2 == parity] for parity in (0, 1)]
    if not all(halves):
        raise EpisodeError("the seeds are all even or all odd", "record with more seeds")
    of_parity = [fit(halves[1]), fit(halves[0])]
    return lambda takeover: of_parity[takeover.seed % 2]


@dataclass(frozen=True, slots=True)
class Errors:
    """Proposed minus true t_r over takeovers of one profile [s].

    Attributes:
        takeovers: how many. proposed: of how many something was proposed.
        median, p90: of the error, and the 90 % quantile of its size. early: share proposed before the truth.
        covered: share of the truths that lie in the interval.
        mark_median, mark_early: of the supervisor's marks in the same takeovers.
    """

    profile: str
    takeovers: int
    proposed: int
    median: float
    p90: float
    early: float
    covered: float
    mark_median: float
    mark_early: float


def evaluate(
    takeovers: Sequence[KnownTakeover], weights_of: Callable[[KnownTakeover], Weights] = lambda _: SHIPPED
) -> list[Errors]:
    """Errors per profile, then over all."""
    profiles = sorted({takeover.profile for takeover in takeovers})
    table = [_errors(name, [t for t in takeovers if t.profile == name], weights_of) for name in profiles]
    return [*table, _errors("all", takeovers, weights_of)]


def _errors(profile: str, takeovers: Sequence[KnownTakeover], weights_of: Callable[[KnownTakeover], Weights]) -> Errors:
    errors, covered = [], []
    for takeover in takeovers:
        proposal = propose(takeover.motion, weights_of(takeover))
        if proposal is not None:
            errors.append((proposal.t_ros_ns - takeover.truth_ns) * 1e-9)
            covered.append(proposal.earliest_ns <= takeover.truth_ns <= proposal.latest_ns)
    marks = [(t.marked_ns - t.truth_ns) * 1e-9 for t in takeovers if t.marked_ns is not None]
    error, mark = np.array(errors or [np.nan]), np.array(marks or [np.nan])
    return Errors(
        profile=profile,
        takeovers=len(takeovers),
        proposed=len(errors),
        median=float(np.median(error)),
        p90=float(np.quantile(np.abs(error), 0.9)),
        early=float(np.mean(error < 0)),
        covered=float(np.mean(covered)) if covered else float("nan"),
        mark_median=float(np.median(mark)),
        mark_early=float(np.mean(mark < 0)),
    )


def table(errors: Sequence[Errors]) -> str:
    """As Markdown."""
    lines = [
        "| operator | takeovers | median error [s] | 90 % error [s] | early | in the interval "
        "| supervisor's mark: median error [s] | early |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in errors:
        count = str(row.takeovers) if row.proposed == row.takeovers else f"{row.proposed} of {row.takeovers}"
        shares = f"{row.early:.1%} | {row.covered:.0%} | {row.mark_median:.2f} | {row.mark_early:.1%}"
        lines.append(f"| {row.profile} | {count} | {row.median:.2f} | {row.p90:.2f} | {shares} |")
    return "\n".join(lines)


def as_json(errors: Sequence[Errors], weights: Weights) -> dict[str, object]:
    """For `--json`."""
    return {"errors": [asdict(row) for row in errors], "features": list(FEATURES), "weights": asdict(weights)}
