"""Writes the model files: `python -m rove_description.generate`."""

from __future__ import annotations

from rove_core.joint_space import JointSpace
from rove_description import MODELS, iron_r01
from rove_description.mjcf import mjcf
from rove_description.urdf import urdf


def texts() -> dict[str, str]:
    """File name -> text of every model."""
    robot = iron_r01.build()
    space = JointSpace.load(robot.name)
    return {f"{robot.name}.xml": mjcf(robot, space), f"{robot.name}.urdf": urdf(robot, space)}


def main() -> None:
    """Write all files."""
    MODELS.mkdir(exist_ok=True)
    for name, text in texts().items():
        (MODELS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
