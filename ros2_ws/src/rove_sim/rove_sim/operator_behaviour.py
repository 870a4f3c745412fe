"""The person at the headset: rests, matches the robot's pose, finds in, does the task.

Pure: what is seen goes in with the time, a body pose and what the person says come out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
import numpy.typing as npt

from rove_core.modes import Mode
from rove_sim.operator_body import OperatorBody
from rove_sim.operator_model import AdaptationStroke, OperatorProfile, Unsteadiness, adaptation
from rove_sim.operator_motion import HandMotion, HandPose, minimum_jerk, stroke_duration_s
from rove_sim.operator_plan import PLANS, Glance, Reach
from rove_sim.scene import SceneState

FloatArray = npt.NDArray[np.float64]

# Said this long after the own body has come to rest in the robot's pose [s].
READY_AFTER_S = 0.2
# Said again when the display does not show it by then [s].
SAY_AGAIN_S = 1.0
# A gate that is not met by then makes the operator look closer and halve the mismatch [s].
CORRECT_AFTER_S = 1.5
CORRECTION_S = 0.6
# Peak rate of turning the palm [rad/s] and the shortest stroke [s].
TURN_RADPS = 2.5
SHORTEST_STROKE_S = 0.25
# Fingers from open to closed [s].
CLOSING_S = 0.45


@dataclass(frozen=True, slots=True)
class View:
    """What the operator sees in the headset.

    Attributes:
        mode: from the display. epoch: changes with every change of mode.
        gate_met: whether the display says that the poses match.
        operator_ready: whether it says that this operator is ready.
        demonstration: the operator does the whole task.
        robot: joint positions of the robot at the time of the scene [rad], shape (50,).
        scene: the room.
    """

    mode: Mode
    epoch: int
    gate_met: bool
    operator_ready: bool
    demonstration: bool
    robot: FloatArray
    scene: SceneState


class Saying(Enum):
    """What the operator says, or what only the simulation knows of the operator."""

    READY = auto()
    ADAPTED = auto()


class ScriptedOperator:
    """One person. Call `step` for every captured pose; times are seconds on one clock that does not go back."""

    def __init__(self, profile: OperatorProfile, body: OperatorBody, rng: np.random.Generator) -> None:
        self._profile = profile
        self._rng = rng
        self._unsteady = Unsteadiness(profile, rng)
        self.body = body
        self._epoch = -1
        # Whether this person has found in since the policy last had the robot.
        self._found_in = False
        # What the person does; None is hands still, wherever they are.
        self._act: _Align | _Operate | None = None

    def step(self, t_s: float, view: View) -> list[Saying]:
        """Move `body` to its pose at `t_s`; what is said meanwhile."""
        if view.epoch != self._epoch:
            self._epoch = view.epoch
            self._act = self._begin(t_s, view)
        said = [] if self._act is None else self._act.step(t_s, view)
        self._found_in = self._found_in or Saying.ADAPTED in said
        return said

    def _begin(self, t_s: float, view: View) -> _Align | _Operate | None:
        if view.mode is Mode.ALIGNING:
            return _Align(self._profile, self.body, self._rng, t_s)
        if view.mode is Mode.TAKEOVER:
            # Whoever lost tracking for a moment knows what they were doing.
            return _Operate(self._profile, self.body, self._rng, self._unsteady, t_s, view, self._found_in)
        self._found_in = False
        return None


class _Align:
    """Brings the body to the robot's pose, about."""

    def __init__(self, profile: OperatorProfile, body: OperatorBody, rng: np.random.Generator, t_s: float) -> None:
        self._body = body
        self._begin_s = t_s + rng.uniform(*profile.reaction_s)
        self._duration_s = float(rng.uniform(*profile.align_s))
        self._from = body.q.copy()
        self._mismatch = body.arm_mismatch(profile.mismatch_rad, rng)
        self._say_s = self._begin_s + self._duration_s + READY_AFTER_S

    def step(self, t_s: float, view: View) -> list[Saying]:
        share = (t_s - self._begin_s) / self._duration_s
        goal = self._body.possible(view.robot + self._mismatch)
        self._body.q = self._from + minimum_jerk(share) * (goal - self._from)
        if t_s - self._begin_s - self._duration_s > CORRECT_AFTER_S and not view.gate_met:
            self._mismatch = self._mismatch / 2.0
            self._begin_s, self._duration_s, self._from = t_s, CORRECTION_S, self._body.q.copy()
        if t_s < self._say_s or view.operator_ready:
            return []
        self._say_s = t_s + SAY_AGAIN_S
        return [Saying.READY]


class _Operate:
    """Finds in, then does the task from wherever it stands."""

    def __init__(
        self,
        profile: OperatorProfile,
        body: OperatorBody,
        rng: np.random.Generator,
        unsteady: Unsteadiness,
        t_s: float,
        view: View,
        found_in: bool,
    ) -> None:
        self._profile = profile
        self._body = body
        self._rng = rng
        self._unsteady = unsteady
        self._origin_s = t_s
        self._motion = HandMotion(body.palm())
        self._next_s = t_s
        self._finding_in: Iterator[AdaptationStroke] = iter(())
        if not (found_in or view.demonstration):  # in which there is nobody to take over from
            self._next_s += float(rng.uniform(*profile.reaction_s))
            self._finding_in = adaptation(profile, float(rng.uniform(*profile.adaptation_s)), rng)
        self._adapted = found_in
        self._plan = PLANS[view.scene.task]()
        self._ended_s = t_s

    def step(self, t_s: float, view: View) -> list[Saying]:
        said: list[Saying] = []
        while t_s >= self._next_s:
            stroke = None if self._adapted else next(self._finding_in, None)
            if stroke is not None:
                self._wander(stroke)
                continue
            if not self._adapted:
                self._adapted = True
                said.append(Saying.ADAPTED)
            glance = Glance(view.scene, self._body.palm_matrix(view.robot), t_s - self._ended_s)
            if not self._reach(self._plan.next(glance)):
                self._next_s = t_s
                break
        hand = self._motion.at(t_s)
        # Unsteadiness grows from nothing, so that taking over does not jump.
        share = minimum_jerk((t_s - self._origin_s) / 1.0)
        shaken = hand.position + share * self._unsteady.at(t_s)
        self._body.reach(HandPose(shaken, hand.rotation, hand.closure))
        return said

    def _wander(self, stroke: AdaptationStroke) -> None:
        target = self._motion.target
        moved = HandPose(target.position + stroke.shift_m, target.rotation, target.closure)
        # Aimless strokes overlap like others: people do not stop between them.
        self._motion.add(moved, self._next_s, 1.3 * stroke.duration_s)
        self._next_s += stroke.duration_s

    def _reach(self, reach: Reach | None) -> bool:
        """Begin the next stroke; False when there is nothing to do at the moment."""
        if reach is None:
            return False
        aim = self._rng.normal(0.0, self._profile.aim_sigma_m * reach.carelessness, 3)
        target = HandPose(reach.hand.position + aim, reach.hand.rotation, reach.hand.closure)
        duration_s = stroke_duration_s(
            self._motion.target, target, self._profile.speed_mps * reach.haste, TURN_RADPS, CLOSING_S, SHORTEST_STROKE_S
        )
        self._motion.add(target, self._next_s, duration_s)
        overlap = 0.0 if reach.stop else self._profile.overlap
        self._next_s += (1.0 - overlap) * duration_s
        self._ended_s = self._next_s
        return True
