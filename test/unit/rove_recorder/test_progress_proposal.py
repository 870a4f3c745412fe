"""Proposed marks of progress: late rather than early, with an interval, never taken for a mark unasked."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner

from rove_core.modes import Mode
from rove_recorder import cli
from rove_recorder.labels.annotations import annotate
from rove_recorder.labels.progress_evaluation import (
    KnownTakeover,
    cross_fitted,
    evaluate,
    fit,
    known_takeovers,
)
from rove_recorder.labels.progress_proposal import SHIPPED, TakeoverMotion, annotate_proposals, propose
from rove_recorder.reader import open_episode

WHEN = datetime(2026, 5, 5, 9, 30, tzinfo=UTC)
START_NS = 1_700_000_000_000_000_000


def stroke(share: np.ndarray) -> np.ndarray:
    """Minimum jerk from 0 to 1."""
    share = np.clip(share, 0, 1)
    return share**3 * (10 - 15 * share + 6 * share**2)


def person(adaptation_s: float, seed: int = 0, recovery_s: float = 4.0) -> KnownTakeover:
    """Draws back, moves to and fro, then reaches with both arms and closes the fingers."""
    rng = np.random.default_rng(seed)
    t = np.arange(0, adaptation_s + recovery_s, 1 / 30)
    arms = rng.normal(0, 0.001, (len(t), 4)) + 0.1 * stroke((t - 0.4) / 0.6)[:, None]
    for begin_s in np.arange(1.2, adaptation_s - 0.6, 1.0):
        away = rng.normal(0, 0.08, 4)
        arms += (stroke((t - begin_s) / 0.5) - stroke((t - begin_s - 0.5) / 0.5))[:, None] * away
    for number in range(3):
        arms += stroke((t - adaptation_s - number * 0.9) / 1.2)[:, None] * rng.normal(0.3, 0.1, 4)
    fingers = np.repeat(stroke((t - adaptation_s - 1.5) / 0.5)[:, None], 3, axis=1)
    motion = TakeoverMotion(0, 7, START_NS + (t * 1e9).astype(np.int64), arms, fingers, marked=False)
    truth_ns = START_NS + round(adaptation_s * 1e9)
    return KnownTakeover("e", "typical", "whiteboard", seed, motion, truth_ns, truth_ns + 2_000_000_000)


PEOPLE = [person(0.8 + 0.17 * number, number) for number in range(24)]


def test_a_fit_proposes_what_it_was_not_fitted_on_late_and_within_its_interval() -> None:
    (_, everybody) = evaluate(PEOPLE, cross_fitted(PEOPLE))
    assert everybody.proposed == everybody.takeovers == len(PEOPLE)
    assert 0 < everybody.median < 1.5
    assert everybody.early <= 0.05
    assert everybody.covered >= 0.8
    assert everybody.mark_median == pytest.approx(2.0)


def test_the_interval_holds_the_proposal() -> None:
    for takeover in PEOPLE:
        proposal = propose(takeover.motion, SHIPPED)
        assert proposal is not None
        times = takeover.motion.times_ns
        assert times[0] <= proposal.earliest_ns <= proposal.t_ros_ns <= proposal.latest_ns <= times[-1]


def test_nothing_is_proposed_when_the_operator_never_sets_out_or_the_takeover_is_short() -> None:
    still = person(2.0).motion
    held = TakeoverMotion(0, 7, still.times_ns, 0 * still.arms, 0 * still.fingers, marked=False)
    short = TakeoverMotion(0, 7, still.times_ns[:20], still.arms[:20], still.fingers[:20], marked=False)
    assert propose(held, SHIPPED) is None
    assert propose(short, SHIPPED) is None


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_motion_gives_a_proposal_inside_the_takeover_or_none(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 90))
    values = np.array(data.draw(st.lists(st.floats(-3, 3) | st.just(np.nan), min_size=rows, max_size=rows)))
    steps = data.draw(st.lists(st.sampled_from([33, 34, 500]), min_size=rows, max_size=rows))
    times = START_NS + np.cumsum(steps).astype(np.int64) * 1_000_000
    motion = TakeoverMotion(0, 7, times, np.tile(values[:, None], 4), np.zeros((rows, 3)), marked=False)
    proposal = propose(motion, SHIPPED)
    if proposal is not None:
        assert times[0] <= proposal.t_ros_ns <= times[-1]


def test_the_fit_is_the_same_every_time() -> None:
    assert fit(PEOPLE) == fit(PEOPLE)


@pytest.fixture
def unmarked(scripted: Callable[[str], Any]) -> Path:
    """A takeover of 4 s without a mark, in which the operator reaches after 2 s."""
    episode = scripted("unmarked")

    def move(mode: Mode) -> None:
        episode.moved += 1
        episode.target = episode.space.home + 0.3 * stroke(np.array(episode.moved / 200 - 2.0) / 2)
        episode.sent = episode.target.copy()

    episode.move = move
    for _ in range(800):
        episode.step(Mode.TAKEOVER)
    return episode.close()


def test_proposals_are_added_once_and_used_only_when_asked_for(unmarked: Path) -> None:
    episode = open_episode(unmarked)
    said = annotate_proposals(episode, "rove", WHEN, "test")
    assert said is not None
    assert said.payload["proposed"] is True
    assert annotate_proposals(episode, "rove", WHEN, "test") is None
    assert episode.marks() == [None]
    (mark,) = episode.marks(proposals=True)
    assert mark is not None
    assert mark.source == "t_r_proposal@1"


def test_nothing_is_proposed_where_progress_was_marked(takeover_episode: Path) -> None:
    assert annotate_proposals(open_episode(takeover_episode), "rove", WHEN, "test") is None


def test_nothing_is_proposed_where_somebody_said_that_there_was_no_progress(unmarked: Path) -> None:
    episode = open_episode(unmarked)
    none = {"marks": [{"takeover": 0, "epoch": 0, "t_ros_ns": None}]}
    annotate(unmarked, "t_r", "t_r", none, by="ann", when=WHEN, tool="test")
    assert annotate_proposals(episode, "rove", WHEN, "test") is None


def test_the_command_proposes_for_a_session_and_goes_on_after_a_damaged_episode(unmarked: Path) -> None:
    damaged = unmarked.with_name("damaged.zarr")
    damaged.mkdir()
    app = Typer()
    app.callback()(lambda: None)
    cli.register(app)
    result = CliRunner().invoke(app, ["episodes", "annotate", "--propose", str(unmarked.parent)])
    assert result.exit_code == 1
    assert f"{damaged}: cannot read" in result.output
    assert "proposals added to 1 episode\n" in result.output


def test_takeovers_with_a_known_end_are_found_by_their_ground_truth(unmarked: Path) -> None:
    times = open_episode(unmarked).steps["t_ros_ns"]
    facts = [
        {"kind": "adaptation_end", "episode_id": "unmarked", "t_ros_ns": int(times[60]), "profile": "expert"},
        {"kind": "adaptation_end", "episode_id": "removed", "t_ros_ns": 5, "profile": "expert"},
        {"kind": "outcome", "episode_id": "unmarked", "seed": 12},
    ]
    (unmarked.parent / "ground_truth.jsonl").write_text("".join(json.dumps(fact) + "\n" for fact in facts))
    (known,) = known_takeovers(unmarked.parent.parent)
    assert (known.profile, known.seed, known.marked_ns) == ("expert", 12, None)
    assert known.truth_s == pytest.approx(2.0, abs=0.05)
