"""Ways to drive: what the joints should do, from what the policy and the operator say. One small class per way.

A way knows nothing of modes, time limits or smoothness: `arbiter` asks it each tick and fades what jumps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rove_core.joint_space import FloatArray
from rove_core.modes import Source
from rove_hil.command.decision import BoolArray
from rove_hil.command.operator_source import OperatorSample
from rove_hil.command.policy_source import PolicySample


@dataclass(frozen=True, slots=True)
class Reference:
    """Where the joints should go: position [rad], velocity [rad/s], shape (dim,). Of no meaning where nobody drives.

    Attributes:
        authority: the operator's share in it, 0 to 1 per joint.
    """

    position: FloatArray
    velocity: FloatArray
    authority: FloatArray


class Way(Protocol):
    """How the joints are driven within one epoch.

    Attributes:
        source: who is said to drive.
        follows_policy: whether any joint needs the policy. operators: joints that need the operator.
    """

    source: Source
    follows_policy: bool
    operators: BoolArray

    def driven(self, policy: PolicySample | None, operator: OperatorSample | None) -> BoolArray:
        """Joints that somebody drives."""

    def engage(self, now_ns: int, fresh: BoolArray, commanded: FloatArray, operator: OperatorSample | None) -> None:
        """Joints `fresh` begin to be driven from the command `commanded` [rad]. Comes before their `reference`."""

    def reference(self, policy: PolicySample | None, operator: OperatorSample | None) -> Reference:
        """What they should do."""


class PolicyAlone:
    """The policy drives everything; without it nothing moves."""

    source = Source.POLICY
    follows_policy = True

    def __init__(self, dim: int) -> None:
        self.operators = np.zeros(dim, dtype=np.bool_)
        self._nothing = np.zeros(dim)

    def driven(self, policy: PolicySample | None, operator: OperatorSample | None) -> BoolArray:  # noqa: ARG002
        """All joints or none."""
        return np.full(len(self.operators), _speaks(policy))

    def engage(self, now_ns: int, fresh: BoolArray, commanded: FloatArray, operator: OperatorSample | None) -> None:
        """The policy says where to go, wherever the joints were."""

    def reference(self, policy: PolicySample | None, operator: OperatorSample | None) -> Reference:  # noqa: ARG002
        """What the policy says."""
        position, velocity = (self._nothing, self._nothing) if policy is None else (policy.position, policy.velocity)
        return Reference(position, velocity, self._nothing)


class Absolute:
    """The operator's pose is the robot's, in the operator's joints; the policy drives the others, if there are any."""

    source = Source.OPERATOR

    def __init__(self, operators: BoolArray, *, with_policy: bool) -> None:
        """Args:
        operators: the operator's joints, shape (dim,).
        with_policy: the policy drives the others; without it they hold.
        """
        self.operators = operators
        self.follows_policy = with_policy and not operators.all()
        self._nothing = np.zeros(len(operators))

    def driven(self, policy: PolicySample | None, operator: OperatorSample | None) -> BoolArray:
        """The operator's joints as they are tracked, the policy's while it speaks."""
        return _driven(self.operators, policy, operator)

    def engage(self, now_ns: int, fresh: BoolArray, commanded: FloatArray, operator: OperatorSample | None) -> None:
        """The operator says where to go, wherever the joints were."""

    def reference(self, policy: PolicySample | None, operator: OperatorSample | None) -> Reference:
        """Each joint from whom it follows."""
        position, velocity = (self._nothing, self._nothing) if policy is None else (policy.position, policy.velocity)
        if operator is not None:
            position = np.where(self.operators, operator.position, position)
            velocity = np.where(self.operators, operator.velocity, velocity)
        return Reference(position, velocity, self.operators.astype(np.float64))


# The operator's motion from an anchor to now as increments to a base pose, and their rates:
# (base, anchor, position [rad], velocity [rad/s], weight), shape (dim,) each.
Motion = Callable[[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray], tuple[FloatArray, FloatArray]]


def joint_motion(
    base: FloatArray,  # noqa: ARG001 - joints move alike wherever they stand
    anchor: FloatArray,
    position: FloatArray,
    velocity: FloatArray,
    weight: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The operator's joint motion as it is; `palm_motion` does better for arms."""
    return weight * (position - anchor), weight * velocity


class Clutch:
    """The operator's joints move as the operator moves, from where they were when they were engaged."""

    source = Source.OPERATOR

    def __init__(self, operators: BoolArray, motion: Motion, weight: FloatArray, *, with_policy: bool) -> None:
        """Args:
        operators: the operator's joints, shape (dim,).
        motion: how the operator's motion becomes joint increments.
        weight: share of it that is added, 0 to 1, shape (dim,).
        with_policy: the policy drives the others; without it they hold.
        """
        self.operators = operators
        self.follows_policy = with_policy and not operators.all()
        self._motion, self._weight = motion, np.where(operators, weight, 0.0)
        dim = len(operators)
        self._nothing, self._start, self._engaged_at = np.zeros(dim), np.zeros(dim), np.zeros(dim)

    def driven(self, policy: PolicySample | None, operator: OperatorSample | None) -> BoolArray:
        """The operator's joints as they are tracked, the policy's own while it speaks."""
        return _driven(self.operators, policy, operator)

    def engage(self, now_ns: int, fresh: BoolArray, commanded: FloatArray, operator: OperatorSample | None) -> None:  # noqa: ARG002
        """Motion counts from here."""
        self._start = np.where(fresh, commanded, self._start)
        if operator is not None:
            self._engaged_at = np.where(fresh, operator.position, self._engaged_at)

    def reference(self, policy: PolicySample | None, operator: OperatorSample | None) -> Reference:
        """The base with the operator's motion added."""
        position, velocity = self._base(policy)
        if operator is not None:
            increment, rate = self._motion(
                position, self._anchor(policy), operator.position, operator.velocity, self._weight
            )
            position, velocity = position + increment, velocity + rate
        return Reference(position, velocity, self._weight)

    def _base(self, policy: PolicySample | None) -> tuple[FloatArray, FloatArray]:
        """What the motion is added to: position [rad] and velocity [rad/s]."""
        if policy is None:
            return self._start, self._nothing
        operators = self.operators
        return np.where(operators, self._start, policy.position), np.where(operators, 0.0, policy.velocity)

    def _anchor(self, policy: PolicySample | None) -> FloatArray:  # noqa: ARG002
        """The operator's joints from which motion counts [rad]."""
        return self._engaged_at


class Blended(Clutch):
    """The policy goes on, and what the operator moves is added to it. A policy that is late stays where it was.

    The policy sees what the operator did up to its observation and goes on from there: added again, that motion would
    count twice, and once more with each chunk. So to a chunk only the motion since its observation is added.
    """

    def __init__(
        self,
        operators: BoolArray,
        motion: Motion,
        weight: FloatArray,
        played_at: Callable[[int], FloatArray | None],
    ) -> None:
        """Args: played_at: the operator's joints [rad] at a time of the control clock [ns]."""
        super().__init__(operators, motion, weight, with_policy=True)
        self.follows_policy = True
        self._played_at = played_at
        self._engaged_ns = np.zeros(len(operators), dtype=np.int64)
        self._observed_ns, self._observed_at = -1, self._engaged_at

    def engage(self, now_ns: int, fresh: BoolArray, commanded: FloatArray, operator: OperatorSample | None) -> None:
        """Motion counts from here, until the policy has seen some of it."""
        super().engage(now_ns, fresh, commanded, operator)
        self._engaged_ns = np.where(fresh, now_ns, self._engaged_ns)

    def _base(self, policy: PolicySample | None) -> tuple[FloatArray, FloatArray]:
        return (self._start, self._nothing) if policy is None else (policy.position, policy.velocity)

    def _anchor(self, policy: PolicySample | None) -> FloatArray:
        if policy is None:
            return self._engaged_at
        if policy.observed_ns != self._observed_ns:
            self._observed_ns = policy.observed_ns
            played = self._played_at(policy.observed_ns)
            self._observed_at = self._engaged_at if played is None else played
        return np.where(self._engaged_ns >= policy.observed_ns, self._engaged_at, self._observed_at)


def _speaks(policy: PolicySample | None) -> bool:
    return policy is not None and not policy.spent


def _driven(operators: BoolArray, policy: PolicySample | None, operator: OperatorSample | None) -> BoolArray:
    tracked = operators & operator.valid if operator is not None else np.zeros_like(operators)
    return np.where(operators, tracked, _speaks(policy))
