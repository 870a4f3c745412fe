"""Which of the robot's joints another project's names stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rove_core.errors import ConfigError, PolicyError, nearest
from rove_core.joint_space import JointSpace
from rove_inference.backends import Array

IntArray = npt.NDArray[np.intp]


class JointNaming:
    """Parts of a joint vector under names of their own, as servers of other projects have them.

    Args:
        parts: name there -> joints, or joint groups of the robot, in the order they have there.
        model_order: what an empty list of joints stands for.
        what: "state" or "action", for messages.

    Raises:
        ConfigError: a name that is neither a joint nor a group.
    """

    def __init__(
        self, parts: Mapping[str, Sequence[str]], space: JointSpace, model_order: Sequence[str], what: str
    ) -> None:
        self._dim = space.dim
        self.indices: dict[str, IntArray] = {}
        for part, names in parts.items():
            joints = [joint for name in names or model_order for joint in _joints(name, space, f"remote.{what}.{part}")]
            self.indices[part] = np.array([space.names.index(joint) for joint in joints], np.intp)

    def require_all(self, space: JointSpace) -> None:
        """Refuse parts that are not all joints, each once: nobody would say what the others do. Raises ConfigError."""
        named = [space.names[index] for indices in self.indices.values() for index in indices]
        missing = [name for name in space.names if name not in named]
        doubled = sorted({name for name in named if named.count(name) > 1})
        if missing or doubled:
            parts = [f"{label} {', '.join(names)}" for label, names in (("no", missing), ("twice", doubled)) if names]
            raise ConfigError(f"remote.action must name every joint of '{space.robot}' once: {'; '.join(parts)}")

    def split(self, values: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """Values of all joints, shape (dim,), as their parts."""
        return {part: values[indices] for part, indices in self.indices.items()}

    def join(self, parts: Mapping[str, Array], horizon: int) -> npt.NDArray[np.float32]:
        """Parts of shape (horizon, joints) as one array of shape (horizon, dim), in JointSpace order.

        Raises:
            PolicyError: a part is missing or has another shape.
        """
        values = np.full((horizon, self._dim), np.nan, np.float32)
        for part, indices in self.indices.items():
            there = parts.get(part)
            expected = (horizon, len(indices))
            if not isinstance(there, np.ndarray) or there.dtype.kind not in "fiu":
                raise PolicyError(f"the answer has no array '{part}', it has {', '.join(map(str, parts)) or 'nothing'}")
            if there.shape != expected:
                raise PolicyError(f"'{part}' in the answer has shape {there.shape}, expected {expected}")
            values[:, indices] = there
        return values


def _joints(name: str, space: JointSpace, where: str) -> Sequence[str]:
    if name in space.groups:
        return space.names[space.groups[name]]
    if name in space.names:
        return (name,)
    raise ConfigError(f"{where}: '{name}' is no joint or joint group", nearest(name, [*space.groups, *space.names]))
