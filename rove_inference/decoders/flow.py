"""Flow matching: from noise to a chunk along a field of velocities that the network predicts.

The convention of Lipman et al. (arXiv 2210.02747) and of pi0's paper (arXiv 2410.24164): `x_t = t a + (1 - t) e` with
actions `a` and noise `e`, t from 0 (noise) to 1 (chunk), and the network predicts `v = a - e`. Code that runs t from 1
to 0 (openpi) has the same network under t -> 1 - t, v -> -v.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from rove_inference.backends import Array
from rove_inference.decoders.inpainting import Known


def sample(
    velocity: Callable[[Array, float], Array],
    noise: Array,
    steps: int,
    solver: Literal["euler", "midpoint"],
    known: Known | None = None,
) -> Array:
    """Solve dx/dt = velocity(x, t) from t = 0 to 1.

    Args:
        velocity: of a chunk at a time, (x, t) -> shape of x; guidance is already in it.
        noise: standard normal, shape (horizon, dim).
        steps: of equal length.
        solver: euler (first order, one evaluation per step) or midpoint (second order, two).
        known: what the chunk must keep to.

    Returns:
        The chunk, in the network's units, shape (horizon, dim).
    """

    def slope(x: Array, t: float) -> Array:
        v = velocity(x, t)
        if known is None:
            return v
        # x + (1 - t) v is where the flow would end: the estimate of the clean chunk.
        towards: Array = (known.pull(x + (1.0 - t) * v) - x) / (1.0 - t)
        return towards

    x, dt = noise, 1.0 / steps
    for step in range(steps):
        t = step * dt
        v = slope(x, t)
        if solver == "midpoint":
            v = slope(x + 0.5 * dt * v, t + 0.5 * dt)
        x = x + dt * v
    return x
