"""Writes a robot as MJCF for MuJoCo: bodies, actuators, sites, cameras, collision classes."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element

from rove_core.joint_space import JointSpace
from rove_description.tree import Box, Camera, Capsule, Cylinder, Ellipsoid, Link, Pose, Robot, Shape
from rove_description.xml_text import add, document

TIMESTEP_S = 0.002
OFFSCREEN_SIZE = (640, 480)

# What touches what (contype, conaffinity). A hand touches the body, the other hand, and anything of MuJoCo's
# default class (1, 1), never its own fingers: those would ring against each other in every fist.
TOUCH = {"body": (1, 1), "left_hand": (2, 5), "right_hand": (4, 3)}

# Groups that viewers switch: 2 is drawn by default, 3 is not.
_VISUAL_GROUP, _COLLISION_GROUP = 2.0, 3.0


def mjcf(robot: Robot, space: JointSpace) -> str:
    """The robot as MJCF text; joint limits are those of `space`, actuators stand in its order."""
    root = Element("mujoco", model=robot.name)
    add(root, "compiler", angle="radian", autolimits="true")
    add(root, "option", timestep=TIMESTEP_S, integrator="implicitfast")
    visual = add(root, "visual")
    add(visual, "global", offwidth=OFFSCREEN_SIZE[0], offheight=OFFSCREEN_SIZE[1])
    # Shadows and multisampling cost ten times the rest of a picture on a machine without a GPU.
    add(visual, "quality", offsamples=0, shadowsize=0)
    _defaults(root, robot)
    asset = add(root, "asset")
    for name, rgba in robot.materials.items():
        add(asset, "material", name=name, rgba=rgba, specular=0.4, shininess=0.5)
    _body(add(root, "worldbody"), robot.base, space)
    contact = add(root, "contact")
    for first, second in robot.excluded:
        add(contact, "exclude", body1=first, body2=second)
    _actuators(root, robot, space)
    return document(root, robot.note)


def _defaults(root: Element, robot: Robot) -> None:
    top = add(root, "default")
    visual = add(top, "default", class_="visual")
    add(visual, "geom", contype=0, conaffinity=0, group=_VISUAL_GROUP, mass=0)
    for name, (contype, conaffinity) in TOUCH.items():
        touch = add(top, "default", class_=name)
        # Fingertips are rubber: more grip, and torsion so that a held thing does not spin.
        friction = (0.8, 0.005, 0.0001) if name == "body" else (1.4, 0.02, 0.0005)
        condim = 3 if name == "body" else 4
        add(
            touch,
            "geom",
            contype=contype,
            conaffinity=conaffinity,
            group=_COLLISION_GROUP,
            mass=0,
            condim=condim,
            friction=friction,
        )
    for name, drive in robot.drives.items():
        kind = add(top, "default", class_=name)
        add(kind, "joint", armature=drive.armature, damping=drive.friction)
        torque = (-drive.torque, drive.torque)
        add(kind, "position", kp=drive.stiffness, kv=drive.damping, forcerange=torque)


def _body(parent: Element, link: Link, space: JointSpace) -> None:
    body = add(parent, "body", name=link.name, pos=link.pose.xyz, **_turn(link.pose), gravcomp=1)
    inertial = link.inertial
    add(body, "inertial", pos=inertial.com, mass=inertial.mass, diaginertia=inertial.moments)
    if link.joint:
        index = space.index(link.joint.name)
        limits = (space.lower[index], space.upper[index])
        add(body, "joint", name=link.joint.name, class_=link.joint.drive, axis=link.joint.axis, range=limits)
    for shape, material in link.visuals:
        _geom(body, shape, class_="visual", material=material)
    for number, shape in enumerate(link.collisions):
        suffix = f"_{number}" if len(link.collisions) > 1 else ""
        _geom(body, shape, class_=link.touch, name=f"{link.name}_collision{suffix}")
    for site in link.sites:
        add(body, "site", name=site.name, pos=site.pose.xyz, **_turn(site.pose), size=[0.004], group=4)
    for camera in link.cameras:
        _camera(body, camera)
    for child in link.children:
        _body(body, child, space)


def _turn(pose: Pose) -> dict[str, tuple[float, ...]]:
    return {} if pose.rpy == (0.0, 0.0, 0.0) else {"quat": pose.quat_wxyz}


def _geom(body: Element, shape: Shape, **attributes: str) -> None:
    if isinstance(shape, Box):
        add(body, "geom", **attributes, type="box", pos=shape.pose.xyz, **_turn(shape.pose), size=shape.half)
    elif isinstance(shape, Ellipsoid):
        round_ = len(set(shape.radii)) == 1
        size = shape.radii[:1] if round_ else shape.radii
        kind = "sphere" if round_ else "ellipsoid"
        add(body, "geom", **attributes, type=kind, pos=shape.pose.xyz, **_turn(shape.pose), size=size)
    elif isinstance(shape, Capsule | Cylinder):
        kind = "capsule" if isinstance(shape, Capsule) else "cylinder"
        add(body, "geom", **attributes, type=kind, fromto=(*shape.start, *shape.end), size=[shape.radius])


def _camera(body: Element, camera: Camera) -> None:
    # MuJoCo's cameras look along -z with +y up: image x is the link's -y, image y is up, tilted by the pitch.
    up = (math.sin(camera.pitch), 0.0, math.cos(camera.pitch))
    add(body, "camera", name=camera.name, pos=camera.xyz, xyaxes=(0.0, -1.0, 0.0, *up), fovy=camera.fovy_deg)


def _actuators(root: Element, robot: Robot, space: JointSpace) -> None:
    kinds = {link.joint.name: link.joint.drive for link in robot.links() if link.joint}
    actuator = add(root, "actuator")
    for index, name in enumerate(space.names):
        limits = (space.lower[index], space.upper[index])
        add(actuator, "position", name=name, joint=name, class_=kinds[name], ctrlrange=limits)
