"""Keeping a sampled chunk to what is decided about it: real-time chunking without the network's gradient.

Real-time chunking (arXiv 2506.07339) pulls the decoder's estimate of the clean chunk towards the chunk before with a
vector-Jacobian product through the network (its equation 2, limited by min(beta, (1 - t) / (t r^2))). A network in
ONNX Runtime has no gradient, so the estimate itself is mixed at every step of the decoder,

    clean' = clean + w (known - clean),

which is the paper's correction with the Jacobian replaced by the identity and its factor by the one that reaches the
known actions exactly. A step with w = 1 then runs along the straight line from its noise to the known action: it is
the known action noised to each level, and the network sees it so (inpainting). Steps with 0 < w < 1 lean on it, and
the free ones follow because the network sees a chunk that begins like the one before. No limit of the factor is
needed: the mixed estimate lies between the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rove_inference.backends import Array
from rove_inference.decoders.prefix import Prefix


@dataclass(frozen=True, slots=True)
class Known:
    """What is decided about a chunk, in the network's units and order of joints.

    Attributes:
        actions: shape (horizon, dim). weights: shape (horizon, 1), in [0, 1].
    """

    actions: Array
    weights: Array

    def pull(self, clean: Array) -> Array:
        """Mix what is known into an estimate of the clean chunk, shape (horizon, dim)."""
        mixed: Array = clean + self.weights * (self.actions - clean)
        return mixed


def known_part(
    prefix: Prefix, order: npt.NDArray[np.intp], mean: npt.NDArray[np.float32], std: npt.NDArray[np.float32]
) -> Known:
    """A prefix in the units of a network.

    Args:
        order: `prefix.actions[:, order]` is in the network's order of joints.
        mean, std: of the actions [rad], in the network's order, shape (dim,).
    """
    weights = prefix.weights[:, None].astype(np.float32)
    # Steps of weight 0 mean nothing and may hold anything, NaN included: that must not come through a product with 0.
    actions = np.where(weights > 0, (prefix.actions[:, order] - mean) / std, np.float32(0))
    return Known(actions.astype(np.float32), weights)
