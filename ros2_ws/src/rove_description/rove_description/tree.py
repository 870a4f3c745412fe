"""What a robot model is made of, before it is written as URDF or MJCF. Metres, kilograms, radians."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

Vec3 = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Pose:
    """A frame in its parent's: position [m] and roll, pitch, yaw [rad] about the parent's fixed x, y, z (as URDF)."""

    xyz: Vec3 = (0.0, 0.0, 0.0)
    rpy: Vec3 = (0.0, 0.0, 0.0)

    @property
    def quat_wxyz(self) -> tuple[float, float, float, float]:
        """The rotation as a unit quaternion."""
        (cr, sr), (cp, sp), (cy, sy) = ((math.cos(a / 2), math.sin(a / 2)) for a in self.rpy)
        return (
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        )


@dataclass(frozen=True, slots=True)
class Box:
    """Half sizes [m] along x, y, z."""

    half: Vec3
    pose: Pose = Pose()


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """Radii [m] along x, y, z. URDF has none: it is written there as a sphere of the mean radius."""

    radii: Vec3
    pose: Pose = Pose()


@dataclass(frozen=True, slots=True)
class Capsule:
    """Between two points [m]. URDF has none: it is written there as a cylinder between two spheres."""

    start: Vec3
    end: Vec3
    radius: float


@dataclass(frozen=True, slots=True)
class Cylinder:
    """Flat-ended, between two points [m]."""

    start: Vec3
    end: Vec3
    radius: float


Shape = Box | Ellipsoid | Capsule | Cylinder


@dataclass(frozen=True, slots=True)
class Inertial:
    """Mass [kg], centre of mass [m], principal moments [kg m^2] along the link's axes."""

    mass: float
    com: Vec3
    moments: Vec3

    @classmethod
    def of_box(cls, mass: float, com: Vec3, size: Vec3) -> Inertial:
        """A uniform box of full `size` [m] around `com`: close enough for limbs that stand along an axis."""
        x, y, z = (length * length for length in size)
        return cls(mass, com, (mass * (y + z) / 12, mass * (x + z) / 12, mass * (x + y) / 12))


@dataclass(frozen=True, slots=True)
class Joint:
    """The hinge between a link and its parent. `axis` is in the link's frame; limits come from JointSpace."""

    name: str
    axis: Vec3
    drive: str  # key of the drive table: gains, armature, torque


@dataclass(frozen=True, slots=True)
class Site:
    """A named frame on a link."""

    name: str
    pose: Pose = Pose()


@dataclass(frozen=True, slots=True)
class Camera:
    """Looks along the link's +x with +z up. `fovy_deg` is the vertical field of view."""

    name: str
    xyz: Vec3
    fovy_deg: float
    pitch: float = 0.0  # [rad], positive looks down


@dataclass(frozen=True, slots=True)
class Link:
    """A rigid body. `joint` None welds it to its parent.

    Attributes:
        pose: frame in the parent's at joint position 0.
        visuals: (shape, material) pairs, seen and never touched.
        collisions: shapes that touch, of class `touch` ("body", "left_hand", "right_hand").
    """

    name: str
    pose: Pose
    inertial: Inertial
    joint: Joint | None = None
    visuals: tuple[tuple[Shape, str], ...] = ()
    collisions: tuple[Shape, ...] = ()
    touch: str = "body"
    sites: tuple[Site, ...] = ()
    cameras: tuple[Camera, ...] = ()
    children: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Drive:
    """A joint's motor as the robot's driver presents it: position control with damping.

    Attributes:
        stiffness: [Nm/rad]. damping: [Nm s/rad], of the controller. torque: limit [Nm].
        armature: inertia of the rotor seen at the joint [kg m^2]. friction: passive damping [Nm s/rad].
    """

    stiffness: float
    damping: float
    torque: float
    armature: float
    friction: float


@dataclass(frozen=True, slots=True)
class Robot:
    """A whole robot: `base` is welded to the world."""

    name: str
    note: str
    base: Link
    drives: dict[str, Drive]
    materials: dict[str, tuple[float, float, float, float]]
    # Pairs of links whose shapes overlap by design and must not push each other.
    excluded: tuple[tuple[str, str], ...] = field(default=())

    def links(self) -> list[Link]:
        """All links, parents first, depth first."""
        found: list[Link] = []
        pending = [self.base]
        while pending:
            link = pending.pop()
            found.append(link)
            pending.extend(reversed(link.children))
        return found
