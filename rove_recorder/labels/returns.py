"""Labels `returns`: what each row was worth, by the rewards of ROVE, and what HABC and Robo-ValueRL read off time.

Only what follows from outcome, stages and time. Values, advantages and qualities need a network and are the trainer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rove_core.modes import Outcome, Source, Stage
from rove_recorder.episode_format.segmenter import StageSpan
from rove_recorder.episode_format.storage import AnyArray
from rove_recorder.labels.derivation import Derivation
from rove_recorder.reader import Episode


@dataclass(frozen=True, slots=True)
class ReturnsConfig:
    """Settings; the defaults are those of the paper (ROVE, arXiv 2606.17011, eq. 2).

    Attributes:
        failure: reward where an autonomous attempt fails, and at each t_r.
        failed_intervened: reward at the end of an attempt that failed although somebody took over. The paper is silent.
        mark_ends_return: t_r ends the return of the rows before it; else what comes later counts for them too.
        adaptation_weight: how much the operator's finding in counts when actions are imitated.
    """

    failure: float = -500.0
    failed_intervened: float = -1.0
    mark_ends_return: bool = False
    adaptation_weight: float = 0.0


def returns(episode: Episode, config: ReturnsConfig) -> dict[str, AnyArray]:
    """Labels per row of `steps`; see `label`."""
    return label(episode.steps["control"], episode.stages(), episode.outcome.value, config)


def label(
    control: npt.NDArray[np.uint8], spans: Sequence[StageSpan], outcome: Outcome, config: ReturnsConfig
) -> dict[str, AnyArray]:
    """Labels of rows; those in which nobody moved the robot (pauses, holds) have none.

    Args:
        control: who moved the robot, shape (n,). spans: stages that cover the rows.

    Returns:
        `steps_left` int32: rows from this one to the last, pauses left out, 0 at the last; -1: none. The progress
        target of Robo-ValueRL is made of it.
        `reward` float32: 0 at the end of a success, `failure` at the end of an autonomous failure and at t_r (the last
        row of each adaptation), else -1. NaN where an attempt without a verdict ends, and in rows without labels.
        `return_to_go` float32: sum of the rewards from the row on, undiscounted.
        `verdict` int32: 1 success, 0 failure, -1 none: outcome of the rows of the policy after the last intervention
        (HABC): what came before it does not tell.
        `stage_weight` float32: 1 in rollout and recovery, `adaptation_weight` in adaptation, else 0.
    """
    stage = np.zeros(len(control), np.uint8)
    ends_of_adaptation = []
    moved = np.isin(control, (Source.POLICY, Source.OPERATOR))
    for span in spans:
        stage[span.start_row : span.end_row] = span.stage
        inside = np.flatnonzero(moved[span.start_row : span.end_row])
        if span.stage is Stage.ADAPTATION and len(inside):
            ends_of_adaptation.append(span.start_row + int(inside[-1]))
    kept = np.flatnonzero(moved & (stage != Stage.NONE))
    human = control == Source.OPERATOR

    reward = np.full(len(kept), -1.0)
    at_marks = np.searchsorted(kept, ends_of_adaptation)
    reward[at_marks] = config.failure
    if len(kept):
        reward[-1] = _last_reward(outcome, bool(human.any()), config)

    def spread(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        column = np.full(len(control), np.nan, np.float32)
        column[kept] = values
        return column

    steps_left = np.full(len(control), -1, np.int32)
    steps_left[kept] = np.arange(len(kept))[::-1]
    weight = np.isin(stage, (Stage.ROLLOUT, Stage.RECOVERY)) + config.adaptation_weight * (stage == Stage.ADAPTATION)
    return {
        "steps_left": steps_left,
        "reward": spread(reward),
        "return_to_go": spread(_to_go(reward, at_marks if config.mark_ends_return else at_marks[:0])),
        "verdict": _verdict(control, human, outcome),
        "stage_weight": np.where(moved, weight, 0.0).astype(np.float32),
    }


def _last_reward(outcome: Outcome, intervened: bool, config: ReturnsConfig) -> float:
    if outcome is Outcome.SUCCESS:
        return 0.0
    if outcome is Outcome.FAILURE:
        return config.failed_intervened if intervened else config.failure
    return float("nan")


def _to_go(reward: npt.NDArray[np.float64], ends: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Sums of the rewards from each row on, up to the end of its part."""
    parts = np.split(reward, ends + 1)
    return np.concatenate([np.cumsum(part[::-1])[::-1] for part in parts])


def _verdict(control: npt.NDArray[np.uint8], human: npt.NDArray[np.bool_], outcome: Outcome) -> npt.NDArray[np.int32]:
    verdict = np.full(len(control), -1, np.int32)
    if outcome in (Outcome.SUCCESS, Outcome.FAILURE):
        after = int(np.flatnonzero(human)[-1]) + 1 if human.any() else 0
        verdict[after:][control[after:] == Source.POLICY] = int(outcome is Outcome.SUCCESS)
    return verdict


RETURNS = Derivation("returns", ReturnsConfig(), returns)
