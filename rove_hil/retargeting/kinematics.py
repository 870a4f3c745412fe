"""Where the parts of the robot are for given joint positions, and how they move with the joints."""

from __future__ import annotations

import mujoco
import numpy as np
import numpy.typing as npt

from rove_core.joint_space import FloatArray, JointSpace
from rove_description import model_path
from rove_hil.operator.mocap import FINGERS, KEYPOINTS, SIDES, MocapFrame

IntArray = npt.NDArray[np.intp]


class Kinematics:
    """Forward kinematics of one robot in its base frame. Not thread-safe: it keeps the last pose.

    The model is loaded without its shapes, which only cost time here.
    """

    def __init__(self, space: JointSpace) -> None:
        spec = mujoco.MjSpec.from_file(str(model_path(space.robot, "mjcf")))
        for pair in list(spec.excludes):
            spec.delete(pair)
        for geom in list(spec.geoms):
            spec.delete(geom)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self._space = space
        self.dim = space.dim
        # Joint i of the space is joint order[i] of the model; hinges only, so qpos is one number per joint.
        self._order = np.array([self.model.joint(name).id for name in space.names], dtype=np.intp)
        self._qpos = self.model.jnt_qposadr[self._order]
        self._keypoint_bodies = np.array([self._keypoints_of(side) for side in SIDES], dtype=np.intp)
        self._tip_sites = self.sites(*(f"{side}_{finger}_tip" for side in SIDES for finger in FINGERS))
        self._head = self.sites("head_site")[0]
        self._shoulders, self._elbows, self.palms = (
            self.sites(*(f"{side}_{part}_site" for side in SIDES)) for part in ("shoulder", "elbow", "palm")
        )

    def _keypoints_of(self, side: str) -> list[int]:
        """Bodies at the wrist and at the first three joints of each finger (the third one stands in for a fourth)."""
        bodies = [f"{side}_palm"]
        for finger in FINGERS:
            first = f"{side}_thumb_base" if finger == "thumb" else f"{side}_{finger}_knuckle"
            second = f"{side}_thumb_proximal" if finger == "thumb" else f"{side}_{finger}_distal"
            bodies += [first, second, f"{side}_{finger}_distal", f"{side}_{finger}_distal"]
        return [self.model.body(name).id for name in bodies]

    def sites(self, *names: str) -> IntArray:
        """Indices of named sites into `site_positions`."""
        return np.array([self.model.site(name).id for name in names], dtype=np.intp)

    def forward(self, q: FloatArray) -> None:
        """Pose the robot: `q` [rad], shape (dim,)."""
        self.data.qpos[self._qpos] = q
        mujoco.mj_kinematics(self.model, self.data)

    def site_positions(self, sites: IntArray) -> FloatArray:
        """[m], shape (n, 3), of the pose given last."""
        return np.asarray(self.data.site_xpos[sites])

    def site_rotations(self, sites: IntArray) -> FloatArray:
        """Rotation matrices site to base, shape (n, 3, 3), of the pose given last."""
        return np.asarray(self.data.site_xmat[sites]).reshape(-1, 3, 3)

    def joint_axes(self) -> FloatArray:
        """Directions of the joints' axes in the base frame, shape (dim, 3), order of the space."""
        return np.asarray(self.data.xaxis[self._order])

    def joint_anchors(self) -> FloatArray:
        """Points on the joints' axes [m], shape (dim, 3), order of the space."""
        return np.asarray(self.data.xanchor[self._order])

    def moves(self, sites: IntArray) -> npt.NDArray[np.bool_]:
        """Which joint moves which site, shape (n, dim)."""
        parents, model = self.model.body_parentid, self.model
        result = np.zeros((len(sites), self._space.dim), dtype=np.bool_)
        joint_of_body = {int(model.jnt_bodyid[joint]): index for index, joint in enumerate(self._order)}
        for row, site in enumerate(sites):
            body = int(model.site_bodyid[site])
            while body:
                if body in joint_of_body:
                    result[row, joint_of_body[body]] = True
                body = int(parents[body])
        return result

    def frame_from_joints(self, q: FloatArray, sequence: int = 0, capture_ns: int = 0) -> MocapFrame:
        """What motion capture would see of a person with the robot's body who stands as `q` [rad], shape (dim,).

        Wrists, knuckles, middle joints and tips are exact. The outermost finger joint, which the robot does not
        have, is put half-way between the middle joint and the tip.
        """
        self.forward(q)
        data = self.data
        hands = data.xpos[self._keypoint_bodies]
        fingers = hands[:, 1:].reshape(len(SIDES), len(FINGERS), 4, 3)
        fingers[:, :, 3] = data.site_xpos[self._tip_sites].reshape(len(SIDES), len(FINGERS), 3)
        # Thumb: base, knuckle, joint, tip. Finger: knuckle, middle joint, (half-way), tip.
        fingers[:, 1:, 2] = 0.5 * (fingers[:, 1:, 1] + fingers[:, 1:, 3])
        hands[:, 1:] = fingers.reshape(len(SIDES), KEYPOINTS - 1, 3)
        return MocapFrame(
            sequence=sequence,
            capture_ns=capture_ns,
            head_position=data.site_xpos[self._head].copy(),
            head_quat=quaternion_of(data.site_xmat[self._head]),
            shoulders=data.site_xpos[self._shoulders],
            elbows=data.site_xpos[self._elbows],
            wrist_positions=data.site_xpos[self.palms],
            wrist_quats=np.array([quaternion_of(data.site_xmat[palm]) for palm in self.palms]),
            hands=hands,
        )


def quaternion_of(matrix: FloatArray) -> FloatArray:
    """wxyz of a rotation matrix, shape (3, 3) or (9,)."""
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(matrix).reshape(9))
    return quaternion
