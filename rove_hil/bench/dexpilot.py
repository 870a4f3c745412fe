"""The fingertips of both hands by dex-retargeting, on the targets that ours gets, in an environment of its own.

dex-retargeting needs nlopt (LGPL) and pins that differ from ours, so it is no dependency: `make bench-peers` puts it
into `.venv-peers`, and what is not there is left out of the comparison.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rove_core.errors import RoveError
from rove_core.joint_space import FloatArray, JointSpace
from rove_description import model_path
from rove_hil.operator.mocap import FINGERS, SIDES, MocapFrame
from rove_hil.operator.operator_calibration import matrix_of

INTERPRETER = Path(__file__).parents[2] / ".venv-peers/bin/python"
WORKER = Path(__file__).with_name("dexpilot_worker.py")
NOT_INSTALLED = "not installed: make bench-peers"


@dataclass(frozen=True, slots=True)
class HandSolution:
    """What came of the frames: joint positions (frames, dim) [rad], and the time of both hands for each [ms]."""

    q: FloatArray
    milliseconds: FloatArray


def solve(space: JointSpace, frames: list[MocapFrame]) -> dict[str, HandSolution] | None:
    """Both hands of every frame, one after the other, by each way of dex-retargeting; None when it is not installed.

    The joints of the rest of the body are at home: fingertips are judged relative to their palm.

    Raises:
        RoveError: it is installed and failed; its last words are in the message.
    """
    if not INTERPRETER.exists():
        return None
    solutions: dict[str, HandSolution] = {}
    for side in SIDES:
        for way, answer in _ask(space, frames, side).items():
            solution = solutions.setdefault(
                way, HandSolution(np.tile(space.home, (len(frames), 1)), np.zeros(len(frames)))
            )
            solution.q[:, [space.index(joint) for joint in answer["joints"]]] = answer["q"]
            solution.milliseconds[:] += answer["ms"]
    return solutions


def _ask(space: JointSpace, frames: list[MocapFrame], side: str) -> dict[str, Any]:
    """What the worker says of one hand."""
    with tempfile.TemporaryDirectory() as folder:
        urdf, data = Path(folder) / "hand.urdf", Path(folder) / "keypoints.npz"
        urdf.write_text(hand_urdf(space, side), encoding="utf-8")
        np.savez(data, keypoints=_in_palm(frames, side))
        answer = subprocess.run(
            [str(INTERPRETER), str(WORKER), str(urdf), str(data), side, ",".join(FINGERS)],
            capture_output=True,
            text=True,
            check=False,
        )
    if answer.returncode != 0:
        last = (answer.stderr.strip().splitlines() or ["no output"])[-1]
        raise RoveError(f"dex-retargeting failed: {last}", "`make bench-peers` installs it anew")
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result


def hand_urdf(space: JointSpace, side: str) -> str:
    """The robot's URDF from the palm outwards, without shapes."""
    robot = ElementTree.parse(model_path(space.robot, "urdf")).getroot()  # noqa: S314 - our own file
    joints = robot.findall("joint")
    kept, grown = {f"{side}_palm"}, True
    while grown:
        outwards = {_link(joint, "child") for joint in joints if _link(joint, "parent") in kept}
        grown = not outwards <= kept
        kept |= outwards
    hand = ElementTree.Element("robot", name=f"{side}_hand")
    for link in robot.findall("link"):
        if link.get("name") in kept:
            for shape in [*link.findall("visual"), *link.findall("collision")]:
                link.remove(shape)
            hand.append(link)
    hand.extend(joint for joint in joints if _link(joint, "parent") in kept)
    return ElementTree.tostring(hand, encoding="unicode")


def _link(joint: ElementTree.Element, end: str) -> str:
    element = joint.find(end)
    return "" if element is None else element.get("link", "")


def _in_palm(frames: list[MocapFrame], side: str) -> FloatArray:
    """Keypoints in the palm's frame [m], shape (frames, 21, 3)."""
    hand = SIDES.index(side)
    return np.array(
        [(frame.hands[hand] - frame.wrist_positions[hand]) @ matrix_of(frame.wrist_quats[hand]) for frame in frames]
    )
