"""Rewards and returns against sums made by hand."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rove_core.modes import Mode, Outcome, Source, Stage
from rove_recorder.episode_format.segmenter import StageSpan
from rove_recorder.labels.returns import ReturnsConfig, label, returns
from rove_recorder.reader import open_episode

CONFIG = ReturnsConfig()
CONTROL = {"p": Source.POLICY, "a": Source.OPERATOR, "r": Source.OPERATOR, ".": Source.HOLD}
STAGE = {"p": Stage.ROLLOUT, "a": Stage.ADAPTATION, "r": Stage.RECOVERY, ".": Stage.NONE}
MODE = {"p": Mode.ROLLOUT, "a": Mode.TAKEOVER, "r": Mode.TAKEOVER, ".": Mode.PAUSED}


def spans(letters: str) -> list[StageSpan]:
    """Stages of rows that are drawn as letters: policy, adaptation, recovery, "." for nobody."""
    found, start = [], 0
    for letter, run in groupby(letters):
        end = start + len(list(run))
        found.append(StageSpan(STAGE[letter], start, end, "", MODE[letter], 0, 0))
        start = end
    return found


def labels(letters: str, outcome: Outcome = Outcome.SUCCESS, config: ReturnsConfig = CONFIG) -> dict[str, Any]:
    control = np.array([CONTROL[letter] for letter in letters], np.uint8)
    return label(control, spans(letters), outcome, config)


def test_an_autonomous_success_in_n_steps_is_worth_n_minus_1_less_than_nothing() -> None:
    found = labels("pppp")
    assert found["reward"].tolist() == [-1, -1, -1, 0]
    assert found["return_to_go"].tolist() == [-3, -2, -1, 0]
    assert found["steps_left"].tolist() == [3, 2, 1, 0]
    assert found["verdict"].tolist() == [1, 1, 1, 1]


def test_an_autonomous_failure_costs_its_end() -> None:
    found = labels("ppp", Outcome.FAILURE)
    assert found["return_to_go"].tolist() == [-502, -501, -500]
    assert found["verdict"].tolist() == [0, 0, 0]


def test_an_intervened_success_costs_t_r_and_leaves_pauses_out() -> None:
    found = labels("pp.aar")
    assert found["reward"][[0, 1, 3, 4, 5]].tolist() == [-1, -1, -1, -500, 0]
    assert found["return_to_go"][[0, 1, 3, 4, 5]].tolist() == [-503, -502, -501, -500, 0]
    assert np.isnan(found["reward"][2])
    assert np.isnan(found["return_to_go"][2])
    assert found["steps_left"].tolist() == [4, 3, -1, 2, 1, 0]
    assert found["stage_weight"].tolist() == [1, 1, 0, 0, 0, 1]
    assert (found["verdict"] == -1).all()


def test_an_intervened_failure_is_minus_one_at_its_end_unless_told_otherwise() -> None:
    assert labels("par", Outcome.FAILURE)["return_to_go"].tolist() == [-502, -501, -1]
    strict = ReturnsConfig(failed_intervened=-500.0)
    assert labels("par", Outcome.FAILURE, strict)["return_to_go"].tolist() == [-1001, -1000, -500]


def test_each_takeover_has_its_own_cost() -> None:
    assert labels("parpar")["return_to_go"].tolist() == [-1003, -1002, -502, -501, -500, 0]
    ended = ReturnsConfig(mark_ends_return=True)
    assert labels("parpar", config=ended)["return_to_go"].tolist() == [-501, -500, -502, -501, -500, 0]


def test_only_the_policy_after_the_last_intervention_has_a_verdict() -> None:
    assert labels("parparp.p")["verdict"].tolist() == [-1] * 6 + [1, -1, 1]
    assert (labels("papr")["verdict"] == -1).all()


@pytest.mark.parametrize("outcome", [Outcome.UNLABELLED, Outcome.ABORTED])
def test_without_a_verdict_there_is_no_return(outcome: Outcome) -> None:
    found = labels("ppp", outcome)
    assert np.isnan(found["return_to_go"]).all()
    assert found["steps_left"].tolist() == [2, 1, 0]
    assert (found["verdict"] == -1).all()


@settings(deadline=None)
@given(st.text("par.", max_size=40), st.sampled_from(Outcome), st.booleans())
def test_returns_are_sums_of_rewards_and_only_moved_rows_have_labels(
    letters: str, outcome: Outcome, ended: bool
) -> None:
    found = labels(letters, outcome, ReturnsConfig(mark_ends_return=ended))
    moved = np.array([letter != "." for letter in letters], bool)
    assert np.array_equal(found["steps_left"] >= 0, moved)
    assert found["steps_left"][moved].tolist() == list(range(int(moved.sum())))[::-1]
    assert not (found["stage_weight"][~moved] > 0).any()
    assert (found["verdict"][np.array([letter != "p" for letter in letters], bool)] == -1).all()
    reward, to_go = found["reward"][moved].astype(float), found["return_to_go"][moved].astype(float)
    for row in range(len(reward)):
        later = 0.0 if row + 1 == len(reward) or (ended and reward[row] == -500) else to_go[row + 1]
        assert to_go[row] == pytest.approx(reward[row] + later, nan_ok=True)


@pytest.mark.parametrize("letters", ["", "...", "."])
def test_where_nobody_moved_there_are_no_labels(letters: str) -> None:
    found = labels(letters)
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(found, len(letters))
    assert np.isnan(found["reward"]).all()


def test_a_recorded_episode_has_them(takeover_episode: Path) -> None:
    episode = open_episode(takeover_episode)
    found = returns(episode, CONFIG)
    kept = episode.training_view().rows
    assert np.array_equal(np.flatnonzero(found["steps_left"] >= 0), kept)
    assert found["return_to_go"][kept[0]] == pytest.approx(-(len(kept) - 2) - 500)


def test_the_weight_of_adaptation_is_a_setting() -> None:
    assert labels("par", config=ReturnsConfig(adaptation_weight=0.25))["stage_weight"].tolist() == [1, 0.25, 1]
