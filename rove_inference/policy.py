"""A bundle that is ready to answer: model open, shapes checked against the robot, warmed up."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rove_core.errors import BundleError, PolicyError
from rove_core.joint_space import JointSpace
from rove_inference import signature
from rove_inference.backends import TEXT, Array, Backend
from rove_inference.backends.placement import Placement
from rove_inference.bundle import Bundle
from rove_inference.decoders.inpainting import Known, known_part
from rove_inference.decoders.positions import to_robot
from rove_inference.decoders.prefix import Prefix
from rove_inference.model import Model
from rove_inference.observation import Observation
from rove_inference.preprocess import prepare_image
from rove_inference.query import NOTHING_ASKED, Prediction, Query, fill
from rove_inference.stages import Stages

# The first runs of a session allocate and pick kernels; the figures of the rest are what to expect.
WARM_UP_RUNS = 8
WARM_UP_SKIPPED = 3


class Policy:
    """Answers observations with chunks. One thread at a time.

    Attributes:
        placement: where its networks run; the thread that asks it should be on these cores too.
    """

    placement = Placement()

    def __init__(
        self,
        bundle: Bundle,
        head: Backend,
        space: JointSpace,
        encoders: Sequence[Backend] = (),
        adapter: Backend | None = None,
    ) -> None:
        """Check the networks' tensors against the bundle and the robot, and warm them up.

        Args:
            head: the network that the decoder calls.
            encoders: run before it, once per observation. adapter: corrects what was decoded.

        Raises:
            BundleError: tensors are missing, or of another shape or type, or the answer is unusable.
        """
        self.bundle = bundle
        self._space = space
        self._model = Model(bundle, Stages(encoders, head), adapter)
        # `robot_values[self._to_model]` is in the model's order of actions.
        self._to_model = np.argsort(bundle.action_order)
        self.warm_up_ms = self._warm_up()

    def values(self) -> Mapping[str, object]:
        """For the diagnostics: what there is to say of this policy beside its id and its times."""
        return {}

    def close(self) -> None:
        """Free what it holds outside this process; nobody asks it anything any more."""

    def predict(self, observation: Observation, query: Query = NOTHING_ASKED) -> Prediction:
        """Answer one observation.

        Raises:
            PolicyError: the model failed, or its answer must not reach the robot.
        """
        spec = self.bundle.spec
        state = observation.state[self.bundle.state_order].astype(np.float32)
        prompt = fill(spec.prompt, query.instruction)
        tensors: dict[str, Array] = {signature.STATE: state[None], signature.PROMPT: np.array([prompt], TEXT)}
        for camera in spec.cameras:
            tensors[camera.input_name] = prepare_image(observation.images[camera.name], camera)[None]
        if spec.prefix_input:
            tensors |= self._prefix_tensors(query.prefix)
        known = self._known(query.prefix)
        start_ns = time.perf_counter_ns()
        answer = self._model.answer(tensors, query.condition, query.cfg_beta, query.seed, known)
        inference_ms = (time.perf_counter_ns() - start_ns) * 1e-6
        positions, clipped = to_robot(
            answer.actions, self._space, spec.horizon, self.bundle.action_order, spec.out_of_limits
        )
        guided = known is not None or (spec.prefix_input and query.prefix is not None)
        prediction = Prediction(positions, clipped, inference_ms, guided=guided, decoder_steps=answer.evaluations)
        if answer.base is None or answer.correction is None:
            return prediction
        order, change = self.bundle.action_order, answer.correction
        return replace(prediction, base=answer.base[:, order], residual=change.residual[:, order], gate=change.gate)

    def _known(self, prefix: Prefix | None) -> Known | None:
        """What a sampling decoder has to keep to; a network that takes the prefix itself needs no decoder for that."""
        spec = self.bundle.spec
        if prefix is None or spec.prefix_input or spec.sampler is None:
            return None
        return known_part(
            prefix, self._to_model, np.array(spec.action.mean, np.float32), np.array(spec.action.std, np.float32)
        )

    def _prefix_tensors(self, prefix: Prefix | None) -> dict[str, Array]:
        """The chunk before as the network's actions, and which of its steps are sure to be executed."""
        spec = self.bundle.spec
        actions = np.zeros((1, spec.horizon, self._space.dim), np.float32)
        mask = np.zeros((1, spec.horizon), np.float32)
        if prefix is not None:
            given = prefix.actions[: prefix.frozen][:, self._to_model]
            if spec.sampler is not None:
                given = (given - np.array(spec.action.mean)) / np.array(spec.action.std)
            actions[0, : prefix.frozen] = given
            mask[0, : prefix.frozen] = 1.0
        return {signature.PREFIX: actions, signature.PREFIX_MASK: mask}

    def _warm_up(self) -> float:
        """Median time of an answer to a grey picture at the home pose [ms]."""
        grey = {c.name: np.full((c.height, c.width, 3), 128, np.uint8) for c in self.bundle.spec.cameras}
        observation = Observation(0, 0, self._space.home, grey)
        query = Query(condition=self.bundle.spec.condition, cfg_beta=self.bundle.spec.cfg_beta)
        try:
            times = [self.predict(observation, query).inference_ms for _ in range(WARM_UP_RUNS)]
        except PolicyError as error:
            raise BundleError(f"bundle '{self.bundle.path.name}': warm-up failed: {error}") from None
        return float(np.median(times[WARM_UP_SKIPPED:]))
