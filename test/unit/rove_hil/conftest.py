"""An arbiter and a command filter on a table, for tests of who moves the robot."""

from __future__ import annotations

import numpy as np
import pytest

from rove_core.chunks import Chunk
from rove_core.joint_space import FloatArray, JointSpace
from rove_core.modes import Mode, Stage, TakeoverWay
from rove_hil.command.arbiter import Arbiter
from rove_hil.command.decision import ArbiterConfig, Decision, ModeState, OperatorTarget
from rove_hil.command.ways import Motion, joint_motion
from rove_hil.joint_filter import JointFilter

SPACE = JointSpace.load("iron_r01")
MS = 1_000_000
TICK_NS = 5 * MS


class Bench:
    """Ticked at 200 Hz of a time that only exists here. `sent` are the commands so far."""

    def __init__(self) -> None:
        self.config = ArbiterConfig(np.full(SPACE.dim, 0.4))
        self.now_ns = 1000 * MS
        self.sent = [SPACE.home] * 3
        self.filter = JointFilter(SPACE, TICK_NS * 1e-9)
        self.filter.reset(SPACE.home)
        self.build(self.config)

    def build(self, config: ArbiterConfig, motion: Motion = joint_motion) -> None:
        """Another arbiter, as far as nothing was said yet."""
        self.arbiter = Arbiter(SPACE, config, motion)
        self.arbiter.start(SPACE.home)

    def say(
        self,
        mode: Mode,
        epoch: int,
        way: TakeoverWay = TakeoverWay.ABSOLUTE,
        groups: tuple[str, ...] = (),
        policy_runs: bool = False,
    ) -> None:
        self.arbiter.on_mode(ModeState(mode, Stage.NONE, epoch, "e", self.now_ns, way, groups, policy_runs))

    def chunk(self, positions: FloatArray, epoch: int, chunk_id: int = 1, dt_s: float = 0.1, age_ns: int = 0) -> bool:
        rows = np.asarray(positions, dtype=np.float32)
        return self.arbiter.on_chunk(Chunk(chunk_id, epoch, self.now_ns - age_ns, rows, dt_s, 1), self.now_ns)

    def operate(self, position: FloatArray, epoch: int, valid: object = True) -> bool:
        mask = np.broadcast_to(np.asarray(valid, dtype=np.bool_), (SPACE.dim,))
        return self.arbiter.on_operator(OperatorTarget(epoch, self.now_ns, self.now_ns, position, mask), self.now_ns)

    def tick(self, count: int = 1) -> Decision:
        for _ in range(count):
            self.now_ns += TICK_NS
            command = self.filter
            decision = self.arbiter.decide(self.now_ns, command.position, command.rest_position, command.at_rest)
            output = command.step(decision.target, target_velocity=decision.velocity, brake=decision.held)
            self.sent.append(output.position)
        return decision

    def check_limits(self) -> None:
        """Every command so far keeps every limit of every joint."""
        sent = np.array(self.sent)
        for order, limit in ((1, SPACE.max_velocity), (2, SPACE.max_acceleration), (3, SPACE.max_jerk)):
            assert (np.abs(np.diff(sent, order, axis=0)) / (TICK_NS * 1e-9) ** order <= limit * (1 + 1e-6)).all()
        assert (sent >= SPACE.lower).all()
        assert (sent <= SPACE.upper).all()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(scope="session")
def new_bench() -> type[Bench]:
    """For property tests, which need one per example."""
    return Bench
