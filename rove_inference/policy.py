"""A bundle that is ready to answer: model open, shapes checked against the robot, warmed up."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rove_core.errors import BundleError, PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.backends import Array, Backend, TensorInfo
from rove_inference.backends.loading import open_network
from rove_inference.backends.placement import Placement
from rove_inference.bundle import Bundle, load_bundle
from rove_inference.decoders import positions as answered
from rove_inference.decoders.prefix import Prefix
from rove_inference.observation import Observation
from rove_inference.preprocess import prepare_image
from rove_inference.stages import Stages

STATE_INPUT = "state"
# Of a model that was trained to continue the chunk before (`prefix_input` of its bundle).
PREFIX_INPUT = "prefix"
PREFIX_MASK_INPUT = "prefix_mask"

# The first runs of a session allocate and pick kernels; the figures of the rest are what to expect.
WARM_UP_RUNS = 8
WARM_UP_SKIPPED = 3


def _nothing() -> npt.NDArray[np.float32]:
    return np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class Query:
    """What a policy is asked, besides the observation.

    Attributes:
        instruction: of the attempt. condition: condition text, "" when unconditioned.
        cfg_beta: classifier-free guidance weight. seed: of the decoder's noise.
        epoch: of the mode it is asked in; goes to a remote policy and comes back.
        prefix: what is decided about the answer already, in JointSpace order; None when nothing is.
    """

    instruction: str = ""
    condition: str = ""
    cfg_beta: float = 1.0
    seed: int = 0
    epoch: int = 0
    prefix: Prefix | None = None


NOTHING_ASKED = Query()


@dataclass(frozen=True, slots=True)
class Prediction:
    """A policy's answer.

    Attributes:
        positions: [rad], shape (horizon, dim), in JointSpace order; step 0 is the observation's moment.
        clipped: how many of them were brought back inside the joint limits.
        inference_ms: time in the model alone. round_trip_ms: request to answer of a remote policy, 0 when it is local.
        guided: the decoder or the network kept to the prefix that it was given.
        decoder_steps: evaluations of the network.
        base, residual, gate: of a residual adapter, see ActionChunk.msg; empty without one.
    """

    positions: npt.NDArray[np.float32]
    clipped: int
    inference_ms: float
    round_trip_ms: float = 0.0
    guided: bool = False
    decoder_steps: int = 1
    base: npt.NDArray[np.float32] = field(default_factory=_nothing)
    residual: npt.NDArray[np.float32] = field(default_factory=_nothing)
    gate: npt.NDArray[np.float32] = field(default_factory=_nothing)


class Policy:
    """Answers observations with chunks. One thread at a time."""

    def __init__(self, bundle: Bundle, backend: Backend, space: JointSpace) -> None:
        """Check the model's tensors against the bundle and the robot, and warm it up.

        Raises:
            BundleError: tensors are missing, or of another shape or type, or the answer is unusable.
        """
        self.bundle = bundle
        self._backend = backend
        self._space = space
        self._check_tensors()
        self.warm_up_ms = self._warm_up()

    @classmethod
    def load(
        cls, path: str | Path, space: JointSpace, device: str = "cpu", threads: int = 1, cpus: Sequence[int] = ()
    ) -> Policy:
        """Load, verify and warm up the bundle at `path`; Placement describes where it runs.

        Raises:
            BundleError: the bundle cannot be used. JointNameError: it is for other joints.
            PolicyError: the device is not there.
        """
        bundle = load_bundle(path, space)
        placement = Placement(device, threads, tuple(cpus))
        encoders = [open_network(bundle, network, placement) for network in bundle.spec.encoders]
        return cls(bundle, Stages(encoders, open_network(bundle, bundle.spec, placement)), space)

    def predict(self, observation: Observation, query: Query = NOTHING_ASKED) -> Prediction:
        """Answer one observation.

        Raises:
            PolicyError: the model failed, or its answer must not reach the robot.
        """
        spec = self.bundle.spec
        state = observation.state[self.bundle.state_order].astype(np.float32)
        tensors: dict[str, Array] = {STATE_INPUT: state[None]}
        for camera in spec.cameras:
            tensors[camera.input_name] = prepare_image(observation.images[camera.name], camera)[None]
        if spec.prefix_input:
            tensors |= self._prefix_tensors(query.prefix)
        start_ns = time.perf_counter_ns()
        answer = self._backend.run(tensors)
        inference_ms = (time.perf_counter_ns() - start_ns) * 1e-6
        positions, clipped = answered.to_robot(
            answer[answered.OUTPUT], self._space, spec.horizon, self.bundle.action_order, spec.out_of_limits
        )
        return Prediction(positions, clipped, inference_ms, guided=spec.prefix_input and query.prefix is not None)

    def _prefix_tensors(self, prefix: Prefix | None) -> dict[str, Array]:
        """The chunk before in the model's order of joints, and which of its steps are sure to be executed."""
        spec = self.bundle.spec
        actions = np.zeros((1, spec.horizon, self._space.dim), np.float32)
        mask = np.zeros((1, spec.horizon), np.float32)
        if prefix is not None:
            actions[0][: prefix.frozen, self.bundle.action_order] = prefix.actions[: prefix.frozen]
            mask[0, : prefix.frozen] = 1.0
        return {PREFIX_INPUT: actions, PREFIX_MASK_INPUT: mask}

    def _check_tensors(self) -> None:
        spec, dim = self.bundle.spec, self._space.dim
        inputs = {STATE_INPUT: TensorInfo((1, dim), np.dtype(np.float32))}
        for camera in spec.cameras:
            inputs[camera.input_name] = TensorInfo((1, 3, camera.height, camera.width), np.dtype(np.uint8))
        if spec.prefix_input:
            inputs[PREFIX_INPUT] = TensorInfo((1, spec.horizon, dim), np.dtype(np.float32))
            inputs[PREFIX_MASK_INPUT] = TensorInfo((1, spec.horizon), np.dtype(np.float32))
        outputs = {answered.OUTPUT: TensorInfo((1, spec.horizon, dim), np.dtype(np.float32))}
        problems = [
            *_mismatches("input", inputs, self._backend.inputs, exact=True),
            *_mismatches("output", outputs, self._backend.outputs, exact=False),
        ]
        if problems:
            raise BundleError(f"bundle '{self.bundle.path.name}': {spec.model}: " + "; ".join(problems))

    def _warm_up(self) -> float:
        """Median time of an answer to a grey picture at the home pose [ms]."""
        grey = {c.name: np.full((c.height, c.width, 3), 128, np.uint8) for c in self.bundle.spec.cameras}
        observation = Observation(0, 0, self._space.home, grey)
        try:
            times = [self.predict(observation).inference_ms for _ in range(WARM_UP_RUNS)]
        except PolicyError as error:
            raise BundleError(f"bundle '{self.bundle.path.name}': warm-up failed: {error}") from None
        return float(np.median(times[WARM_UP_SKIPPED:]))


def _mismatches(
    kind: str, expected: Mapping[str, TensorInfo], actual: Mapping[str, TensorInfo], *, exact: bool
) -> list[str]:
    """What is wrong with a model's tensors, one line each. With `exact`, no others may be there."""
    problems = []
    for name, want in expected.items():
        have = actual.get(name)
        if have is None:
            problems.append(f"no {kind} '{name}' (it has {', '.join(actual)})")
        elif have.dtype != want.dtype or not _fits(have.shape, want.shape):
            shape = tuple("any" if size is None else size for size in have.shape)
            problems.append(f"{kind} '{name}' is {have.dtype} {shape}, expected {want.dtype} {want.shape}")
    if exact:
        problems += [f"unknown {kind} '{name}'" for name in actual if name not in expected]
    return problems


def _fits(have: tuple[int | None, ...], want: tuple[int | None, ...]) -> bool:
    return len(have) == len(want) and all(a is None or a == b for a, b in zip(have, want, strict=True))
