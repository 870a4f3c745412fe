"""Erase the whiteboard: take the eraser from its tray and wipe the marks off the board.

Stages: 0 start, 1 eraser in hand, 2 half of the marks gone, 3 all gone (success).
Frames: the board's origin lies in the middle of its surface, x to the robot's right, y up the slope, z out of
the surface. The eraser's origin is the centre of its block; z goes from the wiping face to the handle, y along
the long side and the handle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import mujoco
import numpy as np
import numpy.typing as npt

from rove_sim.poses import inverse, rotation_y, to_quaternion, to_scene, transform
from rove_sim.scene import Mark, Pose
from rove_sim.tasks.task import (
    OBJECT_BITS,
    ROOM_BITS,
    SEEN_ONLY,
    SOFT_CONTACT,
    TABLE_TOP_M,
    Start,
    Task,
    body_pose,
    out_of_reach,
    set_free_pose,
    set_mocap_pose,
)

FloatArray = npt.NDArray[np.float64]
Box = mujoco.mjtGeom.mjGEOM_BOX
Cylinder = mujoco.mjtGeom.mjGEOM_CYLINDER

ERASER = "eraser"

# The board: steep enough to be a board, tilted back so that a palm reaches it with a bent wrist.
TILT_RAD = np.deg2rad(65.0)
BOARD_SIZE_M = (0.56, 0.36)
BOARD_CENTRE_M = (0.605, -0.21, TABLE_TOP_M + 0.30)
BOARD_THICKNESS_M = 0.016
# Marks lie in this part of the board (width, height), around its middle.
REGION_M = (0.32, 0.20)

# Block half sizes; the handle is a bar above it that the fingers close around.
BLOCK_M = (0.025, 0.060, 0.016)
HANDLE_M = 0.048
HANDLE_RADIUS_M = 0.011
ERASER_KG = 0.12
ALONG_Y = [0.7071068, 0.7071068, 0.0, 0.0]  # wxyz that lays a cylinder's axis along y
TRAY_CENTRE_M = (0.41, -0.405)
TRAY_JITTER_M = 0.015

MARKS_M = 0.017  # radius of a mark
MARK_COUNT = (3, 5)
MARK_SPACING_M = 0.055
MARK_COLOURS = ((0.05, 0.08, 0.45, 1.0), (0.04, 0.04, 0.05, 1.0), (0.65, 0.05, 0.06, 1.0))

# The wiping face wipes when it is no farther from the board than this and no more tilted.
CONTACT_M = 0.008
CONTACT_RAD = np.deg2rad(20.0)
# A mark is gone when the face has slid over it for so long a way; its middle may lie so far outside of the face, since
# felt that is pressed on reaches a little further than the block and smears what it half covers.
WIPING_PATH_M = 0.025
SMEAR_M = 0.010

# Where fingers grip, in the palm frame (middle of the closed hand).
GRIP_M = (0.085, 0.0, -0.032)
# The hand holds the eraser with its fingers this much down, so that on the board the wrist need not bend as far
# back as the board leans.
GRIP_PITCH_RAD = 0.65


def board_pose() -> FloatArray:
    """T_base_board, shape (4, 4)."""
    up = np.array([np.cos(TILT_RAD), 0.0, np.sin(TILT_RAD)])
    right = np.array([0.0, -1.0, 0.0])
    return transform(BOARD_CENTRE_M, np.column_stack([right, up, np.cross(right, up)]))


def eraser_on_board(x_m: float, y_m: float, gap_m: float = 0.0) -> FloatArray:
    """T_base_eraser with the wiping face on the board, handle side out, shape (4, 4).

    Args:
        x_m, y_m: middle of the eraser in the board frame. gap_m: from the board to the wiping face; negative
            presses (4 mm give a firm contact).
    """
    # Board x is the robot's right, the eraser's y its left: the block lies with its long side level.
    turned = np.column_stack([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    return board_pose() @ transform([x_m, y_m, BLOCK_M[2] + gap_m], turned)


class Whiteboard(Task):
    """See the module's docstring."""

    NAME: ClassVar[str] = "whiteboard"
    INSTRUCTION: ClassVar[str] = "erase the whiteboard"
    STAGES: ClassVar[int] = 4
    # From above and behind, fingers over the handle.
    OBJECTS: ClassVar[Mapping[str, FloatArray]] = {
        ERASER: transform([0.0, 0.0, HANDLE_M], rotation_y(GRIP_PITCH_RAD)) @ transform(-np.array(GRIP_M)),
    }

    def __init__(self) -> None:
        self._mark_places: FloatArray = np.zeros((0, 2))
        self._remaining: FloatArray = np.zeros(0)
        self._mark_geoms: list[int] = []
        self._face_was: FloatArray | None = None
        self._held = False
        self._failed = ""
        self._T_board_base = inverse(board_pose())

    def build(self, spec: mujoco.MjSpec) -> None:
        pose = board_pose()
        board = spec.worldbody.add_body(name="board", pos=pose[:3, 3], quat=to_quaternion(pose[:3, :3]))
        width, height = BOARD_SIZE_M
        surface = {"type": Box, "rgba": [0.96, 0.97, 0.97, 1.0], "friction": [0.4, 0.005, 0.0001]}
        size = [width / 2, height / 2, BOARD_THICKNESS_M / 2]
        board.add_geom(size=size, pos=[0, 0, -BOARD_THICKNESS_M / 2], **surface, **ROOM_BITS, **SOFT_CONTACT)
        frame = {"type": Box, "rgba": [0.45, 0.48, 0.52, 1.0], **SEEN_ONLY}
        for side in (-1, 1):
            board.add_geom(size=[width / 2 + 0.01, 0.006, 0.011], pos=[0, side * (height / 2 + 0.004), -0.005], **frame)
            board.add_geom(size=[0.006, height / 2 + 0.01, 0.011], pos=[side * (width / 2 + 0.004), 0, -0.005], **frame)
            foot = np.array([BOARD_CENTRE_M[0], BOARD_CENTRE_M[1] + side * 0.2, TABLE_TOP_M + 0.09])
            spec.worldbody.add_geom(size=[0.012, 0.012, 0.09], pos=foot, **frame)
            spec.worldbody.add_geom(size=[0.07, 0.014, 0.008], pos=[*foot[:2], TABLE_TOP_M + 0.008], **frame)
        self._build_tray(spec)
        self._build_eraser(spec)
        for index in range(MARK_COUNT[1]):
            mark = spec.worldbody.add_body(name=f"mark{index}", mocap=True)
            mark.add_geom(
                name=f"mark{index}",
                type=Cylinder,
                size=[MARKS_M, 0.0008, 0],
                rgba=MARK_COLOURS[index % len(MARK_COLOURS)],
                **SEEN_ONLY,
            )

    def _build_tray(self, spec: mujoco.MjSpec) -> None:
        tray = spec.worldbody.add_body(name="tray", pos=[*TRAY_CENTRE_M, TABLE_TOP_M])
        inner = (BLOCK_M[0] + TRAY_JITTER_M + 0.008, BLOCK_M[1] + TRAY_JITTER_M + 0.008)
        look = {"type": Box, "rgba": [0.30, 0.42, 0.50, 1.0], **ROOM_BITS, **SOFT_CONTACT}
        tray.add_geom(size=[inner[0] + 0.008, inner[1] + 0.008, 0.003], pos=[0, 0, 0.003], **look)
        for side in (-1, 1):
            tray.add_geom(size=[0.004, inner[1] + 0.008, 0.008], pos=[side * (inner[0] + 0.004), 0, 0.008], **look)
            tray.add_geom(size=[inner[0] + 0.008, 0.004, 0.008], pos=[0, side * (inner[1] + 0.004), 0.008], **look)

    def _build_eraser(self, spec: mujoco.MjSpec) -> None:
        eraser = spec.worldbody.add_body(name=ERASER)
        eraser.add_freejoint(name=ERASER)
        x, y, z = BLOCK_M
        felt = {"rgba": [0.13, 0.13, 0.16, 1.0], "mass": 0.75 * ERASER_KG, "friction": [0.5, 0.005, 0.0001]}
        eraser.add_geom(type=Box, size=[x, y, z], **felt, **OBJECT_BITS, **SOFT_CONTACT)
        stripe = {"type": Box, "mass": 0.0, "rgba": [1.0, 0.55, 0.05, 1.0], **SEEN_ONLY}
        eraser.add_geom(size=[x + 0.0005, y + 0.0005, 0.005], pos=[0, 0, 0.007], **stripe)
        bar = {"type": Cylinder, "mass": 0.25 * ERASER_KG, "rgba": [1.0, 0.55, 0.05, 1.0], "quat": ALONG_Y}
        eraser.add_geom(size=[HANDLE_RADIUS_M, 0.05, 0], pos=[0, 0, HANDLE_M], **bar, **OBJECT_BITS, **SOFT_CONTACT)
        post = {"type": Box, "mass": 0.0, "rgba": [0.13, 0.13, 0.16, 1.0], **SEEN_ONLY}
        for side in (-1, 1):
            eraser.add_geom(size=[0.006, 0.006, 0.016], pos=[0, side * 0.045, 0.028], **post)

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator, start_stage: int) -> Start:
        self._mark_geoms = [int(model.geom(f"mark{index}").id) for index in range(MARK_COUNT[1])]
        self._mark_places = _scatter(rng)
        self._remaining = np.ones(len(self._mark_places))
        self._face_was, self._failed, self._held = None, "", start_stage > 0
        jitter = rng.uniform(-TRAY_JITTER_M, TRAY_JITTER_M, 2)
        if start_stage >= 2:
            gone = rng.permutation(len(self._remaining))[: _half(len(self._remaining))]
            self._remaining[gone] = 0.0
        self._place_marks(model, data)
        if start_stage == 0:
            set_free_pose(
                data, ERASER, transform([*(np.array(TRAY_CENTRE_M) + jitter), TABLE_TOP_M + 0.006 + BLOCK_M[2]])
            )
            return Start()
        T_base_eraser = eraser_on_board(rng.uniform(-0.05, 0.10), rng.uniform(-0.06, 0.04), gap_m=0.06)
        set_free_pose(data, ERASER, T_base_eraser)
        return Start(T_base_eraser @ self.OBJECTS[ERASER], ERASER)

    def _place_marks(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        away = transform([0.0, 0.0, -3.0])
        for index in range(MARK_COUNT[1]):
            shown = index < len(self._mark_places)
            pose = board_pose() @ transform([*self._mark_places[index], 0.0008]) if shown else away
            set_mocap_pose(model, data, f"mark{index}", pose)

    def update(self, data: mujoco.MjData, held: frozenset[str], dt_s: float) -> None:  # noqa: ARG002 - wiping is by way, not by time
        self._held = ERASER in held
        pose = body_pose(data, ERASER)
        if out_of_reach(pose[:3, 3]) and not self._held:
            self._failed = "eraser dropped"
        face = self._T_board_base @ pose @ transform([0.0, 0.0, -BLOCK_M[2]])
        wipes = abs(face[2, 3]) < CONTACT_M and face[2, 2] > np.cos(CONTACT_RAD)
        if not wipes:
            self._face_was = None
            return
        if self._face_was is not None:
            slid_m = float(np.hypot(*(face[:2, 3] - self._face_was[:2, 3])))
            under = (self._mark_places - face[:2, 3]) @ face[:2, :2]
            covered = np.all(np.abs(under) <= np.array(BLOCK_M[:2]) + SMEAR_M, axis=1)
            self._remaining[covered] = np.maximum(self._remaining[covered] - slid_m / WIPING_PATH_M, 0.0)
        self._face_was = face

    @property
    def stage(self) -> int:
        gone = int(np.sum(self._remaining <= 0.0))
        if gone == len(self._remaining):
            return 3
        if gone >= _half(len(self._remaining)):
            return 2
        return 1 if self._held else 0

    @property
    def failed(self) -> str:
        return self._failed

    def poses(self, data: mujoco.MjData) -> dict[str, Pose]:
        return {ERASER: to_scene(body_pose(data, ERASER))}

    def marks(self) -> tuple[Mark, ...]:
        pose = board_pose()
        places = [(pose @ transform([*place, 0.0]))[:3, 3] for place in self._mark_places]
        return tuple(
            Mark(position=(float(at[0]), float(at[1]), float(at[2])), erased=bool(left <= 0.0), remaining=float(left))
            for at, left in zip(places, self._remaining, strict=True)
        )

    def tints(self) -> Mapping[int, float]:
        return {geom: float(left) for geom, left in zip(self._mark_geoms, self._remaining, strict=False)}


def _half(count: int) -> int:
    return (count + 1) // 2


def _scatter(rng: np.random.Generator) -> FloatArray:
    """Places of the marks in the board frame [m], shape (count, 2), no two too near to one another."""
    count = int(rng.integers(MARK_COUNT[0], MARK_COUNT[1] + 1))
    half = np.array(REGION_M) / 2.0 - MARKS_M
    places = np.zeros((0, 2))
    while len(places) < count:
        place = rng.uniform(-half, half)
        if not len(places) or np.linalg.norm(places - place, axis=1).min() >= MARK_SPACING_M:
            places = np.vstack([places, place])
    return places
