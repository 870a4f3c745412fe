"""Diffusion sampled with DDIM: Song et al., Denoising Diffusion Implicit Models, arXiv 2010.02502, with eta = 0.

`x_k = sqrt(a_k) x_0 + sqrt(1 - a_k) e` with a_k the share of signal at level k of the training schedule. The network
predicts e, or `v = sqrt(a_k) e - sqrt(1 - a_k) x_0` (Salimans and Ho, arXiv 2202.00512).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from rove_inference.backends import Array
from rove_inference.decoders.inpainting import Known

# The usual linear schedule: 1e-4 to 2e-2 for 1000 levels (Ho et al., arXiv 2006.11239).
LINEAR_BETAS = (1e-4, 2e-2)
# The cosine schedule's offset and the bound of a single step (Nichol and Dhariwal, arXiv 2102.09672).
COSINE_OFFSET = 0.008
MAX_BETA = 0.999


def signal_shares(train_steps: int, schedule: Literal["cosine", "linear"]) -> npt.NDArray[np.float64]:
    """Share of signal a_k at every level of training (alpha-bar), falling, shape (train_steps,)."""
    if schedule == "linear":
        betas = np.linspace(*LINEAR_BETAS, train_steps)
    else:
        t = np.arange(train_steps + 1) / train_steps
        share = np.cos((t + COSINE_OFFSET) / (1.0 + COSINE_OFFSET) * np.pi / 2.0) ** 2
        betas = np.minimum(1.0 - share[1:] / share[:-1], MAX_BETA)
    return np.asarray(np.cumprod(1.0 - betas), np.float64)


def visited_levels(steps: int, train_steps: int, spacing: Literal["trailing", "leading"]) -> npt.NDArray[np.int64]:
    """Which levels the sampler visits, falling, shape (steps,).

    `trailing` begins at the noisiest level, where pure noise is what the network was trained on (Lin et al., arXiv
    2305.08891); `leading` ends at level 0, as policies trained with older samplers expect.
    """
    if spacing == "trailing":
        levels = np.round(np.arange(train_steps, 0, -train_steps / steps))[:steps] - 1
    else:
        levels = (np.arange(steps) * (train_steps // steps))[::-1]
    return levels.astype(np.int64)


def sample(
    network: Callable[[Array, float], Array],
    noise: Array,
    shares: npt.NDArray[np.float64],
    levels: npt.NDArray[np.int64],
    predicts: Literal["epsilon", "v"],
    clip: float | None = None,
    known: Known | None = None,
) -> Array:
    """Walk down the noise levels to a clean chunk.

    Args:
        network: (x, level) -> epsilon or v; guidance is already in it.
        noise: standard normal, shape (horizon, dim).
        shares: `signal_shares`. levels: `visited_levels`.
        clip: bound of the clean chunk at every step.
        known: what the chunk must keep to.

    Returns:
        The chunk, in the network's units, shape (horizon, dim).
    """
    x = clean = noise
    for level, following in zip(levels, [*levels[1:], None], strict=True):
        share = float(shares[level])
        signal, spread = share**0.5, (1.0 - share) ** 0.5
        output = network(x, float(level))
        clean = (x - spread * output) / signal if predicts == "epsilon" else signal * x - spread * output
        if clip is not None:
            clean = np.clip(clean, -clip, clip)
        if known is not None:
            clean = known.pull(clean)
        # Of the estimate that is used, not of the network: what is clipped or known has this noise.
        epsilon = (x - signal * clean) / spread
        if following is not None:
            after = float(shares[following])
            x = after**0.5 * clean + (1.0 - after) ** 0.5 * epsilon
    return clean
