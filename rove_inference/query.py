"""What a policy is asked besides the observation, and what it answers, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rove_inference.decoders.prefix import Prefix


def fill(template: str, instruction: str) -> str:
    """A prompt or a condition text for an instruction: it stands where the template says `{instruction}`."""
    return template.replace("{instruction}", instruction)


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
