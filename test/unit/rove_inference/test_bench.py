"""The benchmarks of policy serving: that they run, and that what they say is true where it can be known."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from rove_hil.bench.playback import play
from rove_inference.bench.joining import JOINS, NETWORKS, Rollout
from rove_inference.bench.policy import SECTIONS
from rove_inference.bundle import JoinName


@pytest.mark.parametrize("module", SECTIONS.values())
def test_every_section_is_there(module: str) -> None:
    assert find_spec(module) is not None


@pytest.mark.parametrize("join", JOINS)
def test_a_fast_policy_never_stalls_and_acts_on_what_it_saw_half_a_second_ago_at_most(join: JoinName) -> None:
    figures = Rollout(join, 30, NETWORKS["local"], 6).figures(play)
    assert (figures["stalls"], figures["held_ms"]) == (0, 0)
    assert 50 < figures["action_age_p50_ms"] < figures["action_age_p99_ms"] < 16 / 30 * 1000


def test_a_policy_slower_than_its_chunks_stalls_every_time_and_the_robot_holds() -> None:
    figures = Rollout("replace", 2500, NETWORKS["local"], 16).figures(play)
    assert figures["stalls"] == figures["chunks"]
    assert figures["held_ms"] > 10_000


def test_rtc_leaves_nothing_to_cancel_when_the_delay_is_as_expected() -> None:
    assert Rollout("replace", 100, NETWORKS["local"], 10).figures(play)["chunks_differ_by_max_mrad"] > 20
    assert Rollout("rtc", 100, NETWORKS["local"], 10).figures(play)["chunks_differ_by_max_mrad"] < 1
