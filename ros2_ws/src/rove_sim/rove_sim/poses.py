"""Rigid transforms as (4, 4) matrices, quaternions as wxyz: what the tasks need of geometry and no more."""

from __future__ import annotations

import mujoco
import numpy as np
import numpy.typing as npt

from rove_sim.scene import Pose

FloatArray = npt.NDArray[np.float64]


def transform(position: npt.ArrayLike, rotation: npt.ArrayLike | None = None) -> FloatArray:
    """T from a position [m], shape (3,), and a rotation matrix, shape (3, 3); identity when not given."""
    result = np.eye(4)
    result[:3, 3] = position
    if rotation is not None:
        result[:3, :3] = rotation
    return result


def rotation_z(angle_rad: float) -> FloatArray:
    """Rotation matrix about z, shape (3, 3)."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def rotation_y(angle_rad: float) -> FloatArray:
    """Rotation matrix about y, shape (3, 3): turns x downwards."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def inverse(pose: FloatArray) -> FloatArray:
    """Inverse of a rigid transform, shape (4, 4)."""
    result = np.eye(4)
    result[:3, :3] = pose[:3, :3].T
    result[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return result


def to_quaternion(rotation: FloatArray) -> FloatArray:
    """wxyz of a rotation matrix, shape (4,)."""
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation).ravel())
    return quaternion


def from_quaternion(quaternion: npt.ArrayLike) -> FloatArray:
    """Rotation matrix of wxyz, shape (3, 3)."""
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, np.asarray(quaternion, dtype=np.float64))
    return rotation.reshape(3, 3)


def to_scene(pose: FloatArray) -> Pose:
    """A transform as /sim/scene carries it."""
    x, y, z = (float(value) for value in pose[:3, 3])
    qw, qx, qy, qz = (float(value) for value in to_quaternion(pose[:3, :3]))
    return Pose(position=(x, y, z), quaternion=(qw, qx, qy, qz))


def from_scene(pose: Pose) -> FloatArray:
    """A pose of /sim/scene as a transform, shape (4, 4)."""
    return transform(pose.position, from_quaternion(pose.quaternion))
