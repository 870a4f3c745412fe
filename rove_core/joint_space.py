"""The joints of a robot: names, groups, limits. Loaded once; every array of the project follows its order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from rove_core.config import ConfigModel, load_yaml
from rove_core.errors import ConfigError, JointNameError, nearest

FloatArray = npt.NDArray[np.float64]

ROBOTS = Path(__file__).parent / "robots"


class _JointLimits(ConfigModel):
    max_velocity: float = Field(gt=0, description="[rad/s]")
    max_acceleration: float = Field(gt=0, description="[rad/s^2]")
    max_jerk: float = Field(gt=0, description="[rad/s^3]")


class _Joint(ConfigModel):
    lower: float = Field(description="[rad]")
    upper: float = Field(description="[rad]")
    home: float = Field(description="[rad]")
    limits: _JointLimits | None = None  # overrides the group's

    @model_validator(mode="after")
    def _ordered(self) -> _Joint:
        if not self.lower < self.upper:
            raise ValueError(f"lower {self.lower} must be below upper {self.upper}")
        if not self.lower <= self.home <= self.upper:
            raise ValueError(f"home {self.home} is outside [{self.lower}, {self.upper}]")
        return self


class _Group(ConfigModel):
    noise_scale: float = Field(ge=0)
    limits: _JointLimits
    joints: dict[str, _Joint] = Field(min_length=1)


class _Robot(ConfigModel):
    name: str
    groups: dict[str, _Group] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class JointSpace:
    """Joints of one robot, in the one order that all arrays share. All arrays are read-only, shape (dim,).

    Attributes:
        names: joint names.
        groups: group name -> slice into every array; groups are contiguous and cover all joints.
        lower, upper, home: positions [rad].
        max_velocity: [rad/s]. max_acceleration: [rad/s^2]. max_jerk: [rad/s^3].
        noise_scale: per joint, from its group; unitless.
    """

    robot: str
    names: tuple[str, ...]
    groups: Mapping[str, slice]
    lower: FloatArray
    upper: FloatArray
    home: FloatArray
    max_velocity: FloatArray
    max_acceleration: FloatArray
    max_jerk: FloatArray
    noise_scale: FloatArray

    @classmethod
    def load(cls, robot: str | Path) -> JointSpace:
        """Load a robot by name ("iron_r01") or from a YAML file.

        Raises:
            ConfigError: no such robot, or its file is wrong.
        """
        path = Path(robot)
        if path.suffix not in {".yaml", ".yml"}:
            path = ROBOTS / f"{robot}.yaml"
            if not path.is_file():
                known = [file.stem for file in ROBOTS.glob("*.yaml")]
                raise ConfigError(f"no robot '{robot}'", nearest(str(robot), known))
        return cls._from_table(load_yaml(_Robot, path), path)

    @classmethod
    def _from_table(cls, table: _Robot, path: Path) -> JointSpace:
        names: list[str] = []
        groups: dict[str, slice] = {}
        joints: list[_Joint] = []
        limits: list[_JointLimits] = []
        noise: list[float] = []
        for group_name, group in table.groups.items():
            groups[group_name] = slice(len(names), len(names) + len(group.joints))
            for joint_name, joint in group.joints.items():
                names.append(joint_name)
                joints.append(joint)
                limits.append(joint.limits or group.limits)
                noise.append(group.noise_scale)
        doubled = [name for name, count in Counter(names).items() if count > 1]
        if doubled:
            raise ConfigError(f"{path}: joints stand in more than one group: {', '.join(doubled)}")
        return cls(
            robot=table.name,
            names=tuple(names),
            groups=MappingProxyType(groups),
            lower=_frozen([joint.lower for joint in joints]),
            upper=_frozen([joint.upper for joint in joints]),
            home=_frozen([joint.home for joint in joints]),
            max_velocity=_frozen([limit.max_velocity for limit in limits]),
            max_acceleration=_frozen([limit.max_acceleration for limit in limits]),
            max_jerk=_frozen([limit.max_jerk for limit in limits]),
            noise_scale=_frozen(noise),
        )

    @property
    def dim(self) -> int:
        """How many joints there are."""
        return len(self.names)

    def index(self, name: str) -> int:
        """Position of a joint in every array.

        Raises:
            JointNameError: the robot has no such joint.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise JointNameError(unknown=[name]) from None

    def group_of(self, name: str) -> str:
        """The group that a joint belongs to."""
        position = self.index(name)
        return next(group for group, span in self.groups.items() if span.start <= position < span.stop)

    def order_of(self, names: Sequence[str]) -> npt.NDArray[np.intp]:
        """Indices that bring values given in the order of `names` into this space's order: `values[order]`.

        Args:
            names: exactly the joints of this robot, in any order (as in a JointState).

        Raises:
            JointNameError: lists every missing, doubled and unknown name.
        """
        counts = Counter(names)
        missing = [name for name in self.names if name not in counts]
        doubled = [name for name, count in counts.items() if count > 1]
        unknown = [name for name in counts if name not in self.names]
        if missing or doubled or unknown:
            raise JointNameError(missing, doubled, unknown)
        place = {name: position for position, name in enumerate(names)}
        return np.array([place[name] for name in self.names], dtype=np.intp)

    def clip(self, position: FloatArray) -> FloatArray:
        """`position` [rad], shape (..., dim), brought inside the position limits."""
        return np.clip(position, self.lower, self.upper)


def _frozen(values: Sequence[float]) -> FloatArray:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array
