"""Where the palms may be: boxes and half-spaces in the base frame, read from a YAML file.

box: {lower: [0.05, -0.7, -0.2], upper: [0.75, 0.7, 0.8]}      # [m], base frame: x forward, y left, z up
half_spaces:
  - {name: table, normal: [0, 0, 1], offset: 0.02}             # normal . p >= offset [m]
sites: [left_palm_site, right_palm_site]                       # what is kept inside; this is the default
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field, model_validator

from rove_core.config import ConfigModel, load_yaml
from rove_core.errors import ConfigError
from rove_core.joint_space import FloatArray
from rove_hil.guard.collision import CollisionModel

_SIDES = (("back", "front"), ("right side", "left side"), ("bottom", "top"))


class _Box(ConfigModel):
    lower: tuple[float, float, float] = Field(description="[m]")
    upper: tuple[float, float, float] = Field(description="[m]")

    @model_validator(mode="after")
    def _ordered(self) -> _Box:
        if any(low >= high for low, high in zip(self.lower, self.upper, strict=True)):
            raise ValueError(f"lower {self.lower} must be below upper {self.upper}")
        return self


class _HalfSpace(ConfigModel):
    name: str
    normal: tuple[float, float, float] = Field(description="into the allowed side; need not have length 1")
    offset: float = Field(description="along the normal from the base's origin [m]")


class _Workspace(ConfigModel):
    box: _Box | None = None
    half_spaces: tuple[_HalfSpace, ...] = ()
    sites: tuple[str, ...] = Field(("left_palm_site", "right_palm_site"), min_length=1)


class Workspace:
    """Distances of sites to the planes that bound them; row k is one site and one plane."""

    def __init__(self, collision: CollisionModel, path: Path) -> None:
        """Read `path`.

        Raises:
            ConfigError: the file is wrong or allows everything. CollisionError: the robot has no such site.
        """
        table = load_yaml(_Workspace, path)
        planes: list[tuple[str, FloatArray, float]] = []
        if table.box is not None:
            for axis, (low_name, high_name) in enumerate(_SIDES):
                direction = np.eye(3)[axis]
                planes.append((low_name, direction, table.box.lower[axis]))
                planes.append((high_name, -direction, -table.box.upper[axis]))
        for plane in table.half_spaces:
            length = float(np.linalg.norm(plane.normal))
            if not length > 0:
                raise ConfigError(f"{path}: half space '{plane.name}' has a normal of length 0")
            planes.append((plane.name, np.array(plane.normal) / length, plane.offset))
        if not planes:
            raise ConfigError(f"{path}: no box and no half_spaces", "leave the workspace out to have none")
        self._collision = collision
        sites = collision.sites(*table.sites)
        self._rows = np.repeat(sites, len(planes))
        self._normals = np.tile([normal for _, normal, _ in planes], (len(sites), 1))
        self._offsets = np.tile([offset for _, _, offset in planes], len(sites))
        self.names = tuple(
            (site.removesuffix("_site"), f"{name} of the workspace") for site in table.sites for name, _, _ in planes
        )

    def reach(self) -> FloatArray:
        """Upper bound of how far each row's site goes when a joint turns [m/rad], shape (n, dim)."""
        return self._collision.site_reach(self._rows)

    def travel(self, poses: FloatArray) -> FloatArray:
        """How far each row's site goes on the way through `poses` [rad], shape (n, dim): [m]."""
        return np.asarray(self.reach() @ np.abs(np.diff(poses, axis=0)).sum(axis=0))

    def rows(self) -> tuple[FloatArray, FloatArray]:
        """In the pose that the collision model was given last: distance inside [m], shape (n,), and its Jacobian."""
        positions, jacobian = self._collision.site_rows(self._rows, self._normals)
        return (positions * self._normals).sum(axis=1) - self._offsets, jacobian
