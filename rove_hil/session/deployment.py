"""What runs in a session, as data: one description that `rove deploy` and `ros2 launch` both carry out."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import rove_core.ros
from rove_hil.session.settings import Settings

Value = str | int | float | bool | tuple[str, ...]

# SCHED_FIFO for the thread that commands the robot, where the system permits it: with every core busy it is 6 ms late
# without, .05 ms with. Below the kernel's own threads (50).
REALTIME_PRIORITY = 20


class Restart(StrEnum):
    """When a node that ended is started again."""

    NEVER = "never"
    ON_FAILURE = "on_failure"


class Phase(IntEnum):
    """Nodes start phase by phase: the next one begins when every node of this one is active."""

    # Alone at first: it refuses a domain that is taken, before anything of ours speaks in it.
    SUPERVISION = 0
    STACK = 1
    PEOPLE = 2


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node.

    Attributes:
        package, executable: as `ros2 run` wants them.
        module: the same, as `python -m` wants it: works without a ROS installation.
        restart, max_restarts: what happens when it fails, and how often within a session.
        required: the session cannot go on without it.
        ends_session: when it ends, the session is over, and its exit code is the session's.
        terminal: reads keys, so it needs the terminal and not a log file.
    """

    name: str
    package: str
    executable: str
    module: str
    phase: Phase
    parameters: Mapping[str, Value] = field(default_factory=dict)
    remappings: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    required: bool = True
    restart: Restart = Restart.NEVER
    max_restarts: int = 5
    ends_session: bool = False
    terminal: bool = False

    def ros_parameters(self) -> dict[str, Any]:
        """Parameters as ROS takes them: lists, and no empty ones, which would have no type."""
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in self.parameters.items()}
        return {key: value for key, value in plain.items() if value != []}


@dataclass(frozen=True, slots=True)
class Deployment:
    """All nodes in the order in which they start, and what their environment needs besides."""

    nodes: tuple[NodeSpec, ...]
    env: Mapping[str, str]

    def phase(self, phase: Phase) -> tuple[NodeSpec, ...]:
        """The nodes of one phase."""
        return tuple(node for node in self.nodes if node.phase is phase)


def describe(settings: Settings) -> Deployment:
    """The deployment that `settings` asks for."""
    nodes = [_supervisor(settings)]
    if settings.simulated:
        nodes.append(_simulator(settings))
    nodes += _stack(settings)
    nodes += _people(settings)
    if settings.speed != 1.0:
        nodes = [_on_simulated_time(node) for node in nodes]
    return Deployment(tuple(nodes), environment())


def environment(current: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What every process of a deployment needs in its environment besides `current`."""
    profile = Path(rove_core.ros.__file__).with_name("fastdds_profile.xml")
    defaults = {
        # The wheels of ROS set no such path; a sourced workspace does.
        "AMENT_PREFIX_PATH": sys.prefix,
        "FASTDDS_DEFAULT_PROFILES_FILE": str(profile),
        # A robot and its people on one host. A console elsewhere: set it to SUBNET before.
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        # Small matrices on many threads only fight over the cores that the control loops need.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "RCUTILS_COLORIZED_OUTPUT": "0",
        "PYTHONUNBUFFERED": "1",
    }
    return {name: value for name, value in defaults.items() if not current.get(name)}


def _node(package: str, python: str, name: str, phase: Phase, parameters: Mapping[str, Value], **more: Any) -> NodeSpec:
    return NodeSpec(name, package, name, f"{python}.ros.{name}", phase, parameters, **more)


def _supervisor(settings: Settings) -> NodeSpec:
    # Presses are dated in simulated time, but travel in real time.
    stale_event_s = max(1.0, settings.speed)
    parameters: dict[str, Value] = {
        "robot": settings.model,
        "stale_event_s": stale_event_s,
        "takeover_way": settings.takeover_way,
        "takeover_groups": settings.takeover_groups,
        "max_attempt_s": settings.max_attempt_s,
        "cameras": settings.cameras,
        "operator": settings.operator != "none",
        # In the simulation the scene is set by a service, and whoever calls it knows.
        "confirm_reset": not settings.simulated,
    }
    return _node("rove_hil", "rove_hil", "supervisor_node", Phase.SUPERVISION, parameters, restart=Restart.ON_FAILURE)


def _simulator(settings: Settings) -> NodeSpec:
    parameters: dict[str, Value] = {
        "robot": settings.model,
        "task": settings.task,
        "seed": settings.seed,
        "speed": settings.speed,
        "cameras": settings.cameras,
    }
    return _node("rove_sim", "rove_sim", "sim_node", Phase.STACK, parameters, env={"MUJOCO_GL": "egl"})


def _stack(settings: Settings) -> list[NodeSpec]:
    again = {"restart": Restart.ON_FAILURE}
    robot: dict[str, Value] = {"robot": settings.model}
    recording = robot | {
        "out_dir": str(settings.out_dir),
        "cameras": settings.cameras,
        "compressed": settings.compressed,
        "mcap": settings.mcap,
    }
    nodes = [
        _node(
            "rove_hil",
            "rove_hil",
            "filter_node",
            Phase.STACK,
            robot | {"realtime_priority": REALTIME_PRIORITY, "guard": settings.guard, "workspace": settings.workspace},
            **again,
        ),
        _node("rove_hil", "rove_recorder", "recorder_node", Phase.STACK, recording, **again),
    ]
    if settings.operator != "none":
        parameters = robot | {
            "mocap_url": settings.mocap_url,
            "operator_name": settings.operator_name,
            "source_key": settings.mocap_key,
            "own_key": settings.mocap_own_key,
        }
        nodes.append(_node("rove_hil", "rove_hil", "retarget_node", Phase.STACK, parameters, **again))
    if settings.policy is not None and not settings.demonstrations:
        parameters = robot | {
            "bundle": str(settings.policy),
            "device": settings.device,
            "offers": settings.offers,
            "join": settings.join,
            "condition": settings.condition,
            "cfg_beta": settings.cfg_beta,
        }
        nodes.append(_node("rove_hil", "rove_inference", "policy_node", Phase.STACK, parameters, **again))
    return nodes


def _people(settings: Settings) -> list[NodeSpec]:
    nodes = []
    kind, _, profile = settings.operator.partition(":")
    if kind == "scripted":
        parameters: dict[str, Value] = {
            "robot": settings.model,
            "profile": profile,
            "bind_url": settings.mocap_url,
            "seed": settings.seed,
            "ground_truth": settings.ground_truth,
        }
        nodes.append(_node("rove_sim", "rove_sim", "scripted_operator", Phase.PEOPLE, parameters))
    if settings.supervisor == "scripted":
        parameters = {
            "robot": settings.model,
            "task": settings.task,
            "episodes": settings.plan.attempts,
            "start_stages": settings.start_stages,
            "seed": settings.seed,
            "operator": "none" if kind == "none" else "scripted",
            "demonstration": settings.demonstrations,
            "start_stage": settings.start_stage,
            "instruction": settings.told,
            "ground_truth": settings.ground_truth,
        }
        nodes.append(_node("rove_sim", "rove_sim", "scripted_supervisor", Phase.PEOPLE, parameters, ends_session=True))
    return nodes + _devices(settings)


def _devices(settings: Settings) -> list[NodeSpec]:
    """What people press, before a keyboard shows what that led to."""
    nodes = []
    attempts: dict[str, Value] = {"task": settings.task, "start_stage": settings.start_stage}
    attempts["start_stages"] = settings.start_stages
    attempts |= {"demonstration": settings.demonstrations, "instruction": settings.told}
    attempts["mapping"] = str(settings.mapping or "")
    keyboard, alone = settings.supervisor == "keyboard", settings.supervisor == "pedal"
    if settings.pedals or settings.joys:
        # A keyboard gives the cues where there is one, and counts the attempts.
        parameters = attempts | {"pedals": settings.pedals, "joys": settings.joys, "cues": not keyboard}
        parameters |= {"episodes": settings.plan.attempts if alone else 0}
        again = Restart.ON_FAILURE
        nodes.append(
            _node("rove_hil", "rove_hil", "buttons_node", Phase.PEOPLE, parameters, restart=again, ends_session=alone)
        )
    if keyboard:
        parameters = attempts | {"episodes": settings.plan.attempts}
        nodes.append(
            _node("rove_hil", "rove_hil", "keyboard_node", Phase.PEOPLE, parameters, ends_session=True, terminal=True)
        )
    return nodes


def _on_simulated_time(node: NodeSpec) -> NodeSpec:
    # The simulator makes the time that the others follow.
    return node if node.name == "sim_node" else replace(node, parameters={**node.parameters, "use_sim_time": True})
