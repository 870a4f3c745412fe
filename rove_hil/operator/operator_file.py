"""Operators as files: one YAML a person, with what was measured and the scales that follow from it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import Field

from rove_core.config import ConfigModel, load_yaml
from rove_core.errors import ConfigError, nearest
from rove_hil.operator.operator_calibration import OperatorCalibration
from rove_hil.operator.t_pose import BodySize

SUFFIX = ".yaml"
# Where operators are kept unless another folder is given.
DEFAULT_FOLDER = "~/.rove/operators"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Measured(ConfigModel):
    """Lengths of the operator [m], for people to look at."""

    arm_m: float
    shoulder_width_m: float
    torso_m: float
    hand_m: float | None = None


class OperatorFile(ConfigModel):
    """What a file says."""

    name: str
    robot: str = Field(description="whose lengths the scales lead to")
    torso_scale: float = Field(ge=0.3, le=3.0)
    shoulder_scale: float = Field(ge=0.3, le=3.0)
    arm_scale: float = Field(ge=0.3, le=3.0)
    hand_scale: float = Field(1.0, ge=0.3, le=3.0)
    measured: Measured | None = None

    @property
    def calibration(self) -> OperatorCalibration:
        """For the retargeting."""
        return OperatorCalibration(self.torso_scale, self.shoulder_scale, self.arm_scale, self.hand_scale)


def save(
    folder: str | Path, name: str, robot: str, size: BodySize, calibration: OperatorCalibration
) -> tuple[Path, OperatorFile]:
    """Write an operator, over an older calibration of the same name.

    Raises:
        ConfigError: a name that is no file name, or the folder cannot be written.
    """
    measured = Measured(arm_m=size.arm, shoulder_width_m=size.shoulder_width, torso_m=size.torso, hand_m=size.hand)
    file = OperatorFile(
        name=name,
        robot=robot,
        torso_scale=calibration.torso_scale,
        shoulder_scale=calibration.shoulder_scale,
        arm_scale=calibration.arm_scale,
        hand_scale=calibration.hand_scale,
        measured=measured,
    )
    path = _path(folder, name)
    text = yaml.safe_dump(file.model_dump(), sort_keys=False)
    unfinished = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    return path, file


def load(folder: str | Path, name: str, robot: str) -> OperatorFile:
    """The operator called `name`, for `robot`.

    Raises:
        ConfigError: nobody of that name (says who is there), a broken file, or one made for another robot.
    """
    path = _path(folder, name)
    if not path.is_file():
        known = names(folder)
        hint = nearest(name, known) if known else "`rove mocap calibrate` measures one"
        raise ConfigError(f"no operator '{name}' in {path.parent}", hint)
    file = load_yaml(OperatorFile, path)
    if file.robot != robot:
        raise ConfigError(
            f"{path}: operator '{name}' was measured for robot '{file.robot}', this is '{robot}'",
            "calibrate again, under another name",
        )
    return file


def names(folder: str | Path) -> list[str]:
    """Who is there."""
    return sorted(path.stem for path in Path(folder).expanduser().glob(f"*{SUFFIX}"))


def _path(folder: str | Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"'{name[:80]}' is no name for an operator", "letters, digits, '-', '_' and '.' make one")
    return Path(folder).expanduser() / f"{name}{SUFFIX}"
