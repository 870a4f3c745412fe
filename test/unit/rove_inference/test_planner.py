"""What is asked and what becomes of the answers, with the real `tiny` bundle, no thread and times on paper."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rove_core.errors import ConfigError, PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.loading import load_policy
from rove_inference.observation import Missing, Observation
from rove_inference.planner import Answer, Authority, Choices, Planner, Request
from rove_inference.query import Prediction

MS = 1_000_000
HORIZON = 50


class Table:
    """A planner whose policy moved the robot since time 0. `clock` are milliseconds."""

    def __init__(self, bundle: Path, space: JointSpace, **choices: object) -> None:
        self.space = space
        self.policy = load_policy(bundle, space)
        self.planner = Planner(self.policy, Choices(margin_s=0.0, **choices))  # type: ignore[arg-type]
        self.planner.set_authority(Authority(True, 1, "attempt", 0, "wipe the board"))

    def ask(self, observed_ms: int, now_ms: int) -> Request | None:
        seen = Observation(observed_ms * MS, observed_ms * MS, self.space.home, {})
        return self.planner.ask(seen, now_ms * MS)

    def answer(self, request: Request | None, ready_ms: int, offset: float = 0.0, **more: object) -> Answer | None:
        """The policy says the home pose and `offset` [rad]."""
        assert request is not None
        positions = np.tile(self.space.home + offset, (HORIZON, 1)).astype(np.float32)
        prediction = replace(Prediction(positions, 0, 1.0), **more)  # type: ignore[arg-type]
        return self.planner.answered(request, prediction, ready_ms * MS)


@pytest.fixture
def table(tiny: Path, space: JointSpace) -> Table:
    return Table(tiny, space)


def test_a_question_carries_the_epoch_the_instruction_and_the_seed_of_its_chunk(table: Table) -> None:
    for number in range(2):
        request = table.ask(1000 * number + 10, 1000 * number + 20)
        assert request is not None
        assert (request.query.epoch, request.query.instruction, request.query.seed) == (1, "wipe the board", number)
        table.answer(request, 1000 * number + 30)
    table.planner.set_authority(Authority(True, 2, "next", 2000 * MS, "make toast"))
    request = table.ask(2010, 2020)
    assert request is not None
    assert (request.query.epoch, request.query.instruction) == (2, "make toast")


def test_the_instruction_stands_in_the_condition_where_its_template_says_so(tiny: Path, space: JointSpace) -> None:
    request = Table(tiny, space, condition="{instruction}; quality: good").ask(10, 20)
    assert request is not None
    assert request.query.condition == "wipe the board; quality: good"


def test_an_observation_from_before_the_policy_got_the_robot_is_not_asked_about(table: Table) -> None:
    table.planner.set_authority(Authority(True, 2, "attempt", 500 * MS))
    assert table.ask(499, 520) is None
    assert table.ask(500, 520) is not None


def test_the_same_observation_is_not_asked_about_twice(table: Table) -> None:
    table.answer(table.ask(10, 20), 30)
    assert table.ask(10, 600) is None


def test_nothing_else_is_asked_until_there_is_an_answer(table: Table) -> None:
    request = table.ask(10, 20)
    assert not table.planner.due(9000 * MS)
    table.planner.refused(PolicyError("nan"))
    assert table.planner.due(9000 * MS)
    assert table.planner.diagnosis(9000 * MS) == "chunk refused: nan"
    assert request is not None


def test_an_answer_to_another_epoch_is_thrown_away_and_counted(table: Table) -> None:
    request = table.ask(10, 20)
    table.planner.set_authority(Authority(True, 2, "attempt", 25 * MS))
    assert table.answer(request, 30) is None
    assert table.planner.counts["dropped_epoch"] == 1
    later = table.answer(table.ask(40, 41), 50)
    assert later is not None
    assert later.chunk.chunk_id == 1


def test_an_answer_of_a_policy_that_was_swapped_meanwhile_is_thrown_away(
    table: Table, tiny: Path, space: JointSpace
) -> None:
    request = table.ask(10, 20)
    table.planner.set_authority(Authority(False, 2))
    assert table.planner.swap(load_policy(tiny, space))
    table.planner.set_authority(Authority(True, 1))
    assert table.answer(request, 30) is None


def test_steps_whose_time_has_passed_are_counted_as_skipped(table: Table) -> None:
    answer = table.answer(table.ask(0, 10), 110)  # 30 Hz: step 3 is in force
    assert answer is not None
    assert answer.skipped == 3
    assert table.planner.counts["skipped"] == 3
    late = table.answer(table.ask(1000, 1010), 9000)
    assert late is not None
    assert late.skipped == HORIZON
    assert "its answer came 8.00 s after the observation and covers 1.67 s" in table.planner.diagnosis(9001 * MS)
    assert table.planner.stalls == 1


def test_clipped_values_are_counted(table: Table) -> None:
    table.answer(table.ask(10, 20), 30, clipped=7)
    assert table.planner.counts["clipped"] == 7


def test_without_an_observation_it_says_why_and_counts_the_spell_once(table: Table) -> None:
    for _ in range(3):
        assert table.planner.ask(Missing("no picture from camera 'head' yet"), 10 * MS) is None
    assert table.planner.diagnosis(20 * MS) == "no chunk: no picture from camera 'head' yet"
    assert table.planner.counts["missing"] == 1


def test_nothing_is_wrong_while_the_policy_may_not_move_the_robot(table: Table) -> None:
    table.ask(10, 20)
    table.planner.set_authority(Authority(False, 2))
    assert table.planner.diagnosis(99_000 * MS) == ""


def test_an_answer_that_takes_far_longer_than_expected_is_diagnosed(table: Table) -> None:
    table.ask(10, 20)
    assert table.planner.diagnosis(900 * MS) == ""
    assert "no answer from the policy for 1.5 s" in table.planner.diagnosis(1520 * MS)


def test_rtc_freezes_what_is_executed_meanwhile_and_the_chunk_says_so(tiny: Path, space: JointSpace) -> None:
    table = Table(tiny, space, join="rtc")
    first = table.answer(table.ask(0, 0), 100)
    assert first is not None
    assert (first.join, first.frozen) == ("rtc", 0)
    request = table.ask(500, 500)
    assert request is not None
    assert request.query.prefix is not None
    assert request.query.prefix.frozen == 4  # 100 ms at 30 Hz, and the step that is under way
    second = table.answer(request, 600, offset=0.2)
    assert second is not None
    assert second.frozen == 5
    np.testing.assert_array_equal(second.chunk.positions[:5], first.chunk.positions[15:20])
    np.testing.assert_allclose(second.chunk.positions[-1], space.home + 0.2, atol=1e-6)


def test_an_epoch_begins_without_anything_of_the_one_before(tiny: Path, space: JointSpace) -> None:
    table = Table(tiny, space, join="rtc")
    table.answer(table.ask(0, 0), 100)
    table.planner.set_authority(Authority(True, 2, "attempt", 400 * MS))
    request = table.ask(500, 500)
    assert request is not None
    assert request.query.prefix is None


@pytest.mark.parametrize("join", ["blend", "ensemble", "rtc"])
def test_while_an_operator_adds_to_the_chunks_each_says_what_the_policy_said(
    tiny: Path, space: JointSpace, join: str
) -> None:
    table = Table(tiny, space, join=join)
    table.planner.set_authority(Authority(True, 2, "attempt", 0, alone=False))
    table.answer(table.ask(10, 20), 30)
    answer = table.answer(table.ask(510, 520), 530, offset=0.2)
    assert answer is not None
    assert answer.join == "replace"
    np.testing.assert_array_equal(answer.chunk.positions, answer.prediction.positions)


def test_the_way_to_join_is_the_bundles_unless_the_deployment_says_otherwise(
    edited: object, tiny: Path, space: JointSpace
) -> None:
    bundle = edited(join="blend")  # type: ignore[operator]
    for choices, expected in (({}, "blend"), ({"join": "ensemble"}, "ensemble")):
        table = Table(bundle, space, **choices)
        answer = table.answer(table.ask(10, 20), 30)
        assert answer is not None
        assert answer.join == expected


def test_stalls_of_the_policy_before_are_not_forgotten(table: Table, tiny: Path, space: JointSpace) -> None:
    table.answer(table.ask(0, 0), 9000)
    table.planner.set_authority(Authority(False, 2))
    table.planner.swap(load_policy(tiny, space))
    assert table.planner.stalls == 1


def test_a_simulation_that_was_reset_to_earlier_times_is_planned_for_again(table: Table) -> None:
    table.answer(table.ask(90_000, 90_010), 90_020)
    table.planner.set_authority(Authority(True, 2, "attempt", 5 * MS))
    assert table.ask(10, 20) is not None


def test_guidance_that_the_bundle_cannot_do_is_refused(table: Table) -> None:
    Choices(cfg_beta=1.0).check(table.policy.bundle.spec)
    with pytest.raises(ConfigError, match=r"cfg_beta 2: policy 'tiny' has no negative condition"):
        Choices(cfg_beta=2.0).check(table.policy.bundle.spec)
