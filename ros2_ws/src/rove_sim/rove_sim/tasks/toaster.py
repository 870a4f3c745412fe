"""Bread into the toaster: take the slice out of its rack and put it into a tight slot.

Stages: 0 start, 1 slice in hand, 2 slice above a slot, 3 inserted, at rest and let go (success).
Frames: the toaster's origin lies in the middle of its underside, z up, slots along y, one behind the other along x
(away from the robot). A slice's origin is its middle, x through its thickness, z up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco
import numpy as np
import numpy.typing as npt

from rove_sim.poses import inverse, rotation_z, to_scene, transform
from rove_sim.scene import Pose
from rove_sim.tasks.task import (
    OBJECT_BITS,
    ROOM_BITS,
    SEEN_ONLY,
    SOFT_CONTACT,
    TABLE_TOP_M,
    Start,
    Task,
    body_pose,
    mocap_pose,
    out_of_reach,
    set_free_pose,
    set_mocap_pose,
)

FloatArray = npt.NDArray[np.float64]
Box = mujoco.mjtGeom.mjGEOM_BOX

BREAD = "bread"
TOASTER = "toaster"
RACK = "rack"

# Half sizes of a slice (thickness, width, height).
SLICE_M = (0.006, 0.050, 0.060)
BREAD_KG = 0.05
# A slot is this much wider and longer than the slice, each side.
CLEARANCE_M = 0.007
TOASTER_HEIGHT_M = 0.125
SLOT_DEPTH_M = 0.075
SLOT_X_M = (-0.030, 0.030)  # the middles of the slots in the toaster's frame
TOASTER_HALF_M = (0.068, 0.085)  # half depth and half width of the housing
RIM_M = 0.012  # height of the widening at the top of a slot
RIM_GAP_M = 0.003  # how much wider the slot is there, each side

TOASTER_CENTRE_M = (0.43, -0.10)
TOASTER_JITTER_M = (0.015, 0.02)
TOASTER_YAW_RAD = np.deg2rad(6.0)
RACK_CENTRE_M = (0.40, -0.36)
RACK_JITTER_M = (0.015, 0.015)
RACK_GAP_M = 0.0085  # half the gap between the walls of the rack
RACK_WALL_M = 0.022  # half the height of a wall
RACK_FLOOR_M = 0.006

# Inserted: the lower edge is at least so deep below the rim; at rest for so long, slower than this.
INSERTED_M = 0.050
REST_S = 0.5
REST_MPS = 0.02

# Where fingers grip, in the palm frame, and how far below the upper edge of the slice that is.
GRIP_M = (0.085, 0.0, -0.032)
GRIP_BELOW_EDGE_M = 0.012


def slot_pose(T_base_toaster: FloatArray, slot: int) -> FloatArray:
    """T_base_slot: the middle of the opening of slot 0 (near the robot) or 1, axes like a slice's, shape (4, 4)."""
    return T_base_toaster @ transform([SLOT_X_M[slot], 0.0, TOASTER_HEIGHT_M])


def slice_in_slot(T_base_toaster: FloatArray, slot: int, depth_m: float) -> FloatArray:
    """T_base_bread with its lower edge `depth_m` below the opening; negative is above it, shape (4, 4)."""
    return slot_pose(T_base_toaster, slot) @ transform([0.0, 0.0, SLICE_M[2] - depth_m])


class Toaster(Task):
    """See the module's docstring."""

    NAME: ClassVar[str] = "toaster"
    INSTRUCTION: ClassVar[str] = "put the bread into the toaster"
    STAGES: ClassVar[int] = 4
    # Palm down over the slice, fingers in front of it.
    OBJECTS: ClassVar[Mapping[str, FloatArray]] = {
        BREAD: transform([-GRIP_M[0], -GRIP_M[1], SLICE_M[2] - GRIP_BELOW_EDGE_M - GRIP_M[2]]),
    }

    def __init__(self) -> None:
        self._stage = 0
        self._rest_s = 0.0
        self._failed = ""
        self._T_base_toaster = np.eye(4)

    def build(self, spec: mujoco.MjSpec) -> None:
        self._build_toaster(spec)
        self._build_rack(spec)
        bread = spec.worldbody.add_body(name=BREAD)
        bread.add_freejoint(name=BREAD)
        x, y, z = SLICE_M
        crumb = {"type": Box, "mass": BREAD_KG, "rgba": [0.87, 0.66, 0.36, 1.0], "friction": [0.35, 0.002, 0.0001]}
        bread.add_geom(size=[x, y, z], **crumb, **OBJECT_BITS, **SOFT_CONTACT)
        crust = {"type": Box, "mass": 0.0, "rgba": [0.50, 0.27, 0.09, 1.0], **SEEN_ONLY}
        for side in (-1, 1):
            bread.add_geom(size=[x + 0.0004, 0.005, z], pos=[0, side * (y - 0.0046), 0], **crust)
            bread.add_geom(size=[x + 0.0004, y, 0.005], pos=[0, 0, side * (z - 0.0046)], **crust)

    def _build_toaster(self, spec: mujoco.MjSpec) -> None:
        toaster = spec.worldbody.add_body(name=TOASTER, mocap=True)
        steel = {
            "type": Box,
            "rgba": [0.66, 0.69, 0.74, 1.0],
            "friction": [0.2, 0.002, 0.0001],
            **ROOM_BITS,
            **SOFT_CONTACT,
        }
        half_x, half_y = TOASTER_HALF_M
        gap_x, gap_y = SLICE_M[0] + CLEARANCE_M, SLICE_M[1] + CLEARANCE_M
        floor = (TOASTER_HEIGHT_M - SLOT_DEPTH_M) / 2.0
        toaster.add_geom(size=[half_x, half_y, floor], pos=[0, 0, floor], **steel)
        # Upright walls along y around the slots, thinner in their uppermost part: the rim is wider than the slot.
        edges = [-half_x, SLOT_X_M[0] - gap_x, SLOT_X_M[0] + gap_x, SLOT_X_M[1] - gap_x, SLOT_X_M[1] + gap_x, half_x]
        body = (2 * floor, TOASTER_HEIGHT_M - RIM_M)
        rim = (TOASTER_HEIGHT_M - RIM_M, TOASTER_HEIGHT_M)
        for (low, high), give in ((body, 0.0), (rim, RIM_GAP_M)):
            middle, half_z = (low + high) / 2.0, (high - low) / 2.0
            for number in range(3):
                left = edges[2 * number] + (give if number > 0 else 0.0)
                right = edges[2 * number + 1] - (give if number < 2 else 0.0)
                toaster.add_geom(
                    size=[(right - left) / 2, half_y, half_z], pos=[(left + right) / 2, 0, middle], **steel
                )
            for side in (-1, 1):
                inner = gap_y + give
                toaster.add_geom(
                    size=[half_x, (half_y - inner) / 2, half_z], pos=[0, side * (half_y + inner) / 2, middle], **steel
                )
        dark = {"type": Box, "rgba": [0.06, 0.05, 0.05, 1.0], **SEEN_ONLY}
        for x in SLOT_X_M:
            toaster.add_geom(size=[gap_x, gap_y, 0.001], pos=[x, 0, 2 * floor], **dark)
            for side in (-1, 1):
                toaster.add_geom(
                    size=[0.0006, gap_y, SLOT_DEPTH_M / 2 - 0.004],
                    pos=[x + side * gap_x, 0, 2 * floor + SLOT_DEPTH_M / 2 - 0.004],
                    **dark,
                )
        trim = {"type": Box, "rgba": [0.75, 0.10, 0.10, 1.0], **SEEN_ONLY}
        toaster.add_geom(size=[half_x + 0.001, half_y + 0.001, 0.010], pos=[0, 0, 0.014], **trim)
        toaster.add_geom(size=[0.010, 0.008, 0.006], pos=[0.0, -half_y - 0.006, 0.080], **trim)

    def _build_rack(self, spec: mujoco.MjSpec) -> None:
        rack = spec.worldbody.add_body(name=RACK, mocap=True)
        wood = {
            "type": Box,
            "rgba": [0.25, 0.45, 0.50, 1.0],
            "friction": [0.3, 0.002, 0.0001],
            **ROOM_BITS,
            **SOFT_CONTACT,
        }
        rack.add_geom(size=[0.045, 0.065, RACK_FLOOR_M / 2], pos=[0, 0, RACK_FLOOR_M / 2], **wood)
        for side in (-1, 1):
            rack.add_geom(
                size=[0.004, 0.058, RACK_WALL_M],
                pos=[side * (RACK_GAP_M + 0.004), 0, RACK_FLOOR_M + RACK_WALL_M],
                **wood,
            )
            rack.add_geom(
                size=[0.020, 0.004, 0.010], pos=[0, side * (SLICE_M[1] + 0.010), RACK_FLOOR_M + 0.010], **wood
            )

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator, start_stage: int) -> Start:
        self._stage, self._rest_s, self._failed = start_stage, 0.0, ""
        at = np.array(TOASTER_CENTRE_M) + rng.uniform(-1.0, 1.0, 2) * TOASTER_JITTER_M
        yaw = rng.uniform(-TOASTER_YAW_RAD, TOASTER_YAW_RAD)
        self._T_base_toaster = transform([*at, TABLE_TOP_M], rotation_z(yaw))
        set_mocap_pose(model, data, TOASTER, self._T_base_toaster)
        rack = transform([*(np.array(RACK_CENTRE_M) + rng.uniform(-1.0, 1.0, 2) * RACK_JITTER_M), TABLE_TOP_M])
        set_mocap_pose(model, data, RACK, rack)
        in_rack = rack @ transform([0.0, 0.0, RACK_FLOOR_M + SLICE_M[2] + 0.0005])
        if start_stage == 0:
            set_free_pose(data, BREAD, in_rack)
            return Start()
        above_rack = in_rack @ transform([0.0, 0.0, 0.10])
        T_base_bread = above_rack if start_stage == 1 else slice_in_slot(self._T_base_toaster, 0, -0.04)
        set_free_pose(data, BREAD, T_base_bread)
        return Start(T_base_bread @ self.OBJECTS[BREAD], BREAD)

    def update(self, data: mujoco.MjData, held: frozenset[str], dt_s: float) -> None:
        pose = body_pose(data, BREAD)
        if out_of_reach(pose[:3, 3]) and BREAD not in held:
            self._failed = "bread dropped"
        speed = float(np.linalg.norm(data.joint(BREAD).qvel[:3]))
        depth = max(self._depth(pose, slot) for slot in range(len(SLOT_X_M)))
        resting = BREAD not in held and depth >= INSERTED_M and speed < REST_MPS
        self._rest_s = self._rest_s + dt_s if resting else 0.0
        if self._rest_s >= REST_S:
            self._stage = 3
        elif BREAD in held:
            self._stage = 2 if any(self._above(pose, slot) for slot in range(len(SLOT_X_M))) else 1
        else:
            self._stage = 2 if depth > 0.0 else 0

    def _lower_edge(self, pose: FloatArray, slot: int) -> FloatArray:
        """Lower corners of the slice in the slot's frame [m], shape (2, 3)."""
        corners = np.array([[0.0, side * SLICE_M[1], -SLICE_M[2], 1.0] for side in (-1.0, 1.0)])
        in_slot = inverse(slot_pose(self._T_base_toaster, slot)) @ pose
        return np.asarray((corners @ in_slot.T)[:, :3])

    def _depth(self, pose: FloatArray, slot: int) -> float:
        """How deep the less deep lower corner is inside the slot [m]; 0 when it is not inside."""
        edge = self._lower_edge(pose, slot)
        inside = np.abs(edge[:, :2]) <= [SLICE_M[0] + CLEARANCE_M, SLICE_M[1] + 2 * CLEARANCE_M]
        return max(float(-edge[:, 2].max()), 0.0) if inside.all() else 0.0

    def _above(self, pose: FloatArray, slot: int) -> bool:
        """Whether the slice is over the slot or already in it."""
        edge = self._lower_edge(pose, slot)
        return bool(
            np.all(np.abs(edge[:, 0]) < 0.03)
            and np.all(np.abs(edge[:, 1]) < SLICE_M[1] + 0.03)
            and edge[:, 2].max() < 0.10
        )

    @property
    def stage(self) -> int:
        return self._stage

    @property
    def failed(self) -> str:
        return self._failed

    def poses(self, data: mujoco.MjData) -> dict[str, Pose]:
        return {
            BREAD: to_scene(body_pose(data, BREAD)),
            TOASTER: to_scene(self._T_base_toaster),
            RACK: to_scene(mocap_pose(data.model, data, RACK)),
        }
