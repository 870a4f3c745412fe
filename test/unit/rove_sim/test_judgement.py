from __future__ import annotations

from rove_sim.judgement import Onlooker, Patience, Sighting

S = 1_000_000_000
PATIENCE = Patience(stall_s=8.0, nearer_m=0.02)


def see(milestones: int = 0, distance_m: float = 0.5, success: bool = False, lost: bool = False) -> Sighting:
    return Sighting(milestones, distance_m, success, lost)


def test_wandering_without_getting_nearer_is_a_stall() -> None:
    onlooker = Onlooker(PATIENCE, 0)
    for second in range(9):
        onlooker.see(second * S, see(distance_m=0.3 + 0.1 * (second % 2)))
        assert onlooker.verdict(second * S) == ""
    assert "no progress for 9 s" in onlooker.verdict(9 * S)


def test_getting_nearer_keeps_patience() -> None:
    onlooker = Onlooker(PATIENCE, 0)
    for second in range(20):
        onlooker.see(second * S, see(distance_m=1.0 - 0.03 * second))
    assert onlooker.verdict(20 * S) == ""


def test_creeping_counts_once_it_adds_up() -> None:
    onlooker = Onlooker(PATIENCE, 0)
    for second in range(20):
        onlooker.see(second * S, see(distance_m=1.0 - 0.004 * second))
    assert onlooker.last_progress_ns > 10 * S


def test_a_milestone_resets_patience_and_the_distance() -> None:
    onlooker = Onlooker(PATIENCE, 0)
    onlooker.see(0, see(distance_m=0.01))
    onlooker.see(7 * S, see(milestones=1, distance_m=0.6))
    onlooker.see(9 * S, see(milestones=1, distance_m=0.5))
    assert onlooker.gained == 1
    assert onlooker.last_progress_ns == 9 * S


def test_a_lost_milestone_is_not_progress() -> None:
    onlooker = Onlooker(PATIENCE, 0)
    onlooker.see(0, see(milestones=1))
    onlooker.see(5 * S, see(milestones=0))
    assert onlooker.gained == 0
    assert onlooker.verdict(9 * S) != ""


def test_an_object_out_of_reach_is_seen_at_once() -> None:
    onlooker = Onlooker(PATIENCE, 0)
    onlooker.see(1, see(lost=True))
    assert onlooker.verdict(1) == "the object is out of reach"


def test_success_counts_only_while_it_lasts() -> None:
    onlooker = Onlooker(PATIENCE, 0)
    onlooker.see(1 * S, see(success=True))
    assert onlooker.success_for_s(2 * S) == 1.0
    onlooker.see(2 * S, see())
    assert onlooker.success_for_s(3 * S) == 0.0
    assert onlooker.verdict(60 * S) != ""


def test_watching_afresh_forgets_what_somebody_else_gained() -> None:
    onlooker = Onlooker(PATIENCE, 0)
    onlooker.see(0, see(milestones=0))
    onlooker.see(1, see(milestones=2))
    onlooker.watch_afresh(20 * S)
    onlooker.see(20 * S, see(milestones=2))
    assert onlooker.gained == 0
    assert onlooker.verdict(21 * S) == ""
