"""The simulated room: robot, table and the things of one task. Pure physics: no threads, no clock, no ROS."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
import numpy.typing as npt

from rove_core.errors import ConfigError, RoveError
from rove_core.joint_space import JointSpace
from rove_description import model_path
from rove_sim.grasp import GraspAssist, add_welds
from rove_sim.reach import ArmReach
from rove_sim.scene import SceneState
from rove_sim.tasks import make_task
from rove_sim.tasks.task import ROOM_BITS, SOFT_CONTACT, TABLE_TOP_M, TABLE_X_M, TABLE_Y_M, Task

FloatArray = npt.NDArray[np.float64]

TIMESTEP_S = 0.002
FLOOR_M = -0.95
SIDES = ("left", "right")
# The solver: contacts are few and soft, and a warm start is never more than 2 ms old.
SOLVER_ITERATIONS = 20
LINE_SEARCH_ITERATIONS = 10
# What MuJoCo warns of before it resets the state on its own.
UNSTABLE = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)
# After the objects were placed they come to rest before anybody looks [s].
SETTLE_S = 0.3


@dataclass(frozen=True, slots=True)
class JointReading:
    """What the encoders say at one instant: [rad], [rad/s], [N m], each of shape (dim,)."""

    position: FloatArray
    velocity: FloatArray
    effort: FloatArray


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a picture needs of one instant, copied, so that physics may go on.

    Attributes:
        model: what the state belongs to; only its identity and constants may be used from another thread.
        time_s: simulated time [s]. stamp_ns: ROS clock of that instant, filled in by whoever has the clock.
        tints: geom id -> opacity.
    """

    model: mujoco.MjModel
    time_s: float
    qpos: FloatArray
    mocap_pos: FloatArray
    mocap_quat: FloatArray
    tints: dict[int, float]
    stamp_ns: int = 0


class World:
    """One robot and one task. Begins at stage 0 of seed 0.

    Time never goes back: a reset places robot and objects anew and time goes on. All arrays are in the order of
    the joint space. Not thread-safe.
    """

    def __init__(self, space: JointSpace, task: str) -> None:
        """Raises ConfigError for a task or robot that there is not."""
        self.space = space
        self.resets = 0
        self._build(make_task(task))
        self.reset(task, seed=0, start_stage=0)

    def _build(self, task: Task) -> None:
        spec = _room(self.space)
        task.build(spec)
        for side in SIDES:
            add_welds(spec, side, list(task.OBJECTS))
        self.task = task
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        joints = [self.model.joint(name) for name in self.space.names]
        self._qpos = np.array([int(joint.qposadr[0]) for joint in joints])
        self._dofs = np.array([int(joint.dofadr[0]) for joint in joints])
        self._actuators = np.array([int(self.model.actuator(name).id) for name in self.space.names])
        self._hands = {side: GraspAssist(self.model, self.space, side, dict(task.OBJECTS)) for side in SIDES}
        self._reach = ArmReach(self.model, self.space)

    def reset(self, task: str, seed: int, start_stage: int) -> None:
        """Place robot and objects for an attempt; the same seed and stage give the same scene.

        Raises:
            ConfigError: no such task, or an attempt cannot start at that stage.
        """
        new = make_task(task) if task != self.task.NAME else self.task
        if not 0 <= start_stage < new.STAGES - 1:
            raise ConfigError(f"task '{task}' starts at stage 0 to {new.STAGES - 2}, not {start_stage}")
        time_s = self.time_s
        if new is not self.task:
            self._build(new)
        mujoco.mj_resetData(self.model, self.data)
        for hand in self._hands.values():
            hand.reset()
        start = self.task.place(self.model, self.data, np.random.default_rng(seed), start_stage)
        q = self.space.home.copy()
        if start.T_base_palm is not None:
            q = self._reach.solve(start.T_base_palm, q)
        if start.held is not None:
            q[self.space.groups["right_hand"]] = closed_hand(self.space)
        self.data.qpos[self._qpos] = q
        self.set_reference(q)
        mujoco.mj_forward(self.model, self.data)
        if start.held is not None:
            self._hands["right"].hold(self.data, start.held)
        mujoco.mj_step(self.model, self.data, nstep=round(SETTLE_S / TIMESTEP_S))
        self.data.time = time_s
        self._seed, self._start_stage = seed, start_stage
        self.resets += 1
        self._follow_task(0.0)

    @property
    def time_s(self) -> float:
        """Simulated time since the world was made [s]."""
        return float(self.data.time)

    def set_reference(self, position: FloatArray) -> None:
        """Give the servos their reference [rad], shape (dim,)."""
        self.data.ctrl[self._actuators] = position

    def step(self, steps: int) -> None:
        """Advance physics by `steps` * TIMESTEP_S, then look at the hands and the task once.

        Raises:
            RoveError: the physics became unstable; MuJoCo has put everything back to its zero pose.
        """
        mujoco.mj_step(self.model, self.data, nstep=steps)
        if any(self.data.warning[kind].number for kind in UNSTABLE):
            raise RoveError(f"the physics became unstable at {self.time_s:.3f} s")
        dt_s = steps * TIMESTEP_S
        for hand in self._hands.values():
            hand.step(self.data, dt_s)
        self._follow_task(dt_s)

    def _follow_task(self, dt_s: float) -> None:
        held = frozenset(hand.held for hand in self._hands.values() if hand.held is not None)
        self.task.update(self.data, held, dt_s)

    def observe(self) -> JointReading:
        """What the encoders say now."""
        return JointReading(
            position=self.data.qpos[self._qpos],
            velocity=self.data.qvel[self._dofs],
            effort=self.data.actuator_force[self._actuators],
        )

    def scene(self) -> SceneState:
        """What a person in the room sees now."""
        return SceneState(
            task=self.task.NAME,
            seed=self._seed,
            start_stage=self._start_stage,
            resets=self.resets,
            stage=self.task.stage,
            success=self.task.success,
            failed=self.task.failed,
            objects=self.task.poses(self.data),
            marks=self.task.marks(),
            grasp={side: hand.held for side, hand in self._hands.items()},
            time_s=self.time_s,
        )

    def snapshot(self) -> Snapshot:
        """Copy what a picture of this instant needs."""
        return Snapshot(
            model=self.model,
            time_s=self.time_s,
            qpos=self.data.qpos.copy(),
            mocap_pos=self.data.mocap_pos.copy(),
            mocap_quat=self.data.mocap_quat.copy(),
            tints=dict(self.task.tints()),
        )

    def solve_right_palm(self, T_base_palm: FloatArray, seed: FloatArray) -> FloatArray:
        """Joint positions [rad], shape (dim,), with the right palm at the pose; see `ArmReach.solve`."""
        return self._reach.solve(T_base_palm, seed)


def closed_hand(space: JointSpace, side: str = "right") -> FloatArray:
    """Joint positions of a hand that holds a bar or a slice [rad], in the order of its group."""
    q = space.home[space.groups[f"{side}_hand"]].copy()
    names = space.names[space.groups[f"{side}_hand"]]
    flexion = {"proximal": 0.95, "distal": 1.0}
    for index, name in enumerate(names):
        part = name.rsplit("_", 1)[1]
        if "thumb" in name:
            q[index] = {"opposition": 1.1, "proximal": 0.5, "distal": 0.5}[part]
        elif part in flexion:
            q[index] = flexion[part]
    return q


def _room(space: JointSpace) -> mujoco.MjSpec:
    """Robot, floor, table and light."""
    try:
        path = model_path(space.robot, "mjcf")
    except ValueError as error:
        raise ConfigError(str(error)) from None
    spec = mujoco.MjSpec.from_file(str(path))
    spec.option.timestep = TIMESTEP_S
    spec.option.iterations = SOLVER_ITERATIONS
    spec.option.ls_iterations = LINE_SEARCH_ITERATIONS
    _light(spec)
    world = spec.worldbody
    _floor(spec)
    table = world.add_body(name="table")
    (x0, x1), (y0, y1) = TABLE_X_M, TABLE_Y_M
    box = mujoco.mjtGeom.mjGEOM_BOX
    size, centre = [(x1 - x0) / 2, (y1 - y0) / 2, 0.02], [(x0 + x1) / 2, (y0 + y1) / 2, TABLE_TOP_M - 0.02]
    look = {"type": box, "rgba": [0.76, 0.62, 0.46, 1.0]}
    table.add_geom(name="table_top", size=size, pos=centre, **look, **ROOM_BITS, **SOFT_CONTACT)
    for x in (x0 + 0.06, x1 - 0.06):
        for y in (y0 + 0.06, y1 - 0.06):
            half = (TABLE_TOP_M - 0.04 - FLOOR_M) / 2
            table.add_geom(
                type=box,
                size=[0.03, 0.03, half],
                pos=[x, y, FLOOR_M + half],
                rgba=[0.35, 0.33, 0.32, 1],
                contype=0,
                conaffinity=0,
            )
    return spec


def _floor(spec: mujoco.MjSpec) -> None:
    plane = {"type": mujoco.mjtGeom.mjGEOM_PLANE, "size": [4, 4, 0.1], "rgba": [0.62, 0.66, 0.68, 1.0]}
    spec.worldbody.add_geom(name="floor", pos=[0, 0, FLOOR_M], **plane, **ROOM_BITS)


def _light(spec: mujoco.MjSpec) -> None:
    """Soft light from all around: shadows cost ten times the rest of a picture without a GPU."""
    spec.visual.quality.offsamples = 0
    spec.visual.quality.shadowsize = 0
    # At camera sizes nobody sees the difference to the defaults (28, 16, 4), and pictures cost half.
    spec.visual.quality.numslices = 16
    spec.visual.quality.numstacks = 8
    spec.visual.quality.numquads = 2
    spec.visual.headlight.ambient = [0.42, 0.42, 0.42]
    spec.visual.headlight.diffuse = [0.28, 0.28, 0.28]
    spec.visual.headlight.specular = [0.05, 0.05, 0.05]
    spec.add_texture(
        name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.86, 0.90, 0.94], rgb2=[0.68, 0.74, 0.80], width=64, height=384,
    )  # fmt: skip
    light = spec.worldbody.add_light(pos=[-0.6, 0.8, 2.2], dir=[0.5, -0.4, -1.0], castshadow=False)
    light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    light.diffuse = [0.40, 0.40, 0.38]
    light.specular = [0.1, 0.1, 0.1]
