"""Classifier-free guidance: follow one condition and lean away from another.

`v_neg + beta (v_pos - v_neg)` (Ho and Salimans, Classifier-Free Diffusion Guidance, arXiv 2207.12598, with the
unconditional network replaced by a negative condition, as ROVE does, arXiv 2606.17011). Both conditions are rows of
one batch, because a second row costs far less than a second evaluation. Where one of them has no say it is left out,
so that beta 0 and 1 are exactly the network under one condition, and as fast.
"""

from __future__ import annotations

from rove_inference.backends import Array


def conditions(beta: float, negative: str, positive: str) -> tuple[str, ...]:
    """The condition of each row of the batch that `combine` takes."""
    if beta == 1.0:
        return (positive,)
    if beta == 0.0:
        return (negative,)
    return (negative, positive)


def combine(outputs: Array, beta: float) -> Array:
    """One output of the network from those of the rows.

    Args:
        outputs: one row per condition, in the order of `conditions`, shape (1 or 2, ...).

    Returns:
        Shape (...).
    """
    if len(outputs) == 1:
        row: Array = outputs[0]
        return row
    negative, positive = outputs
    guided: Array = negative + beta * (positive - negative)
    return guided
