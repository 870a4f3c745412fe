"""Trying a policy without a robot: pictures and poses that it must survive, and how long answers take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rove_core.errors import PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import PolicySpec
from rove_inference.observation import Observation
from rove_inference.policy import Policy
from rove_inference.query import Query, fill

# A timed answer sees other pictures than the one before, as on the robot: caches help no more than there.
PICTURES = 8


def usual_query(spec: PolicySpec, instruction: str = "") -> Query:
    """What a policy is told where nobody chose anything else than its bundle."""
    return Query(instruction=instruction, condition=fill(spec.condition, instruction), cfg_beta=spec.cfg_beta)


@dataclass(frozen=True, slots=True)
class Situation:
    """An observation with a name for people."""

    name: str
    observation: Observation


def situations(spec: PolicySpec, space: JointSpace, seed: int = 0) -> Iterator[Situation]:
    """What a sound policy answers with finite positions: a covered lens, a lamp in it, noise, joints at their limits.

    No claim that the answers are good: that takes a recorded episode.
    """
    rng = np.random.default_rng(seed)
    poses = {"home": space.home, "lower limits": space.lower, "upper limits": space.upper}
    for name, value in (("grey", 128), ("black", 0), ("white", 255)):
        pictures = {c.name: np.full((c.height, c.width, 3), value, np.uint8) for c in spec.cameras}
        yield Situation(f"{name} pictures, home pose", Observation(0, 0, space.home, pictures))
    for name, pose in poses.items():
        yield Situation(f"noise in the pictures, joints at {name}", Observation(0, 0, pose, _noise(spec, rng)))


def failures(policy: Policy, space: JointSpace) -> list[str]:
    """Situations that the policy does not survive, one line each."""
    failed, query = [], usual_query(policy.bundle.spec)
    for situation in situations(policy.bundle.spec, space):
        try:
            policy.predict(situation.observation, query)
        except PolicyError as error:
            failed.append(f"{situation.name}: {error}")
    return failed


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of answers [ms], shape (n,): in the networks alone, and from observation to chunk."""

    network_ms: npt.NDArray[np.float64]
    total_ms: npt.NDArray[np.float64]


def time_answers(policy: Policy, space: JointSpace, runs: int, size: tuple[int, int] = (480, 640)) -> Timing:
    """Ask `runs` times, one after another.

    Args:
        size: height and width of the cameras' own pictures [px]: cropping and resizing is part of an answer.
    """
    rng = np.random.default_rng(0)
    spec, query = policy.bundle.spec, usual_query(policy.bundle.spec)
    observations = [Observation(0, 0, space.home, _noise(spec, rng, size)) for _ in range(PICTURES)]
    network, total = np.zeros(runs), np.zeros(runs)
    for run in range(runs):
        start_ns = time.perf_counter_ns()
        prediction = policy.predict(observations[run % PICTURES], query)
        total[run] = (time.perf_counter_ns() - start_ns) * 1e-6
        network[run] = prediction.inference_ms
    return Timing(network, total)


def _noise(
    spec: PolicySpec, rng: np.random.Generator, size: tuple[int, int] | None = None
) -> dict[str, npt.NDArray[np.uint8]]:
    return {c.name: rng.integers(0, 256, (*(size or (c.height, c.width)), 3), dtype=np.uint8) for c in spec.cameras}
