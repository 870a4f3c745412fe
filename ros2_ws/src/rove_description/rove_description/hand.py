"""The hands of IRON-R01's stand-in: palm, four fingers of three joints, a thumb of three.

In the palm's frame: origin at the wrist, x along the fingers, z out of the back of the hand; the thumb is on the
+y side of the right hand and on the -y side of the left one. The same joint position does the same on both hands:
flexion closes, abduction and opposition are positive towards the thumb's side and into the palm.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from rove_description.tree import Box, Camera, Capsule, Ellipsoid, Inertial, Joint, Link, Pose, Shape, Site, Vec3

# Turns the forearm's axes (hand hanging, palm inwards) into the palm's.
PALM_RPY = {"left": (-math.pi / 2, math.pi / 2, 0.0), "right": (math.pi / 2, math.pi / 2, 0.0)}
# +1 where the thumb is on the +y side of the palm's frame.
_THUMB_SIDE = {"left": -1.0, "right": 1.0}


class Finger(NamedTuple):
    """A finger of the right hand [m]: knuckle in the palm's frame, lengths up to and beyond the middle joint."""

    name: str
    knuckle: Vec3
    proximal: float
    distal: float
    radius: float


# Lengths of an adult's hand; the distal part is both outer phalanges in one.
FINGERS = (
    Finger("index", (0.092, 0.030, 0.0), 0.043, 0.046, 0.0090),
    Finger("middle", (0.095, 0.009, 0.0), 0.047, 0.051, 0.0092),
    Finger("ring", (0.090, -0.012, 0.0), 0.044, 0.047, 0.0088),
    Finger("little", (0.082, -0.032, 0.0), 0.035, 0.038, 0.0080),
)
THUMB_BASE = (0.026, 0.026, -0.008)
THUMB_SPREAD_RAD = 0.8  # between thumb and fingers at opposition 0, in the plane of the palm
THUMB_METACARPAL = 0.044
THUMB_PROXIMAL = 0.036
THUMB_DISTAL = 0.032
THUMB_RADIUS = 0.0105


def palm(side: str) -> Link:
    """The hand of `side` ("left" or "right") from the wrist's last joint on."""
    thumb = _THUMB_SIDE[side]
    wrist_axis = (0.0, thumb, 0.0)  # the forearm's x in the palm's frame
    return Link(
        f"{side}_palm",
        Pose(rpy=PALM_RPY[side]),
        Inertial.of_box(0.42, (0.05, 0, 0), (0.10, 0.085, 0.03)),
        Joint(f"{side}_wrist_roll", wrist_axis, "wrist"),
        visuals=(
            (Box((0.036, 0.038, 0.012), Pose((0.054, -0.001 * thumb, 0.0))), "shell"),
            (Capsule((0.018, -0.012, 0.0), (0.018, 0.012, 0.0), 0.018), "shell"),
            (Capsule((0.088, -0.030 * thumb, 0.0), (0.092, 0.031 * thumb, 0.0), 0.0115), "joint"),
            (Ellipsoid((0.030, 0.017, 0.014), Pose((0.045, 0.026 * thumb, -0.008), (0, 0, 0.5 * thumb))), "panel"),
            (Box((0.016, 0.018, 0.002), Pose((0.056, 0, 0.0125))), "accent"),
        ),
        collisions=(Box((0.043, 0.040, 0.013), Pose((0.049, 0.0, 0.0))),),
        touch=f"{side}_hand",
        sites=(Site(f"{side}_palm_site"),),
        # Below the wrist on the palm's side, looking along the fingers.
        cameras=(Camera(f"{side}_wrist", (0.0, 0.0, -0.05), 90.0, -0.1),),
        children=(_thumb(side, thumb), *(_finger(side, thumb, finger) for finger in FINGERS)),
    )


def _finger(side: str, thumb: float, finger: Finger) -> Link:
    x, y, z = finger.knuckle
    distal = _phalanx(
        f"{side}_{finger.name}_distal",
        Pose((finger.proximal, 0, 0)),
        Joint(f"{side}_{finger.name}_distal", (0, 1, 0), "finger"),
        finger.distal,
        finger.radius * 0.92,
        0.02,
        tip=f"{side}_{finger.name}_tip",
    )
    proximal = _phalanx(
        f"{side}_{finger.name}_proximal",
        Pose(),
        Joint(f"{side}_{finger.name}_proximal", (0, 1, 0), "finger"),
        finger.proximal,
        finger.radius,
        0.03,
        children=(distal,),
    )
    return Link(
        f"{side}_{finger.name}_knuckle",
        Pose((x, thumb * y, z)),
        Inertial(0.01, (0, 0, 0), (2e-6, 2e-6, 2e-6)),
        Joint(f"{side}_{finger.name}_abduction", (0, 0, thumb), "finger"),
        children=(proximal,),
    )


def _thumb(side: str, thumb: float) -> Link:
    flexion = (0.0, 0.0, -thumb)
    distal = _phalanx(
        f"{side}_thumb_distal",
        Pose((THUMB_PROXIMAL, 0, 0)),
        Joint(f"{side}_thumb_distal", flexion, "finger"),
        THUMB_DISTAL,
        THUMB_RADIUS * 0.92,
        0.02,
        tip=f"{side}_thumb_tip",
    )
    proximal = _phalanx(
        f"{side}_thumb_proximal",
        Pose((THUMB_METACARPAL, 0, 0)),
        Joint(f"{side}_thumb_proximal", flexion, "finger"),
        THUMB_PROXIMAL,
        THUMB_RADIUS,
        0.03,
        children=(distal,),
    )
    # Opposition turns about the palm's x axis, which the thumb's own frame sees at its spread.
    c, s = math.cos(THUMB_SPREAD_RAD), math.sin(THUMB_SPREAD_RAD)
    return _phalanx(
        f"{side}_thumb_base",
        Pose((THUMB_BASE[0], thumb * THUMB_BASE[1], THUMB_BASE[2]), (0, 0, thumb * THUMB_SPREAD_RAD)),
        Joint(f"{side}_thumb_opposition", (-thumb * c, s, 0.0), "finger"),
        THUMB_METACARPAL,
        THUMB_RADIUS * 1.1,
        0.04,
        children=(proximal,),
    )


def _phalanx(
    name: str,
    pose: Pose,
    joint: Joint,
    length: float,
    radius: float,
    mass: float,
    tip: str | None = None,
    children: tuple[Link, ...] = (),
) -> Link:
    """A finger bone along x. The site of a fingertip is on its surface's end."""
    end = length - radius if tip else length - 0.3 * radius
    bone = Capsule((0.004, 0, 0), (end, 0, 0), radius)
    visuals: tuple[tuple[Shape, str], ...] = (
        (Capsule((0.3 * radius, 0, 0), (end, 0, 0), radius), "shell"),
        (Ellipsoid((radius * 1.08,) * 3), "joint"),
    )
    if tip:
        visuals += ((Ellipsoid((radius * 1.15, radius * 0.9, radius * 0.9), Pose((end - 0.001, 0, 0))), "joint"),)
    return Link(
        name,
        pose,
        # Fingers are thicker in the simulation's inertia than in life: light bodies make stiff joints ring.
        Inertial.of_box(mass, (length / 2, 0, 0), (length, 2.2 * radius, 2.2 * radius)),
        joint,
        visuals=visuals,
        collisions=(bone,),
        touch=f"{name.split('_')[0]}_hand",
        sites=(Site(tip, Pose((length, 0, 0))),) if tip else (),
        children=children,
    )
