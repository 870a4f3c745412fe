"""Consistency models: from noise of any level to the chunk in one evaluation.

Song et al., Consistency Models, arXiv 2303.01469; noise levels of Karras et al., arXiv 2206.00364. The network takes
`x = a + sigma e` and sigma, and puts out the clean chunk itself; a boundary condition at sigma_min, if it was trained
with one, is part of its graph.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rove_inference.backends import Array
from rove_inference.decoders.inpainting import Known


def noise_levels(count: int, sigma_min: float, sigma_max: float, rho: float) -> npt.NDArray[np.float64]:
    """The Karras schedule (equation 5 of arXiv 2206.00364), from sigma_max down to sigma_min, shape (count,)."""
    ramp = np.linspace(0.0, 1.0, count)
    high, low = sigma_max ** (1.0 / rho), sigma_min ** (1.0 / rho)
    levels: npt.NDArray[np.float64] = (high + ramp * (low - high)) ** rho
    return levels


def sample(
    clean: Callable[[Array, float], Array],
    generator: np.random.Generator,
    shape: tuple[int, int],
    levels: npt.NDArray[np.float64],
    known: Known | None = None,
) -> Array:
    """Multistep consistency sampling (algorithm 1 of arXiv 2303.01469); with one level, one evaluation.

    Args:
        clean: the network, (x, sigma) -> clean chunk.
        generator: of the noise. shape: of the chunk, (horizon, dim).
        levels: noise levels, falling, the least of training excluded from those that are visited: the last of
            `levels` is never evaluated, it is the noise that remains in a clean chunk. Shape (steps + 1,).
        known: what the chunk must keep to.

    Returns:
        The chunk, in the network's units.
    """
    least = levels[-1]
    x = np.zeros(shape, np.float32)
    for step, sigma in enumerate(levels[:-1]):
        # The first level is so much above the data that what is there before does not matter.
        spread = sigma if step == 0 else np.sqrt(sigma**2 - least**2)
        x = clean((x + spread * generator.standard_normal(shape)).astype(np.float32), float(sigma))
        if known is not None:
            x = known.pull(x)
    return x
