"""Writes a robot as URDF: links, joints with limits, inertias, shapes."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element

from rove_core.joint_space import JointSpace
from rove_description.tree import Box, Capsule, Ellipsoid, Link, Pose, Robot, Shape, Site, Vec3
from rove_description.xml_text import add, document


def urdf(robot: Robot, space: JointSpace) -> str:
    """The robot as URDF text; joint limits are those of `space`. Sites become links without mass ("..._site")."""
    root = Element("robot", name=robot.name)
    # MuJoCo's importer would merge welded links otherwise, and with them the frames that sites stand for.
    add(add(root, "mujoco"), "compiler", fusestatic="false", discardvisual="false")
    for name, rgba in robot.materials.items():
        add(add(root, "material", name=name), "color", rgba=rgba)
    add(root, "link", name="base")
    base = add(root, "joint", name="base_to_pelvis", type="fixed")
    add(base, "parent", link="base")
    add(base, "child", link=robot.base.name)
    for link in robot.links():
        _link(root, link)
        for site in link.sites:
            _site(root, link, site)
        for child in link.children:
            _joint(root, link, child, robot, space)
    return document(root, robot.note)


def _link(root: Element, link: Link) -> None:
    element = add(root, "link", name=link.name)
    inertial = add(element, "inertial")
    add(inertial, "origin", xyz=link.inertial.com, rpy=(0, 0, 0))
    add(inertial, "mass", value=link.inertial.mass)
    ixx, iyy, izz = link.inertial.moments
    add(inertial, "inertia", ixx=ixx, ixy=0, ixz=0, iyy=iyy, iyz=0, izz=izz)
    for shape, material in link.visuals:
        for part in _parts(shape):
            _shape(element, "visual", part, material)
    for shape in link.collisions:
        for part in _parts(shape):
            _shape(element, "collision", part, None)


def _joint(root: Element, parent: Link, child: Link, robot: Robot, space: JointSpace) -> None:
    if child.joint is None:
        joint = add(root, "joint", name=f"{child.name}_fixed", type="fixed")
    else:
        joint = add(root, "joint", name=child.joint.name, type="revolute")
    add(joint, "origin", xyz=child.pose.xyz, rpy=child.pose.rpy)
    add(joint, "parent", link=parent.name)
    add(joint, "child", link=child.name)
    if child.joint is None:
        return
    drive = robot.drives[child.joint.drive]
    index = space.index(child.joint.name)
    add(joint, "axis", xyz=child.joint.axis)
    add(
        joint,
        "limit",
        lower=space.lower[index],
        upper=space.upper[index],
        effort=drive.torque,
        velocity=space.max_velocity[index],
    )
    add(joint, "dynamics", damping=drive.friction, friction=0)


def _site(root: Element, link: Link, site: Site) -> None:
    add(root, "link", name=site.name)
    joint = add(root, "joint", name=f"{site.name}_fixed", type="fixed")
    add(joint, "origin", xyz=site.pose.xyz, rpy=site.pose.rpy)
    add(joint, "parent", link=link.name)
    add(joint, "child", link=site.name)


_Part = tuple[str, dict[str, float | Vec3], Pose]


def _parts(shape: Shape) -> list[_Part]:
    """The shape in URDF's words: (tag, attributes, pose)."""
    if isinstance(shape, Box):
        x, y, z = shape.half
        return [("box", {"size": (2 * x, 2 * y, 2 * z)}, shape.pose)]
    if isinstance(shape, Ellipsoid):
        return [("sphere", {"radius": math.prod(shape.radii) ** (1 / 3)}, shape.pose)]
    direction = [b - a for a, b in zip(shape.start, shape.end, strict=True)]
    length = math.sqrt(sum(d * d for d in direction))
    x, y, z = ((a + b) / 2 for a, b in zip(shape.start, shape.end, strict=True))
    tilt = Pose((x, y, z), (0.0, math.acos(direction[2] / length), math.atan2(direction[1], direction[0])))
    parts: list[_Part] = [("cylinder", {"radius": shape.radius, "length": length}, tilt)]
    if isinstance(shape, Capsule):
        parts += [("sphere", {"radius": shape.radius}, Pose(point)) for point in (shape.start, shape.end)]
    return parts


def _shape(element: Element, role: str, part: _Part, material: str | None) -> None:
    tag, attributes, pose = part
    holder = add(element, role)
    add(holder, "origin", xyz=pose.xyz, rpy=pose.rpy)
    add(add(holder, "geometry"), tag, **attributes)
    if material:
        add(holder, "material", name=material)
