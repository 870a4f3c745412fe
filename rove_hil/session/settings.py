"""What somebody wants to run: the choices behind `rove deploy` and the arguments of `ros2 launch`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rove_core.errors import BundleError, ConfigError, nearest
from rove_core.modes import TakeoverWay
from rove_hil.supervision.session_plan import SessionPlan

# Where the scripted operator's motion capture comes from: a port of its own for every domain.
MOCAP_PORT = 5560


# What the policy is told when nobody says otherwise.
INSTRUCTIONS = {
    "whiteboard": "Pick up the eraser and wipe the whiteboard clean.",
    "toaster": "Pick up a slice of bread and put it into the toaster.",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What somebody wants to run.

    Attributes:
        robot: "sim", or the name of a real robot whose driver runs already.
        model: the robot's joints, by name or YAML file.
        policy: folder of the bundle; None for demonstrations.
        operator: "scripted:PROFILE", "mocap:URL" or "none".
        operator_name: who the operator is, as measured by `rove mocap calibrate`; "" for a body like the robot's.
        mocap_key, mocap_own_key: files with the source's public key and the robot's own pair; "" for an open wire.
        supervisor: "scripted", "keyboard", "pedal" or "none" (somebody else presses, through topics).
        pedals, joys: devices of the mapping that people press, each as NAME or NAME=WHERE.
        mapping: what keys, pedals and buttons mean; None: as shipped.
        takeover_way, takeover_groups: how, and of which joint groups (empty: all), the operator drives in a takeover.
        guard: "self_collision" slows and holds what would run the robot into itself; "off".
        workspace: YAML file of where the palms may be; "" for anywhere.
        instruction: what the policy is told; "" for the task's usual one.
        join: how a chunk joins the one before. condition: condition text of the policy. cfg_beta: guidance weight.
            "" and below 0: as the bundle says.
        out_dir: the session's folder.
        compressed: cameras whose own JPEG is recorded. mcap: raw messages are recorded beside the episodes.
        speed: simulated seconds per second.
        start_stages: attempts per start stage, "0:5,2:3", instead of `start_stage` and `episodes`; "" for those.
        max_attempt_s: an attempt that takes longer is paused and people are asked [s]; 0: no limit.
    """

    out_dir: Path
    robot: str = "sim"
    model: str = "iron_r01"
    task: str = "whiteboard"
    policy: Path | None = None
    operator: str = "none"
    operator_name: str = ""
    mocap_key: str = ""
    mocap_own_key: str = ""
    supervisor: str = "none"
    takeover_way: str = "absolute"
    takeover_groups: tuple[str, ...] = ()
    guard: str = "off"
    workspace: str = ""
    instruction: str = ""
    episodes: int = 3
    seed: int = 0
    speed: float = 1.0
    start_stage: int = 0
    start_stages: str = ""
    max_attempt_s: float = 180.0
    demonstrations: bool = False
    cameras: tuple[str, ...] = ("head",)
    compressed: tuple[str, ...] = ()
    mcap: bool = False
    device: str = "cpu"
    offers: str = ""
    join: str = ""
    condition: str = ""
    cfg_beta: float = -1.0
    domain: int = 0
    pedals: tuple[str, ...] = ()
    joys: tuple[str, ...] = ()
    mapping: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work. Raises ConfigError."""
        kind, _, detail = self.operator.partition(":")
        if kind not in ("scripted", "mocap", "none") or (kind in ("scripted", "mocap")) != bool(detail):
            raise ConfigError(
                f"operator '{self.operator}'", "use scripted:PROFILE, mocap:URL (tcp://host:port, isaac ...) or none"
            )
        if self.supervisor not in ("scripted", "keyboard", "pedal", "none"):
            raise ConfigError(f"supervisor '{self.supervisor}'", "use scripted, keyboard, pedal or none")
        if self.supervisor == "pedal" and not (self.pedals or self.joys):
            raise ConfigError("supervisor 'pedal' has no pedal", "add --pedal three_pedals or --joy gamepad")
        if self.takeover_way not in set(TakeoverWay):
            raise ConfigError(f"takeover way '{self.takeover_way}'", nearest(self.takeover_way, TakeoverWay))
        if not self.simulated and (kind == "scripted" or self.supervisor == "scripted"):
            raise ConfigError(
                f"scripted people only exist in the simulation, not around {self.robot}", "use --robot sim"
            )
        if not self.simulated and self.speed != 1.0:
            raise ConfigError(f"a real robot runs at speed 1, not {self.speed}")
        if self.demonstrations and kind == "none":
            raise ConfigError("demonstrations need an operator", "add --operator scripted:expert or mocap:URL")
        if self.policy is None and not self.demonstrations:
            raise ConfigError("an attempt needs a policy", "give --policy BUNDLE, or --demonstrations with an operator")
        SessionPlan.of(self.start_stages)

    @classmethod
    def from_text(cls, values: Mapping[str, str]) -> Settings:
        """Settings from the arguments of `ros2 launch`, as `ARGUMENTS` lists them. Raises ConfigError."""
        text = {name: values.get(name, default) for name, (default, _) in ARGUMENTS.items()}
        policy = text["policy"]
        try:
            return cls(
                out_dir=Path(text["out"]).absolute(),
                robot=text["robot"],
                model="iron_r01" if text["robot"] == "sim" else text["robot"],
                task=text["task"],
                policy=bundle_folder(policy),
                operator=text["operator"],
                operator_name=text["operator_name"],
                mocap_key=text["mocap_key"],
                mocap_own_key=text["mocap_own_key"],
                takeover_way=text["takeover_way"],
                takeover_groups=tuple(name for name in text["takeover_groups"].split(",") if name),
                guard=text["guard"],
                workspace=text["workspace"],
                supervisor=text["supervisor"] or ("scripted" if text["robot"] == "sim" else "none"),
                episodes=int(text["episodes"]),
                seed=int(text["seed"]),
                speed=float(text["speed"]),
                start_stage=int(text["start_stage"]),
                start_stages=text["start_stages"],
                max_attempt_s=float(text["max_attempt_s"]),
                instruction=text["instruction"],
                demonstrations=text["demonstrations"].lower() == "true",
                cameras=_list(text["cameras"]),
                compressed=_list(text["compressed"]),
                mcap=text["mcap"].lower() == "true",
                device=text["device"],
                offers=text["offers"],
                join=text["join"],
                condition=text["condition"],
                cfg_beta=float(text["cfg_beta"]),
                domain=domain_id(),
                pedals=_list(text["pedals"]),
                joys=_list(text["joys"]),
                mapping=Path(text["mapping"]).absolute() if text["mapping"] else None,
            )
        except ValueError as error:
            raise ConfigError(f"launch arguments: {error}") from None

    @property
    def told(self) -> str:
        """What the policy is told."""
        return self.instruction or INSTRUCTIONS.get(self.task, "")

    @property
    def plan(self) -> SessionPlan:
        """How many attempts from which stage."""
        return SessionPlan.of(self.start_stages, self.start_stage, self.episodes)

    @property
    def simulated(self) -> bool:
        """Whether the robot is the simulator."""
        return self.robot == "sim"

    @property
    def mocap_url(self) -> str:
        """Where motion capture is published."""
        kind, _, detail = self.operator.partition(":")
        return detail if kind == "mocap" else f"tcp://127.0.0.1:{MOCAP_PORT + self.domain}"

    @property
    def ground_truth(self) -> str:
        """The file for what truly happened in a simulation."""
        return str(self.out_dir / "ground_truth.jsonl")


# Arguments of the launch files: name -> default and description.
ARGUMENTS: Mapping[str, tuple[str, str]] = {
    "out": ("runs/launch", "folder of this session: episodes and logs"),
    "robot": ("sim", "sim, or the name of a robot whose driver runs"),
    "task": ("whiteboard", "what is attempted"),
    "policy": ("whiteboard", "folder of a policy bundle, name of a shipped one (whiteboard, toaster), or none"),
    "instruction": ("", "what the policy is told; empty for the task's usual one"),
    "operator": ("scripted:typical", "scripted:PROFILE, mocap:URL or none"),
    "operator_name": ("", "who the operator is, as measured by `rove mocap calibrate`; empty: built like the robot"),
    "mocap_key": ("", "file with the public key of the motion-capture source; empty: an open wire"),
    "mocap_own_key": ("", "file with the robot's own key pair, for a source that knows its receivers"),
    "supervisor": ("", "scripted, pedal, or none (people press through topics or `rove keyboard`); empty: what fits"),
    "takeover_way": ("absolute", "how the operator's motion becomes the robot's: absolute, clutch or blended"),
    "takeover_groups": ("", "joint groups that the operator drives in a takeover, comma-separated; empty: all"),
    "guard": ("off", "self_collision: slow and hold what would run the robot into itself; or off"),
    "workspace": ("", "YAML file of where the palms may be; empty: anywhere"),
    "episodes": ("3", "attempts of a scripted supervisor"),
    "seed": ("0", "of scenes and scripted people"),
    "speed": ("1.0", "simulated seconds per second"),
    "start_stage": ("0", "progress stage that attempts start from"),
    "start_stages": ("", "attempts per start stage, as in 0:5,2:3, instead of start_stage and episodes"),
    "max_attempt_s": ("180.0", "an attempt that takes longer is paused and people are asked [s]; 0: no limit"),
    "demonstrations": ("false", "the operator does the whole task"),
    "cameras": ("head", "cameras to run and record, comma-separated"),
    "compressed": ("", "cameras of which the recorder takes the CompressedImage, comma-separated"),
    "mcap": ("false", "true: raw messages beside every episode, for Foxglove"),
    "device": ("cpu", "where the policy runs: cpu or cuda"),
    "offers": ("", "folder to watch for new policy bundles; empty: none"),
    "join": ("", "how a chunk joins the one before: replace, blend, ensemble or rtc; empty: as the bundle says"),
    "condition": ("", "condition text for the policy; empty: the bundle's"),
    "cfg_beta": ("-1", "classifier-free guidance weight; below 0: the bundle's"),
    "pedals": ("", "pedals of the mapping that people press, NAME or NAME=PATH, comma-separated"),
    "joys": ("", "controllers of the mapping that people press, NAME or NAME=TOPIC, comma-separated"),
    "mapping": ("", "what keys, pedals and buttons mean (YAML); empty: as shipped"),
}


def _list(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def bundle_folder(policy: str) -> Path | None:
    """The folder of a policy bundle, given as a folder or as the name of one that is shipped; None for "none".

    What is in it is for policy_node to judge.

    Raises:
        BundleError: there is no such bundle.
    """
    if policy == "none":
        return None
    shipped = [Path(__file__).parents[2] / "bundles"]  # a checkout
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(":")), sys.prefix]
    shipped += [Path(prefix) / "share/rove_hil/bundles" for prefix in prefixes]
    for folder in (Path(policy).absolute(), *(place / policy for place in shipped)):
        if (folder / "policy.yaml").is_file():
            return folder
    hint = "give its folder, `whiteboard` or `toaster` for the ones shipped here, or `none` for demonstrations"
    raise BundleError(f"no policy bundle at {policy}: it has no policy.yaml", hint)


def domain_id(current: Mapping[str, str] = os.environ) -> int:
    """The ROS domain of this process. Raises ConfigError."""
    text = current.get("ROS_DOMAIN_ID") or "0"
    if not text.isdigit():
        raise ConfigError(f"ROS_DOMAIN_ID is '{text}'", "set it to a number from 0 to 101")
    return int(text)
