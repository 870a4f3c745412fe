"""`rove deploy` as people run it: real processes, real physics, episodes on disk."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rove_core.clocks import NS_PER_S
from rove_core.joint_space import JointSpace
from rove_core.modes import Source
from rove_recorder.checking.check import check_episode

Begin = Callable[..., Any]
Until = Callable[..., None]


def test_a_session_leaves_an_episode_and_no_process(begin: Begin) -> None:
    session = begin("--start-stages", "1:1")
    assert session.ends() == 0, session.output
    assert session.processes() == {}
    (episode,) = session.episodes()
    assert episode.attrs["outcome"]["value"] in ("success", "failure")
    assert episode.attrs["start_stage"] == 1
    go = next(event for event in episode.events() if event["type"] == "go" and event["accepted"])
    assert go["payload"]["alignment"]["gate"] == "met"
    assert go["payload"]["alignment"]["groups"]["right_arm"]["position_m"] < 0.15
    assert episode.attrs["committed"]
    assert episode.episode_id in session.output
    space = JointSpace.load("iron_r01")
    sent = episode.steps["command_sent"]
    assert np.all((sent >= space.lower - 1e-6) & (sent <= space.upper + 1e-6))
    assert np.ptp(sent, axis=0).max() > 0.1, "nobody moved the robot"
    assert len(episode.frames("head")) > 0


def test_an_interrupt_closes_the_attempt_as_aborted_and_leaves_no_process(begin: Begin) -> None:
    session = begin("--episodes", "3")
    session.until_takeover()
    # As a terminal does it: the whole foreground group, twice.
    for _ in range(2):
        os.killpg(session.process.pid, signal.SIGINT)
    assert session.ends() == 130, session.output
    assert session.processes() == {}
    (episode,) = session.episodes()
    assert episode.attrs["outcome"]["value"] == "aborted"


def test_nothing_is_left_when_it_is_killed(begin: Begin, until: Until) -> None:
    session = begin("--episodes", "1")
    session.until_takeover()
    session.process.kill()
    until(lambda: session.processes() == {}, "all nodes ended", limit_s=20)
    assert len(session.episodes()) == 1


@pytest.mark.parametrize(
    ("node", "sign"),
    [
        ("recorder_node", "-> TAKEOVER"),  # the robot goes on, so nothing new is said
        ("supervisor_node", "supervisor_node restarted during attempt"),
        ("filter_node", "FAULT -> PAUSED"),
        ("retarget_node", "TAKEOVER -> ALIGNING"),
    ],
)
def test_a_killed_node_is_replaced_and_what_was_recorded_opens(
    begin: Begin, until: Until, node: str, sign: str
) -> None:
    session = begin("--episodes", "1")
    session.until_takeover()
    rows_on_disk = time.monotonic()
    until(lambda: time.monotonic() - rows_on_disk > 1.5, "something worth keeping")
    victim = session.processes()[node]
    killed_ns = time.time_ns()
    os.kill(victim, signal.SIGKILL)
    until(lambda: session.processes().get(node) not in (None, victim), f"{node} runs again")
    until(lambda: sign in session.log("supervisor_node"), sign)
    session.process.send_signal(signal.SIGINT)
    session.ends()
    assert session.processes() == {}
    assert f"{node}: killed by SIGKILL; started again" in session.output
    episodes = session.episodes()
    assert episodes
    assert not list(session.out.glob("*/*.open"))
    # The attempt up to a second before the kill is there, whoever died.
    lost_s = (killed_ns - int(episodes[0].steps["t_ros_ns"][-1])) / NS_PER_S
    assert lost_s < 1.0


def test_a_policy_that_hangs_leaves_the_robot_holding_and_one_that_is_killed_comes_back(
    begin: Begin, until: Until
) -> None:
    session = begin("--policy", "whiteboard", "--no-demonstrations", "--operator", "none", "--episodes", "1")
    until(lambda: "driven by policy" in session.log("filter_node"), "a rollout")
    victim = session.processes()["policy_node"]
    os.kill(victim, signal.SIGSTOP)
    until(lambda: "holding: policy late" in session.log("filter_node"), "the chunk is spent, the robot holds")
    until(lambda: "ROLLOUT -> PAUSED" in session.log("supervisor_node"), "the supervisor is told")
    os.kill(victim, signal.SIGKILL)
    until(lambda: session.processes().get("policy_node") not in (None, victim), "policy_node runs again")
    session.process.send_signal(signal.SIGINT)
    assert session.ends() == 130, session.output
    assert session.processes() == {}
    (episode,) = session.episodes()
    assert check_episode(episode) == []
    held = episode.streams["commands"]["source"][:] == Source.HOLD
    still = np.diff(episode.streams["commands"]["sent"][:], axis=0)[held[1:] & held[:-1]]
    assert len(still) > 0
    assert np.all(still == 0.0), "holding is standing still"


def test_the_robot_s_driver_dying_ends_the_session_with_the_reason(begin: Begin) -> None:
    session = begin("--episodes", "1")
    session.until_takeover()
    os.kill(session.processes()["sim_node"], signal.SIGKILL)
    assert session.ends() == 1, session.output
    assert "sim_node" in session.output
    assert session.processes() == {}
    (episode,) = session.episodes()
    assert episode.rows > 0


def test_a_second_session_in_the_domain_is_refused_and_the_first_goes_on(begin: Begin, until: Until) -> None:
    first = begin("--episodes", "1")
    until(lambda: bool(first.processes()), "the first session")
    second = first.deploy_again(first.out.parent / "second")
    assert second.returncode == 1
    assert "another `rove deploy` runs in ROS domain" in second.stderr
    assert first.process.poll() is None
    first.process.send_signal(signal.SIGINT)
    assert first.ends() == 130
    assert first.processes() == {}
