"""The ways of a takeover over the whole stack: a policy, an operator, and a person who presses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rove_core.joint_space import JointSpace
from rove_core.modes import Mode, Source
from rove_recorder.checking.check import check_episode

SPACE = JointSpace.load("iron_r01")
PERIOD_S = 0.005
# What is pressed with "takeover", and whose the joint groups are then.
TAKEOVERS = {
    "way=absolute": SPACE.groups.keys(),
    "way=clutch groups=right_arm,right_hand": {"right_arm", "right_hand"},
    "way=blended": SPACE.groups.keys(),
}


def in_mode(supervisor: Any, mode: Mode) -> Callable[[], bool]:
    return lambda: bool(supervisor.mode.mode == mode.number)


def test_one_attempt_with_a_takeover_of_each_kind(begin: Callable[..., Any], supervisor: Any) -> None:
    policy = ("--policy", "whiteboard", "--no-demonstrations")
    session = begin(*policy, "--operator", "scripted:expert", "--supervisor", "none")
    supervisor.start_attempt()
    epochs = {}
    for asked in TAKEOVERS:
        supervisor.spin_until(in_mode(supervisor, Mode.ROLLOUT), "the policy drives")
        supervisor.press("takeover", asked)
        supervisor.spin_until(in_mode(supervisor, Mode.ALIGNING), "aligning")
        supervisor.press("operator_ready")
        supervisor.spin_until(lambda: supervisor.mode.gate_met, "aligned")
        supervisor.press("go")
        supervisor.spin_until(in_mode(supervisor, Mode.TAKEOVER), "a takeover")
        epochs[supervisor.mode.epoch] = asked
        seen = supervisor.targets
        supervisor.spin_until(lambda seen=seen: supervisor.targets > seen + 60, "a second of the operator")
        supervisor.press("hand_back")
    supervisor.press("fail")
    supervisor.spin_until(lambda: list(session.out.glob("*/*.zarr")) != [], "a closed episode")
    (episode,) = session.episodes()
    assert check_episode(episode) == []

    commands = {name: episode.streams["commands"][name][:] for name in ("tick", "epoch", "source", "sent", "target")}
    authority, chunk = (episode.streams["commands"][name][:] for name in ("operator_authority", "chunk_id"))
    for epoch, asked in epochs.items():
        driven = (commands["epoch"] == epoch) & (commands["source"] == Source.OPERATOR)
        expected = [float(group in TAKEOVERS[asked]) for group in SPACE.groups]
        np.testing.assert_array_equal(np.unique(authority[driven], axis=0), [expected], err_msg=asked)
        assert chunk[driven].any() == (asked != "way=absolute"), asked
        first = int(np.flatnonzero(driven)[0])
        np.testing.assert_allclose(commands["target"][first], commands["sent"][first - 1], atol=1e-9, err_msg=asked)
    for run in np.split(commands["sent"], np.flatnonzero(np.diff(commands["tick"].astype(np.int64)) != 1) + 1):
        for order, limit in ((1, SPACE.max_velocity), (2, SPACE.max_acceleration), (3, SPACE.max_jerk)):
            assert (np.abs(np.diff(run, order, axis=0)) / PERIOD_S**order <= limit * (1 + 1e-6)).all()
