"""Robot models as URDF and MJCF, generated from one source.

`generate.py` writes the files under `models/`; they are committed so that nothing needs to be built to use them.
"""

from __future__ import annotations

from pathlib import Path

MODELS = Path(__file__).parent / "models"

_SUFFIXES = {"mjcf": ".xml", "urdf": ".urdf"}


def model_path(robot: str, kind: str) -> Path:
    """File of a robot's model.

    Args:
        robot: name of the robot, as for `JointSpace.load`.
        kind: "mjcf" (MuJoCo, with actuators, sites and cameras) or "urdf" (kinematics, shapes, inertias).

    Raises:
        ValueError: no such kind, or no model of that robot.
    """
    if kind not in _SUFFIXES:
        raise ValueError(f"no model kind '{kind}'; valid are: {', '.join(sorted(_SUFFIXES))}")
    path = MODELS / f"{robot}{_SUFFIXES[kind]}"
    if not path.is_file():
        known = sorted({file.stem for file in MODELS.iterdir() if file.suffix in _SUFFIXES.values()})
        raise ValueError(f"no model of robot '{robot}'; there is: {', '.join(known)}")
    return path
