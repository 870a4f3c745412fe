"""The one source of IRON-R01's stand-in: a torso, head, two arms and two 15-joint hands of human size.

The real robot's model is not public. Everything here is a primitive shape and a human proportion. Limits and
names of the joints are not here: they come from rove_core/robots/iron_r01.yaml.

At joint positions 0 the robot stands upright, arms hanging, palms facing the thighs. Frames of all links but
the hands then have the base's axes (x forward, y left, z up). A palm's frame is its site's: origin at the wrist,
x along the fingers, z out of the back of the hand.
"""

from __future__ import annotations

from rove_description.hand import palm
from rove_description.tree import (
    Box,
    Camera,
    Capsule,
    Cylinder,
    Drive,
    Ellipsoid,
    Inertial,
    Joint,
    Link,
    Pose,
    Robot,
    Site,
)

# Lengths [m] of a person of about 1.70 m. Heights are above the pelvis, which is .95 above the floor.
PELVIS_HEIGHT = 0.95
WAIST_HEIGHT = 0.12
SHOULDER_HEIGHT = 0.48
SHOULDER_HALF_WIDTH = 0.19
NECK_HEIGHT = 0.54
HEAD_HEIGHT = 0.60  # the point about which the head nods
EYE_HEIGHT = 0.70
UPPER_ARM = 0.29
FOREARM = 0.26

# Gains: stiffness = I w^2 and damping = 2 I w with w = 110 to 150 rad/s and I the joint's inertia at home plus
# armature: critically damped, and 1 Hz lags by 2 / w = 13 to 18 ms. Torques are a strong person's.
DRIVES = {
    "waist": Drive(stiffness=30000.0, damping=540.0, torque=400.0, armature=0.5, friction=2.0),
    "head": Drive(stiffness=900.0, damping=14.0, torque=40.0, armature=0.02, friction=0.2),
    "shoulder": Drive(stiffness=5200.0, damping=88.0, torque=150.0, armature=0.1, friction=0.5),
    "elbow": Drive(stiffness=1900.0, damping=31.0, torque=90.0, armature=0.05, friction=0.3),
    "wrist": Drive(stiffness=320.0, damping=4.6, torque=25.0, armature=0.01, friction=0.05),
    "finger": Drive(stiffness=12.0, damping=0.16, torque=2.5, armature=0.0005, friction=0.005),
}

MATERIALS = {
    "shell": (0.86, 0.87, 0.89, 1.0),
    "panel": (0.72, 0.74, 0.77, 1.0),
    "joint": (0.13, 0.14, 0.16, 1.0),
    "visor": (0.04, 0.05, 0.07, 1.0),
    "accent": (0.10, 0.45, 0.95, 1.0),
}

# A link that only carries a joint: light, with enough inertia to be a body.
_KNUCKLE = Inertial(0.05, (0.0, 0.0, 0.0), (5e-5, 5e-5, 5e-5))


def build() -> Robot:
    """The robot."""
    excluded = [("pelvis", "torso"), ("torso", "head")]
    for side in ("left", "right"):
        excluded += [
            ("torso", f"{side}_upper_arm"),
            ("pelvis", f"{side}_upper_arm"),
            (f"{side}_upper_arm", f"{side}_wrist_yaw_link"),
            (f"{side}_forearm", f"{side}_palm"),
            (f"{side}_wrist_yaw_link", f"{side}_palm"),
        ]
    return Robot(
        name="iron_r01",
        note="Stand-in for IRON-R01, whose model is not public: primitive shapes, human proportions.",
        base=_pelvis(),
        drives=DRIVES,
        materials=MATERIALS,
        excluded=tuple(excluded),
    )


def _pelvis() -> Link:
    pitch = Link(
        "waist_pitch_link",
        Pose((0.0, 0.0, 0.04)),
        _KNUCKLE,
        Joint("waist_pitch", (0, 1, 0), "waist"),
        children=(_torso(),),
    )
    yaw = Link(
        "waist_yaw_link",
        Pose((0.0, 0.0, WAIST_HEIGHT - 0.04)),
        Inertial.of_box(2.0, (0, 0, 0), (0.15, 0.15, 0.08)),
        Joint("waist_yaw", (0, 0, 1), "waist"),
        visuals=((Cylinder((0, 0, -0.03), (0, 0, 0.06), 0.085), "joint"),),
        children=(pitch,),
    )
    return Link(
        "pelvis",
        Pose(),
        Inertial.of_box(12.0, (0, 0, -0.02), (0.2, 0.3, 0.18)),
        visuals=(
            (Ellipsoid((0.11, 0.165, 0.085), Pose((0.0, 0.0, -0.01))), "shell"),
            (Box((0.010, 0.035, 0.007), Pose((0.102, 0, 0.005))), "accent"),
            *_legs(),
        ),
        collisions=(Capsule((0, -0.08, -0.01), (0, 0.08, -0.01), 0.085),),
        children=(yaw,),
    )


def _legs() -> list[tuple[Capsule | Cylinder | Ellipsoid | Box, str]]:
    """Legs to look at: this robot's are parked and nothing collides with them."""
    shapes: list[tuple[Capsule | Cylinder | Ellipsoid | Box, str]] = []
    for side in (1.0, -1.0):
        y = 0.095 * side
        shapes += [
            (Ellipsoid((0.075, 0.075, 0.075), Pose((0, y, -0.07))), "joint"),
            (Capsule((0.005, y, -0.14), (0.015, y, -0.42), 0.068), "shell"),
            (Cylinder((0.012, y - 0.062 * side, -0.50), (0.012, y + 0.062 * side, -0.50), 0.052), "joint"),
            (Capsule((0.01, y, -0.57), (0.0, y, -0.82), 0.05), "shell"),
            (Box((0.053, 0.012, 0.10), Pose((0.012, y, -0.68), (0, -0.04, 0))), "accent"),
            (Ellipsoid((0.045, 0.045, 0.045), Pose((0.0, y, -0.87))), "joint"),
            (Capsule((-0.045, y, -0.915), (0.12, y, -0.922), 0.028), "panel"),
            (Box((0.105, 0.040, 0.010), Pose((0.04, y, -0.94))), "joint"),
        ]
    return shapes


def _torso() -> Link:
    chest = SHOULDER_HEIGHT - WAIST_HEIGHT - 0.09
    return Link(
        "torso",
        Pose(),
        Inertial.of_box(22.0, (0, 0, 0.2), (0.2, 0.3, 0.4)),
        Joint("waist_roll", (1, 0, 0), "waist"),
        visuals=(
            (Capsule((0, -0.035, 0.02), (0, 0.035, 0.02), 0.088), "joint"),
            (Ellipsoid((0.088, 0.118, 0.12), Pose((0, 0, 0.10))), "panel"),
            # A chest that narrows downwards, and the yoke that carries the shoulders.
            (Capsule((0.012, -0.068, chest + 0.035), (0.012, 0.068, chest + 0.035), 0.098), "shell"),
            (Ellipsoid((0.110, 0.148, 0.165), Pose((0.004, 0, chest - 0.005))), "shell"),
            (Capsule((-0.005, -0.12, chest + 0.085), (-0.005, 0.12, chest + 0.085), 0.058), "shell"),
            (Box((0.012, 0.052, 0.028), Pose((0.10, 0, chest + 0.045))), "joint"),
            (Box((0.012, 0.044, 0.008), Pose((0.103, 0, chest + 0.045))), "accent"),
            (Box((0.035, 0.095, 0.12), Pose((-0.085, 0, chest + 0.01))), "panel"),
        ),
        collisions=(
            Capsule((0, -0.085, chest + 0.03), (0, 0.085, chest + 0.03), 0.095),
            Capsule((0, -0.05, 0.10), (0, 0.05, 0.10), 0.09),
        ),
        children=(_neck(), _shoulder("left", 1.0), _shoulder("right", -1.0)),
    )


def _neck() -> Link:
    pitch = Link(
        "head_pitch_link",
        Pose((0, 0, HEAD_HEIGHT - NECK_HEIGHT)),
        _KNUCKLE,
        Joint("head_pitch", (0, 1, 0), "head"),
        children=(_head(),),
    )
    return Link(
        "neck",
        Pose((0, 0, NECK_HEIGHT - WAIST_HEIGHT)),
        Inertial.of_box(0.8, (0, 0, 0.02), (0.09, 0.09, 0.1)),
        Joint("head_yaw", (0, 0, 1), "head"),
        visuals=((Cylinder((0, 0, -0.06), (0, 0, 0.07), 0.048), "joint"),),
        children=(pitch,),
    )


def _head() -> Link:
    eyes = EYE_HEIGHT - HEAD_HEIGHT
    return Link(
        "head",
        Pose(),
        Inertial.of_box(3.8, (0.01, 0, 0.09), (0.19, 0.15, 0.22)),
        Joint("head_roll", (1, 0, 0), "head"),
        visuals=(
            (Ellipsoid((0.098, 0.078, 0.118), Pose((0.0, 0, 0.10))), "shell"),
            (Ellipsoid((0.060, 0.068, 0.070), Pose((0.046, 0, eyes))), "visor"),
            (Ellipsoid((0.060, 0.050, 0.045), Pose((0.02, 0, 0.02))), "panel"),
            *(
                shape
                for side in (1.0, -1.0)
                for shape in (
                    (Cylinder((0, 0.068 * side, eyes), (0, 0.084 * side, eyes), 0.032), "joint"),
                    (Cylinder((0, 0.083 * side, eyes), (0, 0.087 * side, eyes), 0.02), "accent"),
                    (Ellipsoid((0.008, 0.012, 0.012), Pose((0.099, 0.026 * side, eyes + 0.006))), "accent"),
                )
            ),
        ),
        collisions=(Ellipsoid((0.11, 0.11, 0.11), Pose((0.005, 0, 0.10))),),
        sites=(Site("head_site", Pose((0.0, 0, eyes))),),
        # Just in front of the visor, so that the head does not hide the view; tilted to the table in front.
        cameras=(Camera("head", (0.112, 0, eyes), 75.0, 0.4),),
    )


def _shoulder(side: str, sign: float) -> Link:
    roll = Link(
        f"{side}_shoulder_roll_link",
        Pose(),
        _KNUCKLE,
        Joint(f"{side}_shoulder_roll", (1, 0, 0), "shoulder"),
        children=(_upper_arm(side, sign),),
    )
    return Link(
        f"{side}_shoulder_pitch_link",
        Pose((0, sign * SHOULDER_HALF_WIDTH, SHOULDER_HEIGHT - WAIST_HEIGHT)),
        Inertial.of_box(0.8, (0, 0, 0), (0.11, 0.08, 0.11)),
        Joint(f"{side}_shoulder_pitch", (0, 1, 0), "shoulder"),
        visuals=((Cylinder((0, -0.045 * sign, 0), (0, 0.012 * sign, 0), 0.052), "joint"),),
        sites=(Site(f"{side}_shoulder_site"),),
        children=(roll,),
    )


def _upper_arm(side: str, sign: float) -> Link:
    return Link(
        f"{side}_upper_arm",
        Pose(),
        Inertial.of_box(2.1, (0, 0, -0.45 * UPPER_ARM), (0.085, 0.085, UPPER_ARM)),
        Joint(f"{side}_shoulder_yaw", (0, 0, 1), "shoulder"),
        visuals=(
            (Ellipsoid((0.062, 0.058, 0.066), Pose((0, 0.012 * sign, 0.0))), "shell"),
            (Capsule((0, 0.004 * sign, -0.07), (0, 0, -UPPER_ARM + 0.075), 0.044), "shell"),
            (Cylinder((0, 0.002 * sign, -0.10), (0, 0.002 * sign, -0.112), 0.0455), "accent"),
        ),
        collisions=(Capsule((0, 0, -0.03), (0, 0, -UPPER_ARM + 0.03), 0.045),),
        children=(_forearm(side),),
    )


def _forearm(side: str) -> Link:
    wrist_pitch = Link(
        f"{side}_wrist_pitch_link",
        Pose((0, 0, -FOREARM / 2)),
        _KNUCKLE,
        Joint(f"{side}_wrist_pitch", (0, 1, 0), "wrist"),
        visuals=((Ellipsoid((0.026, 0.026, 0.026)), "joint"),),
        children=(palm(side),),
    )
    wrist_yaw = Link(
        f"{side}_wrist_yaw_link",
        Pose((0, 0, -FOREARM / 2)),
        Inertial.of_box(0.5, (0, 0, -0.05), (0.06, 0.06, 0.12)),
        Joint(f"{side}_wrist_yaw", (0, 0, 1), "wrist"),
        visuals=(
            (Capsule((0, 0, 0.0), (0, 0, -FOREARM / 2 + 0.055), 0.033), "shell"),
            (Cylinder((0, 0, -0.078), (0, 0, -0.088), 0.0335), "accent"),
        ),
        collisions=(Capsule((0, 0, -0.01), (0, 0, -FOREARM / 2 + 0.04), 0.033),),
        children=(wrist_pitch,),
    )
    return Link(
        f"{side}_forearm",
        Pose((0, 0, -UPPER_ARM)),
        Inertial.of_box(0.9, (0, 0, -0.06), (0.075, 0.075, 0.15)),
        Joint(f"{side}_elbow", (0, 1, 0), "elbow"),
        visuals=(
            (Cylinder((0, -0.043, 0), (0, 0.043, 0), 0.04), "joint"),
            (Capsule((0, 0, -0.05), (0, 0, -FOREARM / 2 + 0.02), 0.039), "shell"),
        ),
        collisions=(Capsule((0, 0, -0.02), (0, 0, -FOREARM / 2), 0.039),),
        sites=(Site(f"{side}_elbow_site"),),
        children=(wrist_yaw,),
    )
