"""Where the robot is near itself: distances between its collision shapes, and how they change with the joints.

MuJoCo finds the near pairs (its broad phase, then closed forms for capsules, spheres and boxes) in one call with the
wanted distance as contact margin. That takes 5 to 10 us for the whole robot, less than the bounding spheres of 380
pairs take in numpy; asking `mj_geomDistance` pair by pair costs .5 us each and a return to Python between them. Only
two boxes are asked for that way: their contacts tell the distance along a face's normal, off by centimetres where
edges or corners face each other.

Which shapes can meet is said by the robot's MJCF, as for the simulation: its collision shapes, without those of
neighbouring links, of pairs excluded by design, and of one hand's own fingers and palm, which are made to touch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import mujoco
import numpy as np
import numpy.typing as npt

from rove_core.errors import RoveError
from rove_core.joint_space import FloatArray, JointSpace
from rove_description import model_path

IntArray = npt.NDArray[np.intp]

# Room for the contacts of one query: all pairs of a robot of a hundred shapes at once.
_ARENA_BYTES = 32 << 20
# Two surfaces nearer than this touch [m].
_TOUCHING_M = 1e-9


class CollisionError(RoveError, ValueError):
    """A shape or pair that the robot does not have."""


@dataclass(frozen=True, slots=True)
class NearPairs:
    """Pairs of shapes that are near each other in one pose; n of them, by rising `pair`.

    Attributes:
        pair: number of the pair, row of `CollisionModel.pairs`, shape (n,).
        distance: between the surfaces [m], negative when they overlap, shape (n,).
        points: nearest point on the first and on the second shape, base frame [m], shape (n, 2, 3).
        normal: unit vector from the first shape to the second, shape (n, 3).
        jacobian: d distance / d q [m/rad], order of the space, shape (n, dim). Exactly 0 for joints that do not
            move the two shapes against each other.
    """

    pair: IntArray
    distance: FloatArray
    points: FloatArray
    normal: FloatArray
    jacobian: FloatArray

    def __len__(self) -> int:
        return len(self.pair)


class CollisionModel:
    """Self-distances of one robot in its base frame. Not thread-safe: it keeps the last pose.

    Attributes:
        names: of the shapes. pairs: shapes that can meet, shape (pairs, 2), numbers into `names`.
    """

    def __init__(self, space: JointSpace) -> None:
        spec = mujoco.MjSpec.from_file(str(model_path(space.robot, "mjcf")))
        for geom in list(spec.geoms):
            if geom.contype == 0 and geom.conaffinity == 0:
                spec.delete(geom)
        spec.memory = _ARENA_BYTES
        self.space = space
        self.model = model = spec.compile()
        # The margin of a query counts for all pairs, whatever the shapes' own.
        model.opt.enableflags |= int(mujoco.mjtEnableBit.mjENBL_OVERRIDE)
        self.data = mujoco.MjData(model)
        joints = np.array([model.joint(name).id for name in space.names], dtype=np.intp)
        self._joints, self._qpos = joints, model.jnt_qposadr[joints]
        self.names = tuple(self._name_of(shape) for shape in range(model.ngeom))
        moves_body = self._moves_bodies()
        self._moves = moves_body[model.geom_bodyid].astype(np.float64)
        self._site_moves = moves_body[model.site_bodyid].astype(np.float64)
        # Of shapes that are a line or a point with a radius, half the line; of others all.
        lines = {mujoco.mjtGeom.mjGEOM_CAPSULE: model.geom_size[:, 1], mujoco.mjtGeom.mjGEOM_SPHERE: 0.0}
        self._arms = model.geom_rbound.copy()
        for kind, half in lines.items():
            self._arms = np.where(model.geom_type == kind, half, self._arms)
        self._twist = np.empty((6, space.dim))
        self._is_box = model.geom_type == mujoco.mjtGeom.mjGEOM_BOX
        self.pairs = self._meeting()
        self._number = np.full((model.ngeom, model.ngeom), -1, dtype=np.intp)
        self._number[self.pairs[:, 0], self.pairs[:, 1]] = np.arange(len(self.pairs))
        self._number = np.maximum(self._number, self._number.T)
        self._boxes = [(a, b) for a, b in self.pairs.tolist() if self._is_box[a] and self._is_box[b]]
        self._segment = np.empty(6)
        none, vectors = np.empty(0), np.empty((0, 3))
        self._nothing = NearPairs(
            none.astype(np.intp), none, vectors.reshape(0, 2, 3), vectors, np.empty((0, space.dim))
        )

    def _name_of(self, shape: int) -> str:
        name = self.model.geom(shape).name or self.model.body(self.model.geom_bodyid[shape]).name
        return str(name).replace("_collision", "").removesuffix("_link")

    def _moves_bodies(self) -> npt.NDArray[np.bool_]:
        """Which joint moves which body, shape (bodies, dim)."""
        model = self.model
        moves = np.zeros((model.nbody, self.space.dim), dtype=np.bool_)
        moves[model.jnt_bodyid[self._joints], np.arange(self.space.dim)] = True
        for body in range(1, model.nbody):  # parents come first
            moves[body] |= moves[model.body_parentid[body]]
        return moves

    def _meeting(self) -> IntArray:
        """Shapes that can meet, by MuJoCo's rules, shape (pairs, 2)."""
        model = self.model
        excluded = {divmod(int(signature), 1 << 16) for signature in model.exclude_signature}
        found = []
        for first, second in combinations(range(model.ngeom), 2):
            touch = model.geom_contype[first] & model.geom_conaffinity[second]
            touch |= model.geom_contype[second] & model.geom_conaffinity[first]
            one, other = sorted(int(body) for body in model.geom_bodyid[[first, second]])
            neighbours = one == other or model.body_parentid[other] == one
            if touch and not neighbours and not {(one, other), (other, one)} & excluded:
                found.append((first, second))
        return np.array(found, dtype=np.intp).reshape(-1, 2)

    def pair_name(self, pair: int) -> tuple[str, str]:
        """Names of the two shapes of a pair, as "left_palm" and "torso_1"."""
        first, second = self.pairs[pair]
        return self.names[first], self.names[second]

    def pair_of(self, first: str, second: str) -> int:
        """Number of the pair of two shapes, in either order.

        Raises:
            CollisionError: no shape of that name, or the two never meet.
        """
        for name in (first, second):
            if name not in self.names:
                raise CollisionError(f"no shape '{name}'", f"valid are: {', '.join(self.names)}")
        number = int(self._number[self.names.index(first), self.names.index(second)])
        if number < 0:
            raise CollisionError(f"'{first}' and '{second}' are not looked at", "neighbours, or excluded by the model")
        return number

    def reach(self) -> FloatArray:
        """Upper bound of how much nearer each pair comes when a joint turns [m/rad], shape (pairs, dim).

        The joint's axis is no further from a point of the shape than the links between them are long. Joints that
        carry both shapes of a pair bring them no nearer.
        """
        levers = self._levers(self.model.geom_bodyid, self.model.geom_pos, self.model.geom_rbound)[self.pairs]
        moves = self._moves[self.pairs]
        return np.asarray((levers * (moves[:, :1] != moves[:, 1:])[:, [0, 0]]).sum(axis=1))

    def travel(self, poses: FloatArray) -> FloatArray:
        """How much nearer each pair can come on the way through `poses` [rad], shape (n, dim): [m], shape (pairs,).

        A point of a shape moves no further than its centre and, about that, its distance times the turn; of a capsule
        and a sphere the points on the axis count. Between two poses the way is taken as straight.
        """
        data, shapes = self.data, self.model.ngeom
        places, turns = np.empty((len(poses), shapes, 3)), np.empty((len(poses), shapes, 9))
        for row, q in enumerate(poses):
            self.pose(q)
            places[row], turns[row] = data.geom_xpos, data.geom_xmat
        moved = np.sqrt((np.diff(places, axis=0) ** 2).sum(axis=2))
        # Half the squared Frobenius norm of a difference of rotations is its spectral norm squared.
        turned = np.sqrt((np.diff(turns, axis=0) ** 2).sum(axis=2) * 0.5)
        furthest = (moved + self._arms * turned).sum(axis=0)
        return np.asarray(furthest[self.pairs[:, 0]] + furthest[self.pairs[:, 1]])

    def site_reach(self, sites: IntArray) -> FloatArray:
        """Upper bound of how far each site goes when a joint turns [m/rad], shape (n, dim)."""
        model = self.model
        return self._levers(model.site_bodyid[sites], model.site_pos[sites], np.zeros(len(sites)))

    def _levers(self, bodies: IntArray, places: FloatArray, radii: FloatArray) -> FloatArray:
        """Furthest that points on bodies can be from the axes of the joints that move them [m], shape (n, dim)."""
        model = self.model
        joint_of = {int(model.jnt_bodyid[joint]): index for index, joint in enumerate(self._joints)}
        levers = np.zeros((len(bodies), self.space.dim))
        for row, body in enumerate(bodies.tolist()):
            length = float(np.linalg.norm(places[row]) + radii[row])
            while body:
                if body in joint_of:
                    levers[row, joint_of[body]] = length
                length += float(np.linalg.norm(model.body_pos[body]))
                body = int(model.body_parentid[body])
        return levers

    def shapes_under(self, body: str) -> npt.NDArray[np.bool_]:
        """Which shapes a body and all that hangs on it carry, shape (shapes,)."""
        model = self.model
        under = np.zeros(model.nbody, dtype=np.bool_)
        under[model.body(body).id] = True
        for child in range(1, model.nbody):
            under[child] |= under[model.body_parentid[child]]
        return np.asarray(under[model.geom_bodyid])

    def pose(self, q: FloatArray) -> None:
        """Pose the robot: `q` [rad], shape (dim,)."""
        self.data.qpos[self._qpos] = q
        mujoco.mj_kinematics(self.model, self.data)

    def near(self, q: FloatArray, distance_m: float | FloatArray) -> NearPairs:
        """The pairs that are nearer than `distance_m` at `q` [rad], shape (dim,).

        A NaN or infinity in `q` finds nothing: check it before.

        Args:
            distance_m: one for all, or one for each pair, shape (pairs,).
        """
        self.pose(q)
        furthest = float(np.max(distance_m))
        self.model.opt.o_margin = furthest
        mujoco.mj_collision(self.model, self.data)
        shapes, distance, normal, middle = self._contacts(furthest)
        pair = self._number[shapes[:, 0], shapes[:, 1]]
        near = np.flatnonzero(distance < (distance_m if isinstance(distance_m, float) else distance_m[pair]))
        if not len(near):
            return self._nothing
        # Several contacts of one pair: the nearest.
        near = near[np.lexsort((distance[near], pair[near]))]
        ordered = pair[near]
        first = np.ones(len(near), dtype=np.bool_)
        np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
        chosen = near[first]
        distance, shapes, normal, middle = distance[chosen], shapes[chosen], normal[chosen], middle[chosen]
        reach = (0.5 * distance)[:, None] * normal
        moves = self._moves[shapes[:, 1]] - self._moves[shapes[:, 0]]
        jacobian = self._along(middle, normal) * moves
        points = np.stack((middle - reach, middle + reach), axis=1)
        return NearPairs(pair[chosen], distance, points, normal, jacobian)

    def _contacts(self, distance_m: float) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
        """Both shapes, distance, normal from the first to the second, and the point between them."""
        contact = self.data.contact
        shapes, distance = contact.geom, contact.dist
        normal, middle = contact.frame[:, :3], contact.pos
        between_boxes = self._is_box[shapes].all(axis=1)
        if between_boxes.any():
            distance = np.where(between_boxes, np.inf, distance)
        for box in self._boxes:
            found = self._between_boxes(*box, distance_m)
            if found is not None:
                gap, along, point = found
                shapes = np.concatenate((shapes, [box]))
                distance = np.append(distance, gap)
                normal, middle = np.concatenate((normal, [along])), np.concatenate((middle, [point]))
        return shapes, distance, normal, middle

    def _between_boxes(self, first: int, second: int, distance_m: float) -> tuple[float, FloatArray, FloatArray] | None:
        """Distance, normal and the point between two boxes; None when they are not near."""
        centres = self.data.geom_xpos[second] - self.data.geom_xpos[first]
        reach = self.model.geom_rbound[first] + self.model.geom_rbound[second] + distance_m
        if centres @ centres > reach * reach:
            return None
        distance = mujoco.mj_geomDistance(self.model, self.data, first, second, distance_m, self._segment)
        if distance >= distance_m:
            return None
        one, other = self._segment[:3], self._segment[3:]
        # Between surfaces that touch there is no direction left: from centre to centre is near enough.
        along = (other - one) * np.sign(distance) if abs(distance) > _TOUCHING_M else centres
        return distance, along / np.linalg.norm(along), 0.5 * (one + other)

    def sites(self, *names: str) -> IntArray:
        """Indices of named sites into `site_rows`.

        Raises:
            CollisionError: no site of that name.
        """
        known = [self.model.site(site).name for site in range(self.model.nsite)]
        for name in names:
            if name not in known:
                raise CollisionError(f"no site '{name}'", f"valid are: {', '.join(known)}")
        return np.array([known.index(name) for name in names], dtype=np.intp)

    def site_rows(self, sites: IntArray, directions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Positions of sites in the pose given last, and how they move.

        Args:
            directions: one per site, base frame, shape (n, 3).

        Returns:
            positions [m], shape (n, 3); change along the direction with each joint [m/rad], shape (n, dim).
        """
        positions = np.asarray(self.data.site_xpos[sites])
        return positions, self._along(positions, directions) * self._site_moves[sites]

    def _along(self, points: FloatArray, directions: FloatArray) -> FloatArray:
        """How fast points move along directions when each joint turns, all joints taken as moving them [m/rad].

        A joint with axis e through c moves p by e x (p - c); along n that is (p x n) . e + n . (c x e).
        """
        data, twist = self.data, self._twist
        twist[:3] = data.xaxis[self._joints].T
        _cross(data.xanchor[self._joints].T, twist[:3], twist[3:])
        screws = np.empty((6, len(points)))
        screws[3:] = directions.T
        _cross(points.T, screws[3:], screws[:3])
        return np.asarray(screws.T @ twist)


def _cross(a: FloatArray, b: FloatArray, out: FloatArray) -> None:
    """Cross products of columns, shapes (3, n), into `out`; several times faster than np.cross on small arrays."""
    for axis in range(3):
        second, third = (axis + 1) % 3, (axis + 2) % 3
        np.multiply(a[second], b[third], out=out[axis])
        out[axis] -= a[third] * b[second]
