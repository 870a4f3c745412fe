"""A small network that corrects a frozen one: the gated residual adapter of Robo-ValueRL (its equation 7).

`x = x_base + sigmoid(gate) r_max tanh(residual)`. An adapter that was initialised with zeros changes nothing, to the
last bit, and none moves a joint by more than r_max times the spread of its actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rove_inference.backends import Array


@dataclass(frozen=True, slots=True)
class Correction:
    """What an adapter does to a chunk: `gate[:, None] * residual` is added.

    Attributes:
        residual: in the base's units, at most r_max, shape (horizon, dim). gate: 0 to 1, shape (horizon,).
    """

    residual: Array
    gate: Array


def correction(residual: Array, gate: Array, r_max: float) -> Correction:
    """Bound what the adapter's network puts out.

    Args:
        residual: unbounded, shape (horizon, dim). gate: logits, shape (horizon,).
    """
    # tanh for the sigmoid, too: exp overflows for a gate that is firmly shut.
    openness = 0.5 * (1.0 + np.tanh(0.5 * gate))
    return Correction((r_max * np.tanh(residual)).astype(np.float32), openness.astype(np.float32))
