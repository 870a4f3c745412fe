"""Words for what to move, and how steady they are."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_hil.supervision.alignment_errors import Motion, Move, PoseComparison
from rove_hil.supervision.guidance import Guidance


def said(*moves: tuple[str, Motion, tuple[float, ...]]) -> str:
    return Guidance().update(Move(*move) for move in moves)


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (("left hand", Motion.SHIFT, (0.06, 0.0, 0.0)), "left hand 6 cm forward"),
        (("left hand", Motion.SHIFT, (-0.06, 0.0, 0.0)), "left hand 6 cm back"),
        (("right hand", Motion.SHIFT, (0.0, 0.1, 0.02)), "right hand 10 cm left"),
        (("right hand", Motion.SHIFT, (0.0, -0.1, 0.02)), "right hand 10 cm right"),
        (("right hand", Motion.SHIFT, (0.0, 0.0, 0.04)), "right hand 4 cm higher"),
        (("right elbow", Motion.SWING, (0.0, 0.0, -2 * math.sin(math.radians(6)))), "right elbow 12 deg lower"),
        (("right hand", Motion.TURN, (0.0, 0.0, 0.35)), "turn right hand 20 deg left"),
        (("right hand", Motion.TURN, (0.0, 0.35, 0.0)), "tip right hand 20 deg down"),
        (("right hand", Motion.TURN, (0.35, 0.0, 0.0)), "roll right hand 20 deg right"),
        (("head", Motion.TURN, (0.0, -0.35, 0.0)), "tip head 20 deg up"),
        (("torso", Motion.TURN, (0.0, 0.35, 0.0)), "lean torso 20 deg forward"),
        (("left index", Motion.OPEN, (0.04,)), "left index 4 cm more open"),
        (("left fingers", Motion.OPEN, (-0.04,)), "left fingers 4 cm more closed"),
    ],
)
def test_says_what_to_move_and_which_way(move: tuple[str, Motion, tuple[float, ...]], words: str) -> None:
    assert said(move) == words


def test_the_largest_comes_first_and_small_things_are_not_said() -> None:
    small = ("left hand", Motion.SHIFT, (0.015, 0.0, 0.0))
    assert said(small) == ""
    assert said(small, ("left elbow", Motion.SWING, (0.0, 0.0, 0.3))).startswith("left elbow")
    assert said(("left hand", Motion.SHIFT, (math.nan, 0.0, 0.0))) == ""


def test_does_not_flicker_with_noise() -> None:
    """Two errors of the same size, each with 3 mm or .01 rad of noise at 72 Hz for ten seconds."""
    rng = np.random.default_rng(0)
    guidance = Guidance()
    lines = []
    for _ in range(720):
        hand = Move("left hand", Motion.SHIFT, (0.055 + rng.normal(0, 0.003), 0.0, 0.05))
        elbow = Move("left elbow", Motion.SWING, (0.0, 0.0, 0.22 + rng.normal(0, 0.01)))
        lines.append(guidance.update([hand, elbow]))
    changes = sum(before != after for before, after in pairwise(lines))
    assert changes <= 6
    assert len({line.rstrip("0123456789") for line in lines}) <= 3


def test_follows_a_movement_and_falls_silent() -> None:
    guidance = Guidance()
    lines = [guidance.update([Move("left hand", Motion.SHIFT, (off, 0.0, 0.0))]) for off in np.linspace(0.2, -0.1, 300)]
    assert lines[0] == "left hand 20 cm forward"
    assert lines[-1] == "left hand 10 cm back"
    distinct = list(dict.fromkeys(lines))
    assert "" in distinct
    assert len(distinct) > 10


def test_matches_poses_of_the_robot() -> None:
    space = JointSpace.load("iron_r01")
    comparison = PoseComparison(space)
    operator = space.home.copy()
    operator[space.index("right_shoulder_roll")] -= 0.4  # the elbow away from the body
    line = Guidance().update(comparison.compare(operator, space.home)["right_arm"].moves)
    assert line.startswith("right")
    assert line.endswith("left"), "back to the body"
