"""The gate as messages feed it; no DDS needed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from rove_msgs.msg import TeleopTarget

from rove_core.modes import Mode, Stage, TakeoverWay
from rove_hil.ros.alignment_monitor import AlignmentMonitor
from rove_hil.supervision.alignment import AlignmentGate, GroupLimits
from rove_hil.supervision.attempt import Attempt, State

ATTEMPT = Attempt("a", "whiteboard")
STATE = State(Mode.ALIGNING, Stage.NONE, 7, 0, ATTEMPT, "", "", 0, "", False, False, "")
MS = 1_000_000


def monitor(attempt: Attempt = ATTEMPT) -> AlignmentMonitor:
    limits = {"left_arm": GroupLimits(0.3), "right_arm": GroupLimits(0.3), "head": GroupLimits(0.3)}
    subject = AlignmentMonitor(AlignmentGate(limits, required=("left_arm", "right_arm"), dwell_s=0.1))
    subject.begin(attempt)
    return subject


def target(left: float = 0.1, right: float = 0.1, *tracked: str, converged: bool = True) -> TeleopTarget:
    groups = ["left_arm", "right_arm", "head"]
    valid = [not tracked or group in tracked for group in groups]
    guidance = ["left elbow 12 deg lower", "right elbow 12 deg lower", ""]
    message = TeleopTarget(group=groups, group_valid=valid, guidance=guidance, converged=converged)
    message.alignment_rms = message.alignment_max = [left, right, 0.0]
    return message


def test_guidance_is_shown_only_where_a_group_is_off() -> None:
    subject = monitor()
    subject.take(0, target(right=0.4))
    shown = subject.message(0, 0, STATE)
    assert list(shown.met) == [True, False, True]
    assert list(shown.guidance) == ["", "right elbow 12 deg lower", ""]
    assert shown.epoch == 7
    assert json.loads(subject.errors_json(0))["groups"]["right_arm"]["rms_rad"] == pytest.approx(0.4)


@pytest.mark.parametrize("way", [TakeoverWay.CLUTCH, TakeoverWay.BLENDED])
def test_where_the_robot_follows_the_motion_any_pose_will_do(way: TakeoverWay) -> None:
    subject = monitor(replace(ATTEMPT, takeover_way=way))
    for now_ms in (0, 100):
        subject.take(now_ms * MS, target(0.9, 0.9))
    shown = subject.message(100 * MS, 0, STATE)
    assert shown.gate_met
    assert not any(shown.guidance)


def test_a_frame_that_was_not_solved_is_a_gap_and_no_pose() -> None:
    subject = monitor()
    subject.take(0, target())
    subject.take(50 * MS, target(9.0, 9.0, converged=False))
    subject.take(100 * MS, target())
    assert subject.gate.state(100 * MS).met


def test_names_what_has_to_be_tracked_and_is_not() -> None:
    assert monitor().not_tracked(target()) == ""
    assert monitor().not_tracked(target(0.1, 0.1, "left_arm", "head")) == "right_arm"
    assert monitor().not_tracked(target(0.1, 0.1, "nothing")) is None
    partial = monitor(replace(ATTEMPT, operator_groups=("right_arm",)))
    assert partial.not_tracked(target(0.1, 0.1, "right_arm")) == ""
    assert partial.not_tracked(target(0.1, 0.1, "left_arm")) is None
    free = AlignmentMonitor(AlignmentGate({}))
    assert free.not_tracked(target(0.1, 0.1, "head")) == ""
    assert free.not_tracked(target(0.1, 0.1, "nothing")) is None
