"""What is already decided about the chunk that a decoder is about to make: the chunk before, on the new one's steps.

Real-time chunking (Black, Galliker, Levine: Real-Time Execution of Action Chunking Flow Policies, arXiv 2506.07339):
the steps that are executed while the network thinks are frozen, later ones that the chunk before also covers are
followed less and less, the rest is free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Prefix:
    """The chunk before, on the time grid of the new one.

    Attributes:
        actions: joint positions [rad], shape (horizon, dim), float32; steps of weight 0 mean nothing.
        weights: how firmly each step is given, shape (horizon,), float32, in [0, 1], never rising.
        frozen: leading steps that are executed before the new chunk can be there; their weight is 1.
    """

    actions: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    frozen: int


def soft_weights(horizon: int, frozen: int, overlap: int) -> npt.NDArray[np.float32]:
    """Weights of real-time chunking, equation 5 of arXiv 2506.07339.

    1 for i < frozen; then c (e^c - 1) / (e - 1) with c = (overlap - i) / (overlap - frozen + 1); 0 from `overlap` on.

    Args:
        horizon: steps of the new chunk.
        frozen: steps executed during inference (d in the paper).
        overlap: leading steps that the chunk before covers (H - s in the paper); `frozen` is cut to it.

    Returns:
        Shape (horizon,), float32.
    """
    frozen, overlap = min(frozen, overlap, horizon), min(overlap, horizon)
    step = np.arange(horizon)
    ramp = np.clip((overlap - step) / (overlap - frozen + 1), 0.0, 1.0)
    weights = np.where(step < frozen, 1.0, ramp * np.expm1(ramp) / np.expm1(1.0))
    return np.where(step < overlap, weights, 0.0).astype(np.float32)
