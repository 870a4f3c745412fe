"""The networks of a bundle as one function: what was observed in, a chunk out, in the model's order of joints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rove_core.errors import PolicyError, nearest
from rove_inference import signature
from rove_inference.backends import TEXT, Array, Backend
from rove_inference.bundle import Bundle
from rove_inference.decoders import consistency, diffusion, flow, guidance
from rove_inference.decoders.adapter import Correction, correction
from rove_inference.decoders.inpainting import Known
from rove_inference.decoders.spec import ConsistencySpec, FlowSpec, Sampler
from rove_inference.stages import Observed, Stages

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """A decoded chunk, in the model's order of joints.

    Attributes:
        actions: [rad], shape (1, horizon, dim) unless the model breaks its promise.
        evaluations: of the network that the decoder calls.
        base: before the adapter [rad], shape (horizon, dim); None without one.
        correction: what the adapter does to it [rad]; None without one.
    """

    actions: Array
    evaluations: int
    base: Floats | None = None
    correction: Correction | None = None


class Model:
    """Encoders run once per observation, the decoder calls the head as often as it needs, an adapter corrects.

    One thread at a time.
    """

    def __init__(self, bundle: Bundle, stages: Stages, adapter: Backend | None = None) -> None:
        """Check the networks' tensors against the bundle.

        Raises:
            BundleError: they do not fit.
        """
        signature.check(bundle, stages, adapter)
        self._spec = spec = bundle.spec
        self._stages, self._adapter = stages, adapter
        self._output = signature.output_of(spec)
        self._shape = (spec.horizon, len(bundle.action_order))
        self._mean = np.array(spec.action.mean, np.float32)
        self._std = np.array(spec.action.std, np.float32)

    def answer(
        self, observed: Mapping[str, Array], condition: str, beta: float, seed: int, known: Known | None = None
    ) -> Answer:
        """Decode a chunk.

        Args:
            observed: tensors of the observation, one row each.
            condition: text. beta: guidance weight, 1 without guidance.
            seed: of the noise.
            known: what the chunk must keep to; a decoder without sampling cannot.

        Raises:
            PolicyError: a network failed, or nobody taught it this condition or guidance.
        """
        texts = self._texts(condition, beta)
        head = self._stages.observe({**observed, signature.CONDITION: self._coded(texts)})
        if self._spec.sampler is None:
            return Answer(head({})[self._output], 1)
        network = _Guided(head, self._output, len(texts), beta)
        sampled = _sample(self._spec.sampler, network, np.random.default_rng(seed), self._shape, known)
        actions = self._mean + self._std * sampled
        if self._adapter is None or self._spec.adapter is None:
            return Answer(actions[None], network.evaluations)
        # The last row is the condition itself.
        given = {name: rows[-1:] for name, rows in head.features.items()} | {signature.BASE: sampled[None]}
        made = self._adapter.run({name: given[name] for name in self._adapter.inputs})
        change = correction(made[signature.RESIDUAL][0], made[signature.GATE][0], self._spec.adapter.r_max)
        residual = Correction(self._std * change.residual, change.gate)
        corrected = actions + residual.gate[:, None] * residual.residual
        return Answer(corrected[None], network.evaluations, actions, residual)

    def _texts(self, condition: str, beta: float) -> tuple[str, ...]:
        """The condition of each row that is evaluated."""
        spec = self._spec
        if spec.conditions and condition not in spec.conditions:
            raise PolicyError(f"unknown condition '{condition}', {nearest(condition, spec.conditions)}")
        if condition and signature.CONDITION not in self._stages.inputs:
            # It would be recorded with the chunk as if it had been heard.
            raise PolicyError(f"condition '{condition}': no network of the bundle takes one")
        if spec.guidance is not None:
            return guidance.conditions(beta, spec.guidance.negative, condition)
        if beta != 1.0:
            raise PolicyError(
                f"guidance weight {beta:g}: the bundle has no negative condition",
                "use 1, or name one in section 'guidance' of policy.yaml",
            )
        return (condition,)

    def _coded(self, texts: tuple[str, ...]) -> Array:
        """Conditions as the networks take them: by number or as text, one row each."""
        known = self._spec.conditions
        return np.array([known.index(text) for text in texts], np.int64) if known else np.array(texts, TEXT)


class _Guided:
    """The network that a decoder calls, under guidance, as a function of the noisy chunk and its time."""

    def __init__(self, head: Observed, output: str, rows: int, beta: float) -> None:
        self._head, self._output, self._rows, self._beta = head, output, rows, beta
        self.evaluations = 0

    def __call__(self, x: Array, t: float) -> Array:
        noisy = np.repeat(x[None].astype(np.float32, copy=False), self._rows, axis=0)
        times = np.full(self._rows, t, np.float32)
        made = self._head({signature.NOISY: noisy, signature.TIME: times})[self._output]
        if made.shape != noisy.shape:
            raise PolicyError(f"the model answered with shape {made.shape}, expected {noisy.shape}")
        self.evaluations += 1
        return guidance.combine(made, self._beta)


def _sample(
    sampler: Sampler, network: _Guided, generator: np.random.Generator, shape: tuple[int, int], known: Known | None
) -> Floats:
    """Draw a chunk in normalised units, shape (horizon, dim)."""
    if isinstance(sampler, ConsistencySpec):
        levels = consistency.noise_levels(sampler.steps + 1, sampler.sigma_min, sampler.sigma_max, sampler.rho)
        return consistency.sample(network, generator, shape, levels, known).astype(np.float32)
    noise = generator.standard_normal(shape, np.float32)
    if isinstance(sampler, FlowSpec):
        return flow.sample(network, noise, sampler.steps, sampler.solver, known).astype(np.float32)
    shares = diffusion.signal_shares(sampler.train_steps, sampler.schedule)
    levels_ = diffusion.visited_levels(sampler.steps, sampler.train_steps, sampler.spacing)
    return diffusion.sample(network, noise, shares, levels_, sampler.predicts, sampler.clip, known).astype(np.float32)
